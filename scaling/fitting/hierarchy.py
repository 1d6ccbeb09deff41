"""Draws from the joint posterior of several families of runs: parameters of each, their means and spreads, the noise.

    ln y = ln L(x; θ_f) + σ_f e,    θ_fp ~ N(μ_p, τ_p²)

for the pooled parameters p, scales in their logarithm, and for ln σ. τ has a half-normal prior; μ, and what is not
pooled, are flat between the law's bounds, a scale that enters linearly flat in its size. e is multivariate t: runs of
one cluster share a part φ of its variance and their luck; φ is uniform, and the degrees of freedom ν have the prior
ν exp(-ν/10) from 2 on.

Many chains move together, by differences of one another (differential evolution), so that steps have the shape of the
posterior without derivatives or tuning. Families are independent given μ and τ: one call of the law moves all of them.
Where τ is small θ and μ cling to each other, where it is large θ and the runs do, so that steps in θ take turns with
steps in (θ - μ)/τ. Each of these shears what is not pooled along, as the curvature at the start says: A follows alpha.

Source:
    ter Braak 2006, Statistics and Computing 16(3), for the steps; Papaspiliopoulos, Roberts and Sköld 2007, Statistical
    Science 22(1), for the two forms; Gelman 2006, Bayesian Analysis 1(3), for the prior of τ; Juárez and Steel 2010,
    Journal of Business and Economic Statistics 28(1), for that of ν.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.data import Array
from scaling.fitting.problem import Problem

CHAINS = 64
SWEEPS = 250
"""Of a round; the first goes before what is kept."""
ROUNDS = 4
SETTLED = 0.2
"""Standard deviations by which means over the two halves of a round may differ; else another, of twice the sweeps."""
_THIN = 5
_NOISE_SPREAD = 0.5  # of ln σ between families: standard deviation of its half-normal prior
_FAR = 8.0  # e-folds that a scale of one family may lie from its start
_FEWEST_FREEDOM, _FREEDOM = 2.0, 10.0
_JITTER = 1e-3  # of a start's standard error: chains that lie in a plane stay in it without
_JUMP = 0.1  # share of steps as long as two chains are apart, which change valleys


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """What is drawn: runs in the order of their families, and what families share."""

    problem: Problem
    family: NDArray[np.int64]
    """Of each row, rising from 0."""
    cluster: NDArray[np.int64]
    """Of each row, rising; none in two families."""
    pooled: NDArray[np.int64]
    """Positions among the problem's parameters of those with a spread."""
    shared: NDArray[np.int64]
    """Of those that have one value in all families."""
    own: NDArray[np.int64]
    """Of the rest."""
    spread: Array
    """Standard deviation of the half-normal prior of each pooled parameter's τ."""
    linear: NDArray[np.bool_]
    """Which parameters enter linearly."""
    centre: Array
    """Where chains start: parameters of each family and its ln σ, scales in logarithms, shape (families, free + 1)."""
    covariance: Array
    """How far from there, shape (families, free + 1, free + 1)."""

    @property
    def families(self) -> int:
        return len(self.centre)

    @cached_property
    def common(self) -> NDArray[np.int64]:
        """Positions of what families have in common, ln σ aside."""
        return np.concatenate([self.pooled, self.shared])

    @cached_property
    def spreading(self) -> NDArray[np.int64]:
        """Positions of what has a mean and a spread: pooled parameters, and ln σ, the last."""
        return np.append(self.pooled, len(self.problem.names))

    @cached_property
    def scales(self) -> Array:
        return np.append(self.spread, _NOISE_SPREAD)

    @cached_property
    def shear(self) -> Array:
        """How own parameters follow the common ones in each family, shape (families, own, common)."""
        precision = np.linalg.inv(self.covariance)
        inner = precision[:, self.own[:, None], self.own]
        return np.asarray(-np.linalg.solve(inner, precision[:, self.own[:, None], self.common]), float)

    @cached_property
    def limits(self) -> tuple[Array, Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return tuple(
                np.append(np.where(self.problem.log, np.log(np.maximum(end, 0.0)), end), beyond)
                for end, beyond in ((self.problem.low, -np.inf), (self.problem.high, np.inf))
            )  # type: ignore[return-value]

    def natural(self, x: Array) -> Array:
        """Parameters as the law reads them, from their coordinates; the last axis may have ln σ too."""
        free = len(self.problem.names)
        with np.errstate(over="ignore"):
            return np.where(self.problem.log, np.exp(x[..., :free]), x[..., :free])

    def sheared(self, x: Array) -> Array:
        """Own parameters less what follows from the common ones, shape (..., families, own)."""
        moved = x[..., self.common] - self.centre[:, self.common]
        return x[..., self.own] - np.einsum("fok,...fk->...fo", self.shear, moved)

    def unsheared(self, own: Array, x: Array) -> Array:
        """The coordinates x with own parameters of those sheared values."""
        moved = x[..., self.common] - self.centre[:, self.common]
        x[..., self.own] = own + np.einsum("fok,...fk->...fo", self.shear, moved)
        return x

    def misses(self, x: Array) -> Array:
        """Observed minus fitted of each row, as the objective compares them, shape (chains, rows)."""
        values = self.natural(x)[:, self.family, :]
        named = {name: values[:, :, j] for j, name in enumerate(self.problem.names)}
        with np.errstate(all="ignore"):
            law = self.problem.law(*self.problem.columns, **named, **self.problem.fixed)
            miss = self.problem.objective.miss(law, self.problem.prepared, None)
        return np.broadcast_to(-miss, values.shape[:2])

    @cached_property
    def _heads(self) -> NDArray[np.int64]:
        """First row of each cluster."""
        return np.flatnonzero(np.diff(self.cluster, prepend=-1))

    @cached_property
    def _sizes(self) -> tuple[Array, NDArray[np.int64]]:
        """Distinct sizes of clusters, and which of them each has."""
        distinct, which = np.unique(np.diff(self._heads, append=len(self.cluster)), return_inverse=True)
        return distinct.astype(float), which

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """First cluster of each family."""
        return np.flatnonzero(np.diff(self.family[self._heads], prepend=-1))

    @property
    def together(self) -> bool:
        """Whether any cluster has two runs."""
        return len(self._heads) < len(self.cluster)

    def likelihood(self, miss: Array, x: Array, noise: Array) -> Array:
        """Log density of the misses of each family, shape (chains, families).

        Args:
            miss: as `misses`.
            x: coordinates; the last is ln σ.
            noise: φ and ln ν of each chain, shape (chains, 2).
        """
        from scipy.special import gammaln

        shared, freedom, of = noise[:, :1], np.exp(noise[:, 1:]), self.family[self._heads]
        (m, which), log_sigma = self._sizes, x[..., -1]
        alone, both = np.where(m > 1, 1.0 - shared, 1.0), np.where(m > 1, shared, 0.0)
        whole = alone + m * both
        constant = gammaln(0.5 * (freedom + m)) - gammaln(0.5 * freedom) - 0.5 * m * np.log(freedom * np.pi)
        constant -= 0.5 * ((m - 1.0) * np.log(alone) + np.log(whole))
        with np.errstate(all="ignore"):
            square = miss * miss
            if self.together:
                total = np.add.reduceat(miss, self._heads, axis=1)
                square = (
                    np.add.reduceat(square, self._heads, axis=1) - (both / whole)[:, which] * total * total
                )
                square /= alone[:, which]
            distance = square * (np.exp(-2.0 * log_sigma) / freedom)[:, of]
            each = constant[:, which] - 0.5 * (freedom + m)[:, which] * np.log1p(distance)
            value = np.add.reduceat(each, self._first, axis=1) - np.bincount(self.family) * log_sigma
        return np.where(np.isfinite(value), value, -np.inf)

    def allowed(self, x: Array) -> Array:
        """Log prior of what is not pooled, minus infinity beyond bounds, shape (chains, families)."""
        low, high = self.limits
        good = np.all((x >= low) & (x <= high), axis=-1)
        own, log = self.sheared(x), self.problem.log[self.own]
        off = np.abs(own - self.centre[:, self.own])
        good &= np.all(~log | (off < _FAR), axis=-1)
        size = np.where(log & self.linear[self.own], own, 0.0).sum(-1)
        return np.where(good, size, -np.inf)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws, chains after one another."""

    x: Array
    """Coordinates, shape (draws, families, free + 1)."""
    mean: Array
    """μ of pooled parameters and of ln σ, shape (draws, pooled + 1)."""
    spread: Array
    """τ of the same."""
    noise: Array
    """φ and ln ν, shape (draws, 2)."""
    drift: float
    """By how much any mean or spread differs between the halves of the draws in time, in standard deviations."""


@dataclass(eq=False)
class _Chains:
    """Where every chain stands."""

    x: Array
    mean: Array
    log_spread: Array
    noise: Array
    miss: Array
    value: Array
    """Log likelihood of each family."""
    prior: Array
    """What `allowed` says of it."""

    def some(self, rows: slice) -> _Chains:
        return _Chains(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def draw(model: Hierarchy, seed: int) -> Posterior:
    """Draws from the posterior, more rounds of them until chains agree."""
    rng = np.random.default_rng([seed, 5])
    chains = _start(model, rng)
    for _ in range(SWEEPS):
        _sweep(model, chains, rng)
    drift, sweeps = np.inf, SWEEPS
    for _ in range(ROUNDS):
        kept: list[tuple[Array, ...]] = []
        for sweep in range(sweeps):
            _sweep(model, chains, rng)
            if sweep % _THIN == 0:
                kept.append(tuple(a.copy() for a in (chains.x, chains.mean, chains.log_spread, chains.noise)))
        x, mean, log_spread, noise = (np.stack(parts) for parts in zip(*kept, strict=True))
        drift = max(_drift(mean), _drift(np.exp(log_spread)))
        if drift < SETTLED:
            break
        sweeps *= 2
    x, mean, log_spread, noise = (a.reshape(-1, *a.shape[2:]) for a in (x, mean, log_spread, noise))  # type: ignore
    return Posterior(x, mean, np.exp(log_spread), noise, drift)


def _drift(values: Array) -> float:
    """Between halves in time of values of shape (kept, chains, quantities), in standard deviations."""
    half = len(values) // 2
    off = values[:half].mean((0, 1)) - values[half:].mean((0, 1))
    return float(np.max(np.abs(off) / values.std((0, 1))))


def _start(model: Hierarchy, rng: np.random.Generator) -> _Chains:
    """Chains scattered as the curvature at each family's start says, within bounds."""
    F, K = model.centre.shape
    root = np.linalg.cholesky(model.covariance)
    low, high = model.limits
    x = model.centre + np.einsum("fij,cfj->cfi", root, rng.normal(size=(CHAINS, F, K)))
    x = np.where((x > low) & (x < high), x, model.centre)
    x[..., model.shared] = x[..., model.shared].mean(1, keepdims=True)
    noise = np.stack([rng.uniform(0.05, 0.5, CHAINS) * model.together, np.log(rng.uniform(5, 30, CHAINS))], 1)
    mean = x[..., model.spreading].mean(1)
    log_spread = np.log(model.scales * rng.uniform(0.05, 1.0, (CHAINS, len(model.scales))))
    miss = model.misses(x)
    value = model.likelihood(miss, x, noise)
    bad = ~np.isfinite(value + model.allowed(x)).all(1)
    x[bad] = model.centre
    x[..., model.shared] = x[..., model.shared].mean(1, keepdims=True)
    miss = model.misses(x)
    return _Chains(
        x, mean, log_spread, noise, miss.copy(), model.likelihood(miss, x, noise), model.allowed(x)
    )


def _sweep(model: Hierarchy, chains: _Chains, rng: np.random.Generator) -> None:
    halves = slice(0, CHAINS // 2), slice(CHAINS // 2, CHAINS)
    for here, there in (halves, halves[::-1]):
        for centred in (True, False):
            _families(model, chains, here, there, rng, centred)
        for block in rng.permutation(len(model.spreading) + len(model.shared))[:2]:
            _common(model, chains, here, there, rng, int(block))
    _means(model, chains, rng)
    for _ in range(3):
        _spreads(model, chains, rng)
    _noise(model, chains, rng)


def _differences(
    other: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two chains of the other half for each of this one."""
    first = rng.integers(0, other, count)
    return first, (first + rng.integers(1, other, count)) % other


def _length(free: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    usual = 2.38 / np.sqrt(2.0 * free) * np.exp(rng.uniform(np.log(0.4), np.log(1.4), shape))
    return np.where(rng.uniform(size=shape) < _JUMP, 1.0, usual)


def _normal(x: Array, mean: Array, log_spread: Array) -> Array:
    """Log density of pooled values, shape (chains, families)."""
    z = (x - mean[:, None]) * np.exp(-log_spread)[:, None]
    return -0.5 * (z * z).sum(-1) - log_spread.sum(-1)[:, None]


def _families(
    model: Hierarchy, chains: _Chains, here: slice, there: slice, rng: np.random.Generator, centred: bool
) -> None:
    """Every family of half of the chains moved by differences of the other half, in θ or in (θ - μ)/τ."""
    own, spreading = model.own, model.spreading
    moved = np.concatenate([own, spreading])

    def coordinates(c: _Chains) -> Array:
        if centred:
            return c.x[..., moved]
        z = (c.x[..., spreading] - c.mean[:, None]) * np.exp(-c.log_spread)[:, None]
        return np.concatenate([model.sheared(c.x), z], axis=-1)

    now, other = chains.some(here), chains.some(there)
    u, v = coordinates(now), coordinates(other)
    a, b = _differences(len(v), len(u), rng)
    step = _length(len(moved), (len(u), model.families, 1), rng) * (v[a] - v[b])
    trial = u + step * np.exp(_JITTER * rng.normal(size=step.shape))
    x = now.x.copy()
    if centred:
        x[..., moved] = trial
        prior = _normal(x[..., spreading], now.mean, now.log_spread)
        prior -= _normal(now.x[..., spreading], now.mean, now.log_spread)
    else:
        x[..., spreading] = now.mean[:, None] + np.exp(now.log_spread)[:, None] * trial[..., len(own) :]
        x = model.unsheared(trial[..., : len(own)], x)
        prior = 0.5 * (u[..., len(own) :] ** 2 - trial[..., len(own) :] ** 2).sum(-1)
    miss = model.misses(x)
    value = model.likelihood(miss, x, now.noise)
    allowed = model.allowed(x)
    with np.errstate(invalid="ignore"):
        gain = value - now.value + prior + allowed - now.prior
    better = np.log(rng.uniform(size=gain.shape)) < gain
    chains.x[here] = np.where(better[..., None], x, now.x)
    chains.value[here] = np.where(better, value, now.value)
    chains.prior[here] = np.where(better, allowed, now.prior)
    chains.miss[here] = np.where(better[:, model.family], miss, now.miss)


def _common(
    model: Hierarchy, chains: _Chains, here: slice, there: slice, rng: np.random.Generator, block: int
) -> None:
    """One mean and its spread, or one shared value, moved with all families that follow it."""
    now, other = chains.some(here), chains.some(there)
    pooled = block < len(model.spreading)

    def coordinates(c: _Chains) -> Array:
        if pooled:
            return np.stack([c.mean[:, block], c.log_spread[:, block]], axis=-1)
        return c.x[:, 0, model.shared[block - len(model.spreading)], None]

    u, v = coordinates(now), coordinates(other)
    a, b = _differences(len(v), len(u), rng)
    trial = u + _length(u.shape[1], (len(u), 1), rng) * (v[a] - v[b])
    x, own, prior = now.x.copy(), model.sheared(now.x), 0.0
    if pooled:
        at, scale = model.spreading[block], model.scales[block]
        z = (x[..., at] - u[:, :1]) * np.exp(-u[:, 1:])
        x[..., at] = trial[:, :1] + np.exp(trial[:, 1:]) * z
        prior = _half_normal(trial[:, 1], scale) - _half_normal(u[:, 1], scale)
    else:
        x[..., model.shared[block - len(model.spreading)]] = trial
    x = model.unsheared(own, x)
    miss = model.misses(x)
    value = model.likelihood(miss, x, now.noise)
    allowed = model.allowed(x)
    with np.errstate(invalid="ignore"):
        gain = (value - now.value + allowed - now.prior).sum(-1) + prior
    better = np.log(rng.uniform(size=gain.shape)) < gain
    if pooled:
        chains.mean[here, block] = np.where(better, trial[:, 0], now.mean[:, block])
        chains.log_spread[here, block] = np.where(better, trial[:, 1], now.log_spread[:, block])
    chains.x[here] = np.where(better[:, None, None], x, now.x)
    chains.value[here] = np.where(better[:, None], value, now.value)
    chains.prior[here] = np.where(better[:, None], allowed, now.prior)
    chains.miss[here] = np.where(better[:, None], miss, now.miss)


def _half_normal(log_spread: Array, scale: Array | float) -> Array:
    """Log density of ln τ."""
    return log_spread - 0.5 * np.exp(2.0 * log_spread) / scale**2


def _means(model: Hierarchy, chains: _Chains, rng: np.random.Generator) -> None:
    """μ given θ and τ: normal about the families' mean."""
    low, high = (end[model.spreading] for end in model.limits)
    width = np.exp(chains.log_spread) / np.sqrt(model.families)
    trial = chains.x[..., model.spreading].mean(1) + width * rng.normal(size=width.shape)
    chains.mean = np.where((trial >= low) & (trial <= high), trial, chains.mean)


def _spreads(model: Hierarchy, chains: _Chains, rng: np.random.Generator) -> None:
    """τ given θ and μ."""
    square = ((chains.x[..., model.spreading] - chains.mean[:, None]) ** 2).sum(1)

    def density(log_spread: Array) -> Array:
        fit = -model.families * log_spread - 0.5 * square * np.exp(-2.0 * log_spread)
        return fit + _half_normal(log_spread, model.scales)

    trial = chains.log_spread + np.exp(rng.uniform(-1.5, 1.0, square.shape)) * rng.normal(size=square.shape)
    with np.errstate(over="ignore"):
        better = np.log(rng.uniform(size=square.shape)) < density(trial) - density(chains.log_spread)
    chains.log_spread = np.where(better, trial, chains.log_spread)


def _noise(model: Hierarchy, chains: _Chains, rng: np.random.Generator) -> None:
    """φ and ν, reflected at their ends; the law need not be called."""
    trial = chains.noise + rng.normal(size=chains.noise.shape) * (0.15 * model.together, 0.6)
    shared = np.abs(trial[:, 0])
    trial[:, 0] = np.where(shared > 1.0, 2.0 - shared, shared)
    trial[:, 0] = np.clip(trial[:, 0], 0.0, 1.0 - 1e-9)
    trial[:, 1] = np.log(_FEWEST_FREEDOM) + np.abs(trial[:, 1] - np.log(_FEWEST_FREEDOM))
    value = model.likelihood(chains.miss, chains.x, trial)
    prior = [2.0 * noise[:, 1] - np.exp(noise[:, 1]) / _FREEDOM for noise in (trial, chains.noise)]
    gain = (value - chains.value).sum(-1) + prior[0] - prior[1]
    better = np.log(rng.uniform(size=gain.shape)) < gain
    chains.noise = np.where(better[:, None], trial, chains.noise)
    chains.value = np.where(better[:, None], value, chains.value)
