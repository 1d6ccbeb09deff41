"""Columns into the schema's units: a unit is a name, and is applied once."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass

import polars as pl

from scaling.errors import MissingColumns, RecordError
from scaling.intake.cells import as_dates
from scaling.units import COUNT_UNITS, UnknownUnit


class UnitTwice(RecordError):
    """A column whose unit is said twice, so that it would be multiplied twice."""

    column: str
    told: str
    unit: str

    def __str__(self) -> str:
        return (
            f"column {self.column} says its unit itself ({self.told}), and units={{{self.column!r}: {self.unit!r}}} "
            f"says one again. Leave {self.column} out of units, or write plain numbers in the table."
        )


_WORDS = {"K": 1e3, "bn": 1e9, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_COUNTS = COUNT_UNITS | _WORDS | {f"{word}s": factor for word, factor in _WORDS.items() if len(word) > 2}
_ALIASES = {
    "mil": 1e6, "mn": 1e6, "mln": 1e6, "MM": 1e6, "b": 1e9, "bln": 1e9, "t": 1e12, "tn": 1e12, "m": 1e6,
}  # fmt: skip
COUNTED = ("N", "D", "C", "unique_tokens")
_PLAIN = ("", "tokens", "parameters", "params", "steps", "seconds", "bytes")
_FLOPS = {
    f"{prefix}flops": 10.0 ** (3 * i) for i, prefix in enumerate(("", "k", "m", "g", "t", "p", "e", "z", "y"))
}
_FLOPS |= {
    f"{prefix}flops": 10.0 ** (3 * i)
    for i, prefix in enumerate(("kilo", "mega", "giga", "tera", "peta", "exa", "zetta"), 1)
}
_PF_DAYS = ("pf-days", "pf_days", "pfdays", "pflop/s-days", "pflops-days", "petaflop/s-days", "petaflop-days")
_FLOPS |= dict.fromkeys(_PF_DAYS, 8.64e19)
_NATS = {
    "": 1.0, "nats": 1.0, "nats/token": 1.0, "bits": math.log(2), "bits/token": math.log(2),
}  # fmt: skip
_PER_BYTE = {"bits/byte": math.log(2), "bpb": math.log(2), "nats/byte": 1.0}
_PERPLEXITY = ("perplexity", "ppl")
_KNOWN_COUNTS = f"{', '.join(COUNT_UNITS)}, thousand, million, billion, trillion"
_KNOWN_LOSSES = "nats/token, bits/token, bits/byte, nats/byte, perplexity"
_POWERS = {1e3: "k", 1e6: "M", 1e9: "B", 1e12: "T"}


@dataclass(frozen=True)
class Unit:
    """A unit that a column is in, and how its numbers become the schema's."""

    name: str
    factor: float = 1.0
    per_byte: bool = False
    logarithm: bool = False
    """Perplexity, whose logarithm is the loss."""

    def applied(self, frame: pl.DataFrame, column: str) -> pl.Series:
        """The column in the schema's unit, and whatever was empty empty.

        Raises:
            MissingColumns: a loss for each byte, without `bytes_per_token`.
        """
        values = frame[column].cast(pl.Float64)
        if self.logarithm:
            return values.log()
        if self.per_byte:
            if "bytes_per_token" not in frame.columns:
                raise MissingColumns(
                    ["bytes_per_token"], frame.columns, f"{self.name} cannot be converted without it."
                )
            values = values * frame["bytes_per_token"].cast(pl.Float64)
        return values * self.factor if self.factor != 1.0 else values


def is_loss(column: str) -> bool:
    """Whether a column is a loss by its name: loss, loss_code, val_loss, entropy."""
    return "loss" in column.lower() or column in ("entropy", "excess_stderr")


def is_compute(column: str) -> bool:
    """Whether a column counts FLOPs by its name."""
    return column == "C" or column.startswith("flops_")


def unit_of(column: str, unit: object) -> Unit:
    """What a unit means for a column.

    Raises:
        UnknownUnit: a factor, a unit of something else, or none that is known.
    """
    name = str(unit).strip()
    if is_loss(column):
        return _unit_of_loss(column, unit, name)
    if name in _PLAIN:
        return Unit(name)
    if name in (known_counts := _COUNTS | _ALIASES if column in COUNTED else _COUNTS):
        return Unit(name, known_counts[name])
    known = _KNOWN_COUNTS
    if is_compute(column):
        flop = name.lower().removesuffix("s") + "s"
        if flop in _FLOPS:
            return Unit(name, _FLOPS[flop])
        known += ", FLOPs with k M G T P E Z Y before it, PF-days"
    raise UnknownUnit(unit, f"as units of {column} {known}", _way(name))


def _unit_of_loss(column: str, unit: object, name: str) -> Unit:
    if name.lower() in _PERPLEXITY and "stderr" not in column:
        return Unit(name, logarithm=True)
    if name.lower() in _NATS | _PER_BYTE:
        return Unit(name, (_NATS | _PER_BYTE)[name.lower()], name.lower() in _PER_BYTE)
    hint = "A loss is no count." if name in _COUNTS else ""
    raise UnknownUnit(unit, f"as units of {column}, a loss, {_KNOWN_LOSSES}", hint)


