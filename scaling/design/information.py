"""What runs that have not been made would tell: a linear-Gaussian update of draws, and the batch that tells most.

Draws of a fit hold, side by side, a target g (a parameter, a forecast, which of two laws is true) and the losses f that
each draw expects of every run that could be made. Taken as jointly normal, runs A leave of the variance of g

    v(A) = v - k_A (K_A + R_A)^-1 k_A'        k = cov(g, f),  K = cov(f) + lack of fit,  R the noise of A

whatever their losses turn out to be, so a batch is judged before it is trained. Runs come in trunks: a trunk's branches
share a miss, and the FLOPs of the trunk. A batch is sought greedily by the fall of ln v for FLOPs^γ, γ from 0 to 1, and
improved by exchange: each trunk is taken out in turn, and what it cost is spent anew.

Where the answer is that of one law's fit and another law may be true, runs that tell most of the first are those that
the second would mislead. So `Estimated` judges a batch by what the fit will miss, its noise and its bias under other
laws, and by each half of the batch alone, lest an answer hangs on one trunk. Of many losses the mean square counts.

Source:
    Chaloner and Verdinelli 1995, Statistical Science 10(3), equation 14, for the expected utility of a design in the
    linear-normal case; Box and Draper 1959, JASA 54(287), for bias beside variance, and their mean over a region;
    Fedorov 1972, Theory of Optimal Experiments, for the exchange.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, reduce
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.data import Array

Indices = NDArray[np.int64]

_ENDS = (0.005, 0.995)  # quantiles at which draws are cut off: a few far-off ones would be all the covariance
_NEVER = 1e12  # variance of a place that is no place, over those that are
_POWERS = (1.0, 0.5, 0.0)  # of FLOPs, by which a gain is divided
_SWEEPS = 3  # of the exchange
_IDLE = 0.003  # share of the fall of ln v below which a trunk is left out again


@dataclass(frozen=True, eq=False)
class Units:
    """What can be trained, a trunk each: the places of its branches, their noise, and its FLOPs."""

    places: Indices
    """Of each unit's branches, shape (units, most branches); -1 where it has fewer."""
    own: Array
    """Variance of a run's own miss at each place, in ln loss, shape (places,)."""
    shared: Array
    """Variance of the miss that the branches of a trunk share, at each place, shape (places,)."""
    flops: Array
    """Shape (units,)."""
    shape: Indices
    """A number for each unit's shape, shape (units,)."""
    most: int = 8
    """How many trunks of one shape may be trained, each with a seed of its own; a law's misses do not average out."""

    def __len__(self) -> int:
        return len(self.flops)

    def noise(self, units: Indices) -> Array:
        """R of each of some units, shape (chosen, branches, branches)."""
        here = self.places[units]
        there = here >= 0
        sd = np.sqrt(np.where(there, self.shared[here], 0.0))
        own = np.where(there, self.own[here], _NEVER)
        return sd[:, :, None] * sd[:, None, :] + own[:, :, None] * np.eye(here.shape[1])


class Known(ABC):
    """What is known of the targets, before and after units are trained."""

    @abstractmethod
    def after(self, units: Units, unit: int, *, taken_out: bool = False) -> Self:
        """The same with one more of a unit; or without one that it holds already."""

    def after_all(self, units: Units, chosen: Iterable[int]) -> Self:
        """The same with all of these."""
        return reduce(lambda known, unit: known.after(units, unit), chosen, self)


@dataclass(frozen=True, eq=False)
class Belief(Known):
    """Targets and the ln losses at every place, jointly normal."""

    variance: Array
    """Of each target, shape (targets,)."""
    link: Array
    """Covariance of each target with the ln loss at each place, shape (targets, places)."""
    covariance: Array
    """Of the ln losses, shape (places, places)."""

    @staticmethod
    def of(targets: Array, losses: Array, lack: Array | float = 0.0) -> Belief:
        """From draws.

        Args:
            targets: shape (draws, targets).
            losses: ln losses of each draw at each place, shape (draws, places).
            lack: covariance of what the law misses at the places, shape (places, places), which no draw knows of.
        """
        g, f = _centred(targets), _centred(losses)
        count = max(1, len(g) - 1)
        return Belief((g**2).sum(0) / count, g.T @ f / count, f.T @ f / count + lack)

    def told(self, units: Units, which: Indices) -> Array:
        """Variance that training one more of each of some units takes off each target, shape (chosen, targets)."""
        here = units.places[which]
        there = here >= 0
        link = np.where(there, self.link[:, here], 0.0)  # (targets, chosen, branches)
        pull = np.linalg.solve(self._seen(here, there) + units.noise(which), np.moveaxis(link, 0, -1))
        return np.einsum("tub,ubt->ut", link, pull)

    def _seen(self, here: Indices, there: NDArray[np.bool_]) -> Array:
        both = there[:, :, None] & there[:, None, :]
        return np.where(both, self.covariance[here[:, :, None], here[:, None, :]], 0.0)

    def after(self, units: Units, unit: int, *, taken_out: bool = False) -> Belief:
        """The belief with one more of a unit; or without one that it holds already."""
        here = units.places[unit]
        here = here[here >= 0]
        sign = -1.0 if taken_out else 1.0
        noise = units.noise(np.array([unit]))[0, : len(here), : len(here)]
        root = np.linalg.inv(self.covariance[np.ix_(here, here)] + sign * noise)
        down, across = self.covariance[:, here], self.link[:, here]
        return Belief(
            self.variance - np.einsum("tb,bc,tc->t", across, root, across),
            self.link - across @ root @ down.T,
            self.covariance - down @ root @ down.T,
        )

    @property
    def doubt(self) -> float:
        """Mean over the targets of ln v: what a batch is to bring down."""
        return _mean_log(self.variance)


