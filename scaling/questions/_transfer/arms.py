"""Arms of a transfer study, read from the rows of its runs: what was added to how much of which target."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from scaling.errors import QuestionError, require_columns
from scaling.records import LOSSES, PROBES

BASE = ["target", "unique", "tokens"]
"""What an addition is made to: a target, its distinct tokens, and how many of them were trained on, repeats counted."""
ARM = ["N", *BASE, "added", "added_tokens"]
_APART = 1.02
"""Ratio of two token counts from which they are no longer the same arm; a window more or less is nothing."""
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
    return "of answers" if unit == "1" else unit


def sign_of(measure: str, higher_is_better: bool | None) -> float:
    """-1 where more of a measure is better, by what is said of it or, where nothing is, by what the probe measures."""
    if higher_is_better is None:
        higher_is_better = measure in PROBES and measure not in LOSSES
    return -1.0 if higher_is_better else 1.0


def read_arms(runs: pl.DataFrame, values: Values, placebos: Mapping[str, str]) -> pl.DataFrame:
    """Every run of one domain, and every run of two from the side of each that is no placebo.

    Args:
        runs: N, D, seed, run_id, blend and, where text repeats, domain_epochs, as the store has them.
        values: of each run on its target, and on what was added.
        placebos: of placebos to the domains that they are made of.

    Returns:
        One row for each arm and seed: the columns `ARM` (added is empty for a target alone), seed, D, value,
        added_value, added_unique (distinct tokens of what was added), and dose, tokens added for each of the target's.

    Raises:
        MissingColumns: a column is not there.
    """
    require_columns(
        ("run_id", "N", "D", "seed", "blend"), runs.columns, "Arms are read from the blends of runs."
    )
    rows = []
    for run in runs.iter_rows(named=True):
        blend = {domain: share for domain, share in _table(run["blend"]).items() if share > 0}
        epochs = _table(run.get("domain_epochs"))
        if len(blend) > 2:
            continue
        for target, share in blend.items():
            if target in placebos or (run["run_id"], target) not in values:
                continue
            added = next((domain for domain in blend if domain != target), "")
            tokens = share * run["D"]
            more = run["D"] - tokens if added else 0.0
            rows.append({
                "N": run["N"], "seed": run["seed"], "D": float(run["D"]), "target": target, "tokens": tokens,
                "unique": tokens / _epochs(epochs, target), "added": added, "added_tokens": more,
                "added_unique": more / _epochs(epochs, added), "value": values[run["run_id"], target],
                "added_value": values.get((run["run_id"], added), math.nan),
            })  # fmt: skip
    if not rows:
        return pl.DataFrame(
            schema=dict.fromkeys(
                [*ARM, "seed", "D", "value", "added_value", "added_unique", "dose"], pl.Float64
            )
        )
    frame = pl.DataFrame(rows)
    counts = ["unique", "tokens", "added_tokens", "D"]
    alike = _alike({count for name in counts for count in frame[name].to_list()})
    frame = frame.with_columns(pl.col(counts).replace_strict(alike, return_dtype=pl.Float64))
    means = frame.group_by(*ARM, "seed", maintain_order=True).agg(
        pl.col("D", "value", "added_value", "added_unique").mean()
    )
    return means.with_columns(dose=(pl.col("added_tokens") / pl.col("tokens")).round(3)).sort(*ARM, "seed")


def _epochs(epochs: Mapping[str, float], domain: str) -> float:
    """How often a domain was read; once, where that is so but for a window."""
    seen = epochs.get(domain, 1.0)
    return seen if seen >= _APART else 1.0


def _table(written: Any) -> dict[str, float]:
    """A table as the store keeps it, JSON text, or as a frame has it."""
    made = json.loads(written) if isinstance(written, str) else written or {}
    return {name: value for name, value in made.items() if value is not None}


def _alike(counts: set[float]) -> dict[float, float]:
    """Each count to the smallest of those that are the same but for a window."""
    alike: dict[float, float] = {}
    before = first = 0.0
    for count in sorted(counts):
        if count > before * _APART or before == 0:
            first = count
        alike[count], before = first, count
    return alike
