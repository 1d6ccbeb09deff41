"""What to train with a budget of compute, from a fit and from what the runs really cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.arguments import number, positive, share
from scaling.errors import BadOption, MissingColumns, require_kind
from scaling.fitting import Fit
from scaling.fitting.data import Array, Table, as_frame, counts_of
from scaling.fitting.discrepancy import Discrepancy
from scaling.fitting.result import require_fit
from scaling.fitting.words import ENOUGH
from scaling.laws.base import Law, NotALaw, describe
from scaling.laws.optimal import TokenCost, optimum
from scaling.laws.repetition import MUENNIGHOFF_2023, with_repeats
from scaling.units import print_count

_FAR_BELOW = 1e-6  # of the smallest run's compute: a budget below that is counted in another unit
_NODES = np.concatenate([np.arange(-1.0, 4.0, 0.25), np.arange(4.0, 16.0)])
"""Decades from the largest run at which discrepancy is asked; a loss that is not reached at the last never is."""


def flops_per_token(runs: pl.DataFrame) -> TokenCost:
    """FLOPs a token as a function of N, from what the runs spent; never less than 6 N.

    Args:
        runs: columns N, D and C.

    Raises:
        MissingColumns: one of the three is not there.
        BadOption: there are no runs.
        BadPredictor: a value in them that is not finite and above zero.
    """
    if missing := [name for name in ("N", "D", "C") if name not in runs.columns]:
        hint = "Where compute is not known, 6ND may stand in: C = 6.0 * N * D."
        raise MissingColumns(missing, runs.columns, hint)
    if runs.is_empty():
        raise BadOption(
            "runs", "a table without rows", "the runs that the law was fitted to, for what a token cost them"
        )
    N, D, C = (counts_of(runs, name) for name in ("N", "D", "C"))
    return TokenCost(max(TokenCost.of(N, D, C).k, 0.0))


def with_unique_tokens(law: Callable[..., Any]) -> Callable[..., Any]:
    """A loss law of N and D, as one that reads unique_tokens too.

    A law that reads them already is returned as it is: its R_D was fitted. Runs that repeat nothing cannot say what a
    repeated token is worth, so for any other law R_D is held at what Muennighoff et al. 2023, arXiv:2305.16264, found
    for models of up to 9 billion parameters on web text. Their fading of excess parameters is left out: it would bend
    the frontier also where nothing repeats, away from the law that was fitted. The price is optimism about
    large models on few tokens.
    """
    if "unique_tokens" in describe(law).column_names:
        return law
    return partial(with_repeats(law), R_D=MUENNIGHOFF_2023.keywords["R_D"])


@dataclass(frozen=True, eq=False, repr=False)
class Allocation(show.Shown):
    """The best way to spend each budget, or to reach each loss: arrays of shape (budgets,)."""

    C: Array
    """FLOPs of training and, where asked, of serving; where a loss was asked for, the median of what it takes."""
    N: show.Interval
    """Parameters."""
    D: show.Interval
    """Tokens trained on."""
    loss: show.Interval
    """nats/token."""
    level: float
    """Of the intervals."""
    largest: float
    """C of the largest run; beyond it every number is an extrapolation."""
    total: show.Interval
    """FLOPs of training and serving."""
    serving: show.Interval
    """FLOPs of serving alone."""
    inference_tokens: Array
    """Tokens read and written in the life of the model."""
    target: bool = False
    """Whether a loss was asked for, in place of a budget."""
    short: Array | None = None
    """Share of the draws that do not come down to the loss, whatever is spent."""
    draws: int = 1
    """Draws that the intervals are made of; one, and no interval, of a fit with fewer than 20."""
    discrepancy: bool = False
    """Whether model discrepancy beyond the runs is in the losses."""

    def shown(self) -> Iterator[show.Table]:
        served = bool(self.inference_tokens.any())
        what = "training and serving, FLOPs" if served else "training compute, FLOPs"
        columns: dict[str, Callable[[int], str]] = {}
        if self.target:
            columns["loss, nats/token"] = lambda i: f"{self.loss.median[i]:.4g}"
        else:
            columns[what] = lambda i: _flops(self.C[i])
        if served:
            columns["inference tokens"] = lambda i: print_count(self.inference_tokens[i])
        columns["parameters N"] = lambda i: self.N.words(print_count, i)
        columns["tokens D"] = lambda i: self.D.words(print_count, i)
        columns["tokens per parameter"] = self._each
        if self.target:
            columns[what] = lambda i: self.total.words(_flops, i)
        else:
            columns["loss, nats/token"] = lambda i: self.loss.words("{:.3f}".format, i)
        if served:
            columns["of it serving"] = self._share_served
        rows = [[form(i) for form in columns.values()] for i in range(len(self.C))]
        yield show.Table(list(columns), rows, self._caption())

    def _each(self, i: int) -> str:
        return f"{self.D.median[i] / self.N.median[i]:.0f}" if np.isfinite(self.N.median[i]) else ""

    def _share_served(self, i: int) -> str:
        return f"{100 * self.serving.median[i] / self.C[i]:.0f} %" if np.isfinite(self.C[i]) else ""

    def _caption(self) -> str:
        words = f"medians and {100 * self.level:.3g} % intervals"
        if self.draws == 1:
            words = f"best fit, without intervals as it has fewer than {ENOUGH} bootstrap draws"
        words += f"; the largest run took {_flops(self.largest)} FLOPs"
        if self.discrepancy:
            words += ", beyond which model discrepancy is in the " + ("compute" if self.target else "losses")
        if self.short is not None and (most := float(self.short.max())) > 0:
            at = self.loss.median[int(np.argmax(self.short))]
            words += f"; {100 * most:.2g} % of the draws do not come down to {at:.4g}, whatever is spent"
        return words


def _flops(value: float) -> str:
    return f"{value:.1e}".replace("e+", "e")


def parameter_draws(fitted: Fit) -> dict[str, Any]:
    """Bootstrap draws of every parameter; of a fit with fewer than 20, its one best value."""
    return fitted.draws if fitted.drawn else {p: np.array([value]) for p, value in fitted.params.items()}


def _budgets(C: ArrayLike, smallest: float) -> Array:
    """Budgets that can be spent, shape (budgets,)."""
    budgets = positive("C", C, "a number of FLOPs, or an array of them, finite and above zero")
    if (least := float(budgets.min())) < _FAR_BELOW * smallest:
        unit = f"in FLOPs, where the smallest run took {smallest:.1e}; a petaflop-day is 8.64e19 FLOPs"
        raise BadOption("C", least, unit)
    return budgets


@dataclass(frozen=True, eq=False)
class Frontier:
    """The best N and D of every draw of a fit at any budget, and the budget at which each comes down to a loss."""

    fitted: Fit
    cost: TokenCost
    unique_tokens: float | None = None
    """On offer; None where nothing repeats."""
    discrepancy: bool = True
    """Whether losses beyond the runs are moved by model discrepancy."""

    @cached_property
    def law(self) -> Law:
        plain = self.unique_tokens is None
        return describe(self.fitted.law if plain else with_unique_tokens(self.fitted.law))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return parameter_draws(self.fitted)

    @property
    def miss(self) -> Discrepancy | None:
        return self.fitted.discrepancy if self.discrepancy and self.fitted.drawn else None

    def plain(
        self, C: Array, served: Array | float = 0.0, draw: NDArray[np.int64] | None = None
    ) -> tuple[Array, ...]:
        """N, D and loss of the best split as if the law held for ever, shape (draws, budgets); with a draw for each
        budget, by its number, shape (budgets,)."""
        priced = self.cost.priced(self.law, self.unique_tokens, served)
        parameters = self.parameters if draw is None else {p: v[draw] for p, v in self.parameters.items()}
        best = optimum(priced, C, paired=draw is not None, **parameters)
        return best.N, self.cost.tokens(best.N, C, served), best.loss

    def beyond(self, C: Array, served: Array | float = 0.0) -> Array:
        """ln of the factor by which discrepancy moves each draw's loss at the median split of each budget."""
        return self._moved(C, *self.plain(C, served))

    def _moved(self, C: Array, N: Array, D: Array, loss: Array) -> Array:
        """The same at the best splits of every draw, shape (draws, budgets)."""
        if self.miss is None:
            return np.zeros(loss.shape)
        N, D = np.median(N, axis=0), np.median(D, axis=0)
        seen = D if self.unique_tokens is None else np.minimum(D, self.unique_tokens)
        t = self.miss.draws(len(loss), self.fitted.settings.get("seed", 0))
        return np.log(self.miss.move(loss, t, {"N": N, "D": D, "C": C, "unique_tokens": seen}) / loss)

    def at(self, C: Array, served: Array) -> tuple[Array, ...]:
        """N, D and loss of the best split, shape (draws, budgets)."""
        N, D, loss = self.plain(C, served)
        return N, D, loss * np.exp(self._moved(C, N, D, loss))

    def reaching(self, loss: float, served: float, smallest: float, largest: float) -> tuple[Array, ...]:
        """C, N and D at which each draw comes down to a loss, shape (draws,); infinite where it does not.

        What discrepancy does is interpolated between a few budgets from the largest run on.
        """
        from scipy.optimize import elementwise

        nodes = np.log(largest) + np.log(10.0) * _NODES
        moved = self.beyond(np.exp(nodes), served)
        each: Any = np.arange(len(moved), dtype=float)

        def above(ln_C: Array, draw: Any) -> Array:
            draw = draw.astype(int)
            place = np.clip(np.searchsorted(nodes, ln_C) - 1, 0, len(nodes) - 2)
            share = np.clip((ln_C - nodes[place]) / (nodes[place + 1] - nodes[place]), 0.0, 1.0)
            miss = (1.0 - share) * moved[draw, place] + share * moved[draw, place + 1]
            return np.log(self.plain(np.exp(ln_C), served, draw)[2] / loss) + miss

        least, most = np.full(len(moved), np.log(_FAR_BELOW * smallest)), np.full(len(moved), nodes[-1])
        reached = above(most, each) <= 0
        root = elementwise.find_root(above, (least, most), args=(each,), tolerances={"xatol": 1e-9})
        C = np.exp(np.where(reached, root.x, most))
        N, D, _ = self.plain(C, served, each.astype(int))
        return tuple(np.where(reached, a, np.inf) for a in (C, N, D))