def _way(name: str) -> str:
    """The name of the unit that a factor stands for."""
    for factor, unit in _POWERS.items():
        if re.fullmatch(rf"1{unit}", name) or _is_number(name, factor):
            return f"A unit is a name and no factor: say {unit!r}."
    return "A unit is a name and no factor; multiply the column yourself for another."


def _is_number(name: str, factor: float) -> bool:
    try:
        return float(name) == factor
    except ValueError:
        return False


_IN_NAME = re.compile(r"(.+?)\s*[(\[]\s*(?:in\s+)?([^()\[\]]+?)\s*[)\]]")
_OF_WHAT = re.compile(r"\s*(?:of\s+)?(?:tok(?:en)?s?|param(?:eter)?s?)$", re.IGNORECASE)
_POWER = re.compile(r"[x×*·/]?\s*(?:1?[eE]|10\s*(?:\^|\*\*))\+?(\d{1,2})")
_POWER_BEHIND = re.compile(r"(.*\w)\s*/\s*((?:1e|10\^)\d{1,2})", re.IGNORECASE)  # D/1e9
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_WORD_BEHIND = re.compile(r"(?:.*[\s_,])?(?:([kmbgt])tok(?:en)?s?|([^\W_]+))", re.IGNORECASE)


def unit_in_name(name: str, column: str) -> Unit | None:
    """The unit that a column's own name says, "tokens (B)", "FLOPs (1e18)", "D/1e9" or "loss [bits/token]"; None where
    it says none."""
    match = _IN_NAME.fullmatch(name) or _POWER_BEHIND.fullmatch(name)
    if not match:
        return None
    counted = column in COUNTED or is_compute(column)
    for said in (match[2], *re.split(r"\s*[,;]\s*", match[2])) if counted else (match[2],):
        if counted and (power := _power(said)):
            return power
        with contextlib.suppress(UnknownUnit):
            return unit_of(column, (_OF_WHAT.sub("", said) or said) if counted else said)
    return None


def _power(said: str) -> Unit | None:
    """The power of ten that is written in a name: "1e18", "×10^9", "10¹⁸"."""
    digits = str.maketrans(_RAISED, "0123456789")
    match = _POWER.fullmatch(re.sub(f"[{_RAISED}]+", lambda raised: f"^{raised[0].translate(digits)}", said))
    return Unit(f"10^{match[1]}", 10.0 ** int(match[1])) if match else None


def count_in_name(name: str, column: str) -> Unit | None:
    """The unit of a count that its own name says without brackets, as "params_millions" and "train_zflops" do."""
    if name == column or column not in COUNTED:
        return None
    if is_compute(column) and (
        said := next((f for f in _PF_DAYS if name.lower().rstrip("s").endswith(f[:-1])), "")
    ):
        return unit_of(column, said)
    match = _WORD_BEHIND.fullmatch(name)
    word = (match[1] or match[2]) if match else ""
    if word != name and (word in _COUNTS | _ALIASES or _power(word)):
        return _power(word) or unit_of(column, word)
    flops = word.lower().removesuffix("s") + "s"
    return Unit(word, _FLOPS[flops]) if is_compute(column) and _FLOPS.get(flops, 1.0) != 1.0 else None


def loss_in_name(name: str) -> Unit | None:
    """The unit of a loss that its own name says without brackets, as "val_ppl" and "bits_per_token" do."""
    words = re.split(r"[^a-z]+", name.lower())
    if {"ppl", "perplexity"} & set(words):
        return unit_of("loss", "perplexity")
    for said, unit in (
        ("bits_per_byte", "bits/byte"),
        ("bpb", "bits/byte"),
        ("bits_per_token", "bits/token"),
    ):
        if f"_{said}_" in f"_{'_'.join(words)}_":
            return unit_of("loss", unit)
    return None


def bracketed(name: str) -> str:
    """What stands in brackets behind a column's name; nothing where nothing does."""
    match = _IN_NAME.fullmatch(name)
    return match[2] if match else ""


def bare_name(name: str) -> str:
    """A column's name without the unit in it."""
    match = _IN_NAME.fullmatch(name) or _POWER_BEHIND.fullmatch(name)
    return match[1] if match else name


_SUFFIXED = re.compile(rf"[0-9.]\s*({'|'.join(sorted(_COUNTS, key=len, reverse=True))})\b")


def suffixed(text: pl.Series) -> pl.Series:
    """Which cells of text carry a unit of their own, as "85M" does."""
    return text.str.contains(_SUFFIXED.pattern).fill_null(False)


def converted(frame: pl.DataFrame, column: str, unit: Unit | str) -> pl.Series:
    """A column in the schema's units; a unit with a % in it is the form of dates.

    Raises:
        UnstatedDates: text that is no date of that form.
    """
    return as_dates(frame[column], unit) if isinstance(unit, str) else unit.applied(frame, column)
