"""How much worse a fit gets when one parameter is held elsewhere and all others make up for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from scaling import show
from scaling.errors import BadOption
from scaling.fitting.data import Array, Table, Weights
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.options import share
from scaling.fitting.problem import Problem
from scaling.fitting.result import Fit
from scaling.fitting.solve import solve
from scaling.laws.base import UnknownParameter, describe

_DOUBLINGS = 60
_HALVINGS = 30
_POINTS = 21


@dataclass(frozen=True, eq=False, repr=False)
class Profile(show.Shown):
    """The objective along one parameter, all others at their best."""

    parameter: str
    best: float
    low: float
    """Where the interval ends; -inf (0 for a parameter that spans orders of magnitude) where the profile stays flat."""
    high: float
    level: float
    values: Array
    """Values of the parameter across the interval, for a figure."""
    excess: Array
    """Fall of the log-likelihood at each of `values`, nats."""
    flat: tuple[str, ...]
    """"below", "above", both or neither: on which side no value is ruled out within the law's bounds."""

    def shown(self) -> Iterator[str]:
        words = f"{self.parameter} = {show.rounded(self.best, (self.high - self.low) / 4)}"
        words += f", {show.interval(self.low, self.high, self.level)} by profile likelihood"
        yield words + "".join(f"; flat {side}" for side in self.flat)


def profile(
    fitted: Fit, runs: Table, parameter: str, *, level: float = 0.95, weights: Weights = None
) -> Profile:
    """Interval of one parameter from the profile likelihood, and whether there is one.

    Holds the values v of the parameter at which

        (objective(v) - objective(best)) / τ  ≤  z² / 2

    with z the two-sided normal quantile of `level` and τ what one nat of log-likelihood is worth in this objective
    (1 for a likelihood; else that of the density which makes the misses likeliest). Priors of the fit are part of the
    objective, that of the parameter itself too. Unlike a percentile interval it finds a parameter that runs off to
    infinity. It takes the runs as independent; a clustered bootstrap does not.

    Args:
        fitted: the fit.
        runs: what it was fitted to.
        parameter: one of `fitted.free`.
        level: of the interval.
        weights: as given to `fit`, if any were.

    Raises:
        UnknownParameter: not a fitted parameter.
        BadOption: other runs than the fit was made from, or a level outside (0, 1).
    """
    if parameter not in fitted.free:
        raise UnknownParameter(fitted.name, "profile", parameter, fitted.free)
    share("level", level, "0.95")
    options = fitted.options
    problem, data = pose(describe(fitted.law), runs, options, weights)
    if data.hash != fitted.data_hash:
        wanted = f"those that the fit was made from, {fitted.data_hash[:8]}"
        raise BadOption("runs", f"data {data.hash[:8]}", wanted)
    if options.objective == "huber_likelihood":  # its bend is at the scale that the fit ended with
        wanted = "a fit with another objective: its scale moves along the profile"
        raise BadOption("profile", options.objective, wanted)
    best = np.array([fitted.params[p] for p in problem.names])
    if options.priors:  # weighed as they were in the fit
        problem = minimise(problem, options).problem
    tau = problem.temperature if options.priors else problem.nat(best)
    at = problem.names.index(parameter)
    path = _Path(problem, at, best, tau)
    limit = 0.5 * NormalDist().inv_cdf(0.5 * (1.0 + level)) ** 2
    low, open_below = path.crossing(-1.0, limit)
    high, open_above = path.crossing(1.0, limit)
    inside = (
        np.linspace(path.place(low), path.place(high), _POINTS)
        if np.isfinite([low, high]).all()
        else np.array([])
    )
    values = np.array([path.value(u) for u in inside])
    excess = np.array([path.excess(v) for v in values])
    sides = ("below",) * open_below + ("above",) * open_above
    return Profile(parameter, float(best[at]), low, high, level, values, excess, sides)


class _Path:
    """The profile of one parameter, walked outwards so that each fit starts from its neighbour's."""

    def __init__(self, problem: Problem, at: int, best: Array, tau: float):
        argument = problem.free[at]
        self.log, self.low, self.high = argument.quantity.log, problem.low[at], problem.high[at]
        self.best, self.others, self.tau = float(best[at]), np.delete(best, at), tau
        self.name, self.at = argument.name, at
        free = tuple(p for p in problem.free if p.name != argument.name)
        keep = np.arange(len(best)) != at
        self.problem = replace(
            problem, free=free, low=problem.low[keep], high=problem.high[keep],
            by_factor_first=problem.by_factor_first[keep],
            prior_mean=None if problem.prior_mean is None else problem.prior_mean[keep],
            prior_precision=None if problem.prior_precision is None else problem.prior_precision[keep],
        )  # fmt: skip
        self.whole = problem
        self.least = float(problem.value(best[None])[0])
        self.near = self.others

    def place(self, value: float) -> float:
        return float(np.log(value)) if self.log else value

    def value(self, place: float) -> float:
        return float(np.exp(place)) if self.log else place

    def excess(self, value: float) -> float:
        """Fall of the log-likelihood at this value, the other parameters refitted from two places."""
        held = replace(self.problem, fixed={**self.problem.fixed, self.name: value})
        solution = solve(held, np.stack([self.near, self.others]))
        lowest = int(np.argmin(solution.value))
        if np.isfinite(solution.value[lowest]):
            self.near = solution.parameters[lowest]
        whole = np.insert(solution.parameters[[lowest]], self.at, value, axis=1)
        return float((self.whole.value(whole)[0] - self.least) / self.tau)

    def crossing(self, side: float, limit: float) -> tuple[float, bool]:
        """Where the profile passes the limit on one side, and whether it never does."""
        self.near = self.others
        start = self.place(self.best) if not self.log or self.best > 0 else -50.0
        step = 1e-3 * (1.0 if self.log else max(abs(self.best), 1e-3))
        inner = start
        for _ in range(_DOUBLINGS):
            outer = inner + side * step
            value = self.value(min(outer, 700.0)) if self.log else outer
            if not self.low < value < self.high or abs(outer) > 1e12 or (self.log and abs(outer) > 80.0):
                end = self.low if side < 0 else self.high
                if np.isfinite(end) and not (self.log and end == 0.0) and self.excess(end) > limit:
                    outer = self.place(end)
                    break
                return float(end), True
            if self.excess(value) > limit:
                break
            inner, step = outer, 1.6 * step
        else:
            return float(self.low if side < 0 else self.high), True
        for _ in range(_HALVINGS):
            middle = 0.5 * (inner + outer)
            if self.excess(self.value(middle)) > limit:
                outer = middle
            else:
                inner = middle
        return self.value(inner), False
