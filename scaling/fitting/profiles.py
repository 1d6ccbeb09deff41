"""How much worse a fit gets when one parameter, or two, are held elsewhere and all others make up for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from scaling import show
from scaling.arguments import checked, share
from scaling.errors import BadOption, require_kind
from scaling.fitting.data import Array, Table, Weights
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.problem import Problem
from scaling.fitting.resample import clusters
from scaling.fitting.result import Fit, require_fit
from scaling.fitting.rise import Rise, rise
from scaling.fitting.solve import solve
from scaling.laws.base import UnknownParameter, describe

_DOUBLINGS = 60
_CLOSE = 1e-5  # of half an interval, to which its end is known
_FAR = 100.0  # times the limit: a rise that is as good as endless
_POINTS = 21
_LEVELS = (0.5, 0.8, 0.95)  # of a region, up to the level asked for
_SIDE = 33  # points of a region's grid along each parameter
_MARGIN = 0.15  # of a region's width, around it
_FIRM = 1e6  # times the curvature of the objective, by which a value of the grid is held


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
    """Rise of the objective at each of `values`, in its own noise λ: the fall of a log-likelihood, nats."""
    flat: tuple[str, ...]
    """"below", "above", both or neither: on which side no value is ruled out within the law's bounds."""
    rise: Rise
    """λ and the degrees of freedom behind it."""

    @property
    def limit(self) -> float:
        """Excess at which the interval ends."""
        return self.rise.limit(self.level)

    def shown(self) -> Iterator[str]:
        words = f"{self.parameter} = {show.rounded(self.best, (self.high - self.low) / 4)}"
        words += f", {show.interval(self.low, self.high, self.level)} by profile likelihood"
        yield words + "".join(f"; flat {side}" for side in self.flat)


@dataclass(frozen=True, eq=False, repr=False)
class Contour(show.Shown):
    """The objective over a grid of two parameters, all others at their best."""

    parameters: tuple[str, str]
    best: tuple[float, float]
    grid: tuple[Array, Array]
    """Values of either parameter, ascending, evenly spaced, or by even factors where it spans orders of magnitude."""
    excess: Array
    """Rise of the objective in its own noise λ, shape (values of the first, values of the second)."""
    level: float
    ends: tuple[tuple[float, float], tuple[float, float]]
    """How far the region of `level` reaches along either parameter."""
    flat: tuple[str, ...]
    """Sides on which the region has no end within the law's bounds, e.g. "R_D above"."""
    rise: Rise
    """Which gives `limit(level)`, the excess at the edge of a region."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Of the regions that are drawn and printed."""
        return (*(level for level in _LEVELS if level < self.level), self.level)

    @property
    def correlation(self) -> float:
        """Of the two parameters under the density exp(-excess) on the grid."""
        density = np.exp(-self.excess) / np.exp(-self.excess).sum()
        x, y = np.meshgrid(*self.grid, indexing="ij")
        x, y = x - (density * x).sum(), y - (density * y).sum()
        return float((density * x * y).sum() / np.sqrt((density * x**2).sum() * (density * y**2).sum()))

    def holds(self, first: float, second: float, *, level: float | None = None) -> bool:
        """Whether the region holds a pair of values, by its grid; beyond the grid none is held.

        Args:
            first, second: values of `parameters`.
            level: of the region, up to its own, which it is by default.

        Raises:
            BadOption: a level that is none, or beyond that of the contour.
        """
        from scipy.interpolate import RegularGridInterpolator

        level = self.level if level is None else share("level", level, "0.8")
        if level > self.level:
            raise BadOption("level", level, f"at most {self.level:g}, that of the contour")
        at = RegularGridInterpolator(self.grid, self.excess, bounds_error=False, fill_value=np.inf)
        return bool(at([first, second])[0] <= self.rise.limit(level))

    def shown(self) -> Iterator[str]:
        both = (
            f"{name} = {show.rounded(best, (high - low) / 4)} [{show.rounded(low, (high - low) / 4)}, "
            f"{show.rounded(high, (high - low) / 4)}]"
            for name, best, (low, high) in zip(self.parameters, self.best, self.ends, strict=True)
        )
        words = f"{100 * self.level:.3g} % region of two: {', '.join(both)} by profile likelihood"
        yield f"{words}, correlation {self.correlation:.2f}" + "".join(
            f"; flat in {side}" for side in self.flat
        )


