"""Transfer: what a token of each source is worth beside its placebo, by dose, and against size as far as GPT-2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scaling.charts import theme
from scaling.charts.parts import Chart, extent, finish, log_x, of, series, spans, stacked, whiskers
from scaling.charts.series import size_names
from scaling.verdict import Verdict

GPT2_N = 12 * 12 * 768**2
"""Weights inside the blocks of the smallest GPT-2."""
_ROW = 15


def draw(verdict: Verdict) -> Any:
    """The matrix, and of the pair that was asked about its dose curves and its rates against size."""
    cells, pairs = verdict.evidence["cells"], verdict.evidence["pairs"]
    (row,) = pairs.filter("main", "asked").to_dicts()
    of_pair = cells.filter(source=row["source"], target=row["target"], unique=row["unique"])
    charts = [doses(of_pair, row["unit"])]
    if of_pair["adjusted"].is_finite().any():
        charts = [worths(cells, pairs), *charts, against_size(of_pair.filter(dose=row["dose"]), row)]
    return stacked(*charts)


def worths(cells: pl.DataFrame, pairs: pl.DataFrame) -> Chart:
    """Exchange rates of every pair at the dose that it is judged at: a mark with its interval for each size, its
    placebo a bar behind it.

    Args:
        cells: of a verdict on transfer.
        pairs: of the same; the ones it rests on are drawn.
    """
    keys = ["source", "target", "unique", "dose"]
    shown = cells.join(pairs.filter("main").select(keys), on=keys, maintain_order="left")
    shown = shown.filter(pl.col("worth").is_finite()).sort("target", "source", "N")
    names = size_names(shown)
    rows = [
        {
            "pair": f"{row['source']} → {row['target']}", "size": names[row["N"]], "mid": row["worth"],
            "low": row["worth_low"], "high": row["worth_high"],
            "placebo": row["placebo_worth"] if math.isfinite(row["placebo_worth"]) else 0.0, "said": row["answer"],
        }
        for row in shown.iter_rows(named=True)
    ]  # fmt: skip
    order = list(dict.fromkeys(row["pair"] for row in rows))
    drawn = [value for row in rows for value in (row["mid"], row["placebo"], 0.0)]
    ends = [value for row in rows for value in (row["low"], row["high"])]
    x = alt.X("mid:Q", title=["worth of an added token,", "in tokens of the target (bar: placebo)"])
    x = x.scale(domain=extent(drawn, ends), nice=True).axis(tickCount=6)
    y = alt.Y("pair:N", title=None, sort=order, scale=alt.Scale(paddingInner=0.25))
    place: dict[str, Any] = {"y": y, "yOffset": alt.YOffset("size:N", sort=list(names.values()))}
    colour, base = series("size", list(names.values()), title="parameters"), of(rows)
    bars = base.mark_bar(opacity=0.3).encode(x=alt.X("placebo:Q"), color=colour, **place)
    lines = spans(base, x, color=colour, **place)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, color=colour, tooltip=["pair:N", "size:N", "mid:Q", "placebo:Q", "said:N"], **place
    )
    zero = of([{"mid": 0}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x.copy())
    return finish(alt.layer(bars, lines, dots, zero), 40 + _ROW * len(rows))


def doses(cells: pl.DataFrame, unit: str) -> Chart:
    """How much lower the target's value is at each dose, a line for each size; of the placebo dashed.

    Args:
        cells: of one pair.
        unit: of the value.
    """
    names = size_names(cells)
    size = pl.col("N").replace_strict(names, return_dtype=pl.String)
    gain = cells.sort("N", "dose").select(
        "dose", size.alias("size"), "gain", beyond=pl.col("words").cast(pl.Float64)
    )
    placebo = gain.drop_nulls("beyond").select("dose", "size", gain=pl.col("gain") - pl.col("beyond"))
    gain = gain.drop("beyond")
    least, most = (float(end(gain["dose"].to_numpy())) for end in (np.min, np.max))
    x = log_x("dose", "tokens of the source for each of the target", least * 0.93, most * 1.07)
    x = x.axis(values=[2.0**k for k in range(-6, 8) if least <= 2.0**k <= most], format="~g")
    y, colour = (
        alt.Y("gain:Q", title=f"gain on the target, {unit}"),
        series("size", list(names.values()), title="parameters"),
    )
    lines = [of(gain).mark_line(point=True, strokeWidth=2)]
    lines += [of(placebo).mark_line(strokeDash=[4, 3], strokeWidth=1.5)] if len(placebo) else []
    return finish(alt.layer(*(line.encode(x=x, y=y, color=colour) for line in lines)), 260)


def beyond(cells: pl.DataFrame, unit: str) -> Chart:
    """The gain at each size, and how much of it is beyond each kind of placebo and beyond repeats, with intervals.

    Args:
        cells: of one pair at one dose.
        unit: of the gain.
    """
    kinds = {"gain": "gain", "words": "beyond words", "form": "beyond form", "repeats": "beyond repeats"}
    names = size_names(cells)
    rows = [
        {"size": names[row["N"]], "kind": said, "mid": row[kind],
         "low": row[f"{kind}_low"], "high": row[f"{kind}_high"]}
        for row in cells.sort("N").iter_rows(named=True) for kind, said in kinds.items() if row[kind] is not None
    ]  # fmt: skip
    shown = [said for said in kinds.values() if any(row["kind"] == said for row in rows)]
    x = alt.X("mid:Q", title=f"gain on the target, {unit}").axis(tickCount=6)
    x = x.scale(
        domain=extent([0.0, *(row["mid"] for row in rows)], [row[e] for row in rows for e in ("low", "high")])
    )
    y = alt.Y("size:N", title="parameters", sort=list(names.values()))
    place: dict[str, Any] = {"y": y, "yOffset": alt.YOffset("kind:N", sort=shown)}
    colour, base = series("kind", shown, title=None), of(rows)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, color=colour, tooltip=["size:N", "kind:N", "mid:Q", "low:Q", "high:Q"], **place
    )
    zero = of([{"mid": 0}]).mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=x.copy())
    return finish(alt.layer(zero, spans(base, x, color=colour, **place), dots), 40 + _ROW * len(rows))


def against_size(cells: pl.DataFrame, line: Mapping[str, Any]) -> Chart:
    """Rates beyond the placebo against N, with the line through them as far as GPT-2 where there is one.

    Args:
        cells: of one pair at one dose.
        line: its row among the pairs.
    """
    rows = [
        {"N": row["N"], "mid": row["adjusted"], "low": row["adjusted_low"], "high": row["adjusted_high"]}
        for row in cells.sort("N").iter_rows(named=True) if math.isfinite(row["adjusted"])
    ]  # fmt: skip
    far = GPT2_N if line["gpt2"] is not None else rows[-1]["N"]
    gpt2 = {"N": GPT2_N, "mid": line["gpt2"], "low": line["gpt2_low"], "high": line["gpt2_high"]}
    x = log_x("N", "parameters N", rows[0]["N"] * 0.8, far * 1.6, labels="counts")
    shown, mids = list(rows), [0.0]
    if far == GPT2_N:
        mids.append(line["gpt2"] - math.log10(GPT2_N / rows[0]["N"]) * line["slope"])
        shown.append(gpt2)
    mids += [row["mid"] for row in shown]
    domain = extent(mids, [row[end] for row in shown for end in ("low", "high")])

    def y(field: str) -> alt.Y:
        title = ["worth beyond the placebo,", "tokens of the target"]
        return alt.Y(f"{field}:Q", title=title).scale(domain=domain, nice=True).axis(tickCount=6)

    layers = [of([{"mid": 0}]).mark_rule(opacity=0.4).encode(y=y("mid"))]
    layers += whiskers(of(rows), x, y, color=theme.COLOURS[0])
    if far == GPT2_N:
        straight = of([{"N": rows[0]["N"], "mid": mids[1]}, gpt2]).mark_line(strokeDash=[5, 3], opacity=0.7)
        named = of([gpt2 | {"label": "GPT-2 (124M), if the line went on"}])
        layers += [
            straight.encode(x=x, y=y("mid")),
            *whiskers(of([gpt2]), x, y, shape="diamond", color=theme.COLOURS[2]),
            named.mark_text(align="right", dx=-8, fontWeight=600).encode(x=x, y=y("mid"), text="label:N"),
        ]
    return finish(alt.layer(*layers), 260)
