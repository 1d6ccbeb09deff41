"""What to train with a budget of compute, from a fit and from what the runs really cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.errors import BadOption, MissingColumns
from scaling.fitting import Fit
from scaling.fitting.data import BadPredictor, Table, as_frame, numbers_of
from scaling.fitting.options import number, share
from scaling.laws.base import NotALaw, describe
from scaling.laws.optimal import TokenCost, optimum
from scaling.laws.repetition import MUENNIGHOFF_2023, with_repeats
from scaling.units import print_count

_FAR_BELOW = 1e-6  # of the smallest run's compute: a budget below that is counted in another unit


def flops_per_token(runs: pl.DataFrame) -> TokenCost:
    """FLOPs a token as a function of N, from what the runs spent; never less than 6 N.

    Args:
        runs: columns N, D and C.

    Raises:
        MissingColumns: one of the three is not there.
        BadPredictor: a value in them that is not finite and above zero.
    """
    if missing := [name for name in ("N", "D", "C") if name not in runs.columns]:
        hint = "Where compute is not known, 6ND may stand in: C = 6.0 * N * D."
        raise MissingColumns(missing, runs.columns, hint)
    N, D, C = (_counts(runs, name) for name in ("N", "D", "C"))
    return TokenCost(max(TokenCost.of(N, D, C).k, 0.0))


def _counts(runs: pl.DataFrame, name: str) -> NDArray[np.float64]:
    values = numbers_of(runs, name)
    if (bad := ~(np.isfinite(values) & (values > 0))).any():
        first = int(np.argmax(bad))
        raise BadPredictor(name, int(bad.sum()), first, float(values[first]), "finite and above zero")
    return values


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
    """The best way to spend each budget: arrays of shape (budgets,)."""

    C: NDArray[np.float64]
    """Training FLOPs."""
    N: show.Interval
    """Parameters."""
    D: show.Interval
    """Tokens."""
    loss: show.Interval
    """nats/token."""
    level: float
    """Of the intervals."""
    largest: float
    """C of the largest run; beyond it every number is an extrapolation."""

    def shown(self) -> Iterator[show.Table]:
        header = [
            "training compute, FLOPs",
            "parameters N",
            "tokens D",
            "tokens per parameter",
            "loss, nats/token",
        ]
        rows = [
            [
                f"{C:.1e}".replace("e+", "e"),
                self.N.words(print_count, i),
                self.D.words(print_count, i),
                f"{self.D.median[i] / self.N.median[i]:.0f}",
                self.loss.words("{:.3f}".format, i),
            ]
            for i, C in enumerate(self.C)
        ]
        largest = f"{self.largest:.1e}".replace("e+", "e")
        caption = f"medians and {100 * self.level:.3g} % intervals; the largest run took {largest} FLOPs"
        yield show.Table(header, rows, caption)


def parameter_draws(fitted: Fit) -> dict[str, Any]:
    """Bootstrap draws of every parameter; of a fit without a bootstrap, its one best value."""
    return fitted.draws if fitted.drawn else {p: np.array([value]) for p, value in fitted.params.items()}


def _budgets(C: ArrayLike, smallest: float) -> NDArray[np.float64]:
    """Budgets that can be spent, shape (budgets,)."""
    wanted = "a number of FLOPs, or an array of them, finite and above zero"
    try:
        given = np.asarray(C)
        budgets = np.atleast_1d(given.astype(float)).ravel()
    except (TypeError, ValueError):
        raise BadOption("C", C, wanted) from None
    if given.dtype.kind in "USb" or not len(budgets) or not np.all(np.isfinite(budgets) & (budgets > 0)):
        raise BadOption("C", C, wanted)
    if (least := float(budgets.min())) < _FAR_BELOW * smallest:
        unit = f"in FLOPs, where the smallest run took {smallest:.1e}; a petaflop-day is 8.64e19 FLOPs"
        raise BadOption("C", least, unit)
    return budgets


def allocate(
    fitted: Fit, runs: Table, C: ArrayLike, *, unique_tokens: float | None = None, level: float = 0.8
) -> Allocation:
    """The N and D with the lowest loss among those that cost C, at what these runs cost.

        minimise L(N, C / f(N)) over N,   f as in `flops_per_token`

    Args:
        fitted: a `Fit` of a law of N and D, or of N, D and unique_tokens.
        runs: what the cost of a token is read from, columns N, D and C.
        C: training FLOPs, scalar or shape (budgets,); finite, above zero, and no more than six decades below the
            smallest run.
        unique_tokens: distinct tokens on offer; by default as many as are trained on.
        level: of the intervals.

    Raises:
        BadOption: a budget, a level or a number of tokens that has no answer.
        MissingColumns, BadPredictor: runs without the compute they took.
        NotALaw: the law does not read both N and D.
    """
    if not isinstance(fitted, Fit):
        raise BadOption("fitted", type(fitted).__name__, "what scaling.fit returned")
    share("level", level, "0.8")
    if unique_tokens is not None:
        wanted = "a number of tokens above zero, or None for as many as are trained on"
        if not number("unique_tokens", unique_tokens, wanted) > 0:
            raise BadOption("unique_tokens", unique_tokens, wanted)
    reads = describe(fitted.law).column_names
    if not {"N", "D"} <= set(reads):
        raise NotALaw(fitted.name, f"it reads {', '.join(reads)}, and a budget is split between N and D")
    runs = as_frame(runs)
    cost = flops_per_token(runs)
    spent = _counts(runs, "C")
    budgets = _budgets(C, float(spent.min()))
    law = describe(fitted.law if unique_tokens is None else with_unique_tokens(fitted.law))
    best = optimum(cost.priced(law, unique_tokens), budgets, **parameter_draws(fitted))
    N, D, loss = (
        show.Interval.over(np.atleast_2d(values), level)
        for values in (best.N, budgets / cost(best.N), best.loss)
    )
    return Allocation(budgets, N, D, loss, level, largest=float(spent.max()))
