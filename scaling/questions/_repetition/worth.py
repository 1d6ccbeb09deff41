"""What a fitted law says of further epochs over the same text: how many are nearly free, useless, harmful."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.design.allocation import parameter_draws
from scaling.fitting import Fit
from scaling.laws import describe

Array = NDArray[np.float64]

NEARLY_FREE = 0.9
"""Mean worth of the repeated tokens, as a share of new ones, down to which repeats are called nearly free."""
USELESS = 0.1
"""Worth of the tokens of one more epoch, as a share of new ones, below which it is called useless."""

_MOST = 1_000.0  # epochs that are looked at
_POINTS = 241
_FRESH_POINTS = 321


@dataclass(frozen=True, eq=False)
class Worth:
    """Loss and worth of 1 … 1,000 epochs over one text, for every bootstrap draw of a fit."""

    epochs: Array
    """Shape (epochs,), evenly spaced in the logarithm."""
    loss: Array
    """nats/token, shape (draws, epochs)."""
    worth: Array
    """How many times the text, all of it new, would give the same loss, shape (draws, epochs)."""

    @property
    def nearly_free(self) -> Array:
        """Epochs until repeated tokens are on average worth less than 0.9 of new ones, shape (draws,); inf: never."""
        mean = (self.worth[:, 1:] - 1.0) / (self.epochs[1:] - 1.0)
        return self._first(mean < NEARLY_FREE)

    @property
    def useless(self) -> Array:
        """Epochs from which the next is worth less than a tenth of new text, shape (draws,); inf: never."""
        return self._first(np.diff(self.worth, axis=1) / np.diff(self.epochs) < USELESS)

    @property
    def harmful(self) -> Array:
        """Epochs from which a further one raises the loss, shape (draws,); inf: never."""
        return self._first(np.diff(self.loss, axis=1) > 0)

    def _first(self, is_so: NDArray[np.bool_]) -> Array:
        """The epoch before the first step along the grid at which something is so."""
        return np.where(is_so.any(axis=1), self.epochs[is_so.argmax(axis=1)], math.inf)


def loss_of(fitted: Fit, N: float | Array, D: Array, unique_tokens: Any, parameters: dict[str, Any]) -> Array:
    """Loss of a law of N and D, or N, D and unique_tokens, in nats/token."""
    columns = {"N": N, "D": D, "unique_tokens": unique_tokens}
    return np.asarray(fitted.law(*(columns[c] for c in describe(fitted.law).column_names), **parameters))


def worth_of_epochs(fitted: Fit, N: float, unique_tokens: float) -> Worth:
    """What a law of N and D, or N, D and unique_tokens, says of repeating one text with one size of model.

    The worth of e epochs is the D' that solves L(N, D', D') = L(N, e U, U): tokens that are all new and give the same
    loss. It is read off the fitted curve draw by draw, so it needs no closed form and holds for any law; a fit with
    fewer than 20 bootstrap draws is a single draw.
    """
    draws = {p: v[:, None] for p, v in parameter_draws(fitted).items()}
    epochs = np.geomspace(1.0, _MOST, _POINTS)
    fresh = unique_tokens * np.geomspace(1 / 16, _MOST, _FRESH_POINTS)
    with np.errstate(all="ignore"):
        loss = loss_of(fitted, N, epochs * unique_tokens, np.float64(unique_tokens), draws)
        new = loss_of(fitted, N, fresh, fresh, draws)
    loss, new = (np.broadcast_to(a, (len(next(iter(draws.values()))), a.shape[-1])) for a in (loss, new))
    times = np.log(fresh / unique_tokens)
    worth = np.stack([np.interp(-one, -other, times) for one, other in zip(loss, new, strict=True)])
    return Worth(epochs, loss, np.exp(worth))
