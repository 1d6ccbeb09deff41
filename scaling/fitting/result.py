"""What a fit comes to: frozen, printable, saved and loaded as JSON."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scaling import laws, show
from scaling.arguments import checked, share
from scaling.errors import BadOption, FitError, LawError, MissingColumns, require_kind
from scaling.files import short_hash, written_whole
from scaling.fitting.data import Array
from scaling.fitting.discrepancy import Discrepancy
from scaling.fitting.distance import distance_of
from scaling.fitting.identifiability import FLAT, SINGULAR
from scaling.fitting.later import when_read
from scaling.fitting.noise import Noise
from scaling.fitting.options import Options
from scaling.fitting.prediction import Prediction
from scaling.fitting.words import (
    ENOUGH,
    ParameterTable,
    bootstrap_words,
    chi_squared_words,
    heading,
    in_words,
    missed_words,
)
from scaling.laws.base import Argument, Law, describe


class NotALikelihood(FitError):
    """An information criterion of a fit whose objective is no likelihood."""

    law: str
    method: str

    def __str__(self) -> str:
        return (
            f"AICc and BIC compare likelihoods, but {self.law} was fitted by {self.method}, which is none. Use "
            "objective='huber_likelihood' or 'gaussian', or compare held-out errors with scaling.compare."
        )


class UnreadableFit(FitError):
    """A file that is not a saved fit."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be read as a saved fit ({self.reason}). Save it again with Fit.save, or restore the "
            "file."
        )


class LawNotSaved(FitError):
    """A saved fit whose law is not one of the suite's."""

    path: str | Path
    law: str

    def __str__(self) -> str:
        return (
            f"{self.path} holds a fit of {self.law}, which is not a law of the suite, so its formula is not there. "
            f"Pass the function, e.g. Fit.load({self.path!r}, law={self.law})."
        )


_FORMATS = (1, 2)  # the first has no hash of what is in it
_CELLS = 1 << 21  # draws × points of one chunk of predictions


@dataclass(frozen=True)
class Starts:
    """How far independent starts agree; an optimiser's own "success" says less."""

    agree: int
    """Starts that ended within 1e-6 of the lowest objective, relative."""
    total: int
    excess: tuple[float, ...] = ()
    """By how much the others ended higher, relative to the lowest, smallest first."""

    def __str__(self) -> str:
        words = f"{self.agree} of {self.total} starts agree"
        if self.excess:
            nearest, farthest = (f"{100 * e:.2g}" for e in (self.excess[0], self.excess[-1]))
            between = nearest if nearest == farthest else f"{nearest} to {farthest}"
            words += f" (the others ended {between} % higher)"
        return words


