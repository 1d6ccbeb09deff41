"""Laws: plain numpy functions of measured columns and fitted parameters.

    from scaling.laws import chinchilla
    chinchilla(70e9, 1.4e12, E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)

A constant in capitals is a law with the parameters of one paper: `HOFFMANN_2022(N, D)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scaling.arguments import checked
from scaling.errors import LawError, did_you_mean
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
    along,
    describe,
)
from scaling.laws.breaks import bnsl, m3, m4, plateau, sigmoid
from scaling.laws.capability import error_from_loss, score_from_compute, score_from_loss
from scaling.laws.loss import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    KAPLAN_2020,
    chinchilla,
    compute_only,
    kaplan,
    overtraining,
    power_law,
    power_law_floor,
    power_mean,
)
from scaling.laws.mixture import (
    additive_mixing,
    bivariate_mixing,
    exchange,
    mixing,
    transferred_data,
    with_scale,
    with_transfer,
)
from scaling.laws.optimal import Optimum, Serving, cheapest, optimum
from scaling.laws.preference import best_of_n_gain, policy_gain
from scaling.laws.repetition import (
    MUENNIGHOFF_2023,
    data_constrained,
    effective_data,
    ensemble,
    fading_pool,
    overfitting,
    repeated_data,
    with_fading,
    with_overfitting,
    with_repeats,
)
from scaling.laws.schedule import annealing, annealing_areas, falling_columns, multi_power


class UnknownLaw(LawError):
    """A name that no law of the suite has."""

    given: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for the law {self.given!r}, which does not exist. {did_you_mean(self.given, self.known)}Known: "
            f"{', '.join(self.known)}."
        )


LAWS: dict[str, Callable[..., Any]] = {
    law.__name__: law
    for law in (
        power_law,
        power_law_floor,
        compute_only,
        kaplan,
        chinchilla,
        power_mean,
        overtraining,
        repeated_data,
        data_constrained,
        overfitting,
        ensemble,
        fading_pool,
        m3,
        sigmoid,
        plateau,
        annealing,
        transferred_data,
        bivariate_mixing,
        score_from_loss,
        error_from_loss,
        score_from_compute,
        best_of_n_gain,
        policy_gain,
    )
}
"""Laws with a formula, by the name of their function; `bnsl`, `multi_power` and laws of blends make more."""

IMPLICIT: dict[str, Callable[..., Any]] = {"m4": m4}
"""Laws that solve an equation step by step: fitted like the others, but too long a formula for a browser."""

ALIASES: dict[str, Callable[..., Any]] = {"m1": power_law, "m2": power_law_floor}
"""Names of Alabdulmohsin et al. 2022 for laws that go by another here, as `m3` and `m4` do not; `get` knows them."""

_MADE_WITH = {
    " with repeats": with_repeats,
    " with fading": with_fading,
    " with overfitting": with_overfitting,
    " with transfer": with_transfer,
}
_BNSL = re.compile(r"bnsl\(breaks=(\d+)\)")
_MULTI_POWER = re.compile(r"multi_power\(falls=(\d+)(, waning)?\)")
_OF_DOMAINS = {"mixing": mixing, "additive_mixing": additive_mixing, "exchange": exchange}
_MIXING = re.compile(rf"({'|'.join(_OF_DOMAINS)})\(([\w, ]+)\)")
_SCALED = re.compile(r"(.+) with scale ((?:N|D)(?:, D)?)")


@checked
def get(name: str) -> Callable[..., Any]:
    """The law of that name.

    Names of functions, "chinchilla"; "m1" and "m2" for `power_law` and `power_law_floor`; and of laws that are made:
    "bnsl(breaks=2)", "mixing(code, prose)", "power_law_floor along D", "kaplan with repeats",
    "additive_mixing(code, prose) with scale N, D".

    Raises:
        UnknownLaw: there is none; the message lists those there are.
    """
    whole, _, column = name.partition(" along ")
    if column:
        return along(get(whole), column)
    for suffix, made_with in _MADE_WITH.items():
        if name.endswith(suffix):
            return made_with(get(name.removesuffix(suffix)))
    known = LAWS | IMPLICIT | ALIASES
    if name in known:
        return known[name]
    if made := _BNSL.fullmatch(name):
        return bnsl(int(made[1]))
    if made := _MULTI_POWER.fullmatch(name):
        return multi_power(int(made[1]), waning=True) if made[2] else multi_power(int(made[1]))
    if made := _MIXING.fullmatch(name):
        return _OF_DOMAINS[made[1]](*made[2].split(", "))
    if made := _SCALED.fullmatch(name):
        return with_scale(get(made[1]), *made[2].split(", "))
    raise UnknownLaw(
        name,
        (*known, "bnsl(breaks=1)", "mixing(code, prose)", "multi_power(falls=16)"),
    )
