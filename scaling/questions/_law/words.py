"""Which law, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaling.units import power_of_ten, print_count
from scaling.verdict import percent

CANNOT_TELL = "cannot tell"
"""What is answered where no law is."""


def decided(name: str, why: str, miss: float) -> str:
    """A law, what speaks for it, and how far it misses runs that it has not seen, percent."""
    return (
        f"**These runs speak for `{name}`,** which misses runs that it has not seen by {percent(miss)}. {why}"
    )


def undecided(why: str) -> str:
    """Why no law is the answer."""
    return f"**These runs cannot tell which law they follow.** {why}"


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
