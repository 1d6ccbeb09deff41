"""Which blend of domains to train on next, from runs on other blends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from scaling import show
from scaling.arguments import checked, number, share, whole
from scaling.design.curves import LAWS, Objective, affordable, judge
from scaling.design.domains import SUM, Blends, UnknownShare, read_blends
from scaling.design.simplex import lowest
from scaling.errors import BadOption
from scaling.fitting import Fit
from scaling.fitting.data import Array, Table
from scaling.units import print_count

_EDGE = 0.01  # how near a share must be to the most that was tried, to be at the edge
_SHOWN = 0.05  # percent; a share below it is none, in print
_SAME = 0.005  # shares nearer than this are the same in print
_ANSWERS = {
    "better than every run": "better than the blend of any run",
    "the best run's own blend": "that of the best run",
    "no better than the best run": "better than uniform; these runs cannot tell whether better than the best run's",
    "cannot tell from uniform": "these runs cannot tell it from uniform",
}


@dataclass(frozen=True, eq=False, repr=False)
class Blend(show.Shown):
    """A proposed blend of domains, and what is known of it."""

    domains: tuple[str, ...]
    shares: show.Interval
    """Of each domain, shape (domains,): `median` is the proposal, which adds up to 1; low and high are of the best
    blends of the bootstrap draws."""
    target: dict[str, float]
    """Weight of each target, together 1."""
    loss: show.Interval
    """On the target, predicted for the proposal, in the unit of the runs' losses, as all that follow."""
    over_uniform: show.Interval
    """How much lower it is than with equal shares."""
    over_best: show.Interval
    """How much lower it is than what is predicted for the best run's blend."""
    regret: show.Interval
    """How much higher it is than at the best blend of each draw; 0 where the draws agree."""
    uniform: float
    """Loss predicted for equal shares."""
    best: dict[str, float]
    """Blend of the run with the lowest loss on the target."""
    best_loss: tuple[float, float]
    """Of that run: measured, and predicted for its blend."""
    edge: tuple[str, ...]
    """Domains of which as much or as little is proposed as was tried: beyond may be better."""
    laws: pl.DataFrame
    """target, law, held_out_percent (root mean square miss on blends left out), chosen."""
    objective: Objective
    """The loss on the target as a function of the shares; `predict` asks it."""
    draws: Array
    """The best blend of each bootstrap draw, shape (draws, domains)."""
    runs: int
    blends: int
    """Different ones among the runs."""
    N: float | None
    """Size of the models, where it is known."""
    D: float | None
    """Tokens that the proposal is for, where the runs differ in them."""

    @property
    def answer(self) -> str:
        """At the level asked: "better than every run", "the best run's own blend", "no better than the best run" (as
        far as these runs can tell), or "cannot tell from uniform"."""
        if not self.over_uniform.low > 0:
            return "cannot tell from uniform"
        if max(abs(self.proposal[d] - self.best[d]) for d in self.domains) < _SAME:
            return "the best run's own blend"
        return "better than every run" if self.over_best.low > 0 else "no better than the best run"

    @property
    def proposal(self) -> dict[str, float]:
        """The proposed share of each domain."""
        return dict(zip(self.domains, map(float, self.shares.median), strict=True))

    @property
    def fits(self) -> dict[str, Fit]:
        """The chosen law of each target."""
        return {target: curve.fitted for target, curve in self.objective.curves.items()}

    def predict(self, shares: Mapping[str, float] | ArrayLike) -> show.Interval:
        """The loss on the target of any blends, with an interval of the level asked.

        Args:
            shares: of a blend by domain, those not named 0; or an array of shape (blends, domains).

        Raises:
            UnknownShare: a domain that no run was trained on.
            BadOption: shares that do not add up to 1.
        """
        if isinstance(shares, Mapping):
            if unknown := [d for d in shares if d not in self.domains]:
                raise UnknownShare("shares", str(unknown[0]), self.domains)
            asked = np.array([float(shares.get(d, 0.0)) for d in self.domains])
        else:
            asked = np.asarray(shares, float)
        wanted = f"shares of {len(self.domains)} domains, each 0 or more and together 1"
        right = asked.shape[-1:] == (len(self.domains),) and (asked >= 0).all()
        if not (right and np.allclose(asked.sum(axis=-1), 1, atol=SUM)):
            raise BadOption("shares", shares, wanted)
        rows = np.atleast_2d(asked)
        drawn = np.stack([self.objective.drawn(r) for r in rows], axis=1)
        best = self.objective(rows)[0]
        if asked.ndim == 1:
            drawn, best = drawn[:, 0], best[0]
        return _over(drawn, best, self.objective.stretch, self.loss.level)

    def shown(self) -> Iterator[str | show.Table]:
        yield self.sentence
        yield self._by_domain()
        yield self._by_blend()
        yield self._doubt()

    def _by_domain(self) -> show.Table:
        percent = "{:.1f}".format
        rows = []
        for i in np.argsort(-self.shares.median, kind="stable"):
            own, low, high = (
                100 * ends[i] for ends in (self.shares.median, self.shares.low, self.shares.high)
            )
            best = 100 * self.best[self.domains[i]]
            if max(own, high, best) >= _SHOWN:
                rows.append(
                    [self.domains[i], percent(own), f"[{percent(low)}, {percent(high)}]", percent(best)]
                )
        return show.Table(["domain", "proposed, %", f"{100 * self.shares.level:.3g} %", "best run, %"], rows)

    def _by_blend(self) -> show.Table:
        digits = partial(show.rounded, error=float(self.loss.high - self.loss.low) / 4)
        measured, predicted = map(digits, self.best_loss)
        rows = [
            ["proposed", self.loss.words(digits), ""],
            ["best run", f"{predicted}, measured {measured}", self.over_best.words(digits)],
            ["uniform", digits(self.uniform), self.over_uniform.words(digits)],
        ]
        return show.Table(["blend", "loss on the target", "the proposal is lower by"], rows)

    @property
    def sentence(self) -> str:
        """What was asked, of what, and the answer."""
        targets = " + ".join(f"{w:.3g} {t}" if w < 1 else t for t, w in self.target.items())
        words = f"blend for the loss on {targets}, from {self.runs} runs"
        words += f" on {self.blends} blends of {len(self.domains)} domains"
        words += f" at N = {print_count(self.N)}" if self.N else ""
        words += f", for {print_count(self.D)} tokens" if self.D else ""
        return f"{words}: {_ANSWERS[self.answer]}"

    def _doubt(self) -> str:
        chosen = self.laws.filter("chosen").iter_rows()
        words = "laws: " + ", ".join(
            f"{law} for {t} (misses blends left out by {miss:.2g} %)" for t, law, miss, _ in chosen
        )
        most = float(self.regret.high)
        words += f"; if a draw of the bootstrap is right, the proposal loses up to {most:.2g}"
        words += f" ({100 * most / float(self.loss.median):.2g} %) against its best blend"
        if self.edge:
            words += f"; at the edge of what was tried in {', '.join(self.edge)}: beyond may be better"
        return words


