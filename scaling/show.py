"""How results show themselves: numbers to the digits that their errors support, intervals, tables as text and HTML."""

from __future__ import annotations

import base64
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12  # of a value; an error below is that of the arithmetic
_LONG = 30  # letters of a cell that wants room
_DAY = re.compile(r"\d{4}-\d\d-\d\d")  # which a narrow page must not break
_COARSE = 1000.0  # an error from which the last digits before the point say nothing


def decimals_for(error: float) -> int:
    """Decimals that show two digits of an error, none for errors of ten and more."""
    if not (math.isfinite(error) and error > 0):
        return 4
    return max(0, 1 - math.floor(math.log10(error)))


def rounded(value: float, error: float) -> str:
    """A value to the digits its error supports: 1.817 for ± 0.026, 8.9e12 for ± 1.3e12."""
    if not math.isfinite(value):
        return f"{value:g}"
    if not (math.isfinite(error) and error > _ROUNDING * abs(value)):
        return f"{value:.6g}"
    if _plain(value, error):
        if error >= _COARSE:
            value = round(value, 1 - math.floor(math.log10(error)))
        return f"{value:z.{decimals_for(error)}f}"  # no minus before zero
    digits = max(0, math.floor(math.log10(max(abs(value), error))) - math.floor(math.log10(error)) + 1)
    return _short(f"{value:.{min(digits, 6)}e}")


def rounded_error(value: float, error: float) -> str:
    """An error with two digits, three where it is a hundred or more; as large or small a power as its value."""
    if not math.isfinite(error):
        return f"{error:g}"
    if _plain(value, error):
        return f"{float(f'{error:.3g}'):.0f}" if error >= 99.5 else f"{error:.{decimals_for(error)}f}"
    return _short(f"{error:.1e}")


def with_error(value: float, error: float) -> str:
    """ "1.817 ± 0.026"; the value alone where the error is unknown, or no more than rounding: then it does not vary."""
    known = math.isfinite(error) and error > _ROUNDING * abs(value)
    return f"{rounded(value, error)} ± {rounded_error(value, error)}" if known else f"{value:.6g}"


def interval(low: float, high: float, level: float) -> str:
    """A two-sided interval with its level: "95 % [1.769, 1.871]"."""
    error = (high - low) / 4.0
    if low > 0 and high > 20 * low:  # ends of different sizes: two digits of each
        return f"{share_inside(level)} [{two_digits(low)}, {two_digits(high)}]"
    return f"{share_inside(level)} [{rounded(low, error)}, {rounded(high, error)}]"


def share_inside(level: float) -> str:
    """What stands before an interval: its level, "80 %", or that nothing lies outside it, "range"."""
    return f"{100 * level:.3g} %" if level < 1 else "range"


def two_digits(value: float) -> str:
    """A value to two digits: 310, 13000, 8.6e7."""
    plain = abs(value) < 1e6 and (abs(value) >= 1e-4 or value == 0)
    return f"{float(f'{value:.2g}'):g}" if plain else _short(f"{value:.1e}")


def _short(power: str) -> str:
    """1.2e7 for 1.2e+07."""
    mantissa, exponent = power.split("e")
    return f"{mantissa}e{int(exponent)}"


def _plain(value: float, error: float) -> bool:
    """Whether a value reads better without a power of ten."""
    return max(abs(value), error) < 1e6 and (error >= 1e-5 or value == 0)


@dataclass(frozen=True)
class Table:
    """Columns of text that print, the first aligned left and the others right, and that have an HTML form."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    csv: str = ""
    """The numbers in full, to be downloaded from a page."""

    def __str__(self) -> str:
        lines = [self.caption] if self.caption else []
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        for first, *others in (self.header, *self.rows):
            cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """A table inside a box that scrolls, by the keyboard too, where the page is narrower than it."""
        head = "".join(f"<th>{symbol(h)}</th>" if h else "<td></td>" for h in self.header)
        typed = [name == "column" for name in self.header]  # somebody's own, as it stands in their file
        body = "".join("<tr>" + "".join(map(_cell, row, typed)) + "</tr>" for row in self.rows)
        caption = f"<caption>{worded(self.caption)}</caption>" if self.caption else ""
        name = escape(self.caption.partition(". ")[0] or ", ".join(filter(None, self.header))).replace(
            '"', ""
        )
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        download = ""
        if self.csv:
            data = base64.b64encode(self.csv.encode()).decode()
            download = f'<a class="csv" download="table.csv" href="data:text/csv;base64,{data}">CSV</a>'
        return f'<div class="scrolls" role="group" tabindex="0" aria-label="{name}">{table}</div>{download}'


class Shown(ABC):
    """What knows its parts, lines of text and tables, prints them and has their HTML.

    A dataclass that is shown so is made with `repr=False`.
    """

    @abstractmethod
    def shown(self) -> Iterable[str | Table]:
        """The parts from top to bottom."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.shown()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = (p._repr_html_() if isinstance(p, Table) else f"<div>{worded(p)}</div>" for p in self.shown())
        return "".join(parts)


