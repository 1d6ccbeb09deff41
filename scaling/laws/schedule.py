"""Loss along a run whose learning rate changes: what annealing is worth.

The laws read areas under the learning-rate curve; `annealing_areas` and `falling_columns` compute them, so that the
laws themselves stay formulas of columns like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.arguments import checked, positive, whole
from scaling.errors import BadOption
from scaling.laws.base import Exponent, Nats, NotALaw, Quantity, Scale, declared, made_once, type_of_value

AREA = Quantity("steps × rate", low=0.0)
Area = Annotated[type_of_value, AREA]
"""An area under, or swept by, the learning-rate curve; zero before any annealing."""


def annealing(S1: Area, S2: Area, *, E: Nats, A: Scale, alpha: Exponent, C: Scale) -> NDArray:
    """Loss at a step of a run under any learning-rate schedule.

        L(s) = E + A / S1^alpha - C S2

    S1 is the area under the learning rate up to step s: how far the run has gone. S2 is the annealing area: how much
    the rate has been let down, and for how long that has been felt. Fit it to whole curves of one model under two or
    three schedules, and read off the others.

    Args:
        S1, S2: the columns that `annealing_areas` returns.
        E: loss at the end of unlimited training, nats/token.
        A: size of the removable part at S1 = 1, nats/token.
        alpha: dimensionless.
        C: what a unit of annealing area takes off the loss, nats/token.

    Returns:
        Loss in nats/token, in the broadcast shape of S1 and S2.

    Source:
        Tissue et al. 2024, arXiv:2408.11029, equation 1 (there L0 for E).
    """
    return E + A / S1**alpha - C * S2


@checked
def annealing_areas(
    step: ArrayLike, rate: ArrayLike, *, warmup_steps: float = 0.0, decay: float = 0.999
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Forward area and annealing area of a learning-rate curve at each of its points.

        S1(s) = Σ_{i ≤ s} η_i
        S2(s) = Σ_{i ≤ s} m_i,   m_i = λ m_{i-1} + (η_{i-1} - η_i)

    Between the points given, the rate is taken as a straight line and both sums are made step by step. A warm-up
    counts in S1 as a straight line from zero, and not as (negative) annealing in S2.

    Args:
        step: increasing, at least one; the first is where the curve begins, at or after the end of the warm-up.
        rate: learning rate at each, shape of step. The rate from the warm-up to the first step is rate[0].
        warmup_steps: length of the warm-up.
        decay: λ, how long a fall of the rate is felt: 1/(1 - λ) steps.

    Returns:
        S1 and S2 at each step, in units of the rate times steps.

    Source:
        Tissue et al. 2024, arXiv:2408.11029, section 3, with λ = 0.99 to 0.999.
    """
    if not 0.0 <= decay <= 1.0:
        raise BadOption("decay", decay, "from 0 to 1, e.g. 0.999")
    at, every, line, forward = _step_by_step(step, rate, warmup_steps)
    falls = -np.diff(line, prepend=line[0])
    felt, total, annealed = 0.0, 0.0, np.empty_like(line)
    for i, fall in enumerate(falls):
        felt = decay * felt + fall
        total += felt
        annealed[i] = total
    return np.interp(at, every, forward), np.interp(at, every, annealed)


def _step_by_step(step: ArrayLike, rate: ArrayLike, warmup_steps: float) -> tuple[NDArray[np.float64], ...]:
    """The steps given, every step between first and last, and the rate and the forward area at each of those."""
    wanted = "numbers from zero on, one for each step"
    at, eta = (positive(o, v, wanted, zero=True) for o, v in (("step", step), ("rate", rate)))
    if at.shape != eta.shape or np.any(np.diff(at) <= 0):
        wanted = f"steps that increase, one for each of {len(eta)} rates; sort them, and keep one row of each"
        raise BadOption("step", step, wanted)
    positive("warmup_steps", warmup_steps, "a finite number of steps, from zero on", zero=True)
    every = np.arange(np.ceil(at[0]), np.floor(at[-1]) + 1.0)
    line = np.interp(every, at, eta)
    before = eta[0] * (0.5 * warmup_steps + max(at[0] - warmup_steps, 0.0))
    return at, every, line, before + np.cumsum(line) - line[0]


FALLS = 16
"""Into how many steps down a learning-rate curve is cut for the multi-power law."""


