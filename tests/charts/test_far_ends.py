"""Ends of intervals that lie far out, have no end or are no number: every chart of a verdict keeps inside its axes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.charts.offline import embed
from scaling.charts.parts import extent
from scaling.charts.results import budgets
from scaling.charts.verdicts import (
    decade,
    index,
    locality,
    plateau,
    preference,
    reasoning,
    repetition,
    synthetic,
    transfer,
    wall,
)  # fmt: skip

LOW = [-1e3, -math.inf, math.nan, 0.1]
HIGH = [0.9, math.inf, 1e3, math.nan]
FAR = 1300.0
"""Points: twice a chart that is 640 wide; a line of more, which its axes cut, might be missed by who draws it."""


def rows(low: str = "low", high: str = "high", **columns: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {name: v if isinstance(v, list) else [v] * 4 for name, v in columns.items()} | {low: LOW, high: HIGH}
    )


def verdict(**evidence: pl.DataFrame) -> Any:
    return SimpleNamespace(evidence=evidence, numbers={})


MIDS, SIZES, BUDGETS = [0.2, 0.5, 0.4, 0.6], [1000, 2000, 4000, 8000], [1e9, 1e10, 1e11, 1e12]
SEEN = rows(pretrained="manuals", arm=["nothing", "a", "b", "c"], documents=[0, 1, 2, 4], share=MIDS, N=SIZES)
POINTS = pl.DataFrame(
    {"C": BUDGETS, "loss": [3.0, 2.5, 2.1, 2.0], "stderr": [0.1, 50.0, 0.1, 0.0], "runs": [4] * 4}
)
RIVALS = rows(name="a", given=4, C=BUDGETS, loss=[3.0, 2.5, 2.1, 2.0])
CELLS = rows(
    "worth_low", "worth_high", source="code", target="prose", unique=1, dose=8.0, N=SIZES, worth=MIDS,
    placebo_worth=[0.1, math.nan, math.inf, 0.1], answer="helps", adjusted=MIDS,
).with_columns(adjusted_low=pl.Series(LOW), adjusted_high=pl.Series(HIGH))  # fmt: skip
PAIR = {"slope": 0.01, "gpt2": 0.5, "gpt2_low": -math.inf, "gpt2_high": 1e3}
CHARTS: dict[str, Callable[[], Any]] = {
    "frontier": lambda: plateau.frontier(POINTS, RIVALS),
    "misses": lambda: plateau.misses(POINTS, RIVALS),
    "shares": lambda: locality.shares(SEEN),
    "labels": lambda: locality.labels(SEEN),
    "locality": lambda: locality.against_size(SEEN.rename({"share": "locality"})),
    "flags": lambda: locality.flags(
        rows(read=["a", "b", "a", "b"], programs="known", share=MIDS, flags="long", asked="it", seeds=2, questions=9)
    ),
    "gold": lambda: preference.gold(rows(arm="a", domain=["x", "x", "y", "y"], distance=MIDS, gold=MIDS)),
    "ratios": lambda: preference.ratios(rows(N=SIZES, comparisons=[10, 20, 40, 80], ratio=MIDS)),
    "synthetic": lambda: synthetic.draw(verdict(generations=rows(arm="replace", generation=[1, 2, 3, 4], mean=MIDS))),
    "reasoning": lambda: reasoning.draw(
        verdict(curves=pl.DataFrame({"read": ["code"] * 4, "N": [1000] * 4, "D": SIZES, "value": MIDS, "stderr": HIGH}))
    ),
    "worths": lambda: transfer.worths(CELLS, CELLS.with_columns(main=True).head(1)),
    "against size": lambda: transfer.against_size(CELLS, PAIR),
    "beyond": lambda: transfer.beyond(
        rows("gain_low", "gain_high", N=SIZES, gain=MIDS, words=None, form=MIDS, repeats=None).with_columns(
            form_low=pl.Series(LOW), form_high=pl.Series(HIGH)
        ),
        "share of answers",
    ),
    "interventions": lambda: repetition.interventions(
        rows(intervention=["a", "b", "c", "d"], N=1000, unique_budget=1, multiplier=MIDS, at_least=False)
    ),
    "delays": lambda: wall.interventions(rows(intervention=["a", "b", "c", "d"], months=MIDS)),
    "decade": lambda: decade.loss_fan(rows("loss_low", "loss_high", C=BUDGETS, loss=MIDS)),
    "budgets": lambda: budgets(
        rows("N_low", "N_high", C=BUDGETS, N=SIZES, D=SIZES).with_columns(D_low="N_low", D_high="N_high")
    ),
    "index": lambda: index.draw(
        verdict(**dict.fromkeys(("models", "records"), pl.DataFrame(
            {"model": list("abcd"), "release_date": [2020, 2021, 2022, 2023], "capability": MIDS, "stderr": HIGH}
        )))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHARTS)
def test_far_ends_stay_inside_the_chart(name: str) -> None:
    """As a page takes it, without what JSON cannot say; no mark and no chart that runs off, none without a place."""
    spec = CHARTS[name]().to_dict()
    embed(spec)
    for part in (spec, *spec.get("vconcat", ())):
        if part.get("width") == "container":
            part["width"] = 640
    svg = vl_convert.vegalite_to_svg(json.dumps(spec))
    width, height = map(float, re.findall(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)[0])
    assert width < 700 and height < 700
    places = re.findall(r'(?:translate\(|[xy]2=")([^)"]*)', svg)
    assert all(abs(float(at)) < FAR for place in places for at in place.split(","))
    assert "NaN" not in svg and "Infinity" not in svg
    assert re.search(r"mark-(symbol|line|area|group) role-mark", svg), "marks are drawn"


@settings(max_examples=40)
@given(
    st.lists(st.floats(0.1, 1e3), min_size=1, max_size=8),
    st.lists(st.one_of(st.floats(), st.just(math.inf), st.just(-1e9), st.none()), max_size=8),
    st.booleans(),
)
def test_extent_has_room_for_every_middle_whatever_the_ends(
    mids: list[float], ends: list[float | None], log: bool
) -> None:
    low, high = extent(mids, ends, log=log)
    assert math.isfinite(low) and math.isfinite(high)
    assert low <= min(mids) * (1 + 1e-9) and max(mids) <= high * (1 + 1e-9)
    assert low > 0 or not log
