"""A specification curve: sorted outcomes, and under each the choices that made it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from scaling.charts.verdicts.audit import NothingToDraw, specification_curve
from scaling.errors import MissingColumns


def specifications(count: int) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "objective": ["blunt", "sharp"] * (count // 2),
            "window": ["all"] * count,
            "a": generator.normal(0.5, 0.05, count),
            "kept": [True] * (count - 1) + [False],
        }
    )


def test_specification_curve_matches_the_table() -> None:
    """Every kept row once, ascending; a choice of one level has no ticks."""
    table = specifications(20)
    drawn = specification_curve(table).to_dict()
    upper, lower = (drawn["datasets"][part["data"]["name"]] for part in drawn["vconcat"])
    assert [row["a"] for row in upper] == sorted(table.filter("kept")["a"])
    assert {row["row"] for row in lower} == {"objective: blunt", "objective: sharp"} and len(lower) == 19


def test_specification_curve_thins_many_and_keeps_the_ends() -> None:
    table = specifications(2000)
    drawn = specification_curve(table).to_dict()
    upper = drawn["datasets"][drawn["vconcat"][0]["data"]["name"]]
    a = table.filter("kept")["a"].to_numpy()
    assert len(upper) == 240
    assert (upper[0]["a"], upper[-1]["a"]) == (a.min(), a.max())


def test_specification_curve_names_what_it_cannot_draw() -> None:
    with pytest.raises(MissingColumns, match="alpha asked for"):
        specification_curve(specifications(4), "alpha")
    with pytest.raises(NothingToDraw, match="4 specifications, none of which counts"):
        specification_curve(specifications(4).with_columns(kept=False))
