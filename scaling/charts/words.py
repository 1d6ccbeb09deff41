"""Numbers in the words of an axis, a slider or a tooltip, in the browser's expression language and in Python's."""

from __future__ import annotations

import math

COMPUTE, LOSS = "training compute, FLOPs", "held-out loss, nats/token"
"""Titles of the two axes that most charts have."""

_DIGITS = "['⁰','¹','²','³','⁴','⁵','⁶','⁷','⁸','⁹']"


def best_for_its_compute(drawn: bool, level: float) -> str:
    """The name of the frontier, and of its band where there is one."""
    return "best for its compute" + (f", {100 * level:.3g} % interval" if drawn else "")


def vega_count(text: str) -> str:
    """Vega text that prints a count the way `units.print_count` does."""
    return f"replace(format({text},'.3~s'),'G','B')"


def vega_exponent(text: str) -> str:
    """Vega text that prints 10 to a whole power below 100: 10¹⁵."""
    return f"'10'+({text}>=10?{_DIGITS}[floor({text}/10)]:'')+{_DIGITS}[{text}%10]"


def vega_power_of_ten(log10: str) -> str:
    """Vega text that prints 10^`log10` the way `units.power_of_ten` does."""
    whole = f"floor({log10}+0.0022)"  # 9.95 and more rounds up to 1.0 of the next power
    return f"format(pow(10,{log10}-{whole}),'.1f')+' × '+{vega_exponent(whole)}"


def powers(low: float, high: float) -> list[float]:
    """The whole powers of ten between low and high."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1)]


def log_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between low and high, evenly spread on a logarithmic axis: 1.5, 2, 2.5, 3."""
    halves, quarters, tenths = (tuple(x / n for x in range(n, 10 * n)) for n in (2, 4, 10))
    ticks: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 6, 8), halves, quarters, tenths):
        ticks = [
            round(step * 10.0**power, 12)
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in steps
            if low <= step * 10.0**power <= high
        ]
        if len(ticks) >= wanted - 1:
            break
    ticks = ticks[:: math.ceil(len(ticks) / (2 * wanted))] if ticks else [low, high]
    least, apart = ticks[:1], math.log(high / low) / (3 * wanted)
    for tick in ticks[1:]:  # halves of a power of ten stand close below the next one
        if math.log(tick / least[-1]) > apart:
            least.append(tick)
    return least