@checked
def blend(
    runs: Table,
    target: str | Mapping[str, float],
    *,
    law: str = "auto",
    N: float | None = None,
    D: float | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    level: float = 0.8,
    bootstrap: int = 200,
    seed: int = 0,
) -> Blend:
    """The blend of domains with the lowest loss on a target, from runs on other blends.

        minimise  Σ_i w_i L_i(r)   over shares r that add up to 1, each no more and no less than was tried

    for as many tokens, half or twice: where only blends of little of a domain were trained for long, none of much is
    proposed. The loss on each target follows a law of its own, fitted by squares on log loss to the runs of one model
    size. The laws are convex in the shares, so there is one best blend; each bootstrap draw has its own. Intervals are
    of the draws, stretched by how much more the law misses blends left out than those it was fitted to.

    Args:
        runs: one row per run: `blend` (a struct, or JSON) or a column w_<domain> for each; the loss on each domain as
            loss_<domain>, or the store's list `domains`; N, D and trunk_id where they are known.
        target: a domain that was measured, or the weight of each of several, e.g. {"english": 2, "code": 1}.
        law: "additive_mixing", "exchange" or "mixing"; "auto" takes for each target the one that best predicts
            blends left out.
        N: size of the models to propose for, one that there are runs of; the largest by default. Other sizes are not
            used: the best blend may change with size.
        D: tokens to propose for, where runs differ in them; by default those for which the most different blends were
            tried, and of several the most.
        limits: lowest and highest share of a domain, in place of what was tried, e.g. {"code": (0, 0.3)}.
        level: of the intervals.
        bootstrap: refits, at least 20.
        seed: of folds, starts and bootstrap.

    Returns:
        A `Blend`; print it.

    Raises:
        MissingColumns, BadShares: no blend, or none that adds up to 1.
        NotMeasured: a target whose loss not all runs have.
        OneDomain, TooFewBlends: nothing to blend, or fewer different blends than the smallest law needs.
        UnknownShare: a limit on a domain that no run has.
        BadOption: a weight, a size, a limit or a level that has no answer.

    Source:
        Ye et al. 2024, arXiv:2403.16952; Shukor et al. 2025, arXiv:2507.09404; judged by
        benchmarks/blends.py.
    """
    share("level", level, "0.8")
    if (draws := whole("bootstrap", bootstrap, "a whole number, at least 20")) < 20:
        raise BadOption("bootstrap", bootstrap, "at least 20")
    if law not in (*LAWS, "auto"):
        raise BadOption("law", law, f"'auto' or one of {', '.join(map(repr, LAWS))}")
    weights = _weights(target)
    read = read_blends(runs).of_size(N)
    for one in weights:
        read.measured(one)
    tokens = _tokens(read, D)
    low, high = _limits(read, limits, tokens)
    names = affordable(read, LAWS if law == "auto" else (law,))
    judged = {one: judge(read, one, names, seed) for one in weights}
    curves = {one: judged[one][0].resampled(draws, seed, tokens) for one in weights}
    objective = Objective(curves, weights, draws)
    laws = pl.concat(
        pl.DataFrame(
            {"target": one, "law": curve.name, "held_out_percent": curve.miss, "chosen": curve is each[0]}
        )
        for one, each in judged.items()
        for curve in each
    )
    return _proposed(read, objective, laws, (low, high), tokens, level)