_SCATTERED = 2000  # draws of a new run's scatter where there is no bootstrap
_LINEAR = ("squares", "gaussian")  # objectives whose misses are differences; those of the others are ratios


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Fit(show.Shown):
    """A law fitted to runs: parameters, how sure, and what the runs could not tell."""

    law: Callable[..., Any]
    """The function that was fitted; `law(N, D, **params)` is the fitted curve."""
    name: str
    params: dict[str, float]
    """Value of every parameter, fixed ones included."""
    free: tuple[str, ...]
    """Which of them were fitted."""
    method: str
    """The objective in words."""
    settings: dict[str, Any]
    """How it was made, as plain values: the fields of `options`."""
    objective: float
    """The objective at `params`: a sum over runs, not a mean."""
    log_likelihood: float | None = None
    """Of the runs at `params`, nats; None where the objective is not a likelihood."""
    starts: Starts
    draws: dict[str, Array]
    """Bootstrap draws of every parameter, shape (draws,); constant for fixed ones, empty without a bootstrap."""
    draws_unfinished: int = 0
    """Draws whose solution did not converge; they are among `draws`."""
    cluster: str = "rows"
    """What the bootstrap drew, in words."""
    clusters: int = 0
    """How many of them there are; 0 where that is not known."""
    rows: int
    target: str = "loss"
    residuals: Array
    """Observed minus fitted in the order of the runs: ln y - ln L for a log objective, else y - L."""
    residual_weights: Array
    rms_percent: float
    """Root mean square of y/L - 1, in percent."""
    condition: float
    """Condition number of the scaled curvature; beyond 1e10 some direction of the parameters is not determined."""
    undetermined: dict[str, str]
    """Parameters that the runs do not determine, and how that shows."""
    ranges: dict[str, tuple[float, float]]
    """Smallest and largest value of each column that was fitted to."""
    notes: tuple[str, ...] = ()
    data_hash: str
    chi_squared: float | None = None
    """Sum of squared misses over known standard errors; None where the objective reads none."""
    discrepancy: Discrepancy | None = when_read(None)  # noqa: RUF009
    """Model discrepancy beyond the runs; None without a bootstrap, or where the law reads nothing to go beyond. Its
    backtests are made when it is first read: to predict, to print or to save."""
    noise: Noise | None = None
    """How the scatter of runs changes with scale; None where the law reads none."""
    missed_most: dict[str, float] = field(default_factory=dict)
    """The runs that the law misses most, by name or row, largest first, and their `residuals`."""

    @property
    def options(self) -> Options:
        """How it was made."""
        return Options(**self.settings)

    @property
    def drawn(self) -> bool:
        """Whether there are bootstrap draws enough for an interval, 20 or more."""
        return len(next(iter(self.draws.values()))) >= ENOUGH

    @property
    def aicc(self) -> float:
        """Akaike's criterion with its small-sample correction: 2k - 2 ln L + 2k(k+1)/(n-k-1); lower is better.

        n is the sum of the weights, which is the number of runs unless weights were given.

        Raises:
            NotALikelihood: the objective has no density of the runs to compare.
        """
        k, n = self._counted(), float(self.residual_weights.sum())
        return 2 * k - 2 * self._log_likelihood() + (2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf)

    @property
    def bic(self) -> float:
        """The Bayesian information criterion, k ln n - 2 ln L, with n as in `aicc`; lower is better.

        Raises:
            NotALikelihood: the objective has no density of the runs to compare.
        """
        return self._counted() * float(np.log(self.residual_weights.sum())) - 2 * self._log_likelihood()

    def _counted(self) -> int:
        return len(self.free) + (self.settings["objective"] == "huber_likelihood")  # its scale is fitted too

    def _log_likelihood(self) -> float:
        if self.log_likelihood is None:
            raise NotALikelihood(self.name, self.method)
        return self.log_likelihood

    @property
    def stderr(self) -> dict[str, float]:
        """Standard deviation of the bootstrap draws of each fitted parameter; NaN without 20 draws."""
        return {p: float(np.std(self.draws[p], ddof=1)) if self.drawn else np.nan for p in self.free}

    @property
    def covariance(self) -> Array:
        """Covariance of the bootstrap draws, shape (free, free) in the order of `free`; NaN without 20 draws.

        A parameter that is known to a factor only has a few draws that outweigh all others here: see `derived`.
        """
        if not self.drawn:
            return np.full((len(self.free), len(self.free)), np.nan)
        return np.atleast_2d(np.cov(np.stack([self.draws[p] for p in self.free])))

    def derived(self, function: Callable[..., ArrayLike], *, level: float = 0.95) -> show.Interval:
        """Any function of the parameters, with an interval over the bootstrap draws.

            fitted.derived(lambda alpha, beta: beta / (alpha + beta))    # exponent of the best size in compute

        Args:
            function: called with arrays of draws by keyword, each of shape (draws,): those that it names, or all where
                it takes **parameters. Returns an array whose first axis is the draws.
            level: share of the two-sided interval.

        Returns:
            Median, low and high over the draws. With fewer than 20 of them the median is the value at `params`, low and
            high are NaN.

        Raises:
            BadOption: a level outside (0, 1), or a function that asks for what is no parameter, takes no arrays, or has
                no value at some draws.
        """
        level = share("level", level, "0.95")
        draws = self.draws if self.drawn else {p: np.array([v]) for p, v in self.params.items()}
        count = len(next(iter(draws.values())))
        values = _over_draws(function, draws, count)
        if self.drawn:
            return show.Interval.over(values, level)
        unknown = np.full(values.shape[1:], np.nan)
        return show.Interval(values[0], unknown, unknown, level)

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Two-sided percentile interval of each fitted parameter.

        Args:
            level: share of the draws inside, e.g. 0.95.

        Returns:
            Low and high; NaN without a bootstrap, with fewer than 20 draws, and of a parameter that others make up for
            entirely.

        Raises:
            BadOption: a level outside (0, 1).
        """
        low, _, high = show.tails(share("level", level, "0.8"))
        if not self.drawn:
            return dict.fromkeys(self.free, (np.nan, np.nan))
        ends = {p: np.quantile(self.draws[p], (low, high)) for p in self.free if p not in self.made_up_for}
        return {p: tuple(map(float, ends.get(p, (np.nan, np.nan)))) for p in self.free}  # type: ignore[misc]

    @property
    def made_up_for(self) -> tuple[str, ...]:
        """Parameters that the others make up for entirely, or that move nothing: these have no interval."""
        flat = (p for p, how in self.undetermined.items() if how.startswith(FLAT))
        return tuple(flat) if self.condition > SINGULAR else ()

    @checked
    def predict(
        self, *, level: float = 0.8, new_run: bool = False, discrepancy: bool = True, **columns: ArrayLike
    ) -> Prediction:
        """Losses at columns of your choice, with an interval from the bootstrap draws.

        Beyond the runs each draw is moved by model discrepancy, known from backtests: the interval widens, and where
        fits to the smaller runs all missed the larger ones to one side, the median leaves the fitted curve.

        Args:
            level: share of the two-sided interval.
            new_run: add the scatter of single runs around the law, resampled from the residuals, each as large as
                residuals are at the scale asked (see `fitting.noise`), and widened by sqrt(n / (n - p)) for the p
                parameters that were fitted to them.
            discrepancy: allow for model discrepancy beyond the runs, see `fitting.discrepancy`; False: as if the law
                held for ever.
            **columns: what the law reads, e.g. N=70e9, D=1.4e12; numbers or arrays that broadcast.

        Returns:
            Median, low and high in the broadcast shape of the columns. Without a bootstrap the median is the fitted
            curve, low and high are NaN for the mean, and nothing is known of the discrepancy.

        Raises:
            MissingColumns: a column that the law reads was not given.
            BadOption: a level outside (0, 1), a name that the law does not read, or values that it cannot be read at.
        """
        tails, seed = show.tails(share("level", level, "0.8")), self.settings.get("seed", 0)
        points, shape = points_of(describe(self.law), columns)
        draws, count = self.draws, len(next(iter(self.draws.values())))
        if not self.drawn:
            count = _SCATTERED if new_run else 1
            draws = {p: np.full(count, v) for p, v in self.params.items()}
        parameters = {p: values[:, None] for p, values in draws.items()}
        rng = np.random.default_rng([seed, 1])
        miss = self.discrepancy if self.drawn and discrepancy else None
        beyond = miss is not None and bool(np.any(miss.support.distance(points) > 0))
        t = miss.draws(count, seed) if miss and beyond else None
        size, width = int(np.prod(shape)), max(1, _CELLS // count)
        out = np.empty((3, size))
        for i in range(0, size, width):
            part = {c: v[i : i + width] for c, v in points.items()}
            with np.errstate(all="ignore"):
                values = self.law(*part.values(), **parameters)
            values = np.broadcast_to(values, (count, min(width, size - i)))
            if miss and t is not None:
                values = miss.move(values, t, part)
            if new_run:
                values = self._scatter(values, part, rng)
            out[:, i : i + width] = np.quantile(values, tails, axis=0)
        low, median, high = (np.asarray(row) for row in out.reshape((3, *shape)))
        if not self.drawn and not new_run:
            low, high = np.full(shape, np.nan), np.full(shape, np.nan)
        far = distance_of(self.discrepancy, points, shape) if self.drawn and self.discrepancy else None
        return Prediction(median, low, high, level, "new run" if new_run else "mean", beyond, distance=far)

    def save(self, path: str | Path) -> None:
        """Write the fit as JSON; numbers come back to the last digit. The runs are not in it, their hash is."""
        saved = {
            "format": _FORMATS[-1],
            "law": self.name,
            "ships": _ships(self.law),
            "held": {p: float(v) for p, v in describe(self.law).held.items()},
            "starts": [self.starts.agree, self.starts.total, list(self.starts.excess)],
            "draws": {p: v.tolist() for p, v in self.draws.items()},
            "residuals": self.residuals.tolist(),
            "residual_weights": self.residual_weights.tolist(),
            "chi_squared": self.chi_squared,
            "clusters": self.clusters,
            "missed_most": self.missed_most,
            "discrepancy": asdict(self.discrepancy) if self.discrepancy else None,
            "noise": asdict(self.noise) | {"standard": self.noise.standard.tolist()} if self.noise else None,
        } | {name: getattr(self, name) for name in _PLAIN}
        saved["hash"] = short_hash(json.dumps(saved, sort_keys=True))
        with written_whole(path, "a fit") as scratch:
            scratch.write_text(json.dumps(saved, indent=1))

    @staticmethod
    def load(path: str | Path, law: Callable[..., Any] | None = None) -> Fit:
        """The fit that `save` wrote.

        Args:
            path: the JSON file.
            law: the function, where it is not one of the suite's.

        Raises:
            UnreadableFit: not such a file, one that was changed since, or a law with other parameters.
            LawNotSaved: a law of the user's own, and no function given.
        """
        try:
            saved = json.loads(Path(path).read_text())
            if saved["format"] not in _FORMATS:
                raise UnreadableFit(path, f"format {saved['format']!r}, not {_FORMATS[-1]}")
            if saved["format"] > 1 and saved.pop("hash") != short_hash(json.dumps(saved, sort_keys=True)):
                raise UnreadableFit(path, "it is not what was saved: it was changed, or damaged on the way")
            if law is None:
                if not saved["ships"]:
                    raise LawNotSaved(path, saved["law"])
                law = laws.get(saved["law"])
                law = functools.partial(law, **saved["held"]) if saved["held"] else law
            if set(describe(law).parameter_names) != set(saved["params"]):
                wanted = ", ".join(saved["params"])
                raise UnreadableFit(path, f"its parameters are {wanted}, and the law given has others")
            agree, total, excess = saved["starts"]
            plain = {name: saved[name] for name in _PLAIN}
            plain["params"] = {p: float(value) for p, value in plain["params"].items()}
            plain["free"], plain["notes"] = tuple(plain["free"]), tuple(plain["notes"])
            plain["ranges"] = {c: tuple(v) for c, v in plain["ranges"].items()}
            return Fit(
                law=law,
                name=saved["law"],
                starts=Starts(agree, total, tuple(excess)),
                draws={p: np.array(v, float) for p, v in saved["draws"].items()},
                residuals=np.array(saved["residuals"], float),
                residual_weights=np.array(saved["residual_weights"], float),
                chi_squared=saved.get("chi_squared"),
                clusters=saved.get("clusters", 0),
                missed_most=saved.get("missed_most", {}),
                discrepancy=Discrepancy.restored(saved.get("discrepancy")),
                noise=Noise.restored(saved.get("noise")),
                **plain,
            )
        except FileNotFoundError:
            raise UnreadableFit(path, "there is no such file") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
            raise UnreadableFit(path, f"{type(reason).__name__}: {reason}") from reason

    def shown(self) -> Iterator[str | show.Table]:
        parameters = {a.name: a for a in describe(self.law).parameters}
        rows = []
        for p, value in self.params.items():
            words, within = in_words(self, parameters[p]) if p in self.free else (f"{value:g} (held)", "")
            rows.append([p, words, within, parameters[p].quantity.unit])
        yield ParameterTable(
            ["parameter", "value, half of its 68 % interval", "interval", "unit"], rows, heading(self)
        )
        yield f"objective {self.objective:.4g}; {self.starts}; {bootstrap_words(self)}"
        yield f"residual {self.rms_percent:.2g} % rms{chi_squared_words(self)}"
        if self.noise and (words := self.noise.words(self._spread(), self._relative)):
            yield words
        if most := missed_words(self):
            yield most
        for p, how in self.undetermined.items():
            yield f"not determined by these runs: {p} ({how})"
        if self.drawn and self.discrepancy:
            yield str(self.discrepancy)
        yield from self.notes

    def _scatter(self, values: Array, columns: Mapping[str, Array], rng: np.random.Generator) -> Array:
        """Each value moved by the residual of a run drawn at random."""
        chances = self.residual_weights / self.residual_weights.sum()
        picked = rng.choice(len(self.residuals), values.shape, p=chances)
        noise = (self.noise.standard if self.noise else self.residuals)[picked] * self._widened(chances)
        if self.noise:
            noise *= self.noise.size(columns)
        return values * np.exp(noise) if self._relative else values + noise

    def _spread(self) -> float:
        """Of single runs around the law, in the middle of their scales."""
        standard = self.noise.standard if self.noise else self.residuals
        return show.weighted_rms(standard, self.residual_weights) * self._widened(self.residual_weights)

    def _widened(self, chances: Array) -> float:
        """By what residuals are larger than they look, as the parameters were fitted to them."""
        counted = int((chances > 0).sum())
        return float(np.sqrt(counted / max(1, counted - len(self.free))))

    @property
    def _relative(self) -> bool:
        return self.settings["objective"] not in _LINEAR


_PLAIN = (
    "params", "free", "method", "settings", "objective", "log_likelihood", "draws_unfinished", "cluster", "rows",
    "target", "rms_percent", "condition", "undetermined", "ranges", "notes", "data_hash",
)  # fmt: skip


def _ships(law: Callable[..., Any]) -> bool:
    """Whether the suite has this very function under its name; a user's own may go by the same."""
    described = describe(law)
    function = described.function
    try:
        own = laws.get(described.name)
    except LawError:
        return False
    return own is (function.func if isinstance(function, functools.partial) else function)


