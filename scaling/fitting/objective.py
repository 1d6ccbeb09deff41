"""What a fit minimises: how a row's miss is measured, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.errors import BadOption, require_kind
from scaling.fitting.data import Array


@dataclass(frozen=True)
class Objective:
    """A weighted sum over runs of a penalty on the miss r.

        sum_i w_i ρ(r_i),   ρ(r) = r²/2                      where |r| ≤ delta
                                 = delta (|r| - delta/2)      beyond

    The miss is ln L - ln y for a log objective, L - y for a linear one, (L - y) / stderr where the standard error
    of each row is known. It is a sum and never a mean: a mean of Huber losses at delta = 1e-3 is of order 1e-6,
    below the stopping tolerance of common optimisers, and two published fits stopped early for that reason.
    """

    name: str
    log: bool
    delta: float | None = None
    """Where the penalty turns from square to linear; None for squares everywhere."""
    stderr: bool = False
    """The miss is divided by the known standard error of its row."""
    likelihood: bool = False
    """Minus the logarithm of a density of the data, so that information criteria mean something."""
    quantile: float = 0.5
    """Share of the runs that shall lie below the curve; other than 0.5 it tilts the penalty. Of squares it is the
    expectile's share, 1 / (1 + ratio)."""
    words: str = ""
    """The objective in the words of a printed fit."""

    def miss(self, value: Any, target: Array, stderr: Array | None) -> Any:
        """r for each row; `target` as `prepare` left it. Passes dual numbers through."""
        if self.log:
            return np.log(value) - target
        return (value - target) / stderr if self.stderr else value - target

    def prepare(self, target: Array) -> Array:
        return np.log(target) if self.log else target

    def penalty(self, r: Array) -> Array:
        """ρ(r)."""
        size = np.abs(r)
        if self.delta is None:
            return self._tilted(0.5 * size * size, r)
        inner = np.minimum(size, self.delta)
        return self._tilted(inner * (size - 0.5 * inner), r)

    def to_second_order(self, r: Array) -> tuple[Array, Array, NDArray[np.bool_] | None]:
        """ρ(r), ρ'(r), and where the penalty is a square, so that ρ'' is one there (or the tilt) and zero elsewhere.

        None stands for everywhere. One function, as each pass over the misses of a batch counts.
        """
        if self.delta is None:
            square = None if self.quantile == 0.5 else np.ones(np.shape(r), bool)
            return self._tilted(0.5 * r * r, r), self._tilted(r, r), square
        size = np.abs(r)
        inner = np.minimum(size, self.delta)
        pull = np.copysign(inner, r)
        square = size <= self.delta
        size -= 0.5 * inner
        size *= inner
        return self._tilted(size, r), self._tilted(pull, r), square

    def tilt(self, r: Array) -> Array | float:
        """What ρ'' is where the penalty is a square."""
        return 1.0 if self.quantile == 0.5 else self._tilted(np.ones_like(r), r)

    def majorant(self, r: Array) -> Array | None:
        """ρ'(r)/r, the curvature of the parabola that touches ρ at r from above."""
        return None if self.delta is None else self._tilted(self.delta / np.maximum(np.abs(r), self.delta), r)

    def _tilted(self, values: Array, r: Array) -> Array:
        """Runs above the curve (r < 0) count 2q, runs below it 2(1-q): a share q ends below."""
        if self.quantile == 0.5:
            return values
        return values * np.where(r < 0, 2.0 * self.quantile, 2.0 * (1.0 - self.quantile))

    def linear_weight(self, target: Array, stderr: Array | None) -> Array:
        """Weight of (L - y)² that makes linear least squares resemble this objective near a good fit."""
        if self.log:
            return 1.0 / target**2
        return 1.0 / stderr**2 if self.stderr and stderr is not None else np.ones_like(target)

    def temperature(self, r: Array, weights: Array) -> float:
        """What one nat of log-likelihood is worth in this objective.

        The density exp(-ρ(r)/τ) / Z(τ) that gives these misses the highest likelihood has this τ: the variance
        for squares, delta times the mean miss where nearly all rows are beyond delta. Priors are weighed by it.
        """
        if self.likelihood:
            return 1.0
        total, count = float(weights @ self.penalty(r)), float(weights.sum())
        if total <= 0.0:
            return np.finfo(float).tiny
        if self.delta is None:
            return 2.0 * total / count
        candidates = total / count * np.geomspace(0.5, 2.5, 400)
        cost = total / candidates + count * _log_normaliser(candidates, self.delta)
        return float(candidates[np.argmin(cost)])