def allocate(
    fitted: Fit,
    runs: Table,
    C: ArrayLike | None = None,
    *,
    loss: ArrayLike | None = None,
    inference_tokens: ArrayLike = 0.0,
    unique_tokens: float | None = None,
    level: float = 0.8,
    discrepancy: bool = True,
) -> Allocation:
    """The best N and D for a budget, or the cheapest that reach a loss, at what these runs cost.

        C = f(N) (D + D_inference / 3),   f as in `flops_per_token`, 6 N where C was counted as 6ND
        minimise L(N, D) over N and D at this C,   or this C at L(N, D) = loss

    A token served takes the forward products alone, 2 N for the 6 N of one trained on. Each bootstrap draw has its own
    best N and D. Beyond the runs its loss is moved by model discrepancy, as in `Fit.predict`; N and D at a given C are
    not, since what a law misses along the frontier does not say to which side of it.

    Args:
        fitted: a `Fit` of a law of N and D, or of N, D and unique_tokens.
        runs: what the cost of a token is read from, columns N, D and C.
        C: FLOPs for training and serving, scalar or shape (budgets,); finite, above zero, and no more than six decades
            below the smallest run.
        loss: nats/token to be reached, in place of C.
        inference_tokens: that the model will read and write in its life; one number, or one for each budget or loss.
        unique_tokens: distinct tokens on offer; by default as many as are trained on.
        level: of the intervals.
        discrepancy: allow for model discrepancy beyond the runs; False: as if the law held for ever.

    Returns:
        An `Allocation`. With fewer than 20 bootstrap draws it has no intervals: low and high are NaN. Where some draws
        never come down to a loss, what they would spend is infinite.

    Raises:
        BadOption: a budget, a loss, a level or a number of tokens that has no answer.
        MissingColumns, BadPredictor: runs without the compute they took.
        NotALaw: the law does not read both N and D.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, equation 4; Sardana et al. 2024, arXiv:2401.00448, section 2.
    """
    require_fit(fitted)
    share("level", level, "0.8")
    require_kind("discrepancy", discrepancy, (bool, np.bool_), "True or False")
    if unique_tokens is not None:
        wanted = "a number of tokens above zero, or None for as many as are trained on"
        if not number("unique_tokens", unique_tokens, wanted) > 0:
            raise BadOption("unique_tokens", unique_tokens, wanted)
    if (C is None) == (loss is None):
        raise BadOption("C", C, "a number of FLOPs, or left out where loss= says what is to be reached")
    wanted = "a number of tokens from zero on, or one for each budget"
    served = positive("inference_tokens", inference_tokens, wanted, zero=True)
    reads = describe(fitted.law).column_names
    if not {"N", "D"} <= set(reads):
        raise NotALaw(fitted.name, f"it reads {', '.join(reads)}, and a budget is split between N and D")
    runs = as_frame(runs)
    cost, spent = flops_per_token(runs), counts_of(runs, "C")
    smallest, largest = float(spent.min()), float(spent.max())
    if C is not None:
        asked = _budgets(C, smallest)
    else:
        asked = positive("loss", loss, "a loss in nats/token, or an array of them, finite and above zero")
    try:
        asked, served = (np.array(a) for a in np.broadcast_arrays(asked, served))
    except ValueError:
        raise BadOption("inference_tokens", inference_tokens, wanted) from None
    if loss is None and (asked <= cost(1.0) * served / 3.0).any():
        raise BadOption("inference_tokens", inference_tokens, "fewer: serving them takes all of C")
    unique = unique_tokens if unique_tokens is None or np.isfinite(unique_tokens) else None
    frontier = Frontier(fitted, cost, unique, discrepancy)
    if loss is None:
        N, D, reached = frontier.at(asked, served)
        total, short = np.broadcast_to(asked, N.shape), None
    else:
        each = [frontier.reaching(*pair, smallest, largest) for pair in zip(asked, served, strict=True)]
        total, N, D = (np.stack(columns, axis=1) for columns in zip(*each, strict=True))
        reached, short = np.broadcast_to(asked, N.shape), np.isinf(total).mean(axis=0)
        _check_reached(asked, total, short)
    over = partial(_over, level=level, drawn=fitted.drawn)
    middle = over(total).median
    serving = np.where(np.isfinite(N), cost(np.where(np.isfinite(N), N, 0.0)) * served / 3.0, np.inf)
    return Allocation(
        C=middle, N=over(N), D=over(D), loss=over(reached), level=level, largest=largest, total=over(total),
        serving=over(serving), inference_tokens=served, target=loss is not None, short=short, draws=len(N),
        discrepancy=frontier.miss is not None and bool((middle > largest).any()),
    )  # fmt: skip


def _check_reached(loss: Array, total: Array, short: Array) -> None:
    """Refuse losses that no draw ever reaches, or that next to nothing reaches."""
    for value, spent, share_short in zip(loss, total.T, short, strict=True):
        if share_short == 1.0:
            raise BadOption("loss", float(value), "higher: the law never comes down to it, whatever is spent")
        if np.isnan(spent).any():
            wanted = "lower, in nats/token: less than a millionth of the smallest run's compute reaches it"
            raise BadOption("loss", float(value), wanted)


def _over(values: Array, *, level: float, drawn: bool) -> show.Interval:
    """Median and interval over draws, the first axis, some of which may be infinite; no ends of too few draws."""
    if not drawn:
        unknown = np.full(values.shape[1:], np.nan)
        return show.Interval(values[0], unknown, unknown, level)
    return show.Interval.over(values, level, method="linear" if np.isfinite(values).all() else "nearest")
