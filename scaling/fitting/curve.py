"""One monotone learning curve with a floor, and what is left between it and the losses: the model of `extrapolate`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr, ndtri

from scaling.fitting.data import Array

SHAPES = 5
"""Shape parameters of a curve: two exponents, place and width of the break, floor."""

_EARLY, _LATE = (np.log(0.07), 1.5), (np.log(0.4), 0.8)  # exponents: median and spread of their logarithm
_ONLY = (np.log(0.2), 1.2)  # exponent of a power law without a break
_WIDTH = (np.log(0.3), 0.8)  # of the break, in ln x
_EXCESS = (np.log(0.3), 1.3)  # last loss above the floor, in units of the fall seen
_BEFORE, _BEYOND = 0.3, 0.5  # how far outside the data the break may lie, in ln x
_LEAST_FALL = 0.02  # of the last loss; a flatter curve is taken to have fallen that much

_RATIOS = (0.0, 4.0, 16.0, 64.0)  # variance of the correlated miss over that of the noise
_LENGTHS = (1.0, 4.0)  # over which it is forgotten, in ln x
_FADES = (np.inf, 1.0)  # ln x over which the noise variance grows e-fold towards the early points
_OLDEST = 6.0  # at most e^6-fold
_SHAPE, _SCALE = 0.5, 1e-6  # inverse gamma of the noise variance of log loss; sqrt(1e-6) = 0.1 %


@dataclass(frozen=True, eq=False)
class Curves:
    """Many curves, each broken once and falling to a floor; arrays of shape (curves, 1).

        ln f(z) = ln[ φ + (1 - φ) s(z) / s(0) ],    s(z) = exp(-c0 z) [ 1 + exp((z - d) / w) ]^(-(c1 - c0) w)

    with z = ln x - ln x_last. `bnsl` with one break, both slopes falling, and the floor as a share of the last loss.
    """

    early: Array
    """Exponent c0 before the break, dimensionless."""
    late: Array
    """Exponent c1 after it."""
    place: Array
    """d, where the break lies, in ln x from the last point."""
    width: Array
    """w, in ln x."""
    floor: Array
    """φ, as a share of the curve at the last point; in [0, 1)."""

    @staticmethod
    def from_normals(normals: Array, reach: float, fall: float) -> Curves:
        """Curves of the prior, from standard normal numbers of shape (curves, SHAPES).

            ln c0, ln c1, ln w ~ normal,    d ~ uniform over the data and a little beyond,
            ln[(1 - φ) / fall] ~ normal, cut where φ would be below 0

        Args:
            normals: a row for each curve; of one column for power laws without break or floor, c their only exponent.
            reach: ln x_last - ln x_first of the data.
            fall: (first - last) / last loss; the floor is sought at about that distance below the last loss.
        """
        if normals.shape[1] == 1:
            only, none = np.exp(_ONLY[0] + _ONLY[1] * normals), np.zeros_like(normals)
            return Curves(only, only, none, none + 1.0, none)
        early, late = (np.exp(m + s * normals[:, i]) for i, (m, s) in enumerate((_EARLY, _LATE)))
        place = -reach - _BEFORE + (reach + _BEFORE + _BEYOND) * ndtr(normals[:, 2])
        width = np.exp(_WIDTH[0] + _WIDTH[1] * normals[:, 3])
        below = ndtr((-np.log(fall) - _EXCESS[0]) / _EXCESS[1])  # chance that the floor is above zero
        share = np.clip(below * ndtr(normals[:, 4]), 1e-300, 1.0 - 1e-16)
        excess = fall * np.exp(_EXCESS[0] + _EXCESS[1] * ndtri(share))
        floor = np.clip(1.0 - excess, 0.0, 1.0 - 1e-12)
        return Curves(*(a[:, None] for a in (early, late, place, width, floor)))

    def at(self, z: Array) -> Array:
        """ln f at z, shape (curves, points); zero at z = 0."""
        falls = np.minimum(self.log_power(z) - self.log_power(np.zeros(1)), 50.0)
        return np.log(self.floor + (1.0 - self.floor) * np.exp(falls))

    def log_power(self, z: Array) -> Array:
        turn = np.logaddexp(0.0, (z - self.place) / self.width)
        return -self.early * z - (self.late - self.early) * self.width * turn


@dataclass(frozen=True, eq=False)
class Scatter:
    """One covariance of log losses around their curve, up to the noise variance σ²; level and σ² integrated out.

        cov(i, j) = σ² [ e^(a_i / τ) δ_ij / m_i + ρ exp(-|z_i - z_j| / ℓ) ]

    with a the age -z of a point, m how many losses it is the mean of. The second part is how the curve itself strays
    from the family: it carries the last misses on, and forgets them over ℓ.
    """

    ratio: float
    """ρ; 0 for white noise alone."""
    length: float
    """ℓ, in ln x."""
    fade: float
    """τ, in ln x."""
    z: Array
    noise: Array
    """Of the first part, variances at σ = 1."""
    link: Array
    """Of the second, correlations, shape (points, points)."""
    whiten: Array
    """Inverse of the lower Cholesky factor, shape (points, points)."""
    constant: Array
    """A whitened column of ones."""

    @staticmethod
    def around(z: Array, counts: Array, ratio: float, length: float, fade: float) -> Scatter:
        noise = np.exp(np.minimum(-z / fade, _OLDEST)) / counts
        link = np.exp(-np.abs(z[:, None] - z) / length)
        factor = np.linalg.cholesky(np.diag(noise) + ratio * link)
        whiten = solve_triangular(factor, np.eye(len(z)), lower=True)
        return Scatter(ratio, length, fade, z, noise, link, whiten, whiten.sum(axis=1))

    @property
    def information(self) -> float:
        """Inverse variance of the level at σ = 1."""
        return float(self.constant @ self.constant)

    def miss(self, residuals: Array) -> tuple[Array, Array]:
        """Level that fits best and the whitened misses around it, of residuals with shape (curves, points)."""
        white = residuals @ self.whiten.T
        level = white @ self.constant / self.information
        return level, white - level[:, None] * self.constant

    def ahead(self, z: Array, white: Array) -> tuple[Array, Array]:
        """What the misses so far say of a new loss at z: mean (curves, points), and variance (points,) at σ = 1."""
        link = self.ratio * np.exp(-np.abs(z[:, None] - self.z) / self.length) @ self.whiten.T
        spread = 1.0 + self.ratio - np.sum(link**2, axis=1)
        return white @ link.T, spread + (1.0 - link @ self.constant) ** 2 / self.information


@dataclass(frozen=True, eq=False)
class Axes:
    """Where all scatters of one length and fade are diagonal: D^½ (1 + ρ U Λ Uᵀ) D^½, so that one turn serves them."""

    columns: list[int]
    """Which of the model's scatters these are."""
    turn: Array
    """D^-½ U, shape (points, points)."""
    shrink: Array
    """1 / (1 + ρ Λ), shape (points, scatters)."""
    log_det: Array

    @staticmethod
    def of(scatters: tuple[Scatter, ...]) -> list[Axes]:
        kinds: dict[tuple[float, float], list[int]] = {}
        for i, one in enumerate(scatters):
            kinds.setdefault((one.length, one.fade), []).append(i)
        axes = []
        for columns in kinds.values():
            one = scatters[columns[0]]
            scale = 1.0 / np.sqrt(one.noise)
            eigenvalues, vectors = np.linalg.eigh(scale[:, None] * one.link * scale)
            growth = 1.0 + np.maximum(eigenvalues, 0.0)[:, None] * [scatters[i].ratio for i in columns]
            log_det = np.log(growth).sum(axis=0) + np.log(one.noise).sum()
            axes.append(Axes(columns, scale[:, None] * vectors, 1.0 / growth, log_det))
        return axes


