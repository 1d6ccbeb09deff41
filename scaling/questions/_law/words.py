"""Which law, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.units import power_of_ten, print_count
from scaling.verdict import percent

CANNOT_TELL = "cannot tell"
"""What is answered where no law is."""


def sentence(compared: str, misses: Mapping[str, float]) -> str:
    """What `compare` says, its answer in bold, and how far each law misses runs left out of its fit, percent."""
    said = re.sub(r"^.*?(?=[:;] |\.$)", r"**\g<0>**", compared)
    (best, miss), *others = misses.items()
    off = "".join(f", `{name}` by {percent(off)}" for name, off in others)
    return f"{said} On runs left out of the fit `{best}` is off by {percent(miss)} (rms){off}."


def apart(place: dict[str, Any], names: Sequence[str]) -> str:
    """A run at which the two laws that predict best part the most."""
    one, other = names
    where = f"{print_count(place['N'], 2)} parameters and {print_count(place['D'], 2)} tokens"
    times = place["apart_percent"] / place["noise_percent"]
    return (
        f"**A run where they part.** At {where} ({power_of_ten(place['C'])} FLOPs) `{one}` and `{other}` differ by "
        f"{percent(place['apart_percent'])} of the loss, {times:.1f} times what a run misses its law by."
    )


def further(decades: float) -> str:
    """How far the comparison looked."""
    return (
        f"**How far ahead.** Laws were judged by runs {decades:.1f} decades of compute beyond those that they were "
        "fitted to; further out another may predict best."
    )


def form(names: Sequence[str]) -> str:
    """Which laws there were to choose from."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"**Another law.** Only {listed} were compared; one that is none of them may fit better."