def points_of(law: Law, given: Mapping[str, ArrayLike]) -> tuple[dict[str, Array], tuple[int, ...]]:
    """Where a prediction is asked for, each column flat in the order of the law, and the shape they broadcast to."""
    reads = f"{law.name} reads {', '.join(law.column_names)}"
    if missing := [c.name for c in law.columns if c.name not in given and c.default is None]:
        raise MissingColumns(missing, list(given), f"{reads}.")
    for name in given:
        if name not in law.column_names:
            raise BadOption(name, given[name], f"left out: {reads}")
    values = [_place(c, given.get(c.name, c.default)) for c in law.columns]
    try:
        arrays = np.broadcast_arrays(*values)
    except ValueError:
        shapes = [f"{c.name} of shape {a.shape}" for c, a in zip(law.columns, values, strict=True)]
        raise BadOption("columns", ", ".join(shapes), "shapes that broadcast") from None
    return {c.name: a.ravel() for c, a in zip(law.columns, arrays, strict=True)}, arrays[0].shape


def _over_draws(function: Callable[..., ArrayLike], draws: dict[str, Array], count: int) -> Array:
    """Values of a function of the parameters at every draw, shape (draws, ...)."""
    takes = inspect.signature(function).parameters.values()
    every = any(a.kind is a.VAR_KEYWORD for a in takes)
    asked = [
        a.name for a in takes if a.default is a.empty and a.kind not in (a.VAR_KEYWORD, a.VAR_POSITIONAL)
    ]
    if unknown := [name for name in asked if name not in draws]:
        raise BadOption("function", unknown, f"a function of parameters alone: {', '.join(draws)}")
    names = draws if every else [a.name for a in takes if a.name in draws]
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(function(**{name: draws[name] for name in names}), float)
    except (TypeError, ValueError) as reason:
        raise BadOption("function", function, f"one of arrays, e.g. of numpy ({reason})") from reason
    if values.ndim == 0:  # of what is held alone, or a constant
        values = np.full(count, float(values))
    if len(values) != count:
        raise BadOption("function", values.shape, f"one with the draws as first axis, {count} long")
    if missing := int(np.isnan(values).reshape(count, -1).any(axis=1).sum()):
        raise BadOption("function", f"NaN at {missing} of {count} draws", "one with a value at every draw")
    return values


def _place(column: Argument, given: ArrayLike | None) -> Array:
    """Values at which a law can be read; an infinite scale is one too."""
    try:
        values = np.asarray(given, float)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        values = np.array(np.nan)
    none = np.isnan(values) | (column.quantity.log & (values <= 0)) | (np.asarray(given).dtype.kind in "USb")
    if np.any(none):
        wanted = f"a number or an array of numbers, {'above zero' if column.quantity.log else 'not NaN'}"
        raise BadOption(column.name, given, wanted)
    return values


def require_fit(fitted: object) -> None:
    """Nothing, where it is a fit; else raises BadOption."""
    require_kind("fitted", fitted, Fit, "what scaling.fit returned")
