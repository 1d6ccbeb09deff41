"""A fit against published constants, all of them at once: could these runs come from that law?

Each constant may lie inside its own interval and all together outside what the runs allow, as A and alpha trade off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scaling import show
from scaling.arguments import checked, number, share
from scaling.errors import BadOption, FitError
from scaling.fitting.data import Array
from scaling.fitting.result import Fit, require_fit
from scaling.fitting.words import ENOUGH
from scaling.laws.base import describe


class TooFewToTest(FitError):
    """A fit whose draws or clusters do not outnumber what is tested by enough."""

    law: str
    tested: tuple[str, ...]
    have: int
    what: str
    needed: int

    def __str__(self) -> str:
        return (
            f"asked whether {self.law} agrees in {len(self.tested)} constants at once ({', '.join(self.tested)}), "
            f"which needs {self.needed} {self.what} or more, but its fit has {self.have}. Refit with more, or hold "
            "parameters still at the published values with fit(..., fixed={...})."
        )


@dataclass(frozen=True, eq=False, repr=False)
class Agreement(show.Shown):
    """Whether constants agree with a fit, all at once."""

    law: str
    p_value: float
    """How often runs of that law would lie as far from it, or farther."""
    statistic: float
    """F, the squared distance over its degrees of freedom."""
    freedom: tuple[int, int]
    """Degrees of freedom of F: constants, and clusters less constants."""
    table: pl.DataFrame
    """One row per constant: parameter, fitted, constant, away (in standard errors), p_value (of it alone)."""
    level: float

    @property
    def agrees(self) -> bool:
        """Whether the constants are within the joint confidence region."""
        return self.p_value > 1.0 - self.level

    def shown(self) -> Iterator[show.Table | str]:
        rows = [
            [name, f"{fitted:.4g}", f"{constant:.4g}", f"{away:+.1f}", _p(p)]
            for name, fitted, constant, away, p in self.table.iter_rows()
        ]
        verdict = "agrees with" if self.agrees else "differs from"
        words = f"the fit of {self.law} {verdict} the constants at {100 * self.level:.3g} %: p = {_p(self.p_value)}"
        caption = f"{words}, F = {self.statistic:.3g} with {self.freedom[0]} and {self.freedom[1]} degrees of freedom"
        header = ["parameter", "fitted", "constant", "standard errors away", "p alone"]
        yield show.Table(header, rows, caption)
        apart = self.table.filter(pl.col("p_value") < (1.0 - self.level) / len(self.table))[
            "parameter"
        ].to_list()
        if not self.agrees:
            yield (
                f"{', '.join(apart)} differ even alone"
                if apart
                else "no parameter differs alone, only all together"
            )


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


@checked
def agree(
    fitted: Fit, constants: Callable[..., Any] | Mapping[str, float], *, level: float = 0.95
) -> Agreement:
    """Whether all free parameters of a fit at once are what was published: a Wald test over the bootstrap draws.

        W = dᵀ S⁻¹ d,    F = W (G - k) / (k (G - 1))  ~  F(k, G - k)

    d is constants less fitted values, of scales (A, B) in their logarithm, S the covariance of the draws in the same
    terms, k the number of free parameters, G that of the clusters that were drawn: Hotelling's T² for few clusters.

    Args:
        fitted: a fit with bootstrap draws.
        constants: a law with its parameters set, e.g. `HOFFMANN_2022`, or a mapping of the free parameters to numbers.
        level: of the joint confidence region.

    Raises:
        BadOption: constants that are missing, no parameters, or not of the law that was fitted.
        TooFewToTest: fewer than 20 draws, or ten for each parameter; no two clusters more than parameters.

    Source:
        Hotelling 1931, Annals of Mathematical Statistics 2(3), equation 29.
    """
    from scipy.special import fdtrc, stdtr

    level = share("level", level, "0.95")
    require_fit(fitted)
    wanted = _constants(fitted, constants)
    free, k, draws = fitted.free, len(fitted.free), len(next(iter(fitted.draws.values())))
    if draws < (least := max(ENOUGH, 10 * k)):
        raise TooFewToTest(fitted.name, free, draws, "bootstrap draws", least)
    if fitted.clusters < k + 2:
        raise TooFewToTest(fitted.name, free, fitted.clusters, "clusters", k + 2)
    G = fitted.clusters
    logs = {a.name: a.quantity.log for a in describe(fitted.law).parameters}

    def scaled(values: Mapping[str, Any]) -> Array:
        return np.stack([np.log(values[p]) if logs[p] else np.asarray(values[p], float) for p in free])

    drawn = scaled(fitted.draws)
    away, spread = scaled(wanted) - scaled(fitted.params), np.cov(drawn).reshape(k, k)
    stderr = np.sqrt(np.diag(spread))
    W = float(
        away / stderr @ np.linalg.pinv(spread / np.outer(stderr, stderr), hermitian=True) @ (away / stderr)
    )
    F = W * (G - k) / (k * (G - 1))
    table = pl.DataFrame(
        {
            "parameter": free,
            "fitted": [fitted.params[p] for p in free],
            "constant": [wanted[p] for p in free],
            "away": away / stderr,
            "p_value": 2.0 * stdtr(G - 1, -np.abs(away / stderr)),
        }
    )
    return Agreement(fitted.name, float(fdtrc(k, G - k, F)), F, (k, G - k), table, level)


def _constants(fitted: Fit, constants: Callable[..., Any] | Mapping[str, float]) -> dict[str, float]:
    """The constants of the free parameters."""
    if isinstance(constants, Mapping):
        given = dict(constants)
    elif callable(constants):
        law = describe(constants)
        if law.name != describe(fitted.law).name:
            raise BadOption("constants", law.name, f"of the law that was fitted, {fitted.name}")
        given = dict(law.held)
    else:
        raise BadOption("constants", constants, "a law with its parameters set, or a dictionary of them")
    if unknown := [name for name in given if name not in fitted.params]:
        raise BadOption("constants", unknown, f"parameters of {fitted.name}: {', '.join(fitted.params)}")
    if missing := [name for name in fitted.free if name not in given]:
        raise BadOption("constants", sorted(given), f"with a value for {', '.join(missing)} too")
    for name in fitted.params:
        if name not in fitted.free and name in given and not math.isclose(given[name], fitted.params[name]):
            raise BadOption(
                f"constants[{name!r}]", given[name], f"{fitted.params[name]:g}, at which the fit holds it"
            )
    values = {p: number(f"constants[{p!r}]", given[p], "a finite number") for p in fitted.free}
    for p, quantity in ((a.name, a.quantity) for a in describe(fitted.law).parameters):
        if p in values and not (math.isfinite(values[p]) and (values[p] > 0 or not quantity.log)):
            raise BadOption(f"constants[{p!r}]", values[p], "a finite number" + ", above zero" * quantity.log)
    return values
