"""Laws: plain numpy functions of measured columns and fitted parameters.

    from scaling.laws import chinchilla
    chinchilla(70e9, 1.4e12, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

A constant in capitals is a law with the parameters of one paper: `HOFFMANN_2022(N, D)`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from scaling.errors import UnknownLaw
from scaling.laws.base import (
    Argument,
    Count,
    Epochs,
    Exponent,
    Law,
    Nats,
    Pool,
    Quantity,
    Scale,
    Share,
    Sharpness,
    Signed,
    describe,
)
from scaling.laws.loss import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    KAPLAN_2020,
    chinchilla,
    compute_only,
    kaplan,
    power_law,
    power_law_floor,
    power_mean,
)
from scaling.laws.optimal import Optimum, optimum
from scaling.laws.repetition import MUENNIGHOFF_2023, data_constrained, effective_data, repeated_data

LAWS: dict[str, Callable[..., Any]] = {
    law.__name__: law
    for law in (
        power_law,
        power_law_floor,
        compute_only,
        kaplan,
        chinchilla,
        power_mean,
        repeated_data,
        data_constrained,
    )
}
"""Every law of the suite by the name of its function."""


def get(name: str) -> Callable[..., Any]:
    """The law of that name.

    Raises:
        UnknownLaw: there is none; the message lists those there are.
    """
    if name not in LAWS:
        closest = difflib.get_close_matches(name.lower(), LAWS, n=1, cutoff=0.5)
        raise UnknownLaw(name, tuple(LAWS), closest[0] if closest else None)
    return LAWS[name]


__all__ = [
    "LAWS",
    "get",
    "describe",
    "power_law",
    "power_law_floor",
    "compute_only",
    "kaplan",
    "chinchilla",
    "power_mean",
    "repeated_data",
    "data_constrained",
    "effective_data",
    "HOFFMANN_2022",
    "BESIROGLU_2024",
    "KAPLAN_2020",
    "MUENNIGHOFF_2023",
    "optimum",
    "Optimum",
    "Law",
    "Argument",
    "Quantity",
    "Count",
    "Pool",
    "Nats",
    "Scale",
    "Exponent",
    "Epochs",
    "Sharpness",
    "Share",
    "Signed",
]