@checked
@made_once
def multi_power(falls: int = FALLS, *, waning: bool = False) -> Callable[..., NDArray]:
    """Loss at a step of a run under any learning-rate schedule, every fall of the rate with a response of its own.

        L(s) = E + A / S1^alpha - B w Σ_k Δ_k [ 1 - (1 + c S_k / η_k^gamma)^(-beta) ],   w = 1

    Fall k takes the rate down by Δ_k to η_k; S_k is the area under the rate since then, and the loss follows it as a
    power law towards B Δ_k less. `falling_columns` cuts a curve into that many falls, and makes the columns.

    With `waning` it is w = S1^(-delta): letting the rate down gains less, the further the run has gone. Fitted to three
    curves of Luo et al. at 25M, 100M and 400M parameters the objective falls by 10, 59 and 27 %, and R² on the six
    other schedules goes from .9980, .9977 and .9965 to .9994, .9982 and .9992: without it, long runs and sharp ends are
    expected to gain too much. `scaling.reproduce.schedule_table` prints this.

    Args:
        falls: number of falls that the columns hold.
        waning: whether the gain wanes; one parameter more.

    Returns:
        A law of the columns S1, fall_1, rate_1, area_1, … with parameters E, A, alpha, B, c, beta, gamma, and delta
        with `waning`.

    Raises:
        NotALaw: fewer than one fall.

    Source:
        Luo et al. 2025, arXiv:2503.12811, the multi-power law (there L0 for E and C for c; S_W is part of S1 here).
        The authors' code counts the warm-up among the falls, as rises; here it is in S1 alone, so that their E is
        about B times the peak rate lower. The waning gain is this suite's own.
    """
    name = f"multi_power(falls={falls}{', waning' * waning})"
    if falls < 1:
        raise NotALaw(name, "it needs a fall; without one it is power_law_floor along S1")
    columns = ["S1", *(f"{kind}_{k}" for k in range(1, falls + 1) for kind in ("fall", "rate", "area"))]

    def gain(read: Any, c: Any, beta: Any, gamma: Any) -> Any:
        gained = 0.0
        for fall, rate, area in zip(read[1::3], read[2::3], read[3::3], strict=True):
            gained = gained + fall * (
                1.0 - np.exp(-beta * np.log1p(c * area * np.exp(-gamma * np.log(rate))))
            )
        return gained

    def law(*read: Any, E: Any, A: Any, alpha: Any, B: Any, c: Any, beta: Any, gamma: Any) -> Any:
        return E + A / read[0] ** alpha - B * gain(read, c, beta, gamma)

    def waning_law(
        *read: Any, E: Any, A: Any, alpha: Any, B: Any, c: Any, beta: Any, gamma: Any, delta: Any
    ) -> Any:
        return E + A / read[0] ** alpha - B / read[0] ** delta * gain(read, c, beta, gamma)

    kinds = {
        "E": Nats,
        "A": Scale,
        "alpha": Exponent,
        "B": Scale,
        "c": Scale,
        "beta": Exponent,
        "gamma": Exponent,
    }
    if waning:
        kinds["delta"] = Exponent
    return declared(
        waning_law if waning else law, name, multi_power.__doc__, dict.fromkeys(columns, Area), kinds
    )


@checked
def falling_columns(
    step: ArrayLike, rate: ArrayLike, *, warmup_steps: float = 0.0, falls: int = FALLS
) -> dict[str, NDArray[np.float64]]:
    """The columns that `multi_power` reads, for each point of a curve.

    The whole fall of the rate is cut into equal parts. Part k happens where the rate has done half of it, and ends at
    the rate there; until then its columns are zero, and its rate 1 (which then counts for nothing).

    Args:
        step: increasing; the first is where the curve begins, at or after the end of the warm-up.
        rate: learning rate at each; rises are not counted as falls.
        warmup_steps: length of the warm-up, a straight line from zero in S1.
        falls: into how many parts.

    Returns:
        S1, fall_1, rate_1, area_1, … each in the shape of step.
    """
    whole("falls", falls, "a number of parts, 1 or more", least=1)
    at, every, line, forward = _step_by_step(step, rate, warmup_steps)
    fallen = np.cumsum(np.maximum(-np.diff(line, prepend=line[0]), 0.0))
    columns = {"S1": np.interp(at, every, forward)}
    part = fallen[-1] / falls
    for k in range(1, falls + 1):
        where = int(np.searchsorted(fallen, (k - 0.5) * part)) if part > 0 else len(every)
        happened = at >= (every[where] if part > 0 else np.inf)
        columns[f"fall_{k}"] = np.where(happened, part, 0.0)
        columns[f"rate_{k}"] = np.where(happened, line[where] if part > 0 else 1.0, 1.0)
        columns[f"area_{k}"] = np.where(happened, columns["S1"] - (forward[where] if part > 0 else 0.0), 0.0)
    return columns


def schedule_place(columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Where points of curves lie among schedules, by the columns of `annealing` or of `multi_power`.

        ln S1,   Σ_k Δ_k,   Σ_k Δ_k S_k / S1        or        ln S1,   S2

    How far a run has gone, how far its rate was let down, and for how much of the way that has been felt.

    Returns:
        Shape (points, 3), or (points, 2) with S2.
    """
    read = {name: np.asarray(value, float) for name, value in columns.items()}
    S1 = np.maximum(read["S1"], np.finfo(float).tiny)
    if "S2" in read:
        return np.stack([np.log(S1), read["S2"]], axis=-1)
    falls = [name.removeprefix("fall_") for name in read if name.startswith("fall_")]
    fallen = np.sum([read[f"fall_{k}"] for k in falls], axis=0)
    felt = np.sum([read[f"fall_{k}"] * read[f"area_{k}"] for k in falls], axis=0) / S1
    return np.stack([np.log(S1), fallen, felt], axis=-1)
