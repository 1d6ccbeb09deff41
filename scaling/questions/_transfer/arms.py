"""Arms of a transfer study, read from the rows of its runs: what was added to how much of which target."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from scaling.errors import require_columns
from scaling.questions.measured import Values

BASE = ["target", "unique", "tokens"]
"""What an addition is made to: a target, its distinct tokens, and how many of them were trained on, repeats counted."""
ARM = ["N", *BASE, "added", "added_tokens"]
_APART = 1.02
"""Ratio of two token counts from which they are no longer the same arm; a window more or less is nothing."""


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
