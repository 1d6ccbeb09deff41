"""Loss along one scale when a single power law will not do: levels, breaks, plateaus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.arguments import checked
from scaling.laws.base import Count, Exponent, Nats, NotALaw, Scale, Sharpness, Signed, declared, made_once

_NEWTON = 8  # steps of the implicit law; the last changes its value by less than 1e-12


def m3(N: Count, *, A: Scale, alpha: Exponent, N_stop: Count) -> NDArray:
    """Loss that falls as a power law and levels off, the level inside the power.

        L(N) = A (1/N + 1/N_stop)^alpha

    The floor is A / N_stop^alpha. In the paper N is the number of training examples.

    Args:
        N: any scale, array.
        A: size of the power law, nats/token at N = 1.
        alpha: dimensionless.
        N_stop: where the loss stops falling.

    Returns:
        Loss in nats/token, in the shape of N.

    Source:
        Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M3 (there β, c, γ = 1/N_stop).
    """
    return A * (1.0 / N + 1.0 / N_stop) ** alpha


def m4(N: Count, *, E: Nats, L0: Nats, A: Scale, alpha: Exponent, a: Sharpness) -> NDArray:
    """Loss that starts at the level of guessing, falls as a power law and ends at a floor.

        (L - E) / (L0 - L)^a = A / N^alpha

    The equation is solved for L by Newton's method on t = ln((L - E) / (L0 - L)), where its left side rises and bends
    one way only, from a start from which the steps cannot overshoot. Their number is fixed, so that derivatives and
    traces pass through.

    Args:
        N: any scale, array. In the paper it is the number of training examples.
        E: floor, nats/token.
        L0: loss before anything is learned, nats/token; above E.
        A: size of the power law.
        alpha: its exponent, dimensionless.
        a: how long the loss lingers near L0; above 0, where it would be `power_law_floor`.

    Returns:
        Loss in nats/token, in the shape of N; NaN where L0 is below E.

    Source:
        Alabdulmohsin et al. 2022, arXiv:2209.06640, estimator M4 (there ε∞, ε0, β, c, α).
    """
    height = L0 - E
    log_g = np.log(A) - alpha * np.log(N) + (a - 1.0) * np.log(height)
    t = log_g
    for _ in range(_NEWTON):
        low, high = np.logaddexp(0.0, -t), np.logaddexp(0.0, t)  # -ln u and -ln(1-u) at u = (L-E)/(L0-E)
        t = t - (a * high - low - log_g) / (np.exp(-high) + a * np.exp(-low))
    return E + height * np.exp(-np.logaddexp(0.0, -t))


def sigmoid(C: Count, *, E: Nats, L0: Nats, C_mid: Count, k: Sharpness) -> NDArray:
    """Loss that passes from one level to another, a sigmoid in log compute.

        L(C) = E + (L0 - E) / (1 + (C / C_mid)^k)

    Args:
        C: training FLOPs (or any other scale), array.
        E: level at unlimited compute, nats/token.
        L0: level at none, nats/token.
        C_mid: compute half way.
        k: steepness in ln C, dimensionless.

    Returns:
        Loss in nats/token, in the shape of C.
    """
    return E + (L0 - E) / (1.0 + (C / C_mid) ** k)


def plateau(C: Count, *, E: Nats, A: Scale, alpha: Exponent, C_stop: Count, q: Sharpness) -> NDArray:
    """Loss that falls as a power law towards E, and stops falling before it gets there.

        L(C) = E + A [ C^(-alpha q) + C_stop^(-alpha q) ]^(1/q)

    A plateau: from about C_stop on the loss stays at E + A C_stop^-alpha. Hold E at a known entropy, else the
    plateau and the floor cannot be told apart. C_stop beyond the data means that none is seen.

    Args:
        C: training FLOPs (or any other scale), array.
        E: loss that the power law falls towards, nats/token.
        A: size of the removable part at C = 1, nats/token.
        alpha: dimensionless.
        C_stop: where the fall ends.
        q: how abruptly, dimensionless.

    Returns:
        Loss in nats/token, in the shape of C.
    """
    return E + A * (C ** (-alpha * q) + C_stop ** (-alpha * q)) ** (1.0 / q)


@checked
@made_once
def bnsl(breaks: int = 1) -> Callable[..., NDArray]:
    """A smoothly broken power law with that many breaks, as a law of its own.

        L(N) = E + A N^(-c0) Π_i [ 1 + (N / d_i)^(1/f_i) ]^(-c_i f_i)

    Beyond break i, at N = d_i, the slope of ln(L - E) changes by -c_i; it may turn flat (a plateau), steeper, or up
    (double descent). f_i is the width of the break in ln N; 0 would be a corner.

    Args:
        breaks: 1 or more.

    Returns:
        A law of the column N (any scale) with parameters E, A, c0 and, for each break, c1, d1, f1, c2, d2, f2, …

    Raises:
        NotALaw: fewer than one break.

    Source:
        Caballero et al. 2023, arXiv:2210.14891, equation 1 (there a and b for E and A).
    """
    if breaks < 1:
        raise NotALaw(f"bnsl(breaks={breaks})", "it needs a break; without one it is power_law_floor")
    each = [(f"c{i}", f"d{i}", f"f{i}") for i in range(1, breaks + 1)]

    def law(N: Any, **parameters: Any) -> Any:
        value = parameters["A"] * N ** (-parameters["c0"])
        for c, d, f in each:
            turn = np.logaddexp(
                0.0, np.log(N / parameters[d]) / parameters[f]
            )  # ln(1 + (N/d)^(1/f)), no overflow
            value = value * np.exp(-parameters[c] * parameters[f] * turn)
        return parameters["E"] + value

    kinds = {"E": Nats, "A": Scale, "c0": Signed}
    for c, d, f in each:
        kinds |= {c: Signed, d: Count, f: Sharpness}
    return declared(law, f"bnsl(breaks={breaks})", bnsl.__doc__, {"N": Count}, kinds)