def _proposed(
    blends: Blends, objective: Objective, laws: pl.DataFrame, ends: tuple[Array, Array], tokens: float | None,
    level: float,
) -> Blend:  # fmt: skip
    measured = np.sum([w * blends.losses[one] for one, w in objective.weights.items()], axis=0)
    best = _best_run(blends, measured, tokens)
    low, high = ends
    uniform, its_best = np.full(len(blends.domains), 1 / len(blends.domains)), blends.shares[best]
    own = lowest(objective, 1, low, high)[0]
    each = lowest(partial(objective, drawn=True), objective.draws, low, high)
    loss, drawn = objective(np.stack([own, its_best, uniform]))[0], objective.drawn(own)
    over = partial(_over, stretch=objective.stretch, level=level)
    shares = over(each, own)
    at_most = (own > high - _EDGE) & (high < 1 - _EDGE)
    at_least = (own < low + _EDGE) & (low > _EDGE)
    return Blend(
        domains=blends.domains,
        shares=show.Interval(own, np.clip(shares.low, low, own), np.clip(shares.high, own, high), level),
        target=dict(objective.weights), loss=over(drawn, loss[0]),
        over_uniform=over(objective.drawn(uniform) - drawn, loss[2] - loss[0]),
        over_best=over(objective.drawn(its_best) - drawn, loss[1] - loss[0]),
        regret=over(np.maximum(drawn - objective.drawn(each), 0.0), 0.0),
        uniform=float(loss[2]), best=dict(zip(blends.domains, map(float, its_best), strict=True)),
        best_loss=(float(measured[best]), float(loss[1])),
        edge=tuple(d for d, at in zip(blends.domains, at_most | at_least, strict=True) if at),
        laws=laws, objective=objective, draws=each, runs=len(blends.shares),
        blends=int(blends.different.max()) + 1, N=None if blends.N is None else float(blends.N[0]), D=tokens,
    )  # fmt: skip


def _over(draws: Array, best: Any, stretch: float, level: float) -> show.Interval:
    """The best fit's value, with the interval of the draws stretched about it; draws are the first axis."""
    ends = show.Interval.over(best + stretch * (draws - best), level)
    return show.Interval(best, ends.low, ends.high, level)


def _best_run(blends: Blends, measured: Array, tokens: float | None) -> int:
    """The run, of those with as many tokens as are asked about, whose blend has the lowest loss, over its seeds."""
    numbers = blends.different
    mean = (np.bincount(numbers, measured) / np.bincount(numbers))[numbers]
    return int(np.argmin(np.where(blends.near(tokens), mean, np.inf)))


def _weights(target: str | Mapping[str, float]) -> dict[str, float]:
    """The weight of each target, together 1."""
    wanted = "a domain, or weights above zero of several, e.g. {'english': 2, 'code': 1}"
    if isinstance(target, str):
        return {target: 1.0}
    if not isinstance(target, Mapping) or not target:
        raise BadOption("target", target, wanted)
    weights = {str(one): number(f"target[{one!r}]", w, wanted) for one, w in target.items()}
    if not all(np.isfinite(w) and w > 0 for w in weights.values()):
        raise BadOption("target", dict(target), wanted)
    return {one: w / sum(weights.values()) for one, w in weights.items()}


def _limits(
    blends: Blends, limits: Mapping[str, tuple[float, float]] | None, tokens: float | None
) -> tuple[Array, Array]:
    """Lowest and highest share of each domain: what was tried for as many tokens, half or twice, or what was asked."""
    tried = blends.shares[blends.near(tokens, within=math.log(2))]
    low, high = tried.min(axis=0), tried.max(axis=0)
    for domain, pair in (limits or {}).items():
        if domain not in blends.domains:
            raise UnknownShare("limits", domain, blends.domains)
        wanted = "(lowest, highest) share, from 0 to 1"
        try:
            least, most = (number(f"limits[{domain!r}]", end, wanted) for end in pair)
        except (TypeError, ValueError):
            raise BadOption(f"limits[{domain!r}]", pair, wanted) from None
        if not 0 <= least <= most <= 1:
            raise BadOption(f"limits[{domain!r}]", pair, wanted)
        low[blends.domains.index(domain)], high[blends.domains.index(domain)] = least, most
    if low.sum() > 1 + 1e-9 or high.sum() < 1 - 1e-9:
        raise BadOption("limits", limits, "such that shares between them can add up to 1")
    return low, high


def _tokens(blends: Blends, D: float | None) -> float | None:
    """Tokens to propose for; None where the runs do not differ in them."""
    if blends.budgets is None:
        if D is not None:
            raise BadOption("D", D, "left out, as the runs do not differ in tokens")
        return None
    wanted = "a number of tokens above zero"
    asked = blends.most_tried() if D is None else number("D", D, wanted)
    if not asked > 0:
        raise BadOption("D", D, wanted)
    return asked
