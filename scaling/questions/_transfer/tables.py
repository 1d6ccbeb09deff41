"""The tables that a verdict on transfer rests on: cells, pairs, best doses, competitive arms, curves of the targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from scaling.questions._transfer.judged import Weighed
from scaling.questions._transfer.matrix import ENOUGH, Cell, Matrix
from scaling.questions._transfer.readings import Judged, best_doses, matrix_rows
from scaling.questions.contrasts import moderated
from scaling.show import named_ends


def evidence(
    weighed: Weighed,
    answers: Mapping[tuple[str, str], str],
    asked: tuple[str, str],
    unit: str,
    level: float,
    seed: int,
) -> dict[str, pl.DataFrame]:
    """The tables of a verdict, from what is judged of a matrix and the answer of each pair."""
    made, priced = weighed.made, weighed.priced
    names = {"worth": "plain", "placebo_worth": "placebo", "adjusted": "adjusted"}
    ends = {name: priced.interval(made.cells, kind, level) for name, kind in names.items()}
    cells = []
    for i, (cell, judged) in enumerate(zip(made.cells, weighed.every, strict=True)):
        row = _of_cell(made, cell) | _of_judged(judged)
        for name, three in ends.items():
            row |= named_ends(name, three[i])
        cells.append(row | {"answer": judged.answer, "learned": weighed.learned[i]})
    table = []
    for key, pair in weighed.pairs.items():
        group = [made.cells[i] for i in pair.cells]
        again = [made.value[c.alone] - made.value[c.repeats] for c in group if c.repeats is not None]
        row = _of_cell(made, group[0]) | _of_judged(pair.judged)
        row |= {
            "smallest": group[0].N, "largest": group[-1].N, "sizes": len(group), "level": level,
            "main": key == weighed.main(key[0]), "asked": key[0] == asked,
            "repeats_gain": float(np.nanmean(again)) if len(again) == len(group) else None,
        }  # fmt: skip
        for name in ("slope", "gpt2", "bend"):
            row |= named_ends(name, getattr(pair.trend, name) if pair.trend else (None, None, None))
        row["bounded"] = bool(pair.trend and pair.trend.bounded)
        table.append(row | {"answer": answers[key[0]] if row["main"] else pair.judged.answer, "unit": unit})
    best = []
    for pair in made.pairs:
        unique, tokens = weighed.main(pair)[1]
        chosen = [c for c in made.cells if c.pair == pair and c.base == (unique, tokens)]
        best += [(*pair, *row) for row in best_doses(made, chosen, level, seed)]
    curves = [
        matrix_rows(made, N, target).group_by("tokens").agg(pl.col("value").mean(), seeds=pl.len()).sort("tokens")
        .select(pl.lit(target).alias("target"), pl.lit(N).alias("N"), "tokens", "value", "seeds")
        for N, target in sorted({(c.N, c.target) for c in made.cells})
    ]  # fmt: skip
    order, header = ("source", "target", "unique"), ["source", "target", "N", "dose", "low", "high"]
    return {
        "cells": pl.DataFrame(cells, infer_schema_length=None).sort(*order, "N", "dose"),
        "pairs": pl.DataFrame(table, infer_schema_length=None).drop("N").sort(order),
        "best_doses": pl.DataFrame(best, schema=header, orient="row"),
        "competitive": competitive(made, level),
        "curves": pl.concat(curves),
    }


def _of_cell(made: Matrix, cell: Cell) -> dict[str, Any]:
    both = np.isfinite(made.value[cell.arm] - made.value[cell.alone])
    return {
        "source": cell.source, "target": cell.target, "N": cell.N, "unique": cell.unique, "tokens": cell.tokens,
        "epochs": cell.tokens / cell.unique, "dose": cell.dose, "source_unique": cell.added_unique,
        "seeds": int(both.sum()),
    }  # fmt: skip


def _of_judged(judged: Judged) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, one in vars(judged).items():
        row |= named_ends(name, (None,) * 3 if one is None else (one.mean, one.low, one.high))
    return row | {"stderr": judged.gain.stderr}


def competitive(made: Matrix, level: float) -> pl.DataFrame:
    """What a source does in place of as much of the target, both of text seen once.

    Returns:
        source, target, N, D (in all), share (of the source), gain (how much lower the target's value is than with D
        tokens of the target alone), low and high, each for itself.
    """
    keys = ["N", "target", "unique", "tokens", "added", "dose", "D"]
    alone, rows = {}, []
    for arm, (N, target, unique, tokens, added, _, _) in enumerate(made.arms.select(keys).rows()):
        if not added and unique == tokens:
            alone[N, target, tokens] = arm
    sources = {cell.source for cell in made.cells}
    for arm, (N, target, unique, tokens, added, dose, D) in enumerate(made.arms.select(keys).rows()):
        if added in sources and unique == tokens and (N, target, D) in alone:
            gain = made.value[alone[N, target, D]] - made.value[arm]
            if np.isfinite(gain).sum() >= ENOUGH:
                rows.append(((added, target, N, D, round(dose / (1 + dose), 3)), gain))
    schema = {"source": pl.String, "target": pl.String, "N": pl.Int64, "D": pl.Float64, "share": pl.Float64}
    schema |= dict.fromkeys(("gain", "low", "high"), pl.Float64)
    if not rows:
        return pl.DataFrame(schema=schema)
    means = moderated(np.array([gain for _, gain in rows]), [key[2] for key, _ in rows])
    ends = zip(means.mean, means.half_width(level), strict=True)
    table = [(*key, m, m - half, m + half) for (key, _), (m, half) in zip(rows, ends, strict=True)]
    return pl.DataFrame(table, schema=schema, orient="row").sort("source", "target", "D", "N", "share")
