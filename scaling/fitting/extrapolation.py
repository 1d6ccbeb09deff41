"""Where a learning curve goes next: one automatic procedure, its doubt about the form of the curve included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from scaling.arguments import checked, share, whole
from scaling.errors import BadOption
from scaling.fitting.curve import SHAPES, Model, Scatter
from scaling.fitting.data import Array, Table, TooFewScales, as_frame, read
from scaling.fitting.minimum import minimise, pose
from scaling.fitting.onecurve import broken, one_curve, turned_up
from scaling.fitting.options import Options
from scaling.fitting.prediction import Prediction
from scaling.fitting.seeds import LawReturnsNaN
from scaling.laws.base import Argument, Quantity, describe
from scaling.laws.breaks import bnsl, m3, m4

_NEEDED = 4  # distinct values of the predictor
_POINTS = 48  # more are averaged within bins of ln x
_FIRST = {SHAPES: 8192, 1: 1024}  # curves drawn from the prior, by how many numbers make one
_NEXT = {SHAPES: 4096, 1: 512}  # and in each round after it
_ROUNDS = 5
_ENOUGH = 400.0  # curves that the posterior should rest on, effectively
_ROUGH = 60.0  # those that a round is steered by
_CENTRES, _NARROW, _TAIL = 64, 0.5, 5.0  # kernels of a round: how many, how narrow, degrees of freedom
_ODDS = 0.2  # before the data, of a plain power law to all that the broken curves may be
_STRETCH = 1.2  # of the interval about the median, in log loss
_DRAWS = 2000  # predictive draws
_LAWS = (m3, m4, bnsl(1))
_STARTS, _STEPS = 6, 60  # of their fits
_LAST = 1e9  # units of the last point in them, so that others of the curve lie where laws of counts start
_OPTIONS = Options(delta=0.01)
_FARTHEST = 2.0  # of a single law from the posterior's median, in half widths of its 80 % interval
_CELLS = 1 << 21  # draws × points of one chunk of predictions


@checked
def extrapolate(
    runs: Table, *, level: float = 0.8, target: str = "loss", seed: int = 0, **columns: ArrayLike
) -> Prediction:
    """Losses at values of one predictor, from the curve of losses so far.

        ln y = p + [ 0, or t_k - median(p) held within ±2h ], each as likely, k over M3, M4 and one-break BNSL

    No single form of curve is best on all: four forecasts share the draws evenly. p is the posterior of

        ln y_i = m + ln f(x_i) + u(ln x_i) + ε_i

    where f is a power law with one smooth break, both slopes falling, above a floor of zero or more; u, how the curve
    strays from that family, has covariance ρ σ² exp(-|ln x - ln x'| / ℓ); ε is noise of variance σ². Beside it stands a
    sharp hypothesis, f = x^(-c) with u = 0, at odds of 1 to 5 before the data: a power law without break, floor or
    stray. Losses that it explains to within their noise make it many times likelier than the broken curves, which
    then no longer look for a floor that nothing shows; any other curve rules it out. The level m and σ² are integrated
    out in closed form, (ρ, ℓ) over a grid, and the shape parameters of f by adaptive importance sampling from their
    prior, which scales with the data, so that units of predictor and loss do not matter. t_k is a Huber fit of one law;
    h is half the width of the posterior's 80 % interval, so that a fit which runs away moves the median little and the
    interval some. A law with as many parameters as the curve has points takes no part.

    As no family is true, the interval is stretched 1.2-fold about its median. Of simulated power laws with and without
    a floor 80 % then holds 92 to 100 %, of other shapes 80 to 92 %, of the published ends of training curves 88 %
    (image errors) and 71 % (nine curves of language losses).

    Meant for one curve that falls or stands still; on one that rises the prediction stays near the last losses. Where
    the last losses lie above the lowest by more than the noise, a note of the prediction says so.

    Args:
        runs: polars frame or dictionary of arrays, one row per point of the curve; replicates are welcome.
        level: share of the two-sided interval.
        target: column to extrapolate, above zero: nats/token, or any loss or error.
        seed: of the draws; the same seed gives the same numbers.
        **columns: the one predictor, and where to predict, e.g. D=1e12 or C=array; above zero, any shape, none at all
            included.

    Returns:
        Median, low and high for a new run, in the shape asked for and the units of the target.

    Raises:
        BadOption: no predictor or more than one, a level outside (0, 1), or a seed that is no whole number.
        MissingColumns: predictor or target are not columns of the runs.
        NonFiniteLoss: a target that is not finite and above zero.
        BadPredictor: a predictor that is not finite and above zero, in the runs or where it was asked.
        TooFewScales: fewer than four different values of the predictor.
        SeveralCurves: rows of several model sizes, each with its own curve.
        TwoUnits: a predictor in one unit in some rows and in another in the rest.

    Source:
        The family: Caballero et al. 2023, arXiv:2210.14891, equation 1, and Alabdulmohsin et al. 2022,
        arXiv:2209.06640, estimators M3 and M4. The discrepancy u: Kennedy and O'Hagan 2001, "Bayesian calibration of
        computer models", equation 4. The sampler: Cornuet et al. 2012, "Adaptive multiple importance sampling",
        section 2.
    """
    level = share("level", level, "0.8")
    name, asked = _one_predictor(columns)
    seed = whole("seed", seed, "a whole number from zero")
    x, y = _read(runs, name, target)
    last = float(x.max())
    model = _binned(np.log(x / last).round(12), np.log(y))
    posterior = _mixture(model, seed)
    points = np.log(asked.ravel() / last)
    forecasts = _single_laws(model, points)
    out = np.empty((3, len(points)))
    width = max(1, _CELLS // _DRAWS)
    for i in range(0, len(points), width):
        draws = np.concatenate([part.losses(points[i : i + width]) for part in posterior])
        draws = _shared(draws, forecasts[:, i : i + width])
        out[:, i : i + width] = np.quantile(draws, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
    out = out[1] + _STRETCH * (out - out[1])
    low, median, high = (row.reshape(asked.shape) for row in np.exp(out))
    return Prediction(median, low, high, level, "new run", notes=turned_up(x, y, name) + broken(x, y, name))


def broken_curves(x: Array, losses: Array, *, draws: int, seed: int) -> dict[str, Array]:
    """Parameters of `bnsl(1)` drawn with the chance that the losses of one curve leave them, shape (draws,) each.

    Of the family of `extrapolate`, both slopes falling and a floor of zero or more. Floor, break and last slope trade
    off against each other over valleys with several minima, of which a best fit and refits from there see one.

    Args:
        x: predictor, above zero, of four values or more.
        losses: above zero.
        draws, seed: how many, and of what.
    """
    order, last = np.lexsort((losses, x)), float(x.max())
    model = _binned(np.log(x[order] / last).round(12), np.log(losses[order]))
    drawn = _sample(model, seed).drawn(draws, seed)
    curves, level = model.curves(drawn.normals), np.exp(drawn.levels())[:, None]
    unit = level * (1.0 - curves.floor) / np.exp(curves.log_power(np.zeros(1)))
    named = {
        "E": level * curves.floor, "A": unit * last**curves.early, "c0": curves.early,
        "c1": curves.late - curves.early, "d1": last * np.exp(curves.place), "f1": curves.width,
    }  # fmt: skip
    return {name: value[:, 0] for name, value in named.items()}


@dataclass(frozen=True, eq=False)
class _Posterior:
    """Curves drawn with the chance that the losses leave them, and the numbers that make a draw of the prediction."""

    model: Model
    normals: Array
    """Shape parameters, shape (draws, SHAPES)."""
    scatter: NDArray[np.int64]
    """Which of the model's scatters goes with each."""
    noise: Array
    """Student-t numbers, shape (draws,)."""

    def losses(self, z: Array) -> Array:
        """Draws of a new log loss at z, shape (draws, points)."""
        out = np.empty((len(self.normals), len(z)))
        for mine, scatter, level, white, noise in self._by_scatter():
            ahead, variance = scatter.ahead(z, white)
            spread = noise[:, None] * np.sqrt(variance)
            out[mine] = self.model.curves(self.normals[mine]).at(z) + level[:, None] + ahead + spread
        return out

    def levels(self) -> Array:
        """Draws of the log loss that each curve has at the last point, shape (draws,)."""
        out = np.empty(len(self.normals))
        for mine, scatter, level, _, noise in self._by_scatter():
            out[mine] = level + noise / np.sqrt(scatter.information)
        return out

    def _by_scatter(self) -> Iterator[tuple[NDArray[np.bool_], Scatter, Array, Array, Array]]:
        """Of each scatter which draws are its own, their levels and whitened misses, and their noise at variance 1."""
        for k in np.unique(self.scatter):
            mine, scatter = self.scatter == k, self.model.scatters[k]
            curves = self.model.curves(self.normals[mine])
            level, white = scatter.miss(self.model.log_loss - curves.at(self.model.z))
            scale = np.sqrt(2.0 * self.model.rate(white) / self.model.freedom)
            yield mine, scatter, level, white, scale * self.noise[mine]


def _shared(draws: Array, forecasts: Array) -> Array:
    """Draws of the posterior, shared out evenly: some stay, the others move to where a single law has their median."""
    low, median, high = np.quantile(draws, [0.1, 0.5, 0.9], axis=0)
    farthest = _FARTHEST * (high - low) / 2.0
    shifts = np.clip(np.nan_to_num(forecasts - median), -farthest, farthest)
    shifts = np.concatenate([np.zeros_like(draws[:1]), shifts])
    return draws + shifts[np.arange(len(draws)) % len(shifts)]


def _single_laws(model: Model, ahead: Array) -> Array:
    """Log losses ahead by each law that has fewer parameters than the curve has points, shape (laws, points)."""
    last = model.log_loss[-1]
    runs = {"N": _LAST * np.exp(model.z), "loss": np.exp(model.log_loss - last)}
    forecasts = []
    for law in _LAWS:
        if len(describe(law).parameters) >= len(np.unique(model.z)):
            continue
        problem, _ = pose(describe(law), runs, _OPTIONS, model.counts)
        try:
            best = minimise(problem, _OPTIONS, starts=_STARTS, steps=_STEPS).best
        except LawReturnsNaN:
            continue
        with np.errstate(all="ignore"):  # NaN counts as the posterior's median
            value = law(_LAST * np.exp(ahead), **dict(zip(problem.names, best, strict=True)))
            forecasts.append(np.log(value) + last)
    return np.array(forecasts).reshape(len(forecasts), len(ahead))


def _mixture(model: Model, seed: int) -> list[_Posterior]:
    """Draws of the broken curves and of plain power laws, shared out by how likely each makes the losses."""
    samples = [_sample(model, seed), _sample(model.power_law(), seed)]
    odds = np.exp(np.clip(samples[1].evidence - samples[0].evidence, -50.0, 50.0)) * _ODDS
    plain = round(_DRAWS * odds / (1.0 + odds))
    counts = (_DRAWS - plain, plain)
    return [sample.drawn(n, seed) for sample, n in zip(samples, counts, strict=True) if n]


@dataclass(frozen=True, eq=False)
class _Sample:
    """Curves with their weights under the losses."""

    model: Model
    normals: Array
    """Shape parameters, shape (curves, shapes)."""
    likelihoods: Array
    """Logarithms, shape (curves, scatters)."""
    weights: Array
    """Log weights, shape (curves,); their sum is the chance of the losses, times the number of scatters."""

    @property
    def evidence(self) -> float:
        """Log density of the losses under the prior, up to the model's one constant."""
        return float(np.logaddexp.reduce(self.weights)) - np.log(self.likelihoods.shape[1])

    def drawn(self, count: int, seed: int) -> _Posterior:
        rng = np.random.default_rng([seed, _ROUNDS + 1])
        curve = _systematic(np.exp(self.weights - self.weights.max()), count, rng)
        likely = self.likelihoods[curve]
        among = np.exp(likely - likely.max(axis=1, keepdims=True)).cumsum(axis=1)
        scatter = np.sum(among < among[:, -1:] * rng.random((count, 1)), axis=1)
        noise = rng.standard_t(self.model.freedom, count)
        return _Posterior(self.model, self.normals[curve], scatter, noise)


def _sample(model: Model, seed: int) -> _Sample:
    """Adaptive multiple importance sampling: rounds of kernels around the best curves so far, all rounds kept."""
    first, following, shapes = _FIRST[model.shapes], _NEXT[model.shapes], model.shapes
    normals = np.random.default_rng([seed, 0]).standard_normal((first, shapes))
    likelihoods = model.log_likelihoods(normals)
    weights = np.logaddexp.reduce(likelihoods, axis=1) - np.log(first)
    proposals: list[Callable[[Array], Array]] = [lambda at: np.log(first) + _log_normal(at)]
    drawn = proposals[0](normals)  # how densely curves were drawn there, all rounds together
    for round_ in range(1, _ROUNDS + 1):
        if _effective(weights) >= _ENOUGH:
            break
        rng = np.random.default_rng([seed, round_])
        centres, factor = _kernels(normals, weights, rng)
        latest = partial(_log_kernels, centres=centres, factor=factor, count=following)
        tails = np.sqrt(rng.chisquare(_TAIL, (following, 1)) / _TAIL)
        kicks = rng.standard_normal((following, shapes)) / tails
        fresh = centres[rng.integers(len(centres), size=following)] + kicks @ factor.T
        proposals.append(latest)
        drawn = np.logaddexp(drawn, latest(normals))
        drawn = np.concatenate([drawn, np.logaddexp.reduce([density(fresh) for density in proposals])])
        normals = np.concatenate([normals, fresh])
        likelihoods = np.concatenate([likelihoods, model.log_likelihoods(fresh)])
        weights = np.logaddexp.reduce(likelihoods, axis=1) + _log_normal(normals) - drawn
    return _Sample(model, normals, likelihoods, weights)


def _kernels(normals: Array, weights: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Centres and common Cholesky factor of the next round, from weights flattened until they rest on enough curves."""
    power, low, high = 1.0, 0.0, 1.0
    if _effective(weights) < _ROUGH:
        for _ in range(20):
            power = (low + high) / 2.0
            low, high = (low, power) if _effective(power * weights) < _ROUGH else (power, high)
    each = np.exp(power * (weights - weights.max()))
    each /= each.sum()
    centred = normals - each @ normals
    covariance = (each[:, None] * centred).T @ centred + 1e-12 * np.eye(normals.shape[1])
    return normals[_systematic(each, _CENTRES, rng)], _NARROW * np.linalg.cholesky(covariance)


def _log_normal(normals: Array) -> Array:
    return -0.5 * np.sum(normals**2, axis=1) - 0.5 * normals.shape[1] * np.log(2.0 * np.pi)


def _log_kernels(normals: Array, centres: Array, factor: Array, count: int) -> Array:
    """Log density of a round's curves: an even mixture of Student-t kernels, times how many were drawn."""
    at, around = (np.linalg.solve(factor, a.T).T for a in (normals, centres))
    squares = np.sum(at**2, axis=1)[:, None] + np.sum(around**2, axis=1) - 2.0 * at @ around.T
    shapes = normals.shape[1]
    half = 0.5 * (_TAIL + shapes)
    constant = np.log(count / len(centres)) + gammaln(half) - gammaln(0.5 * _TAIL)
    constant -= 0.5 * shapes * np.log(_TAIL * np.pi) + np.log(np.diag(factor)).sum()
    return constant + np.log(np.sum((1.0 + np.maximum(squares, 0.0) / _TAIL) ** -half, axis=1))


def _effective(weights: Array) -> float:
    """How many equal weights carry as much: (Σw)² / Σw², of log weights."""
    return float(np.exp(2.0 * np.logaddexp.reduce(weights) - np.logaddexp.reduce(2.0 * weights)))


def _systematic(share: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows drawn in proportion to their share, as evenly as can be."""
    steps = (np.arange(count) + rng.random()) / count
    return np.minimum(np.searchsorted(np.cumsum(share) / share.sum(), steps), len(share) - 1)


def _one_predictor(columns: Mapping[str, ArrayLike]) -> tuple[str, Array]:
    if len(columns) != 1:
        wanted = "one predictor and where to predict, e.g. extrapolate(runs, D=1e12)"
        raise BadOption("columns", tuple(columns), wanted)
    ((name, given),) = columns.items()
    try:
        asked = np.asarray(given)
        asked = np.full(asked.shape, np.nan) if asked.dtype.kind in "USb" else asked.astype(float)
    except (TypeError, ValueError, OverflowError):
        asked = np.array(np.nan)
    bad = ~(np.isfinite(asked) & (asked > 0.0))
    if bad.any():
        value = float(asked[bad][0])
        raise BadOption(
            name, given if np.isnan(value) else value, "finite and above zero wherever a loss is asked for"
        )
    return name, asked


def _read(runs: Table, name: str, target: str) -> tuple[Array, Array]:
    """Predictor and target, in an order that does not depend on the table's."""
    frame, predictor = as_frame(runs), Argument(name, Quantity(low=0.0, log=True), True)
    if frame.is_empty():
        raise TooFewScales("an extrapolation", name, (), _NEEDED)
    data = read(
        [predictor], frame, target=target, weights=np.ones(len(frame))
    )  # replicates are no duplicates
    x, y = data.columns[name], data.target
    values = np.unique(x)
    if len(values) < _NEEDED:
        raise TooFewScales("an extrapolation", name, tuple(values.tolist()), _NEEDED)
    one_curve(frame, name, x, y)
    order = np.lexsort((y, x))
    return x[order], y[order]


def _binned(z: Array, log_loss: Array) -> Model:
    """The curve as it is, or where it has many points, their means within even bins of ln x."""
    if len(z) <= _POINTS:
        return Model.of(z, log_loss, np.ones(len(z)), 0.0)
    bins = np.minimum((_POINTS * (1.0 - z / z.min())).astype(int), _POINTS - 1)
    _, label, counts = np.unique(bins, return_inverse=True, return_counts=True)
    centre, mean = (np.bincount(label, v) / counts for v in (z, log_loss))
    within = float(np.sum((log_loss - mean[label]) ** 2))
    return Model.of(centre, mean, counts.astype(float), within)
