"""A law as a picture that moves: a slider for each argument, and the browser evaluates the law's own formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from scaling.charts import theme, words
from scaling.charts.parts import Chart, finish, of, series
from scaling.charts.vega import trace
from scaling.laws.base import Argument, describe
from scaling.units import print_count

HEIGHT, POINTS = 320, 60


def explore(
    law: Callable[..., Any],
    *,
    across: tuple[str, float, float],
    at: Mapping[str, float],
    lines: tuple[str, Sequence[float]] | None = None,
    texts: Mapping[str, str] | None = None,
    title: str = words.LOSS,
) -> Chart:
    """Curves of a law under a slider for each of its other arguments, and what each curve ends at.

    Args:
        law: of operators and ufuncs.
        across: a column and the ends of its axis, logarithmic where both are positive.
        at: where the sliders of the parameters, and of the columns without an axis, begin.
        lines: a column, and a value for each curve.
        texts: columns that follow from others, as Vega text of `datum`.
        title: of the upright axis.

    Raises:
        NotTraceable: the law cannot run in the browser.
    """
    column, low, high = across
    along = np.geomspace(low, high, POINTS) if low > 0 else np.linspace(low, high, POINTS)
    columns, many = [float(f"{x:.6g}") for x in along], lines[0] if lines else None
    curves = {f"{many} = {print_count(v)}": {many: v} for v in lines[1]} if lines else {"": {}}
    base = of({column: x, "curve": name} | value for name, value in curves.items() for x in columns)
    fields = {name: f"datum.{name}" for name in (column, many) if name}
    read = describe(law)
    moved = [a for a in (*read.columns, *read.parameters) if a.name not in {*fields, *(texts or {})}]
    base.transform = trace(law, "value", **fields, **(texts or {}), **{a.name: _value(a) for a in moved})
    colour = series("curve", list(curves), columns=4) if many else alt.value(theme.COLOURS[0])
    base = base.encode(x=_axis(column, low, high), color=colour)
    base = base.encode(y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)))
    end = base.mark_text(align="right", dy=-8, fontWeight=600).encode(text=alt.Text("value:Q", format=".4~g"))
    end.transform = [*base.transform, {"filter": f"datum.{column} >= {columns[-1]!r}"}]
    chart = alt.layer(base.mark_line(strokeWidth=2), end)
    return finish(chart.add_params(*(p for a in moved for p in _slider(a, at[a.name]))), HEIGHT)


def _axis(column: str, low: float, high: float) -> alt.X:
    if low <= 0:
        return alt.X(column, type="quantitative", title=column)
    axis = alt.Axis(values=words.log_ticks(low, high, 6), labelExpr=words.vega_count("datum.value"))
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X(column, type="quantitative", title=column, scale=scale, axis=axis)


def _value(argument: Argument) -> str:
    return f"pow(10,at_{argument.name})" if argument.quantity.log else f"at_{argument.name}"


def _slider(argument: Argument, start: float) -> list[alt.Parameter]:
    """A slider, in powers of ten where the argument spans orders of magnitude, and the value beside it."""
    quantity, name = argument.quantity, f"at_{argument.name}"
    if quantity.log:
        middle, step = round(math.log10(start), 3), 0.01
        low, high = middle - 2, middle + 2
        said = words.vega_count(_value(argument))
    else:
        reach = max(abs(start), 0.25)
        low, high = max(start - reach, quantity.low), min(start + reach, quantity.high)
        step = 10.0 ** (math.floor(math.log10(high - low)) - 2)
        middle, low = float(f"{start:.6g}"), math.floor(low / step) * step
        said = f"format({name},'.3~g')"
    bound = alt.binding_range(min=round(low, 9), max=round(high, 9), step=step, name=argument.name)
    return [alt.param(name=name, value=middle, bind=bound), alt.param(name=f"{name}_words", expr=said)]
