"""What the answers to several questions have in common in words: names of domains, gains, and the models asked."""

from __future__ import annotations

import math
import re

from scaling.show import two_digits
from scaling.units import counted, print_count
from scaling.verdict import Estimate

_PROPER = re.compile(r"\b(english|chinese|french|german|spanish|python|wikipedia)\b")
SHARES = "of answers"
"""The unit of a share of right answers, before it is told in points."""


def named(domain: str) -> str:
    """A domain as the field writes it: "loops in English"."""
    return _PROPER.sub(lambda word: word[0].capitalize(), domain)


def gain_of(mean: float, low: float, high: float, level: float, unit: str) -> Estimate:
    """A gain with its interval, of shares of answers in points."""
    points = unit == SHARES
    return Estimate(mean, low, high, level, "points" if points else unit) * (100 if points else 1)


def moves(gain: Estimate) -> str:
    """What it does: "lowers the loss by 0.36 nats/token (…)", "brings 5.3 points more right answers (…)"."""
    if gain.unit == "nats/token":
        return f"{'lowers' if gain.value >= 0 else 'raises'} the loss by {gain.either(gain.unit, gain.unit)}"
    what = " right answers" if gain.unit == "points" else ""
    return "brings " + gain.either(f"{gain.unit} more{what}", f"{gain.unit} fewer{what}")


def amount(gain: float, unit: str) -> str:
    """A gain without an interval: "0.02 nats/token", "5 points"."""
    least = gain_of(gain, math.nan, math.nan, math.nan, unit)
    return f"{two_digits(least.value)} {least.unit}"


def seen(difference: float, unit: str) -> str:
    """How large a difference a study would have seen: "A difference of 0.02 nats/token would have been seen"."""
    return f"A difference of {amount(difference, unit)} would have been seen"


def models(smallest: float, largest: float, seeds: int) -> str:
    """Sizes and seeds: "models of 6.1k to 390k parameters, 8 seeds"."""
    ends = dict.fromkeys(print_count(end, 2) for end in (smallest, largest))
    return f"models of {' to '.join(ends)} parameters, {counted(seeds, 'seed')}"
