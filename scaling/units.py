"""Counts, losses and FLOPs: convert, parse "85M", print "1.2e18"."""

from __future__ import annotations

import math
import re
from typing import Any

from scaling.errors import RecordError, brief


class UnknownUnit(RecordError):
    """A unit or a quantity that cannot be understood."""

    given: object
    known: str
    hint: str = ""

    def __str__(self) -> str:
        return f"cannot understand {self.given!r}; known are {self.known}.{self.hint and f' {self.hint}'}"


COUNT_UNITS = {
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "B": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
"""What each suffix of a count multiplies by; B and G are both a thousand million."""

_SUFFIX = COUNT_UNITS | {
    "": 1.0,
    "K": 1e3,
    "bn": 1e9,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
}
_POWER = r"[eE][+-]?[0-9]+|\s?[x×*·]\s?10(?:\^|\*\*)[+-]?[0-9]+"
_NUMBER = r"(?:[0-9]{1,3}(?:[,\s'’][0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]*)?|\.[0-9]+"
_COUNT = re.compile(rf"\s*({_NUMBER})({_POWER})?\s*([A-Za-z]*)\s*")


def parse_count(text: str | float) -> float:
    """The number that "85M", "1.5e9", "2.1 × 10^20", "128Ki", "1.4 billion", "1,000,000" or a plain number stands for.

    Thousands may be set apart by commas, spaces, apostrophes or underscores; the decimal mark is a point.

    Raises:
        UnknownUnit: the text is not a number with one of the suffixes k M G B T Ki Mi Gi Ti.
    """
    known = f"plain numbers, 1.5e9, and the suffixes {' '.join(COUNT_UNITS)}"
    if not isinstance(text, str):
        return _number(text, known)
    match = _COUNT.fullmatch(re.sub(r"^\s*10(?:\^|\*\*)", "1e", text))
    suffix = match[3] if match else None
    if match is None or suffix not in _SUFFIX:
        near = next((s for s in COUNT_UNITS if suffix and s.lower() == suffix.lower()), "")
        hint = f"Did you mean {text.strip().removesuffix(str(suffix)) + near!r}?" if near else ""
        raise UnknownUnit(text, known, hint)
    power = re.sub(r".*10(\^|\*\*)", "e", match[2] or "")
    return float(re.sub(r"[,\s'’_]", "", match[1]) + power) * _SUFFIX[suffix]


def _number(given: Any, known: str = "numbers") -> float:
    """A number as Python's own; text, lists, and true or false are none, nor is one beyond all floats."""
    try:
        if isinstance(given, bool | str | bytes) or not hasattr(given, "__float__"):
            raise TypeError
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise UnknownUnit(brief(given), known) from None


def _numbers(given: Any, *, above_zero: bool = False) -> Any:
    """A number, or an array or a column of them, as it came."""
    if not hasattr(given, "dtype"):
        given = _number(given)
    elif str(given.dtype).lower()[:3] not in ("int", "uin", "flo"):
        raise UnknownUnit(brief(given), "numbers")
    if above_zero and not (given > 0 if isinstance(given, float) else (given > 0).all()):
        raise UnknownUnit(brief(given), "numbers above zero")
    return given


def print_count(value: float, digits: int = 3) -> str:
    """A count for people: 85.3M up to a thousand trillion, 1.2e18 beyond."""
    value = _number(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")  # rounds first, so 999.96k becomes 1M
    power = int(exponent)
    if 0 <= power < 15:
        suffix, scale = (("", 1.0), ("k", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12))[power // 3]
        return f"{float(mantissa) * 10**power / scale:g}{suffix}"
    return f"{float(mantissa):g}e{power}"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def counted(count: int, noun: str) -> str:
    """So many of a thing: "1 run", "12 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def in_number(number: str, unit: str) -> str:
    """The unit of a number that is written out, singular for one: "nat/token" for "1.0", "nats/token" for "1.1"."""
    return re.sub(r"^(\w+)s\b", r"\1", unit) if re.fullmatch(r"-?1(\.0+)?", number) else unit


def power_of_ten(value: float, digits: int = 2) -> str:
    """A budget for people: 2.5 × 10¹⁵; of whole powers only the power, with digits = 0: 10¹⁵."""
    value = _number(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{max(digits, 1) - 1}e}".split("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return f"{mantissa} × {power}" if digits else power


def bits_per_byte(nats_per_token: float, bytes_per_token: float = 1.0) -> float:
    """Loss in bits per byte of text.

        bits/byte = nats/token / (ln 2 · bytes/token)

    The unit in which models with different tokenisers can be compared; a byte vocabulary has one byte per token.
    """
    return _numbers(nats_per_token) / (math.log(2) * _numbers(bytes_per_token, above_zero=True))


def nats_per_token(bits_per_byte: float, bytes_per_token: float = 1.0) -> float:
    """Loss in nats per token, the inverse of `bits_per_byte`."""
    return _numbers(bits_per_byte) * math.log(2) * _numbers(bytes_per_token, above_zero=True)
