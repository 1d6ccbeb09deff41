"""What each law misses, run by run, and where the best two part."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from scaling.charts import theme, words
from scaling.charts.parts import finish, log_x, of, stacked
from scaling.show import plain
from scaling.verdict import Verdict


def draw(verdict: Verdict) -> Any:
    """Loss of every run above or below each law, a panel a law, against compute; zero is the law."""
    misses = verdict.evidence["misses"]
    most = 1.1 * float(misses["miss_percent"].abs().max())  # pyright: ignore[reportArgumentType]
    return stacked(*(_panel(misses, law, most) for law in verdict.evidence["laws"]["law"]))


def _panel(misses: pl.DataFrame, law: str, most: float) -> Any:
    shown = misses.filter(pl.col("law") == law)
    C = misses["C"].to_numpy()
    x = log_x("C", words.COMPUTE, float(C.min()) * 0.85, float(C.max()) * 1.18, labels="powers")
    y = alt.Y("miss_percent:Q", title=f"above {plain(law)}, %").scale(domain=[-most, most]).axis(tickCount=5)
    tips = [
        alt.Tooltip("N:Q", format=".3~s"),
        alt.Tooltip("D:Q", format=".3~s"),
        alt.Tooltip("loss:Q", format=".3f"),
        alt.Tooltip("miss_percent:Q", format="+.2f", title="above the law, %"),
    ]
    marks = of(shown).mark_point(filled=True, size=45, color=theme.INK).encode(x=x, y=y, tooltip=tips)
    zero = alt.Chart().mark_rule(color=theme.INK, opacity=0.5, aria=False).encode(y=alt.datum(0))
    return finish(alt.layer(marks, zero), 150)