@overload
def profile(
    fitted: Fit,
    runs: Table,
    parameter: str,
    *,
    level: float = 0.95,
    weights: Weights = None,
    cluster: str = "auto",
) -> Profile: ...
@overload
def profile(
    fitted: Fit, runs: Table, parameter: tuple[str, str], *, level: float = 0.95, weights: Weights = None,
    cluster: str = "auto",
) -> Contour: ...  # fmt: skip
@checked
def profile(
    fitted: Fit, runs: Table, parameter: str | tuple[str, str], *, level: float = 0.95, weights: Weights = None,
    cluster: str = "auto",
) -> Profile | Contour:  # fmt: skip
    """Interval of one parameter, or region of two, from the profile likelihood, and whether there is one.

    Holds the values v of the k = 1 or 2 parameters at which

        (objective(v) - objective(best)) / λ  ≤  k F(k, ν; level) / 2

    with λ what the objective rises by for noise alone and ν the degrees of freedom that λ is known with, both robust to
    runs that cluster and to noise that the objective is not made for: see `fitting.rise`. Of the known standard errors
    of a Gaussian objective λ is one, or more where the runs scatter by more. Priors of the fit are part of the
    objective, that of the parameter itself too. Unlike a percentile interval it finds a parameter that runs off to
    infinity. The scale of a Huber likelihood is held at that of the fit.

    Args:
        fitted: the fit.
        runs: what it was fitted to.
        parameter: one of `fitted.free`, or two of them, e.g. ("alpha", "beta").
        level: of the interval or region.
        weights: as given to `fit`, if any were.
        cluster: which runs share their noise, as in `fit`.

    Raises:
        UnknownParameter: not a fitted parameter.
        BadOption: other runs than the fit was made from, a level outside (0, 1), neither one nor two parameters, or
            clusters that there are not.
    """
    require_fit(fitted)
    require_kind(
        "parameter", parameter, (str, tuple, list), "the name of one parameter, or two different ones"
    )
    names = (parameter,) if isinstance(parameter, str) else tuple(parameter)
    if not 1 <= len(set(names)) == len(names) <= 2:
        raise BadOption("parameter", parameter, "the name of one parameter, or two different ones")
    for name in names:
        if name not in fitted.free:
            raise UnknownParameter(fitted.name, "profile", name, fitted.free)
    share("level", level, "0.95")
    options = fitted.options
    problem, data = pose(describe(fitted.law), runs, options, weights)
    if data.hash != fitted.data_hash:
        wanted = f"those that the fit was made from, {fitted.data_hash[:8]}"
        raise BadOption("runs", f"data {data.hash[:8]}", wanted)
    if (
        options.priors or options.objective == "huber_likelihood"
    ):  # weighed, and scaled, as they were in the fit
        problem = minimise(problem, options).problem
    best = solve(problem, np.array([[fitted.params[p] for p in problem.names]])).best
    groups = clusters(data, cluster, problem.misses(best[None])[0])
    held = tuple(problem.names.index(name) for name in names)
    scale = rise(problem, best, groups, held)
    paths = [_Path(problem, at, best, scale.scale) for at in held]
    if len(paths) == 2:
        return _contour(problem, best, (paths[0], paths[1]), scale, level)
    path = paths[0]
    low, high, flat = path.ends(scale.limit(level))
    inside = np.linspace(path.place(low), path.place(high), _POINTS) if np.isfinite([low, high]).all() else []
    values = np.array([path.value(u) for u in inside])
    excess = _excess(problem, best, [path.at], values[:, None], scale) if len(values) else values
    return Profile(names[0], fitted.params[names[0]], low, high, level, values, excess, flat, scale)


