"""What to train with a given budget of compute: size, data, and the loss they reach."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.laws.base import Law, NotALaw, UnknownParameter, describe
from scaling.laws.dual import Dual
from scaling.laws.loss import chinchilla

FLOPS_PER_PARAMETER_TOKEN = 6.0
"""Forward and backward products with the matrices, nothing else: C = 6ND."""

_GRID = 129
_BISECTIONS = 60


@dataclass(frozen=True)
class Optimum:
    """The best way to spend each budget. Arrays of one shape: (draws, budgets), (budgets,) or a scalar's ()."""

    C: NDArray[np.float64]
    """Training FLOPs."""
    N: NDArray[np.float64]
    """Parameters."""
    D: NDArray[np.float64]
    """Tokens, C / (k N)."""
    loss: NDArray[np.float64]
    """Loss there, nats/token."""

    @property
    def tokens_per_parameter(self) -> NDArray[np.float64]:
        return self.D / self.N


def optimum(
    law: Callable[..., Any] | Law,
    C: ArrayLike,
    *,
    flops_per_parameter_token: float = FLOPS_PER_PARAMETER_TOKEN,
    **given: ArrayLike,
) -> Optimum:
    """The N and D with the lowest loss among those that cost C.

        minimise L(N, D) over N, D with k N D = C

    For `chinchilla` in closed form:

        N = G (C/k)^(β/(α+β)),   D = (C/k) / N,   G = (αA / (βB))^(1/(α+β))

    For any other law of N and D by a search over ln N: the lowest of 129 points between N = 1 and D = 1, then
    bisection on the sign of the exact derivative. A law that keeps falling towards one end of that range is answered
    with that end.

    Args:
        law: a law that reads N and D, or one with parameters already set (`HOFFMANN_2022`).
        C: training FLOPs, scalar or shape (budgets,).
        flops_per_parameter_token: k; 6 counts matrix products only. A measured C / (N D) is better for small
            models, whose head and attention are not small.
        **given: the law's parameters, each a number or an array of shape (draws,), as `Fit.params` and `Fit.draws`
            are; and any further column it reads (`unique_tokens=25e9`), broadcast against C.

    Returns:
        An `Optimum` with arrays of shape C.shape, or (draws,) + C.shape where parameters are arrays.

    Raises:
        NotALaw: the law does not read both N and D, or a parameter is missing.
        UnknownParameter: a name that is neither a parameter nor a further column.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, equation 4.
    """
    law = describe(law)
    budgets = np.asarray(C, float)
    if not {"N", "D"} <= set(law.column_names):
        raise NotALaw(
            law.name, f"it reads {', '.join(law.column_names)}, and a budget is split between N and D"
        )
    missing = [
        a.name for a in law.parameters + law.columns if a.name not in (*given, "N", "D") and a.default is None
    ]
    if missing:
        raise NotALaw(law.name, f"no value was given for {', '.join(missing)}")
    parameters = {
        name: _against(value, budgets) for name, value in given.items() if name in law.parameter_names
    }
    columns = {name: np.asarray(value, float) for name, value in given.items() if name in law.column_names}
    known = tuple(a.name for a in law.parameters + law.columns if a.name not in ("N", "D"))
    for name in given:
        if name not in known:
            raise UnknownParameter(law.name, "optimum", name, known)
    tokens_times_parameters = budgets / flops_per_parameter_token
    inner = law.function.func if isinstance(law.function, functools.partial) else law.function
    if inner is chinchilla:
        N = _additive(tokens_times_parameters, **(law.held | parameters))
    else:
        N = _search(law, tokens_times_parameters, columns, parameters)
    D = tokens_times_parameters / N
    loss = _loss(law, N, D, columns, parameters)
    C_, N, D, loss = np.broadcast_arrays(budgets, N, D, loss)
    return Optimum(C=C_, N=N, D=D, loss=loss)


def _against(parameter: ArrayLike, budgets: NDArray) -> NDArray:
    """Draws as leading axes, so that they broadcast against the budgets."""
    values = np.asarray(parameter, float)
    return values.reshape(values.shape + (1,) * budgets.ndim)


def _additive(ND: NDArray, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> NDArray:
    G = (alpha * A / (beta * B)) ** (1.0 / (alpha + beta))
    return G * ND ** (beta / (alpha + beta))


def _loss(law: Law, N: Any, D: Any, columns: dict[str, Any], parameters: dict[str, Any]) -> Any:
    measured = columns | {"N": N, "D": D}
    return law(*(measured[c] for c in law.column_names if c in measured), **parameters)


def _search(law: Law, ND: NDArray, columns: dict[str, Any], parameters: dict[str, Any]) -> NDArray:
    shape = np.broadcast_shapes(ND.shape, *(np.shape(v) for v in (*columns.values(), *parameters.values())))
    ln_ND = np.broadcast_to(np.log(ND), shape)
    grid = np.linspace(0.0, 1.0, _GRID).reshape((-1,) + (1,) * len(shape)) * ln_ND
    with np.errstate(all="ignore"):
        losses = _loss(law, np.exp(grid), np.exp(ln_ND - grid), columns, parameters)
        losses = np.broadcast_to(losses, grid.shape)
    best = np.argmin(np.where(np.isnan(losses), np.inf, losses), axis=0)
    low = np.take_along_axis(grid, np.maximum(best - 1, 0)[None], 0)[0]
    high = np.take_along_axis(grid, np.minimum(best + 1, _GRID - 1)[None], 0)[0]
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        N, D = np.exp(middle), np.exp(ln_ND - middle)
        with np.errstate(all="ignore"):
            slope = _loss(law, Dual(N, {0: N}), Dual(D, {0: -D}), columns, parameters).parts[0]
        rises = np.broadcast_to(slope, shape) > 0
        low, high = np.where(rises, low, middle), np.where(rises, middle, high)
    return np.exp(0.5 * (low + high))
