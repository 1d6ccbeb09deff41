"""From one exponent to another by changes of recipe: the same fit to one sweep after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from scaling.arguments import checked
from scaling.errors import QuestionError, require_columns
from scaling.fitting.data import Table, as_frame
from scaling.fitting.isoflops import isoflop


class EmptyStep(QuestionError):
    """A step of a chain that no runs belong to."""

    step: dict[str, object]
    combinations: int

    def __str__(self) -> str:
        asked = ", ".join(f"{name} = {value!r}" for name, value in self.step.items())
        return (
            f"asked for the runs with {asked}, but there are none among the {self.combinations} combinations of these "
            "columns. Name one that is there, e.g. from runs.select(...).unique()."
        )


PORIAN_2024: tuple[Mapping[str, str], ...] = (
    {"param_count": "kaplan", "warmup": "long", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "long", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "chinchilla", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "const", "hparams": "tuned"},
)
"""From Kaplan's exponent to Hoffmann's: Porian et al. 2024, arXiv:2406.19146, figure 1; count the head, shorten the
warm-up, match the decay to each budget, tune rate and batch (which needs no decay)."""


@checked
def chain(
    runs: Table,
    steps: Sequence[Mapping[str, Any]] = PORIAN_2024,
    *,
    form: str = "parabola",
    within: float = 8.0,
) -> pl.DataFrame:
    """The exponent of approach 2 for one sweep after another, and what was changed between them.

    Each step selects runs by the values of columns. Steps may be other countings of the same trainings or other
    trainings altogether: a warm-up, a decay or a rate is no choice of analysis, and no reweighing shows it.

    Args:
        runs: columns N, D, C, loss, and those that the steps name.
        steps: values of columns, one mapping for each step; by default the sweeps of `published:isoflop`, of which
            one dataset must have been selected.
        form: "parabola" or "cubic", as for `isoflop`.
        within: as for `isoflop`.

    Returns:
        One row per step: step (from 0), changed ("" for the first), rows, budgets, a, stderr, change (of a, null for
        the first).

    Raises:
        MissingColumns: a step names a column that is not there.
        EmptyStep: no runs have the values of a step.
        TooFewScales: fewer than three budgets with a minimum in a step.

    Source:
        Porian et al. 2024, arXiv:2406.19146, figure 1 and table 1.
    """
    frame = as_frame(runs)
    named = dict.fromkeys(name for step in steps for name in step)
    require_columns(named, frame.columns, "Name the columns that tell the sweeps apart in steps=.")
    parts = [frame.filter(**step) for step in steps]
    for step, part in zip(steps, parts, strict=True):
        if not len(part):
            raise EmptyStep(dict(step), frame.select(list(step)).unique().height)
    rows = []
    for i, (step, part) in enumerate(zip(steps, parts, strict=True)):
        fitted = isoflop(part, form=form, within=within)
        before = steps[i - 1] if i else step
        moved = {name: value for name, value in step.items() if before.get(name) != value}
        changed = ", ".join(f"{name}: {before.get(name)} → {value}" for name, value in moved.items())
        a = fitted.exponent
        rows.append(
            (i, changed, len(part), len(fitted.table), a, fitted.stderr, a - rows[-1][4] if i else None)
        )
    schema = {
        "step": pl.Int64, "changed": pl.String, "rows": pl.Int64, "budgets": pl.Int64, "a": pl.Float64,
        "stderr": pl.Float64, "change": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
