"""The loss on domains as a function of the shares: laws fitted to runs on blends, the one taken that predicts best."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from scaling.design.domains import Blends, OneDomain, TooFewBlends
from scaling.fitting import Fit, fit, influence
from scaling.fitting.data import Array
from scaling.laws.base import describe
from scaling.laws.dual import Dual
from scaling.laws.mixture import additive_mixing, exchange, mixing, with_scale

LAWS = ("additive_mixing", "exchange", "mixing")
"""What the loss on a target may follow, by the name of the law's maker."""
_FOLDS = 5
_BUDGETS = 3  # the fewest that a term of tokens is fitted to; an exchange rate needs no term of its own
_SPARE = 2  # blends more than parameters, the least that a law is fitted to


@dataclass(frozen=True, eq=False)
class Curve:
    """The loss on one target as a function of the shares, by the best fit or by its bootstrap draws."""

    name: str
    """Of the law's maker."""
    blends: Blends
    target: str
    fitted: Fit
    miss: float
    """Root mean square of what it misses on blends that it was not fitted to, percent."""
    tokens: float | None = None
    """In all, of the blends asked about, where the runs differ in them."""

    @property
    def own(self) -> str:
        """The domain in whose tokens an exchange rate counts."""
        return self.blends.domains[self.blends.nearest(self.target)]

    @property
    def stretch(self) -> float:
        """How much more it misses blends left out than its own, degrees of freedom allowed for; at least 1.

        Bootstrap draws know of the noise but not of a law that is wrong between the blends: they are stretched by this.
        """
        spare = self.fitted.rows / max(1, self.fitted.rows - len(self.fitted.free))
        return max(1.0, self.miss / max(self.fitted.rms_percent * spare**0.5, 1e-9))

    @staticmethod
    def of(name: str, blends: Blends, target: str, seed: int) -> Curve:
        """A law of that name fitted, and judged on blends left out: five folds, or each alone where there are few."""
        numbers, law = blends.different, _law(name, blends, target)
        folds = np.random.default_rng(seed).permutation(numbers.max() + 1) % _folds(int(numbers.max()) + 1)
        runs = _runs(name, blends, target).with_columns(fold=folds[numbers])
        fitted = fit(law, runs, objective="squares_log", bootstrap=0, seed=seed)
        return Curve(name, blends, target, fitted, influence(fitted, runs, by="fold").left_out_percent)

    def resampled(self, draws: int, seed: int, tokens: float | None) -> Curve:
        """The same with bootstrap draws, for a budget of tokens."""
        cluster = "rows" if self.blends.trunks is None else "trunk_id"
        runs = _runs(self.name, self.blends, self.target)
        fitted = fit(
            self.fitted.law, runs, objective="squares_log", bootstrap=draws, cluster=cluster, seed=seed
        )
        return replace(self, fitted=fitted, tokens=tokens)

    def __call__(self, shares: Array, drawn: bool = False) -> tuple[Array, Array]:
        """Losses and their derivatives by share, shapes (problems,) and (problems, domains); a problem is a draw."""
        places = {column: j for j, column in enumerate(self.blends.columns)}
        factor = self.tokens if self.name == "exchange" and self.tokens else 1.0
        columns = [
            Dual(shares[:, places[c]] * factor, {places[c]: factor}) if c in places else self.tokens
            for c in describe(self.fitted.law).column_names
        ]
        loss = self.fitted.law(*columns, **(self.fitted.draws if drawn else self.fitted.params))
        slopes = np.zeros_like(shares)
        for j, part in loss.parts.items():
            slopes[:, j] = part
        return np.broadcast_to(loss.value, len(shares)), slopes


@dataclass(frozen=True, eq=False)
class Objective:
    """The weighted mean of the losses on the targets, by the best fits or by draw, which is the problem's number."""

    curves: Mapping[str, Curve]
    weights: Mapping[str, float]
    draws: int

    def __call__(self, shares: Array, drawn: bool = False) -> tuple[Array, Array]:
        total, slopes = np.zeros(len(shares)), np.zeros_like(shares)
        with np.errstate(all="ignore"):  # the slope at a share of zero may be infinite
            for one, w in self.weights.items():
                loss, slope = self.curves[one](shares, drawn)
                total, slopes = total + w * loss, slopes + w * slope
        return total, slopes

    @property
    def stretch(self) -> float:
        """That of the curves, by their weights."""
        return sum(w * self.curves[one].stretch for one, w in self.weights.items())

    def drawn(self, shares: Array) -> Array:
        """The loss of each draw at one blend, (domains,), or at one for each draw, (draws, domains)."""
        return self(np.broadcast_to(shares, (self.draws, shares.shape[-1])), drawn=True)[0]


def judge(blends: Blends, target: str, names: tuple[str, ...], seed: int) -> list[Curve]:
    """A curve by each law, the one that misses blends left out least first."""
    return sorted((Curve.of(name, blends, target, seed) for name in names), key=lambda curve: curve.miss)


def affordable(blends: Blends, names: tuple[str, ...]) -> tuple[str, ...]:
    """Laws with fewer parameters than there are blends to fit them to when a fold is left out.

    Raises:
        OneDomain: there is nothing to blend.
        TooFewBlends: no law has.
    """
    if len(blends.domains) < 2:
        raise OneDomain(*blends.domains)
    if blends.budgets is not None and len(np.unique(blends.budgets)) < _BUDGETS:
        names = tuple(name for name in names if name == "exchange") or names
    free = {name: len(describe(_law(name, blends, blends.domains[0])).parameters) for name in names}
    different = int(blends.different.max()) + 1
    if few := tuple(name for name in names if free[name] + _SPARE <= _fitted(different)):
        return few
    needed = next(n for n in itertools.count(different) if _fitted(n) >= min(free.values()) + _SPARE)
    raise TooFewBlends(different, blends.domains, needed, None if blends.N is None else float(blends.N[0]))


def _law(name: str, blends: Blends, target: str) -> Callable[..., Any]:
    """The law of that name for the loss on one target, with a term of tokens where the runs differ in them."""
    columns = blends.columns
    if name == "additive_mixing":
        law = additive_mixing(*columns)
    else:  # one domain is apart: what others are exchanged for, or what needs no parameter
        own = blends.nearest(target)
        others = [c for i, c in enumerate(columns) if i != own]
        law = exchange(columns[own], *others) if name == "exchange" else mixing(*others)
    return law if blends.budgets is None or name == "exchange" else with_scale(law, "D")


def _runs(name: str, blends: Blends, target: str) -> pl.DataFrame:
    return blends.frame(target, tokens=name == "exchange" and blends.budgets is not None)


def _folds(different: int) -> int:
    """Five, or each blend left out where there are few."""
    return _FOLDS if different >= 2 * _FOLDS else different


def _fitted(different: int) -> int:
    """Blends that remain when the largest fold is left out."""
    return different - -(-different // _folds(different))