def _mean_log(variance: Array) -> float:
    return float(np.log(np.maximum(variance, 1e-300)).mean())


@dataclass(frozen=True, eq=False)
class Local:
    """A law about one fit of it: what a least-squares fit to any runs would make of its parameters.

    It is off by M^-1 Σ J'(d + e), M = Σ J'J, with the noise e of the runs and what the law misses of each, d, where
    another law is true. So all that counts are sums over trunks of J'J, J'RJ and J'd: columns of one array.
    """

    slopes: Array
    """J, of ln loss in each parameter, shape (places, parameters)."""
    misses: Array
    """d at each place of so many kinds, whose squares add up, shape (places, kinds)."""
    targets: Array
    """Slopes of each target in the parameters, shape (targets, parameters)."""
    missed: Array
    """What the law misses of each target itself, shape (targets, kinds)."""
    together: bool = False
    """Whether these are one target, by the sum of their squares."""

    def mean_square(self, sums: Array) -> Array:
        """Of what a fit misses of each target, noise and bias, shape (..., targets), from sums over all its runs."""
        count = self.slopes.shape[1]
        M, V, S = np.split(sums, [count, 2 * count], axis=-1)
        pull = self.targets @ np.linalg.inv(M)
        squares = ((pull @ V) * pull).sum(-1) + ((pull @ S - self.missed) ** 2).sum(-1)
        return squares.sum(-1, keepdims=True) if self.together else squares

    @property
    def mean(self) -> Local:
        """The same of one target, whose square is the mean of these squares (I-optimality).

        Of targets T = Q R the rows of R are enough, and one for what is missed of them and no parameter moves.
        """
        T, missed = (each / np.sqrt(len(self.targets)) for each in (self.targets, self.missed))
        Q, R = np.linalg.qr(T)
        moved = Q.T @ missed
        rest = np.sqrt(np.maximum((missed**2).sum(axis=0) - (moved**2).sum(axis=0), 0.0))
        zero = np.zeros(R.shape[1])
        return replace(self, targets=np.vstack([R, zero]), missed=np.vstack([moved, rest]), together=True)


@lru_cache(maxsize=4)
def sums_of(law: Local, units: Units) -> Array:
    """Of each unit, shape (units, parameters, 2 parameters + kinds)."""
    there = (units.places >= 0)[:, :, None]
    J, d = (np.where(there, each[units.places], 0.0) for each in (law.slopes, law.misses))
    J_t = np.swapaxes(J, 1, 2)
    return np.concatenate([J_t @ J, J_t @ units.noise(np.arange(len(units))) @ J, J_t @ d], axis=2)


@dataclass(frozen=True, eq=False)
class Estimated(Known):
    """Targets as a fit of a law will estimate them, from the runs so far and those chosen: v is its mean square error.

    A batch is sought for what each half of it, every other trunk, gives beside the runs so far: the bootstrap leaves
    out a third of the trunks, so that where one of them alone tells something intervals know nothing of it.
    """

    law: Local
    sums: Array
    """Over the runs so far."""
    halves: tuple[Array, Array]
    """Of the trunks chosen, those of either half, each with the runs so far."""
    chosen: tuple[int, ...] = ()

    @cached_property
    def variance(self) -> Array:
        """Mean over the halves, shape (targets,)."""
        return self.law.mean_square(np.stack(self.halves)).mean(axis=0)

    def told(self, units: Units, which: Indices) -> Array:
        """By how much one more of each of some units lowers `variance`, shape (chosen, targets)."""
        half = self.halves[len(self.chosen) % 2]
        more = self.law.mean_square(half + sums_of(self.law, units)[which])
        return (self.law.mean_square(half) - more) / 2

    def after(self, units: Units, unit: int, *, taken_out: bool = False) -> Estimated:
        """The same with one more of a unit; or without one that is chosen."""
        kept = list(self.chosen)
        kept.remove(unit) if taken_out else kept.append(unit)
        each = sums_of(self.law, units)
        first, second = (self.sums + each[kept[half::2]].sum(axis=0) for half in (0, 1))
        return replace(self, halves=(first, second), chosen=tuple(kept))

    @property
    def error(self) -> Array:
        """Mean square error with all trunks, shape (targets,)."""
        return self.law.mean_square(self.halves[0] + self.halves[1] - self.sums)

    @property
    def doubt(self) -> float:
        """Mean over the targets of ln of that error."""
        return _mean_log(self.error)

    @property
    def unbiased(self) -> Estimated:
        """The same where the law is the true one."""
        law = replace(self.law, misses=0.0 * self.law.misses, missed=0.0 * self.law.missed)
        noise = np.arange(self.sums.shape[1]) < 2 * len(self.sums)
        sums, first, second = (np.where(noise, each, 0.0) for each in (self.sums, *self.halves))
        return Estimated(law, sums, (first, second), self.chosen)

    @property
    def bias(self) -> float:
        """Share of the error which is bias: what the fit would miss by were its law not the true one."""
        return float(1.0 - (self.unbiased.error / self.error).mean())


