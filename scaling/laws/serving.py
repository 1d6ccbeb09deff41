"""What to train when the model will also be used: fewer parameters, more tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.laws.base import Law, NotALaw, describe

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_HALVINGS = 100
_NARROWINGS = 70
_LARGEST = 80.0  # ln of the largest N and D looked at


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
    the smallest model that reaches the loss needs endless data and a huge one costs its size.

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
    missing = [p.name for p in law.parameters if p.name not in parameters and p.default is None]
    if missing:
        raise NotALaw(law.name, f"no value was given for {', '.join(missing)}")
    named = {p: np.asarray(v, float) for p, v in parameters.items()}
    wanted, used = np.asarray(loss, float), np.asarray(inference_tokens, float)
    shape = np.broadcast_shapes(wanted.shape, used.shape, *(v.shape for v in named.values()))
    wanted = np.broadcast_to(wanted, shape)

    def at(ln_N: NDArray, ln_D: NDArray) -> NDArray:
        measured = {"N": np.exp(ln_N), "D": np.exp(ln_D)}
        return law(*(measured[c] for c in law.column_names), **named)

    def ln_tokens(ln_N: NDArray) -> NDArray:
        low, high = np.zeros(shape), np.full(shape, _LARGEST)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            short = at(ln_N, middle) > wanted
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high

    def ln_cost(ln_N: NDArray) -> NDArray:
        return ln_N + np.log(training_flops * np.exp(ln_tokens(ln_N)) + inference_flops * used)

    low, high = np.zeros(shape), np.full(shape, _LARGEST)
    for _ in range(_HALVINGS):  # the smallest size that reaches the loss with endless data
        middle = 0.5 * (low + high)
        short = at(middle, np.full(shape, _LARGEST)) > wanted
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    reached = at(np.full(shape, _LARGEST), np.full(shape, _LARGEST)) <= wanted
    low, high = high, np.full(shape, _LARGEST)
    for _ in range(_NARROWINGS):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        left = ln_cost(a) < ln_cost(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    ln_N = np.where(reached, 0.5 * (low + high), np.nan)
    N, D = np.exp(ln_N), np.where(reached, np.exp(ln_tokens(ln_N)), np.nan)
    return Serving(wanted, N, D, training_flops * N * D, inference_flops * N * used)
