"""Rival forms of the curve of loss against compute, each on a grid of its bends, scored in whole batches of worlds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scaling.fitting.data import Array
from scaling.laws import bnsl, power_law
from scaling.laws import plateau as plateau_law
from scaling.laws.repetition import effective_data
from scaling.questions._plateau import CONTINUES, FLAT, SLOWS
from scaling.questions._plateau.frontier import Frontier

Removable = Callable[..., Array]
"""The part of the loss that compute removes, up to a factor: compute relative to the first point, then the bends."""

_EXPONENTS = np.geomspace(0.02, 1.2, 22)
_ONSETS, _BREAKS = 20, 8
_STEEPER, _SLOWER = (1.5, 2.5), (0.3, 0.45, 0.6, 0.8)  # exponent beyond a break over that before
_SHARPNESS = (2.0, 8.0)  # of a plateau's onset: one over its width in ln C
_BREAK_WIDTH = 0.3  # in ln C
_NUDGE = 1e-4  # of a bend's logarithm, for its derivative
_MOST_FREEDOM = 30
_CHUNK = 1 << 17  # values side by side


@dataclass(frozen=True, eq=False)
class Rival:
    """A form that the curve may have, declared before the runs are looked at.

        L(C) = E + H g(C; bends) / g(C_first; bends)

    H is the height of the first point above the floor E. The bends are on a grid; between its nodes the form is taken
    to be linear in the logarithm of those that are `moving`, so that H, E and they can be integrated out exactly.
    """

    name: str
    says: str
    removable: Removable
    """g, called with compute relative to the first point and with `bends`."""
    bends: dict[str, Array]
    """Exponents and places at each node, each of shape (nodes, 1); places are compute relative to the first point."""
    moving: dict[str, float]
    """Bends that move between nodes: ln of the ratio of neighbours."""
    floor: float
    """E, nats/token; its prior mean where `floor_std` is above zero."""
    floor_std: float
    """Prior standard deviation of E; 0 where E is known."""
    height: float
    """A typical H, which the prior of the moving bends is relative to."""
    reads_repeats: bool = False
    """Whether compute enters as that of the fresh tokens that the repeated ones are worth."""

    @property
    def parameters(self) -> int:
        """How many the form has, H and a floor that is not known among them."""
        bends = sum(len(np.unique(values)) > 1 for values in self.bends.values())
        return 1 + bends + (self.floor_std > 0)

    def shape(self, design: Design, bends: dict[str, Array]) -> Array:
        """g over its first value, shape (nodes, points)."""
        if self.reads_repeats:
            rest = {name: value for name, value in bends.items() if name != "R_D"}
            value = self.removable(
                design.x * effective_data(design.D, design.unique_tokens, bends["R_D"]) / design.D, **rest
            )
        else:
            value = self.removable(design.x, **bends)
        return value / value[:, :1]

    def columns(self, design: Design) -> Array:
        """What the loss is linear in around each node: g, its derivatives by ln of each moving bend, and 1 for E.

        Shape (nodes, points, columns).
        """
        columns = [self.shape(design, self.bends)]
        for name in self.moving:
            up, down = (self.bends | {name: self.bends[name] * np.exp(h)} for h in (_NUDGE, -_NUDGE))
            columns.append((self.shape(design, up) - self.shape(design, down)) / (2 * _NUDGE))
        if self.floor_std > 0:
            columns.append(np.ones_like(columns[0]))
        return np.stack(columns, axis=2)

    @property
    def prior_std(self) -> Array:
        """Of the columns' coefficients after the first, whose prior is flat."""
        moves = [0.5 * step * self.height for step in self.moving.values()]
        return np.array([*moves, *([self.floor_std] if self.floor_std > 0 else [])])


