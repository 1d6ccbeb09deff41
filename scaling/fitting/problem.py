"""A law, the runs and an objective as one function of parameter vectors, a whole batch at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scaling.errors import LawError
from scaling.fitting.data import Array
from scaling.fitting.objective import Objective
from scaling.laws.base import Argument, Law
from scaling.laws.dual import Dual, duals


class LawFails(LawError):
    """A law that raises, or that does not return one value for each row."""

    law: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.law} was called with columns of shape (rows,) and parameters of shape (fits, 1), but "
            f"{self.reason}. Write it with operators and numpy functions that broadcast."
        )


_BLOCK_ROWS = 1 << 15  # rows gone through at once; beyond, arrays would leave the cache
_STEP = 6e-6  # relative step of a central difference: the cube root of machine precision
_ALONE = 1e-6  # by which a law may differ between one row and many, relative: rounding


def _unfit(kind: np.dtype) -> str:
    """What is wrong with numbers of a kind as losses; nothing where they will do."""
    if kind.kind == "c":
        return "it returns complex numbers, as a negative number to a fraction does"
    if kind.kind == "f" and kind.itemsize < 8:
        return (
            f"it returns {kind}, whose digits are too few for derivatives (of jax: "
            "jax.config.update('jax_enable_x64', True))"
        )
    return ""


class Slice(NamedTuple):
    """The objective at a batch of parameter vectors, to second order."""

    value: Array
    """shape (batch,); infinite where the law has no finite value."""
    gradient: Array
    """shape (batch, free)."""
    curvature: Array
    """Active-set Gauss-Newton matrix, shape (batch, free, free): only rows whose penalty is still square bend it."""
    scale: Array
    """Diagonal of the matrix that bounds the objective from above, shape (batch, free)."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything about a fit that does not change while it is solved."""

    law: Law
    columns: tuple[Array, ...]
    """What the law reads, in its order, each of shape (rows,); read-only from here on."""
    target: Array
    """Losses, shape (rows,)."""
    weights: Array
    """What each row counts, shape (rows,)."""
    objective: Objective
    free: tuple[Argument, ...]
    fixed: dict[str, float]
    low: Array
    high: Array
    stderr: Array | None = None
    prior_mean: Array | None = None
    """Mean of a Gaussian prior on each free parameter, shape (free,); NaN where there is none."""
    prior_precision: Array | None = None
    """1/sd², shape (free,); 0 where there is none."""
    temperature: float = 1.0
    """What one nat of log-likelihood is worth in the objective, and so in the prior."""
    exact: bool = True
    """Derivatives by dual numbers; False: by central differences, because the law does not let them through."""
    by_factor_first: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    """Parameters without annotation that enter linearly, beside others that do not."""
    prepared: Array = field(init=False, repr=False)
    """The target as the objective compares it: ln y for a log objective."""

    def __post_init__(self) -> None:
        for column in self.columns:
            column.flags.writeable = False
        object.__setattr__(self, "prepared", self.objective.prepare(self.target))
        if not len(self.by_factor_first):
            object.__setattr__(self, "by_factor_first", np.zeros(len(self.free), bool))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.free)

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def log(self) -> NDArray[np.bool_]:
        """Parameters that the solver moves by factors."""
        return np.array([p.quantity.log for p in self.free])

    def call(self, parameters: Array) -> Array:
        """The law at each parameter vector.

        Args:
            parameters: shape (batch, free).

        Returns:
            Shape (batch, rows).

        Raises:
            LawFails: the law raises, or returns another shape.
        """
        named = {name: parameters[:, j : j + 1] for j, name in enumerate(self.names)}
        shape = (len(parameters), self.rows)
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(self.law(*self.columns, **named, **self.fixed))
                if faulty := _unfit(value.dtype):
                    raise LawFails(self.law.name, faulty)
                value = np.asarray(value, float)
            return np.broadcast_to(value, shape)
        except LawFails:
            raise
        except Exception as reason:  # a law is anybody's code
            words = f"it raised {type(reason).__name__}: {reason}"
            if "read-only" in str(reason):
                words = "it changes a column in place, as N /= 1e6 does and N = N / 1e6 does not"
            raise LawFails(self.law.name, words) from reason

    def derivatives(self, parameters: Array, by: Collection[int] | None = None) -> tuple[Any, dict[int, Any]]:
        """The law's value and its derivative with respect to each free parameter that matters, or `by` these alone."""
        with np.errstate(all="ignore"):
            if self.exact:
                result = self.law(*self.columns, **duals(parameters, self.names, by), **self.fixed)
                return (result.value, result.parts) if isinstance(result, Dual) else (result, {})
            parts = {}
            for j in range(len(self.free)) if by is None else by:
                step = _STEP * np.maximum(np.abs(parameters[:, j]), 1e-3)
                above, below = parameters.copy(), parameters.copy()
                above[:, j], below[:, j] = parameters[:, j] + step, parameters[:, j] - step
                parts[j] = (self.call(above) - self.call(below)) / (2.0 * step[:, None])
            return self.call(parameters), parts

    def require_function(self, parameters: Array) -> None:
        """Refuse a law whose value for a run is not decided by that run and the parameters.

        Args:
            parameters: where to ask, shape (batch, free).

        Raises:
            LawFails: it gives another value when it is called again, or when it is called with that run alone.
        """
        whole, again = self.call(parameters), self.call(parameters)
        if not np.array_equal(whole, again, equal_nan=True):
            raise LawFails(self.law.name, "it gives another value when it is called again with the same")
        for row in range(self.rows):
            alone = self.part(slice(row, row + 1)).call(parameters)[:, 0]
            if not np.allclose(alone, whole[:, row], rtol=_ALONE, atol=0.0, equal_nan=True):
                raise LawFails(
                    self.law.name,
                    "its value for a run depends on the other runs, as by N.mean(), N[0] or np.sort: it could not "
                    "predict one",
                )

    def is_traceable(self, parameters: Array) -> bool:
        """Whether dual numbers pass through the law."""
        try:
            with np.errstate(all="ignore"):
                self.law(*self.columns, **duals(parameters, self.names), **self.fixed)
        except Exception:  # a law is anybody's code; `call` says what is wrong with it
            return False
        return True

    def misses(self, parameters: Array) -> Array:
        """r at each parameter vector, shape (batch, rows)."""
        with np.errstate(all="ignore"):
            return self.objective.miss(self.call(parameters), self.prepared, self.stderr)

    def mean_miss(self, best: Array) -> float:
        """Weighted mean of |r| at one parameter vector of shape (free,)."""
        return float(np.average(np.abs(self.misses(best[None])[0]), weights=self.weights))

    def nat(self, best: Array) -> float:
        """What one nat of log-likelihood is worth in the objective, judged by the misses at one parameter vector."""
        return self.objective.temperature(self.misses(best[None])[0], self.weights)

    def value(self, parameters: Array, weights: Array | None = None) -> Array:
        """The objective at each parameter vector, shape (batch,); infinite where the law has no value."""
        with np.errstate(all="ignore"):
            penalty = self.objective.penalty(self.misses(parameters))
            cost = penalty @ self.weights if weights is None else np.einsum("bn,bn->b", weights, penalty)
        cost = cost + self._prior(parameters)[0]
        return np.where(np.isfinite(cost), cost, np.inf)

    def prior(self, parameters: Array) -> Array:
        """Minus the logarithm of the priors' densities, up to a constant, nats, shape (batch,)."""
        return np.broadcast_to(self._prior(parameters)[0] / self.temperature, len(parameters))

    def slice(
        self,
        parameters: Array,
        weights: Array | None = None,
        prepared: Array | None = None,
        metric: Array | None = None,
        prior_mean: Array | None = None,
    ) -> Slice:
        """The objective to second order at each parameter vector.

        Args:
            parameters: shape (batch, free).
            weights: shape (batch, rows), e.g. how often a bootstrap drew each row; None for the problem's own.
            prepared: targets of each fit as the objective compares them, shape (batch, rows); None for the own ones.
            metric: what to give as the scale of each parameter, shape (free,), where it is known near enough.
            prior_mean: of each fit's own priors, shape (batch, free); None for the problem's.
        """
        if self._blocks:
            return self._add_up(parameters, weights, prepared, metric, prior_mean)
        batch, free = len(parameters), len(self.free)
        shape = (batch, self.rows)
        own = self.weights if weights is None else weights
        wanted = self.prepared if prepared is None else prepared
        law_value, law_parts = self.derivatives(parameters)
        with np.errstate(all="ignore"):
            miss = self.objective.miss(Dual(law_value, law_parts), wanted, self.stderr)
            r = np.broadcast_to(miss.value, shape)
            # One contiguous array per parameter: fifteen dot products over rows beat one product of small matrices.
            J = {j: _full(part, shape) for j, part in miss.parts.items()}
            own = np.broadcast_to(own, shape)
            penalty, pull, square = self.objective.to_second_order(r)
            value = np.vecdot(own, penalty)
            pull = own * pull
            gradient = np.zeros((batch, free))
            for j, slope in J.items():
                gradient[:, j] = np.vecdot(slope, pull)
            curvature = _products(J, own if square is None else own * self.objective.tilt(r), square, free)
            scale = self._scale(J, r, own, curvature) if metric is None else np.tile(metric, (batch, 1))
            prior_value, prior_gradient, prior_curvature = self._prior(parameters, prior_mean)
            value = value + prior_value
            gradient += prior_gradient
            scale += prior_curvature if metric is None else 0.0
            curvature[:, np.arange(free), np.arange(free)] += prior_curvature
            good = np.isfinite(value) & np.isfinite(gradient).all(1) & np.isfinite(curvature).all((1, 2))
        return Slice(np.where(good, value, np.inf), gradient, curvature, scale)

    def _scale(self, J: dict[int, Array], r: Array, own: Array, curvature: Array) -> Array:
        bound = self.objective.majorant(r)
        scale = np.zeros(curvature.shape[:2])
        for j, slope in J.items():
            scale[:, j] = curvature[:, j, j] if bound is None else np.vecdot(slope * slope, own * bound)
        return scale

    @cached_property
    def _blocks(self) -> list[tuple[slice, Problem]]:
        """The same problem on parts of its rows that fit into cache, without priors; empty where it fits as it is."""
        if self.rows <= _BLOCK_ROWS:
            return []
        ranges = [slice(i, i + _BLOCK_ROWS) for i in range(0, self.rows, _BLOCK_ROWS)]
        return [(part, self.part(part)) for part in ranges]

    def part(self, rows: slice | NDArray[np.int64]) -> Problem:
        """The same problem on some of its rows, without priors."""
        return replace(
            self,
            columns=tuple(c[rows] for c in self.columns),
            target=self.target[rows],
            weights=self.weights[rows],
            stderr=None if self.stderr is None else self.stderr[rows],
            prior_mean=None,
            prior_precision=None,
        )

    def _add_up(
        self, parameters: Array, weights: Array | None, prepared: Array | None, metric: Array | None,
        prior_mean: Array | None,
    ) -> Slice:  # fmt: skip
        value, gradient, scale = self._prior(parameters, prior_mean)
        free = len(self.free)
        curvature = np.zeros((len(parameters), free, free))
        curvature[:, np.arange(free), np.arange(free)] += scale
        if metric is not None:
            scale = 0.0
        for rows, block in self._blocks:
            one = block.slice(
                parameters,
                None if weights is None else weights[:, rows],
                None if prepared is None else prepared[:, rows],
                None if metric is None else metric / len(self._blocks),
            )
            value, gradient, scale = value + one.value, gradient + one.gradient, scale + one.scale
            curvature += one.curvature
        return Slice(np.asarray(value), np.asarray(gradient), curvature, np.asarray(scale))

    def _prior(self, parameters: Array, mean: Array | None = None) -> tuple[Any, Any, Any]:
        if self.prior_mean is None or self.prior_precision is None:
            return 0.0, 0.0, 0.0
        precision = self.temperature * self.prior_precision
        off = np.where(precision > 0, parameters - (self.prior_mean if mean is None else mean), 0.0)
        pull = off * precision
        return 0.5 * (off * pull).sum(1), pull, precision