def _contour(problem: Problem, best: Array, paths: tuple[_Path, _Path], scale: Rise, level: float) -> Contour:
    """The grid around the region."""
    ends = [path.ends(scale.limit(level)) for path in paths]
    grid = tuple(path.around(low, high) for path, (low, high, _) in zip(paths, ends, strict=True))
    pairs = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 2)
    excess = _excess(problem, best, [path.at for path in paths], pairs, scale)
    names = (paths[0].name, paths[1].name)
    return Contour(
        parameters=names, best=(paths[0].best, paths[1].best), grid=(grid[0], grid[1]),
        excess=excess.reshape(_SIDE, _SIDE), level=level, ends=(ends[0][:2], ends[1][:2]), rise=scale,
        flat=tuple(f"{name} {side}" for name, (*_, flat) in zip(names, ends, strict=True) for side in flat),
    )  # fmt: skip


def _excess(problem: Problem, best: Array, at: list[int], values: Array, scale: Rise) -> Array:
    """Rise at values of the parameters at these places, shape (points, places), others refitted: one batch of fits.

    A value is held by a prior of the fit's own about it, so narrow that it moves the others by nothing that counts.
    """
    starts = np.tile(best, (len(values), 1))
    starts[:, at] = values
    apart = np.ptp(values, axis=0) + 1e-9 * np.abs(values[0])  # runs without noise leave a single point
    firm = np.maximum(problem.slice(best[None]).scale[0, at], scale.scale / np.maximum(apart, 1e-100) ** 2)
    none = np.zeros(len(best)) if problem.prior_precision is None else problem.prior_precision
    mean = np.full(len(best), np.nan) if problem.prior_mean is None else problem.prior_mean
    precision, means = none.copy(), np.tile(mean, (len(values), 1))
    precision[at], means[:, at] = _FIRM * firm / problem.temperature, values
    held = replace(problem, prior_mean=mean, prior_precision=precision)
    ended = solve(held, starts, prior_mean=means).parameters
    ended[:, at] = values
    return (problem.value(ended) - problem.value(best[None])[0]) / scale.scale


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

    def ends(self, limit: float) -> tuple[float, float, tuple[str, ...]]:
        """Where the profile passes the limit below and above the best value, and the sides on which it never does."""
        low, open_below = self.crossing(-1.0, limit)
        high, open_above = self.crossing(1.0, limit)
        return low, high, ("below",) * open_below + ("above",) * open_above

    def around(self, low: float, high: float) -> Array:
        """Values of a grid a little wider than an interval; as wide on a side without end as on the other."""
        middle, usual = self.place(self.best), 1.0 if self.log else max(abs(self.best), 1e-3)
        sides = [abs(self.place(end) - middle) if self._ended(end) else None for end in (low, high)]
        below, above = sides[0] or sides[1] or usual, sides[1] or sides[0] or usual
        margin = _MARGIN * (below + above)
        least = self.place(self.low) if self._ended(self.low) else -np.inf
        most = self.place(self.high) if self._ended(self.high) else np.inf
        places = np.linspace(max(least, middle - below - margin), min(most, middle + above + margin), _SIDE)
        return np.exp(places) if self.log else places

    def _ended(self, end: float) -> bool:
        return bool(np.isfinite(end) and not (self.log and end <= 0.0))

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

        from scipy.optimize import brentq  # in the function, as scipy takes long to import

        def beyond(place: float) -> float:  # the root of the rise, as that is nearly straight
            rise = self.excess(self.value(place))
            return float(np.sqrt(np.clip(rise, 0.0, _FAR * limit)) - np.sqrt(limit))

        if beyond(inner) >= 0.0 or beyond(outer) <= 0.0:  # so near that where a fit starts decides
            return self.value(inner), False
        return self.value(float(brentq(beyond, inner, outer, xtol=_CLOSE * abs(outer - start)))), False  # type: ignore[arg-type]