@dataclass(frozen=True, eq=False)
class Interval:
    """A number, or an array of them, with two-sided intervals of one level."""

    median: Any
    low: Any
    high: Any
    level: float
    """Share inside; 0.8 leaves a tenth on either side."""

    @classmethod
    def over(cls, draws: NDArray[Any], level: float, *, method: Any = "linear") -> Interval:
        """Median and percentile interval over draws, which are the first axis.

        `method` is as for `numpy.quantile`: "nearest" where some draws are infinite.
        """
        low, median, high = np.quantile(draws, tails(level), axis=0, method=method)
        return cls(median, low, high, level)

    @property
    def band(self) -> tuple[Any, Any]:
        """Low and high; where they are not known the median itself, so that a chart has ends."""
        return tuple(np.where(np.isnan(end), self.median, end) for end in (self.low, self.high))  # type: ignore[return-value]

    def words(self, form: Callable[[float], str], index: Any = ()) -> str:
        """One of them and its interval, 85k [61k, 112k]; without a spread the number alone."""
        median, low, high = (float(np.asarray(ends)[index]) for ends in (self.median, self.low, self.high))
        known = low != high and not math.isnan(low)
        return f"{form(median)} [{form(low)}, {form(high)}]" if known else form(median)


def named_ends(name: str, ends: Iterable[Any]) -> dict[str, Any]:
    """Middle, low and high of an interval as columns of a table: name, name_low and name_high."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def tails(level: float) -> tuple[float, float, float]:
    """The quantiles at the lower end, in the middle and at the upper end of a two-sided interval."""
    return (1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0


def _cell(text: str, typed: bool) -> str:
    """HTML of a cell; of a long one too, which a narrow page must not squeeze into a column of single words."""
    inside = f"<code>{escape(text)}</code>" if typed else symbol(text)
    kind = " class=long" if len(text) > _LONG else " class=day" if _DAY.fullmatch(text) else ""
    return f"<td{kind}>{inside}</td>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text without a caption."""
    return str(Table(header, rows))


def escape(text: str) -> str:
    """The text with the three characters that HTML takes for its own written out."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
}  # fmt: skip
_SYMBOL = re.compile(rf"({'|'.join(_GREEK)}|[A-Za-z])(?:_(\w{{1,8}}))?")
_NAME = re.compile(r"(?<![\w/.='\"-])[A-Za-z]\w*_\w+(?!\.?\w|[/(=])")
"""A name with an underscore, which is neither called, given a value, in quotes nor part of a path."""


def symbol(text: str) -> str:
    """HTML of a text; the name of a parameter as a formula has it, α with a subscript N for alpha_N, and any other name
    in words."""
    named = _SYMBOL.fullmatch(text)
    if not named:
        return worded(text)
    letter, below = named.groups()
    return _GREEK.get(letter, letter) + (f"<sub>{_GREEK.get(below, below)}</sub>" if below else "")


def worded(text: str) -> str:
    """HTML of a text whose names are words: "power mean" for power_mean, α with a subscript N for alpha_N."""
    return _NAME.sub(
        lambda name: symbol(name[0]) if _SYMBOL.fullmatch(name[0]) else plain(name[0]), escape(text)
    )


def plain(text: str) -> str:
    """A text whose names with underscores are words, without HTML; those of parameters stay."""
    return _NAME.sub(lambda name: name[0] if _SYMBOL.fullmatch(name[0]) else name[0].replace("_", " "), text)


def weighted_rms(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Root of the weighted mean square."""
    return float(np.sqrt(np.average(values**2, weights=weights)))