@dataclass(frozen=True, eq=False)
class Design:
    """Where points lie and how they scatter."""

    x: Array
    """Compute relative to the first point of the runs, shape (points,)."""
    covariance: Array
    """Nats²/token², shape (points, points)."""
    freedom: int
    """Degrees of freedom behind the size of the covariance."""
    D: Array | None = None
    unique_tokens: Array | None = None

    @property
    def stderr(self) -> Array:
        """Nats/token, shape (points,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def whitener(self) -> Array:
        """Inverse Cholesky factor: whitened points up to any one depend on the points up to it alone."""
        inverse: Array = np.linalg.inv(np.linalg.cholesky(self.covariance)).astype(float)
        return inverse


def _power(x: Array, *, alpha: Array) -> Array:
    return power_law(x, A=1.0, alpha=alpha)


def _broken(x: Array, *, alpha: Array, turn: Array, ratio: Array) -> Array:
    c1 = alpha * (ratio - 1.0)
    return bnsl(1)(x, E=0.0, A=1.0, c0=alpha, c1=c1, d1=turn, f1=_BREAK_WIDTH)


def _stopped(x: Array, *, alpha: Array, onset: Array, sharpness: Array) -> Array:
    q = np.maximum(1.0, sharpness / alpha)
    return plateau_law(x, E=0.0, A=1.0, alpha=alpha, C_stop=onset, q=q)


def rivals(curve: Frontier, reach: float) -> tuple[Rival, ...]:
    """The forms that are weighed. Range of compute, lowest and first loss set their scales; the shape sets nothing.

    - pure power law, to zero;
    - power law towards a floor: the entropy where it is known, else anywhere about the range below the lowest loss;
    - broken, steeper beyond the break (0.3 in ln C wide), towards the entropy or zero: a power law that continues;
    - broken, slower: 0.3 to 0.8 of the exponent beyond the break. It slows down, but goes on falling;
    - data-limited, where points repeat data: a power law in the compute of the fresh tokens that repeats are worth;
    - saturating above the entropy: flat beyond an onset inside the range, the turn 1/2 or 1/8 wide in ln C (q alpha of
      the law `plateau`), because a gradual one (q = 1) is a higher floor; where the entropy is known that too is flat.

    `reach` is the compute of the last point of the design, relative to the first.
    """
    known = curve.floor is not None
    lowest = float(curve.loss.min())
    bottom = (curve.floor or 0.0, 0.0)
    floor = bottom if known else (0.5 * lowest, 0.5 * lowest)
    breaks, onsets = np.geomspace(reach**0.15, reach**0.85, _BREAKS), np.geomspace(reach**0.1, reach, _ONSETS)

    def rival(
        name: str, says: str, g: Removable, floor: tuple[float, float], *, repeats: bool = False, **axes: Any
    ) -> Rival:
        moving = {
            name: float(np.log(axes[name][1] / axes[name][0]))
            for name in ("alpha", "turn", "onset")
            if name in axes
        }
        crossed = np.meshgrid(*axes.values(), indexing="ij")
        bends = {name: values.reshape(-1, 1) for name, values in zip(axes, crossed, strict=True)}
        height = float(curve.loss[0]) - (curve.floor if curve.floor is not None else floor[0])
        return Rival(name, says, g, bends, moving, *floor, height, repeats)

    towards = "power law towards the entropy" if known else "power law towards a floor"
    forms = [
        rival("pure power law", CONTINUES, _power, (0.0, 0.0), alpha=_EXPONENTS),
        rival(towards, CONTINUES, _power, floor, alpha=_EXPONENTS),
        rival("broken, steeper", CONTINUES, _broken, bottom, alpha=_EXPONENTS, turn=breaks, ratio=_STEEPER),
        rival("broken, slower", SLOWS, _broken, floor, alpha=_EXPONENTS, turn=breaks, ratio=_SLOWER),
    ]
    if curve.repeated:
        worths = np.geomspace(1.0, 64.0, 7)
        forms.append(rival("data-limited", SLOWS, _power, floor, repeats=True, alpha=_EXPONENTS, R_D=worths))
    sharpness = (0.0, *_SHARPNESS) if known else _SHARPNESS
    flat = {"alpha": _EXPONENTS, "onset": onsets, "sharpness": sharpness}
    return (*forms, rival("saturating above the entropy", FLAT, _stopped, floor, **flat))


@dataclass(frozen=True, eq=False)
class Scored:
    """A rival factored at a design and a number of points, ready for any number of worlds."""

    rival: Rival
    points: int
    freedom: int
    white: Array
    """Whitener of the points, shape (points, points)."""
    basis: Array
    """Orthonormal columns at each node, shape (columns, points, nodes); the rows of the priors are left out."""
    triangle: Array
    """From coefficients to coordinates in that basis, upper triangular, shape (nodes, columns, columns)."""
    log_prior: Array
    """What does not depend on the losses, shape (nodes,)."""

    @staticmethod
    def of(rival: Rival, design: Design, points: int) -> Scored:
        white = design.whitener[:points, :points]
        columns = np.einsum("mp,kpc->kmc", white, rival.columns(design)[:, :points])
        std = rival.prior_std
        nodes, _, count = columns.shape
        prior = np.zeros((nodes, len(std), count))
        prior[:, np.arange(len(std)), 1 + np.arange(len(std))] = 1.0 / std
        Q, R = np.linalg.qr(np.concatenate([columns, prior], axis=1))
        size = np.log(np.abs(np.diagonal(R, axis1=1, axis2=2))).sum(1)
        basis = np.ascontiguousarray(Q[:, :points].transpose(2, 1, 0))
        return Scored(
            rival, points, design.freedom, white, basis, R, -size - np.log(std).sum() - np.log(nodes)
        )

    def whitened(self, losses: Array) -> Array:
        """Losses above the prior mean of the floor, whitened, shape (worlds, points)."""
        return (losses[:, : self.points] - self.rival.floor) @ self.white.T

    def squares(self, y: Array) -> Array:
        """Residual sum of squares of whitened losses at each node, misses of the priors included: (worlds, nodes)."""
        left = np.repeat((y * y).sum(1)[:, None], self.basis.shape[2], axis=1)
        for column in self.basis:
            along = y @ column
            left -= along * along
        return np.maximum(left, 0.0)

    def log_weights(self, y: Array) -> Array:
        """Log marginal likelihood of whitened losses at each node, prior over nodes included: (worlds, nodes)."""
        power = -0.5 * (self.freedom + self.points - 1)
        return power * np.log(self.freedom + self.squares(y)) + self.log_prior

    def log_evidence(self, losses: Array) -> Array:
        """Log marginal likelihood of the points under the rival, up to a constant that all rivals share.

        With whitened losses y, an orthonormal basis Q of the columns at a node and ν degrees of freedom of the noise,

            RSS = |y|² - |Qᵀy|²,    p(y) ∝ sum over nodes of prior |R|⁻¹ (ν + RSS)^(-(ν + points - 1)/2)

        Student's, because the noise is known up to its degrees of freedom only. Ratios at two numbers of points are
        expanding-window scores: the density of the later points given the earlier. Losses of shape (worlds, points).
        """
        y, step = self.whitened(losses), max(1, _CHUNK // self.basis.shape[2])
        evidence = np.empty(len(y))
        for first in range(0, len(y), step):
            log = self.log_weights(y[first : first + step])
            most = log.max(axis=1)
            evidence[first : first + step] = most + np.log(np.exp(log - most[:, None]).sum(1))
        return evidence

    def draw(
        self, loss: Array, count: int, generator: np.random.Generator
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Draws of H, E and the bends given one world's losses, each of shape (count, 1).

        The moving bends stay within one step of their node; E stays below 99 % of the lowest loss.
        """
        y = self.whitened(loss[None])
        log, squares = self.log_weights(y)[0], self.squares(y)[0]
        weight = np.exp(log - log.max())
        node = generator.choice(len(weight), count, p=weight / weight.sum())
        scale = np.sqrt(
            (self.freedom + squares[node]) / generator.chisquare(self.freedom + self.points - 1, count)
        )
        at = np.einsum("m,cmk->kc", y[0], self.basis)[node]
        at = at + scale[:, None] * generator.normal(size=at.shape)
        coefficients = np.linalg.solve(self.triangle[node], at[:, :, None])[:, :, 0]
        H = np.maximum(coefficients[:, :1], 1e-3 * loss.min())
        bends = {name: values[node] for name, values in self.rival.bends.items()}
        for j, (name, step) in enumerate(self.rival.moving.items(), start=1):
            bends[name] = bends[name] * np.exp(np.clip(coefficients[:, j : j + 1] / H, -step, step))
        E = np.full((count, 1), self.rival.floor)
        if self.rival.floor_std > 0:
            E = np.clip(E + coefficients[:, -1:], 0.0, 0.99 * loss.min())
        return H, E, bends

    def has_room(self, E: Array, loss: Array) -> Array:
        """Which draws have a floor that was not moved to an end of its range, shape (draws,); all, where none has.

        A floor that was moved no longer belongs to its H and bends, and the curve leaves the points.
        """
        inside = (
            ((E > 0.0) & (0.99 * loss.min() > E))[:, 0] if self.rival.floor_std > 0 else np.ones(len(E), bool)
        )
        return inside if inside.any() else ~inside

    def curves(self, H: Array, E: Array, bends: dict[str, Array], design: Design) -> Array:
        """Losses of drawn curves at the points of a design, shape (draws, points)."""
        return E + H * self.rival.shape(design, bends)

    def predict(self, losses: Array, design: Design) -> Array:
        """The expected loss at every point of the design given the first, shape (worlds, all points)."""
        y = self.whitened(losses)
        log = self.log_weights(y)
        weight = np.exp(log - log.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        at = np.einsum("wm,cmk->wkc", y, self.basis)
        coefficients = np.linalg.solve(self.triangle, at[..., None])[..., 0]
        expected = np.einsum("wk,wkc,kpc->wp", weight, coefficients, self.rival.columns(design))
        return self.rival.floor + expected


def measured(curve: Frontier) -> Design:
    """The design of the runs themselves, its noise the larger of two: between repeated runs, and about a smooth curve.

    The smooth curve is the best node of any rival; it takes five degrees of freedom. With one run at each point it is
    all there is; else it widens the noise by what the points miss the curve by beyond their seeds.
    """
    x = curve.C / curve.C[0]
    unit = 1.0 if np.isnan(curve.spread) else curve.spread
    fresh = curve.repeated
    design = Design(
        x,
        unit**2 * curve.covariance,
        max(curve.freedom, 1),
        curve.table["D"].to_numpy().astype(float) if fresh else None,
        curve.table["unique_tokens"].to_numpy().astype(float) if fresh else None,
    )
    spare = max(3, len(x) - 5)
    squares = []
    for form in rivals(curve, float(x[-1])):
        scored = Scored.of(form, design, len(x))
        squares.append(scored.squares(scored.whitened(curve.loss[None])).min())
    misfit = float(min(squares)) / spare
    if curve.freedom and misfit <= 1.0:
        return replace(design, freedom=min(curve.freedom, _MOST_FREEDOM))
    return replace(design, covariance=max(misfit, 1e-12) * design.covariance, freedom=spare)


@dataclass(frozen=True, eq=False)
class Jury:
    """All rivals at a design, factored at the numbers of points that are asked for."""

    forms: tuple[Rival, ...]
    design: Design
    factored: dict[int, tuple[Scored, ...]] = field(default_factory=dict)

    def scored(self, points: int) -> tuple[Scored, ...]:
        """Every rival at the first so many points."""
        if points not in self.factored:
            self.factored[points] = tuple(Scored.of(form, self.design, points) for form in self.forms)
        return self.factored[points]

    def log_evidence(self, losses: Array, points: int) -> Array:
        """Log marginal likelihood of the first points, shape (worlds, rivals)."""
        return np.stack([one.log_evidence(losses) for one in self.scored(points)], axis=1)


def together(forms: tuple[Rival, ...], logs: Array, says: tuple[str, ...]) -> Array:
    """Log of the mean evidence of the rivals that say so, shape (worlds,)."""
    chosen = logs[:, [form.says in says for form in forms]]
    most = chosen.max(axis=1)
    return most + np.log(np.exp(chosen - most[:, None]).mean(axis=1))
