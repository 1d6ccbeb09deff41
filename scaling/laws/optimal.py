"""What to train: the size and data that a budget of compute buys, and the cheapest that reach a loss."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.arguments import checked, positive
from scaling.errors import BadOption
from scaling.laws.base import Law, NotALaw, UnknownParameter, describe
from scaling.laws.dual import Dual
from scaling.laws.loss import chinchilla

FLOPS_PER_PARAMETER_TOKEN = 6.0
"""Forward and backward products with the matrices, nothing else: C = 6ND."""

_GRID = 129
_BISECTIONS = 60
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_HALVINGS = 100
_NARROWINGS = 70
_NEXT_TO_NOTHING = 1e-9  # of the tokens that a budget buys
_LARGEST = 80.0  # ln of the largest N and D that `cheapest` looks at


@dataclass(frozen=True)
class TokenCost:
    """FLOPs a token as a function of N, which the browser can evaluate too.

        C / D = 6 N + k √N

    Head and attention cost as the width does, and at a fixed depth the width goes as √N: on a ladder of widths this is
    exact, and k is 0 where C was counted as 6ND. A constant C / (N D) would be off by 1.5 to 2 times at one end of a
    ladder that starts at width 16.
    """

    k: float = 0.0

    @staticmethod
    def of(N: NDArray, D: NDArray, C: NDArray) -> TokenCost:
        """From what runs spent: the median k, of either sign."""
        return TokenCost(float(np.median((C / D - FLOPS_PER_PARAMETER_TOKEN * N) / np.sqrt(N))))

    def __call__(self, N: Any) -> Any:
        return FLOPS_PER_PARAMETER_TOKEN * N + self.k * np.sqrt(N)

    def tokens(self, N: Any, C: Any, inference_tokens: Any = 0.0) -> Any:
        """Training tokens that are left of a budget once the model has been served.

            C = f(N) (D + D_inference / 3)

        A token that is read or written takes the forward products alone, a third of what training on it takes: 2 N for
        6 N. Where serving takes the whole budget, next to nothing is left, and less for a larger model.
        """
        bought, served = C / self(N), inference_tokens / 3.0
        return bought * np.maximum(1.0 - served / bought, _NEXT_TO_NOTHING * bought / (bought + served))

    def priced(self, law: Law, unique_tokens: Any = None, inference_tokens: Any = 0.0) -> Law:
        """A law to split budgets of 6ND with: at the tokens that the same compute really buys.

        Args:
            law: of N and D, or of N, D and unique_tokens.
            unique_tokens: distinct tokens on offer; by default as many as are trained on.
            inference_tokens: that the model will read and write in its life, paid from the same budget.
        """

        def loss(N: Any, D: Any, **parameters: Any) -> Any:
            tokens = self.tokens(N, D * FLOPS_PER_PARAMETER_TOKEN * N, inference_tokens)
            given = {"N": N, "D": tokens, "unique_tokens": tokens if unique_tokens is None else unique_tokens}
            return law(*(given[name] for name in law.column_names), **parameters)

        columns = {column.name: column for column in law.columns}
        return Law(loss, law.name, (columns["N"], columns["D"]), law.parameters, {})


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


@checked
def optimum(
    law: Callable[..., Any] | Law,
    C: ArrayLike,
    *,
    flops_per_parameter_token: float = FLOPS_PER_PARAMETER_TOKEN,
    paired: bool = False,
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
        paired: C has the draws as its first axis, a budget of its own for each.
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
    law, budgets = describe(law), np.asarray(C)
    if budgets.dtype == object:  # whole numbers of more than 64 bits
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            budgets = budgets.astype(float)
    if not {"N", "D"} <= set(law.column_names):
        reads = ", ".join(law.column_names)
        raise NotALaw(law.name, f"it reads {reads}, and a budget is split between N and D")
    wanted = {a.name: a for a in law.parameters + law.columns if a.name not in ("N", "D")}
    _require_values(law, [a.name for a in wanted.values() if a.default is None], given)
    for name in given:
        if name not in wanted:
            raise UnknownParameter(law.name, "optimum", name, tuple(wanted))
    if budgets.dtype.kind not in "iuf" or np.any((budgets <= 0) | (budgets == np.inf)):
        raise BadOption("C", C, "a number of FLOPs, or an array of them, finite and above zero")
    budgets = budgets.astype(float)
    positive("flops_per_parameter_token", flops_per_parameter_token, "a number above zero")
    axes = budgets.ndim - paired
    trailing = (1,) * axes  # draws lead, and broadcast against the axes of the budgets
    values = {p: np.asarray(given[p], float) for p in given if p in law.parameter_names}
    parameters = {p: v.reshape(v.shape + trailing) for p, v in values.items()}
    columns = {c: np.asarray(given[c], float) for c in given if c in law.column_names}
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

    @np.errstate(all="ignore")
    def falls(ln_N: NDArray) -> NDArray:
        N, D = np.exp(ln_N), np.exp(ln_ND - ln_N)
        slope = _loss(law, Dual(N, {0: N}), Dual(D, {0: -D}), columns, parameters).parts[0]
        return ~(np.broadcast_to(slope, shape) > 0)

    low, high = _halved(low, high, falls, _BISECTIONS)
    return np.exp(0.5 * (low + high))


def _halved(
    low: NDArray, high: NDArray, upper: Callable[[NDArray], NDArray], times: int
) -> tuple[NDArray, NDArray]:
    """Each interval halved so many times, to the upper half where the middle says so."""
    for _ in range(times):
        middle = 0.5 * (low + high)
        up = upper(middle)
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    return low, high


def _require_values(law: Law, names: list[str], given: Mapping[str, Any]) -> None:
    if missing := [name for name in names if name not in given]:
        raise NotALaw(law.name, f"no value was given for {', '.join(missing)}")


@dataclass(frozen=True)
class Serving:
    """The cheapest way to reach each loss. Arrays of one shape."""

    loss: NDArray[np.float64]
    """nats/token."""
    N: NDArray[np.float64]
    """Parameters; NaN where the law does not reach the loss at any size."""
    D: NDArray[np.float64]
    """Training tokens."""
    training_flops: NDArray[np.float64]
    inference_flops: NDArray[np.float64]

    @property
    def total_flops(self) -> NDArray[np.float64]:
        return self.training_flops + self.inference_flops


@checked
def cheapest(
    law: Callable[..., Any] | Law,
    loss: ArrayLike,
    *,
    inference_tokens: ArrayLike = 0.0,
    training_flops: float = 6.0,
    inference_flops: float = 2.0,
    **parameters: ArrayLike,
) -> Serving:
    """The N and D that reach a loss for the fewest FLOPs over training and use.

        minimise 6 N D + 2 N D_inference   over N and D with L(N, D) = loss

    D follows from N by bisection (the loss falls with D), N by golden section: total cost has one minimum in ln N, as
    the smallest model that reaches the loss needs unlimited data and a huge one costs its size.

    Args:
        law: a law that reads N and D and falls with both, or one with parameters already set.
        loss: wanted, nats/token, scalar or array.
        inference_tokens: tokens the model will read and write in its life, broadcast against loss.
        training_flops, inference_flops: per parameter and token; 6 and 2 count matrix products only.
        **parameters: numbers or arrays that broadcast against loss.

    Returns:
        A `Serving`.

    Raises:
        NotALaw: the law does not read exactly N and D, or a parameter is missing.

    Source:
        Sardana et al. 2024, arXiv:2401.00448, section 2.
    """
    law = describe(law)
    if set(law.column_names) != {"N", "D"}:
        raise NotALaw(law.name, f"it reads {', '.join(law.column_names)}, and this needs a law of N and D")
    _require_values(law, [p.name for p in law.parameters if p.default is None], parameters)
    wanted = "numbers, finite and above zero"
    loss = positive("loss", loss, wanted).reshape(np.shape(loss))
    tokens = positive("inference_tokens", inference_tokens, "numbers from zero on", zero=True)
    inference_tokens = tokens.reshape(np.shape(inference_tokens))
    positive("training_flops", training_flops, wanted)
    positive("inference_flops", inference_flops, wanted, zero=True)
    named = {p: np.asarray(v, float) for p, v in parameters.items()}
    wanted, used = np.asarray(loss, float), np.asarray(inference_tokens, float)
    shape = np.broadcast_shapes(wanted.shape, used.shape, *(v.shape for v in named.values()))
    wanted = np.broadcast_to(wanted, shape)

    least, most = np.zeros(shape), np.full(shape, _LARGEST)

    def at(ln_N: NDArray, ln_D: NDArray) -> NDArray:
        return _loss(law, np.exp(ln_N), np.exp(ln_D), {}, named)

    def ln_tokens(ln_N: NDArray) -> NDArray:
        return _halved(least, most, lambda ln_D: at(ln_N, ln_D) > wanted, _HALVINGS)[1]

    def ln_cost(ln_N: NDArray) -> NDArray:
        return ln_N + np.log(training_flops * np.exp(ln_tokens(ln_N)) + inference_flops * used)

    # From the smallest size that reaches the loss with unlimited data on.
    _, low = _halved(least, most, lambda ln_N: at(ln_N, most) > wanted, _HALVINGS)
    reached, high = at(most, most) <= wanted, most
    for _ in range(_NARROWINGS):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        left = ln_cost(a) < ln_cost(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    ln_N = np.where(reached, 0.5 * (low + high), np.nan)
    N, D = np.exp(ln_N), np.where(reached, np.exp(ln_tokens(ln_N)), np.nan)
    return Serving(wanted, N, D, training_flops * N * D, inference_flops * N * used)