def _centred(draws: Array) -> Array:
    low, high = np.quantile(draws, _ENDS, axis=0)
    cut = np.clip(draws, low, high)
    return cut - cut.mean(axis=0)


@dataclass(frozen=True, eq=False)
class Batch:
    """Units to train, and what is believed once they are."""

    chosen: tuple[int, ...]
    belief: Belief | Estimated
    flops: float

    @property
    def goal(self) -> float:
        """What the search brings down."""
        return _mean_log(self.belief.variance)


def best_batch(belief: Belief | Estimated, units: Units, budget: float) -> Batch:
    """The units within a budget of FLOPs after which the targets are known best; none where none is affordable."""
    starts = (belief, belief.unbiased) if isinstance(belief, Estimated) else (belief,)
    filled = [_filled(Batch((), one, 0.0), units, budget, power) for one in starts for power in _POWERS]
    tried = [replace(batch, belief=belief.after_all(units, batch.chosen)) for batch in filled]
    best = min(tried, key=lambda batch: batch.goal)
    return _thinned(_exchanged(best, units, budget), units, Batch((), belief, 0.0).goal)


def _filled(batch: Batch, units: Units, budget: float, power: float) -> Batch:
    """A batch and what else the budget pays for, greedily; it ends where nothing tells anything more."""
    times = np.bincount(units.shape[list(batch.chosen)], minlength=units.shape.max() + 1)
    while True:
        able = np.flatnonzero((units.flops <= budget - batch.flops) & (times[units.shape] < units.most))
        if not len(able):
            break
        left = 1.0 - batch.belief.told(units, able) / batch.belief.variance
        gain = -np.log(np.clip(left, 1e-12, 1.0)).mean(axis=1)
        best = int(np.argmax(gain / units.flops[able] ** power))
        if gain[best] <= 1e-9:
            break
        unit = int(able[best])
        times[units.shape[unit]] += 1
        batch = _with(batch, units, unit)
    return batch


def _with(batch: Batch, units: Units, unit: int) -> Batch:
    spent = batch.flops + float(units.flops[unit])
    return Batch((*batch.chosen, unit), batch.belief.after(units, unit), spent)


def _without(batch: Batch, units: Units, unit: int) -> Batch:
    kept = list(batch.chosen)
    kept.remove(unit)
    rest = batch.belief.after(units, unit, taken_out=True)
    return replace(batch, chosen=tuple(kept), belief=rest, flops=batch.flops - float(units.flops[unit]))


def _exchanged(batch: Batch, units: Units, budget: float) -> Batch:
    """The batch after each of its units was taken out in turn and its FLOPs spent anew, where that was better."""
    for _ in range(_SWEEPS):
        before = batch.goal
        for unit in sorted(set(batch.chosen)):
            if unit in batch.chosen:
                rest = _without(batch, units, unit)
                tried = [_filled(rest, units, budget, power) for power in (1.0, 0.0)]
                batch = min([batch, *tried], key=lambda one: one.goal)
        if batch.goal > before - 1e-3:
            break
    return batch


def _thinned(batch: Batch, units: Units, before: float) -> Batch:
    """The batch without trunks that hardly add to what the rest tells."""
    for unit in sorted(batch.chosen, key=lambda unit: -units.flops[unit]):
        rest = _without(batch, units, unit)
        if rest.goal - batch.goal < _IDLE * (before - batch.goal):
            batch = rest
    return batch


def lack_of_fit(logs: Array, variance: float, length: float = np.log(2.0)) -> Array:
    """Covariance of what a law misses at some places: alike within an octave, whatever the seed.

    Args:
        logs: ln of what the law reads at each place, shape (places, columns).
        variance: of the miss at one place, in ln loss.
    """
    apart = ((logs[:, None, :] - logs[None, :, :]) ** 2).sum(-1)
    return variance * np.exp(-0.5 * apart / length**2)
