"""What was measured of runs domain by domain: its values, their unit, and whether more of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from scaling.errors import QuestionError
from scaling.questions.phrases import SHARES
from scaling.records import LOSSES, PROBES

Values = Mapping[tuple[Any, str], float]
"""What was measured of a run on a domain."""


class NoValues(QuestionError):
    """Runs of which nothing was measured that was asked for."""

    measure: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for {self.measure!r} of each domain, but these runs have {', '.join(self.known) or 'nothing'}. "
            "Name one of these as measure=, or pass the measurements that have it."
        )


def read_values(runs: pl.DataFrame, measurements: pl.DataFrame | None, measure: str) -> Values:
    """What was measured of each run on each domain: its held-out loss, or the last values of a probe.

    Raises:
        NoValues: neither the runs nor the measurements have it.
    """
    if measurements is not None and measure in (probes := measurements["probe"].unique().sort().to_list()):
        last = measurements.filter(probe=measure).sort("step").unique(["run_id", "group"], keep="last")
        return {(run, group): value for run, group, value in last.select("run_id", "group", "value").rows()}
    if measure != "loss" and measurements is not None:
        raise NoValues(measure, ("loss", *probes))
    domains = {c.removeprefix("loss_"): c for c in runs.columns if c.startswith("loss_")}
    domains = {d: c for d, c in domains.items() if not d.startswith(("stderr", "bits_per_byte"))}
    if measure != "loss" or not domains:
        raise NoValues(measure, ("loss",) * bool(domains))
    return {
        (row["run_id"], domain): row[column]
        for row in runs.select("run_id", *domains.values()).iter_rows(named=True)
        for domain, column in domains.items()
        if row[column] is not None
    }


def unit_of(measurements: pl.DataFrame | None, measure: str) -> str:
    """The unit of what was measured, as the probe's rows have it, in words."""
    if measurements is None or "unit" not in measurements.columns or measure == "loss":
        return "nats/token" if measure == "loss" else measure
    unit = measurements.filter(probe=measure)["unit"][0]
    return SHARES if unit == "1" else unit


def sign_of(measure: str, higher_is_better: bool | None) -> float:
    """-1 where more of a measure is better, by what is said of it or, where nothing is, by what the probe measures."""
    if higher_is_better is None:
        higher_is_better = measure in PROBES and measure not in LOSSES
    return -1.0 if higher_is_better else 1.0