def _log_normaliser(tau: Array, delta: float) -> Array:
    """ln of the integral of exp(-ρ(r)/tau) over r, for the Huber penalty."""
    middle = np.sqrt(2 * np.pi * tau) * np.array([math.erf(delta / math.sqrt(2 * t)) for t in tau])
    tails = 2 * tau / delta * np.exp(-(delta**2) / (2 * tau))
    return np.log(middle + tails)


def likelihood_scale(r: Array, weights: Array, delta: float) -> float:
    """The s that maximises the likelihood of misses r under a Huber density of r/s, from W = Σ w ψ(r/s) r/s."""
    low, high = np.log(np.max(np.abs(r)) + 1e-300) - 60.0, np.log(np.max(np.abs(r)) + 1e-300) + 5.0
    for _ in range(100):
        middle = 0.5 * (low + high)
        z = r / np.exp(middle)
        wide = weights @ (np.clip(z, -delta, delta) * z) > weights.sum()
        low, high = (middle, high) if wide else (low, middle)
    return float(np.exp(0.5 * (low + high)))


def likelihood_value(r: Array, weights: Array, scale: float, delta: float) -> float:
    """Minus the log-likelihood of misses r under the Huber density of that scale."""
    z = np.abs(r) / scale
    inner = np.minimum(z, delta)
    constant = float(_log_normaliser(np.ones(1), delta)[0]) + math.log(scale)
    return float(weights @ (inner * (z - 0.5 * inner)) + weights.sum() * constant)


def objective(name: str, delta: float, quantile: float = 0.5, ratio: float = 1.0) -> Objective:
    """The objective of that name.

    Args:
        name: "huber_log"; "huber_likelihood" (the same penalty on r/s with s free, a likelihood); "quantile_log"
            (asymmetric absolute error of log loss, smooth within delta); "asymmetric_log" (asymmetric squares of log
            loss); "squares_log"; "squares"; or "gaussian" (which needs a column with the standard error).
        delta: where the Huber penalty turns linear, in units of log loss: 1e-3 is 0.1 %.
        quantile: share of the runs that shall lie below the curve, for "quantile_log".
        ratio: what an overestimate costs in underestimates of its size, for "asymmetric_log":

                Σ w_i c(r_i) r_i²,   c = ratio where the law lies above the run (r > 0), 1 where it lies below

            up to a factor. Its curve is the expectile 1 / (1 + ratio) of ln y (Newey and Powell 1987, Econometrica
            55(4)): it weighs how far runs lie on either side, where "quantile_log" counts how many.

    Raises:
        BadOption: no such objective, or a number out of range.
    """
    require_kind("objective", name, str, "a word, e.g. 'huber_log'")
    huber: dict[str, Any] = {"log": True, "delta": float(delta)}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "huber_log": (f"Huber on log loss (delta {delta:g})", huber),
        "huber_likelihood": (
            f"Huber likelihood of log loss with free scale (delta {delta:g})",
            huber | {"likelihood": True},
        ),
        "quantile_log": (
            f"{quantile:g} quantile of log loss (smooth within {delta:g})",
            huber | {"quantile": quantile},
        ),
        "asymmetric_log": (
            f"squares on log loss, overestimates {ratio:g} times as costly",
            {"log": True, "quantile": 1.0 / (1.0 + ratio) if ratio > 0 else 0.5},
        ),
        "squares_log": ("least squares on log loss", {"log": True}),
        "squares": ("least squares on loss", {"log": False}),
        "gaussian": (
            "Gaussian with the known standard error of each loss",
            {"log": False, "stderr": True, "likelihood": True},
        ),
    }
    if name not in kinds:
        raise BadOption("objective", name, "one of " + ", ".join(map(repr, kinds)))
    if not (delta > 0 and math.isfinite(delta)):
        raise BadOption("delta", delta, "a finite number above zero")
    if not 0.0 < quantile < 1.0:
        raise BadOption("quantile", quantile, "between 0 and 1, e.g. 0.1")
    if quantile != 0.5 and name != "quantile_log":
        raise BadOption("quantile", quantile, "left out, except with objective='quantile_log'")
    if not (ratio > 0 and math.isfinite(ratio)):
        raise BadOption("ratio", ratio, "a finite number above zero, e.g. 10")
    if ratio != 1.0 and name != "asymmetric_log":
        raise BadOption("ratio", ratio, "left out, except with objective='asymmetric_log'")
    words, traits = kinds[name]
    return Objective(name, words=words, **traits)
