"""What to train with a budget of compute, from a fit and from what the runs really cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.errors import MissingColumns
from scaling.fitting import Fit
from scaling.laws.base import Law, describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN, optimum
from scaling.laws.repetition import MUENNIGHOFF_2023, with_repeats
from scaling.units import print_count


def flops_per_token(runs: pl.DataFrame) -> Callable[[Any], Any]:
    """FLOPs a token as a function of N, from what the runs spent.

        C / D = 6 N + k √N

    Head and attention cost as the width does, and at a fixed depth the width goes as √N: on a ladder of widths this is
    exact, and k is 0 where C was counted as 6ND. A constant C / (N D) would be off by 1.5 to 2 times at one end
    of a ladder that starts at width 16.

    Args:
        runs: columns N, D and C.

    Returns:
        A function of operators and ufuncs, which the browser can evaluate too.

    Raises:
        MissingColumns: one of the three is not there.
    """
    if missing := [name for name in ("N", "D", "C") if name not in runs.columns]:
        raise MissingColumns(
            missing, runs.columns, "Where compute is not known, 6ND may stand in: C = 6.0 * N * D."
        )
    size, spent = runs["N"].to_numpy().astype(float), (runs["C"] / runs["D"]).to_numpy()
    k = max(float(np.median((spent - FLOPS_PER_PARAMETER_TOKEN * size) / np.sqrt(size))), 0.0)
    return lambda N: FLOPS_PER_PARAMETER_TOKEN * N + k * np.sqrt(N)


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


@dataclass(frozen=True, eq=False)
class Estimated:
    """A number for each budget: median and interval over bootstrap draws."""

    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def words(self, index: int, form: Callable[[float], str] = print_count) -> str:
        """The number and its interval: 85k [61k, 112k]; without a bootstrap the number alone."""
        if self.low[index] == self.high[index]:
            return form(self.median[index])
        return f"{form(self.median[index])} [{form(self.low[index])}, {form(self.high[index])}]"


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best way to spend each budget: arrays of shape (budgets,)."""

    C: NDArray[np.float64]
    """Training FLOPs."""
    N: Estimated
    """Parameters."""
    D: Estimated
    """Tokens."""
    loss: Estimated
    """nats/token."""
    level: float
    """Of the intervals."""
    largest: float
    """C of the largest run; beyond it every number is an extrapolation."""

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        header = [
            "training compute, FLOPs",
            "parameters N",
            "tokens D",
            "tokens per parameter",
            "loss, nats/token",
        ]
        rows = [
            [
                f"{self.C[i]:.1e}".replace("e+", "e"),
                self.N.words(i),
                self.D.words(i),
                f"{self.D.median[i] / self.N.median[i]:.0f}",
                self.loss.words(i, "{:.3f}".format),
            ]
            for i in range(len(self.C))
        ]
        return header, rows

    def _caption(self) -> str:
        words = (
            f"medians and {100 * self.level:.3g} % intervals; the largest run took {self.largest:.1e} FLOPs"
        )
        return words.replace("e+", "e")

    def __str__(self) -> str:
        return f"{self._caption()}\n{show.table(*self._cells())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return show.html_table(*self._cells(), self._caption())


def parameter_draws(found: Fit) -> dict[str, Any]:
    """Bootstrap draws of every parameter; of a fit without a bootstrap, its one best value."""
    drawn = all(len(values) for values in found.draws.values())
    return {p: found.draws[p] if drawn else np.array([value]) for p, value in found.params.items()}


def allocate(
    found: Fit, runs: pl.DataFrame, C: ArrayLike, *, unique_tokens: float | None = None, level: float = 0.8
) -> Allocation:
    """The N and D with the lowest loss among those that cost C, at what these runs cost.

        minimise L(N, C / f(N)) over N,   f as in `flops_per_token`

    Args:
        found: a `Fit` of a law of N and D, or of N, D and unique_tokens.
        runs: what the cost of a token is read from, columns N, D and C.
        C: training FLOPs, scalar or shape (budgets,).
        unique_tokens: distinct tokens on offer; by default as many as are trained on.
        level: of the intervals.

    Raises:
        NotALaw: the law does not read both N and D.
    """
    cost, budgets = flops_per_token(runs), np.atleast_1d(np.asarray(C, float))
    seen = describe(found.law if unique_tokens is None else with_unique_tokens(found.law))

    def priced(N: Any, D: Any, **parameters: Any) -> Any:  # its D is the one that 6ND would buy
        tokens = D * FLOPS_PER_PARAMETER_TOKEN * N / cost(N)
        given = {"N": N, "D": tokens, "unique_tokens": tokens if unique_tokens is None else unique_tokens}
        return seen(**{name: given[name] for name in seen.column_names}, **parameters)

    of_N_and_D = tuple(column for column in seen.columns if column.name in ("N", "D"))
    law = Law(priced, seen.name, of_N_and_D, seen.parameters, {})
    drawn = optimum(law, budgets, **parameter_draws(found))

    def over_draws(values: NDArray) -> Estimated:
        low, median, high = np.quantile(
            np.atleast_2d(values), [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0
        )
        return Estimated(median, low, high)

    return Allocation(
        C=budgets,
        N=over_draws(drawn.N),
        D=over_draws(budgets / cost(drawn.N)),
        loss=over_draws(drawn.loss),
        level=level,
        largest=float(runs["C"].to_numpy().max()),
    )