def _products(J: dict[int, Array], weights: Array, square: NDArray[np.bool_] | None, free: int) -> Array:
    """Weighted products of slopes, summed over rows, shape (batch, free, free); only where `square` says so.

    Under a Huber penalty that is one row in six or fewer, so those are gathered first.
    """
    batch, rows = weights.shape
    sums = np.zeros((batch, free, free))
    if square is None:
        for j, slope in J.items():
            bent = slope * weights
            for k in (k for k in J if k <= j):
                sums[:, j, k] = sums[:, k, j] = np.vecdot(bent, J[k])
        return sums
    places = np.flatnonzero(square)
    first = np.searchsorted(places, rows * np.arange(batch + 1))
    some = np.flatnonzero(first[:-1] < first[1:])
    if not len(some):
        return sums
    first, weights = first[some], weights.ravel()[places]
    gathered = {j: slope.ravel()[places] for j, slope in J.items()}
    for j, slope in gathered.items():
        bent = slope * weights
        for k in (k for k in J if k <= j):
            sums[some, j, k] = sums[some, k, j] = np.add.reduceat(bent * gathered[k], first)
    return sums


def _full(part: Any, shape: tuple[int, int]) -> Array:
    """A derivative in the shape of all fits and rows, contiguous."""
    part = np.asarray(part)
    return part if part.shape == shape and part.flags.c_contiguous else np.broadcast_to(part, shape).copy()