@dataclass(frozen=True, eq=False)
class Model:
    """Log losses of one curve, and how likely each member of the family makes them."""

    z: Array
    log_loss: Array
    counts: Array
    """How many losses each point is the mean of."""
    within: float
    """Sum of squares inside the points that are means."""
    scatters: tuple[Scatter, ...]
    shapes: int = SHAPES
    """How many numbers make a curve: all of them, or 1 for a power law without break or floor."""

    @staticmethod
    def of(z: Array, log_loss: Array, counts: Array, within: float) -> Model:
        kinds = [(0.0, 1.0, fade) for fade in _FADES if 0.0 in _RATIOS]
        kinds += [(r, length, fade) for r in _RATIOS if r > 0 for length in _LENGTHS for fade in _FADES]
        scatters = tuple(Scatter.around(z, counts, *kind) for kind in kinds)
        return Model(z, log_loss, counts, within, scatters)

    def power_law(self) -> Model:
        """The sharpest hypothesis: a power law from first point to last, and nothing but noise around it."""
        return replace(self, scatters=tuple(s for s in self.scatters if s.ratio == 0.0), shapes=1)

    @cached_property
    def axes(self) -> list[Axes]:
        return Axes.of(self.scatters)

    @property
    def reach(self) -> float:
        return float(-self.z.min())

    @property
    def fall(self) -> float:
        """(first - last) / last loss, each the geometric mean of a tenth of the points."""
        tenth = max(1, len(self.z) // 10)
        return float(max(np.expm1(self.log_loss[:tenth].mean() - self.log_loss[-tenth:].mean()), _LEAST_FALL))

    def curves(self, normals: Array) -> Curves:
        return Curves.from_normals(normals, self.reach, self.fall)

    @property
    def freedom(self) -> float:
        """Twice the shape of the inverse gamma of σ² after the data."""
        return 2.0 * _SHAPE + self.counts.sum() - 1.0

    def rate(self, white: Array) -> Array:
        """Its rate, of whitened misses."""
        return _SCALE + 0.5 * (self.within + np.sum(white**2, axis=1))

    def log_likelihoods(self, normals: Array) -> Array:
        """Log density of the losses, level and σ² integrated out, shape (curves, scatters); up to one constant.

            -½ ln|K| - ½ ln(1ᵀK⁻¹1) - ½ν ln[ b + ½ (y - g - m)ᵀ K⁻¹ (y - g - m) ]

        with m the level of least squares, ν `freedom`, and each of the scatters equally likely beforehand.
        """
        residuals = self.log_loss - self.curves(normals).at(self.z)
        logs = np.empty((len(normals), len(self.scatters)))
        for axes in self.axes:
            turned, ones = residuals @ axes.turn, axes.turn.sum(axis=0)
            information = ones**2 @ axes.shrink
            misses = turned**2 @ axes.shrink - (turned @ (ones[:, None] * axes.shrink)) ** 2 / information
            rate = _SCALE + 0.5 * (self.within + np.maximum(misses, 0.0))
            logs[:, axes.columns] = -0.5 * (axes.log_det + np.log(information) + self.freedom * np.log(rate))
        return logs
