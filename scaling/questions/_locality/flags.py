"""What models know of real flags, by what they have read: programs whose manuals were read, and programs held out."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl
from scipy.special import ndtri

from scaling.corpora.source import MANUALS, SCRIPTS
from scaling.errors import QuestionError
from scaling.fitting.data import framed
from scaling.questions.seeds import student

NEITHER = "neither"
"""Of manuals and scripts."""
_GROUP = re.compile(r"(known|held out) (manual|script) (short|long)")
_ASKED = ["programs", "asked", "flags"]


class NoFlagsAsked(QuestionError):
    """Runs that were not asked about flags, or none of which had read neither manuals nor scripts."""

    missing: str

    def __str__(self) -> str:
        return (
            f"asked what is known of flags, but there is no {self.missing}. Measure the probe item_choice with flags "
            "under [items], and train a blend of general text alone beside the others, as runs/manuals does."
        )


@framed("runs", "measured")
def flags_known(runs: pl.DataFrame, measured: pl.DataFrame, *, level: float = 0.8) -> pl.DataFrame:
    """Share of questions about flags that models answer right, and what reading has added to it.

        gain = mean over seeds of (share − share of the model of the same seed that has read neither)
        half its interval = the larger of t s/√n and z e

    s is the spread over n seeds, in which the luck of models with questions is contained. All seeds are asked the same
    questions, so the questions' own error e, that of both shares, is a least doubt which more seeds do not lessen: what
    is gained may differ from program to program.

    Args:
        runs: as from `open_runs`, blends that differ by the domains manuals and scripts.
        measured: as from `open_measurements`, the probe "item_choice" about flags among them; chance is 1/8.
        level: of the intervals, two-sided.

    Returns:
        A row for each N, what was read, programs ("known" or "held out"), way of asking ("manual" or "script") and
        flags ("short" or "long"): seeds, questions, share, low, high, gain, gain_low, gain_high. Gains of models that
        have read neither are 0 by definition and have no interval.

    Raises:
        NoFlagsAsked: nothing of the kind was measured, or there is nothing to compare it with.
    """
    asked = measured.filter(pl.col("probe") == "item_choice", pl.col("group").str.contains(_GROUP.pattern))
    rows = asked.join(runs.select("run_id", "N", "seed", "blend"), on="run_id")
    if rows.is_empty():
        raise NoFlagsAsked("answer to such a question")
    blends = [json.loads(blend) for blend in rows["blend"]]
    read = [" and ".join(sorted(blend.keys() & {MANUALS, SCRIPTS})) or NEITHER for blend in blends]
    parts = [_GROUP.fullmatch(group) for group in rows["group"]]
    rows = rows.with_columns(
        pl.Series("read", read),
        *(pl.Series(name, [p[i] if p else "" for p in parts]) for i, name in enumerate(_ASKED, 1)),
    )
    cell = ["N", *_ASKED]
    base = rows.filter(pl.col("read") == NEITHER).select(
        *cell, "seed", without="value", without_error="stderr"
    )
    if base.is_empty():
        raise NoFlagsAsked("run that has read neither manuals nor scripts")
    both = rows.join(base, on=[*cell, "seed"], how="left")
    table = []
    for key, some in both.group_by("N", "read", *_ASKED, maintain_order=True):
        share = _interval(some["value"].to_numpy(), some["stderr"].to_numpy(), level)
        paired = some.drop_nulls("without")
        error = np.hypot(paired["stderr"].to_numpy(), paired["without_error"].to_numpy())
        gains = (paired["value"] - paired["without"]).to_numpy()
        nan = (float("nan"),) * 3
        gain = nan if key[1] == NEITHER or paired.is_empty() else _interval(gains, error, level)
        table.append((*key, len(some), some["n"].max(), *share, *gain))
    header = [
        "N",
        "read",
        *_ASKED,
        "seeds",
        "questions",
        "share",
        "low",
        "high",
        "gain",
        "gain_low",
        "gain_high",
    ]
    order = (
        pl.col("read") != NEITHER,
        pl.col("read").str.len_chars(),
        pl.col("read"),
        *map(pl.col, _ASKED[1:]),
    )
    frame = pl.DataFrame(table, schema=header, orient="row")
    return frame.sort("N", *order, pl.col("programs"), descending=[*[False] * 6, True])


def _interval(values: np.ndarray, errors: np.ndarray, level: float) -> tuple[float, float, float]:
    """Mean over seeds, with the larger of the doubt of seeds and that of the questions that they share."""
    n, mean = len(values), float(values.mean())
    seeds = student(level, n) * values.std(ddof=1) / n**0.5 if n > 1 else 0.0
    asked = float(ndtri(0.5 + level / 2)) * float((errors**2).mean()) ** 0.5
    reach = max(float(seeds), asked)
    return mean, mean - reach, mean + reach
