"""Tables of a notebook and its report: a polars frame in words, with units, few digits and its intervals in one column.

    held_out_percent              held out, %
    exponent, _low, _high         one column, "0.36 [0.33, 0.39]"
    C, N, D                       2.5 × 10¹⁵, 85k, 1.3M
    null, NaN                     nothing

The numbers in full are one click away, as CSV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from scaling.show import Table, symbol
from scaling.units import power_of_ten, print_count

DIGITS = 3
MOST_ROWS = 60
"""Rows that are shown; all of them are in the CSV."""

NAMES = {
    "N": "weights N",
    "D": "tokens D",
    "C": "FLOPs",
    "E": "E",
    "bic": "BIC",
    "aicc": "AICc",
    "rms": "rms error",
    "param": "parameter",
    "gpt2": "GPT-2",
    "n": "count",
    "N_counted": "how N is counted",
    "C_counted": "how C is counted",
}
"""Words that are not their letters."""
UNITS = {
    "percent": "%",
    "decades": "decades",
    "flops": "FLOPs",
    "seconds": "s",
    "nats": "nats",
    "years": "years",
    "tokens": "tokens",
    "points": "points",
}
"""Units that stand at the end of a column's name."""
_FLOPS = {"C", "compute", "flops"}
_COUNTS = {
    "N", "D", "params_total", "tokens", "unique", "unique_tokens", "weights", "unique_budget", "smallest", "largest",
}  # fmt: skip
_SHARES = {"share", "weight", "probability"}
_NONE = 1e-4  # a share that nobody reads the digits of


def worded(frame: pl.DataFrame, caption: str = "") -> Table:
    """A frame as a reader wants it; the frame itself is in `Table.csv`.

    Args:
        frame: any; nested columns are joined by commas.
        caption: a line below.
    """
    shown = frame.head(MOST_ROWS)
    if frame.height > MOST_ROWS:
        caption = f"{caption} The first {MOST_ROWS} of {frame.height:,} rows; all are in the CSV.".strip()
    columns = list(_columns(shown))
    rows = list(zip(*(cells for _, cells in columns), strict=True))
    flat = frame.with_columns(
        pl.col(name).map_elements(_joined, pl.String)
        for name, kind in frame.schema.items()
        if kind.is_nested()
    )
    return Table([header for header, _ in columns], rows, caption, flat.write_csv())


def enable() -> None:
    """Show every polars frame so, in a notebook, from here on."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell: Any = get_ipython()
    if shell is not None:
        forms = shell.display_formatter.formatters
        forms["text/html"].for_type(pl.DataFrame, lambda frame: worded(frame)._repr_html_())
        forms["text/plain"].for_type(pl.DataFrame, lambda frame, p, _: p.text(str(worded(frame))))


def _columns(frame: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """The header and the cells of each column that is shown; ends of an interval go with what lies between them."""
    ends = {name: _ends(name, frame.columns) for name in frame.columns}
    inside = {end for pair in ends.values() if pair for end in pair}
    for name in (name for name in frame.columns if name not in inside):
        form = _form(name, frame[name])
        cells = [form(value) for value in frame[name]]
        if pair := ends[name]:
            low, high = ([form(value) for value in frame[end]] for end in pair)
            cells = [
                f"{cell} [{one}, {other}]" if one and other else cell
                for cell, one, other in zip(cells, low, high, strict=True)
            ]
        yield words(name), cells


def _ends(name: str, names: list[str]) -> tuple[str, str] | None:
    """The columns with the two ends of the interval around another."""
    pairs = [(f"{name}_low", f"{name}_high")]
    if name in ("median", "value", "estimate"):
        pairs.append(("low", "high"))
    return next((pair for pair in pairs if set(pair) <= set(names)), None)


def words(name: str) -> str:
    """A column's name for people: "held out, %" for held_out_percent."""
    if name in NAMES:
        return NAMES[name]
    if name.isdigit() and len(name) > 4:  # a count over its column, as of tokens
        return print_count(int(name))
    if " " in name or "_" not in name:
        return name
    first, _, last = name.rpartition("_")
    if last in UNITS:
        return f"{words(first)}, {UNITS[last]}"
    return " ".join(NAMES.get(part, part) if len(part) > 1 else part for part in name.split("_"))


def _form(name: str, values: pl.Series) -> Callable[[Any], str]:
    """How the cells of a column are written."""
    if values.dtype.is_numeric():
        number = _number(name, values)
        return lambda value: "" if value is None or math.isnan(value) else number(value)
    return _joined


def _number(name: str, values: pl.Series) -> Callable[[float], str]:
    last = name.rpartition("_")[2]
    finite = values.drop_nulls().cast(pl.Float64).drop_nans().abs()
    largest = float(finite.max() or 0)  # pyright: ignore[reportArgumentType]
    if name in _FLOPS or (last in _FLOPS and largest >= 1e6):
        return lambda value: power_of_ten(value, DIGITS - 1) if value > 0 else f"{value:g}"
    if name in _COUNTS or last in _COUNTS or (values.dtype.is_integer() and largest >= 1e5):
        return print_count
    if values.dtype.is_integer():
        return lambda value: f"{value:d}"
    if name == "year" or name.startswith("year_"):  # a date: three digits of it would be its decade
        return lambda value: f"{value:.1f}"
    if last in _SHARES:
        return lambda value: f"<{_NONE}" if 0 < value < _NONE else few_digits(value)
    return few_digits


def few_digits(value: float) -> str:
    """Three significant digits: 0.0123, 4.57, 128, 1.2 × 10⁻⁷."""
    if value == 0 or math.isinf(value):
        return {0.0: "0", math.inf: "∞", -math.inf: "−∞"}[value]
    if 1e-4 <= abs(value) < 1e5:
        rounded = float(f"{value:.{DIGITS}g}")  # first, for 99.96 has one digit fewer behind the point
        return f"{rounded:.{max(0, DIGITS - 1 - math.floor(math.log10(abs(rounded))))}f}"
    return f"{'−' if value < 0 else ''}{power_of_ten(abs(value), DIGITS)}"


def _joined(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_joined(part)}" for key, part in value.items())
    if isinstance(value, list | tuple | pl.Series):
        return ", ".join(map(_joined, value))
    if isinstance(value, float):
        return few_digits(value)
    text = str(value)
    if "_" in text and text in NAMES:
        return NAMES[text]
    return text if "<sub>" in symbol(text) else text.replace("_", " ")  # the name of a parameter stays
