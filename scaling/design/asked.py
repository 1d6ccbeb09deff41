"""What is asked of runs that are to come, as a belief: targets beside the losses that every run would have.

exponent, repetition   parameters of a law, as a fit will estimate them; where another law is true, those of the law
                       nearest to it over all sizes and tokens that are paid for
forecast               the loss of the best model at a budget, as a fit will predict it
surface                the losses of all runs that could be made: the mean square error of their predictions
law                    which of some laws is true, each with its draws, as probable as another
plateau                whether the loss stops falling within the last decade, or goes on
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.design.allocation import Frontier, flops_per_token
from scaling.design.information import Belief, Estimated, Local, Units, lack_of_fit, sums_of
from scaling.errors import BadOption, FitError, did_you_mean
from scaling.fitting import Fit, fit
from scaling.fitting.data import Array
from scaling.fitting.identifiability import slopes
from scaling.fitting.minimum import descend, pose
from scaling.fitting.options import Options
from scaling.fitting.plausible import own_and_shared
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters
from scaling.fitting.rivals import shares_by_nearness
from scaling.laws import chinchilla, kaplan, power_mean, with_repeats
from scaling.laws.base import Exponent, describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.units import power_of_ten

RIVALS = (chinchilla, kaplan, power_mean)
READS = ("N", "D", "C", "unique_tokens")
LACK = 0.25  # variance of what a law misses at a place, over that of a run's own noise
_SIDE = 9  # points along either side of the region
_KINDS = 40  # of misses that are kept apart, the largest
_UNKNOWN = 1e-12  # of a run's weight, which every parameter has: none is without all bounds
_HALF_SHARED = 2.0  # trunks that a shared half of the noise is worth, before any is seen
_LEAST = 1e-8  # variance of ln loss, where runs have no noise
_ONSET = (0.0, 1.0)  # decades below the largest run in which a plateau may have begun
_BAD_FIT = 0.5  # share of the scatter of the runs that a law must leave unexplained to be none of theirs


class UnknownQuestion(FitError):
    """A question that no runs are proposed for."""

    question: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        guess = did_you_mean(self.question, self.known)
        return f"asked for runs about {self.question!r}. {guess}Questions are {', '.join(self.known)}."


class NoLawFits(FitError):
    """Runs whose losses a law says next to nothing of, so that it says nothing of further ones."""

    law: str
    missed: float
    scatter: float

    def __str__(self) -> str:
        return (
            f"asked which runs would tell more, by {self.law}, but it misses these runs by {100 * self.missed:.2g} %, "
            f"and they scatter by {100 * self.scatter:.2g} % in all. Look at the columns with scaling check, or name "
            "another law, e.g. --law kaplan."
        )


class NoSuchParameter(FitError):
    """A parameter that a law lacks, or that is held still."""

    parameter: str
    law: str
    free: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for the interval of {self.parameter}, but the free parameters of {self.law} are "
            f"{', '.join(self.free)}. {did_you_mean(self.parameter, self.free)}Ask for one of these, or name another "
            "law."
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked, as `propose` checked it."""

    runs: pl.DataFrame
    law: Callable[..., Any] | None = None
    parameter: str | None = None
    C: float | None = None
    at: tuple[float, float] | None = None
    """N and D of the model that a forecast at C is of; the best by the law unless given."""
    level: float = 0.8
    seed: int = 0
    bootstrap: int = 400

    def fitted(self, law: Callable[..., Any]) -> Fit:
        """A law's fit to the runs.

        Raises:
            FitError: these runs do not carry it, or it does not carry them.
        """
        made = fit(law, self.runs, bootstrap=self.bootstrap, seed=self.seed)
        loss = np.log(self.runs["loss"].to_numpy())
        missed, scatter = show.weighted_rms(made.residuals, made.residual_weights), float(loss.std())
        if missed**2 > _BAD_FIT * scatter**2:
            raise NoLawFits(made.name, missed, scatter)
        return made


@dataclass(frozen=True, eq=False)
class Asked:
    """A question in numbers."""

    belief: Belief | Estimated
    """Of its targets, and of the losses at the places."""
    own: Array
    shared: Array
    """Variances of a run's own miss and of its trunk's at each place, in ln loss."""
    now: dict[str, show.Interval]
    """The interval of each target; none where the question is which of some laws is true."""
    about: str
    """In words."""
    prior: Array | None = None
    """Variance of each target before any runs, where the question is which law is true."""
    rivals: str = ""
    """Other forms that the answer allows for, where it is that of one law."""


def ask(question: str, request: Request, places: Mapping[str, Array]) -> Asked:
    """What is believed of a question, and of the runs at some places.

    Raises:
        UnknownQuestion, NoSuchParameter, NoLawFits: see there.
        FitError: the runs do not carry the law.
        BadOption: a law that reads something else than N, D, C and unique_tokens.
    """
    if question not in QUESTIONS:
        raise UnknownQuestion(question, tuple(QUESTIONS))
    return QUESTIONS[question](request, places)


def law_of(question: str, law: Callable[..., Any] | None) -> Callable[..., Any]:
    """The law that a question is asked of, where its user named none."""
    return law or (with_repeats(chinchilla) if question == "repetition" else chinchilla)


def _exponent(request: Request, places: Mapping[str, Array]) -> Asked:
    fitted = request.fitted(law_of("exponent", request.law))
    kinds = {p.name: p.quantity for p in describe(fitted.law).parameters if p.name in fitted.free}
    steep = tuple(name for name, quantity in kinds.items() if quantity == get_args(Exponent)[1])
    named = (request.parameter,) if request.parameter else steep or fitted.free
    return _of_parameters(request, fitted, named, places)


def _repetition(request: Request, places: Mapping[str, Array]) -> Asked:
    fitted = request.fitted(law_of("repetition", request.law))
    return _of_parameters(request, fitted, (request.parameter or "R_D",), places)


def _of_parameters(request: Request, fitted: Fit, named: Sequence[str], places: Mapping[str, Array]) -> Asked:
    if lacking := [name for name in named if name not in fitted.free]:
        raise NoSuchParameter(lacking[0], fitted.name, fitted.free)
    ends = fitted.intervals(request.level)
    now = {p: show.Interval(fitted.params[p], *ends[p], request.level) for p in named}
    about = f"{', '.join(named)} of {fitted.name}"
    return _estimated(request, fitted, places, now, about, named)


def _forecast(request: Request, places: Mapping[str, Array]) -> Asked:
    fitted = request.fitted(law_of("forecast", request.law))
    spent = request.runs["C"].to_numpy().max()
    C = 10.0 * float(spent) if request.C is None else request.C
    best = request.at or Frontier(fitted, flops_per_token(request.runs)).plain(np.array([C]))
    point = {name: np.array([np.median(a)]) for name, a in zip(("N", "D"), best, strict=False)}
    point |= {"C": np.array([C]), "unique_tokens": point["D"]}
    name = f"loss at {power_of_ten(C)} FLOPs"
    about = f"the {name} by {fitted.name}, {point['N'][0]:.3g} parameters on {point['D'][0]:.3g} tokens"
    return _estimated(request, fitted, places, {name: _loss_at(request, fitted, point)}, about, point)


def _surface(request: Request, places: Mapping[str, Array]) -> Asked:
    fitted = request.fitted(law_of("surface", request.law))
    middle = np.argsort(_ln_losses(fitted, places).std(axis=0))[len(places["N"]) // 2]
    point = {c: values[[middle]] for c, values in places.items()}
    name = (
        f"loss at {point['N'][0]:.3g} parameters on {point['D'][0]:.3g} tokens, known as well as the median"
    )
    N, D = (f"{places[c].min():.3g} to {places[c].max():.3g}" for c in ("N", "D"))
    about = f"the losses of {N} parameters on {D} tokens by {fitted.name}"
    return _estimated(request, fitted, places, {name: _loss_at(request, fitted, point)}, about, places)


def _loss_at(request: Request, fitted: Fit, point: Mapping[str, Array]) -> show.Interval:
    read: Any = {c: point[c] for c in describe(fitted.law).column_names}
    said = fitted.predict(level=request.level, **read)
    return show.Interval(float(said.median[0]), float(said.low[0]), float(said.high[0]), request.level)


def _law(request: Request, places: Mapping[str, Array]) -> Asked:
    fits: list[Fit] = []
    for law in RIVALS:
        try:
            fits.append(request.fitted(law))
        except FitError:
            continue
    if len(fits) < 2:
        request.fitted(RIVALS[0])  # says what is wrong
        raise BadOption("question", "law", "asked of runs that two laws fit")
    near = np.array(shares_by_nearness([_miss(one) for one in fits]))
    fits = [fits[i] for i in np.argsort(-near)[: max(2, int((near >= 0.02).sum()))]]
    losses = np.concatenate([_ln_losses(one, places) for one in fits])
    which = np.repeat(np.eye(len(fits)), [len(next(iter(one.draws.values()))) for one in fits], axis=0)
    about = f"which of {', '.join(one.name for one in fits)} is true"
    own, shared = _noise(request, fits[0], places)
    belief = Belief.of(which, losses, _lack(places, own + shared))
    return Asked(belief, own, shared, {}, about, belief.variance)


def _miss(fitted: Fit) -> float:
    spare = max(1, fitted.rows - len(fitted.free))
    return max(float(np.abs(fitted.residuals).mean() * np.sqrt(fitted.rows / spare)), 1e-12)


def _plateau(request: Request, places: Mapping[str, Array]) -> Asked:
    """Half of the draws go on; of the others none falls below what it had at an onset in the last decade."""
    fitted = request.fitted(law_of("plateau", request.law))
    seen = {c: request.runs[c].to_numpy().astype(float) for c in READS}
    count = len(places["N"])
    both = {c: np.concatenate([places[c], seen[c]]) for c in READS}
    goes_on = _ln_losses(fitted, both)
    rng = np.random.default_rng([request.seed, 6])
    below = rng.uniform(*_ONSET, len(goes_on))
    onset = seen["C"].max() * 10.0**-below
    least = Frontier(fitted, flops_per_token(request.runs)).plain(onset, draw=np.arange(len(goes_on)))[2]
    stops = np.maximum(goes_on, np.log(least)[:, None])
    which = np.repeat([[0.0], [1.0]], len(goes_on), axis=0)
    losses = np.concatenate([goes_on, stops])
    own, shared = _noise(request, fitted, both)
    belief = Belief.of(which, losses, _lack(both, own + shared))
    trained = _trained(request, count, own, shared)
    belief = belief.after_all(trained, range(len(trained)))
    belief = Belief(belief.variance, belief.link[:, :count], belief.covariance[:count, :count])
    about = f"whether the loss, by {fitted.name}, stopped falling within the last decade of compute"
    return Asked(belief, own[:count], shared[:count], {}, about, np.array([0.25]))


QUESTIONS: dict[str, Callable[[Request, Mapping[str, Array]], Asked]] = {
    "exponent": _exponent,
    "forecast": _forecast,
    "surface": _surface,
    "law": _law,
    "plateau": _plateau,
    "repetition": _repetition,
}
"""What can be asked of a law of N, D, C and unique_tokens."""


def _estimated(
    request: Request, fitted: Fit, places: Mapping[str, Array], now: dict[str, show.Interval], about: str,
    of: Sequence[str] | Mapping[str, Array],
) -> Asked:  # fmt: skip
    """Parameters of these names, or the losses at points, as a fit to the runs and others at the places will have them.

    What the law would miss is what it misses of rival forms, each as probable as its share of the draws beyond the
    runs, from the law nearest to it over all sizes and tokens of the places; and a little noise of its own kind.
    """
    seen = {c: request.runs[c].to_numpy().astype(float) for c in READS}
    region = _region(places, "unique_tokens" in describe(fitted.law).column_names)
    parts = [places, seen, *[of] * isinstance(of, Mapping), region]
    every = {c: np.concatenate([part[c] for part in parts]) for c in READS}
    count, rows, inside = len(places["N"]), request.runs.height, slice(-len(region["N"]), None)
    own, shared = _noise(request, fitted, every)
    losses, shares = _rivals(fitted, every)
    near = Nearest.of(fitted, region)
    middle = (1 - shares.sum()) * _ln_losses(fitted, every).mean(axis=0) + shares @ losses
    J = near.slopes(near.parameters(middle[None, inside])[0], every)
    J = J / np.maximum(np.sqrt((J**2).mean(axis=0)), 1e-300)
    nearest = dict(zip(fitted.free, near.parameters(losses[:, inside]).T, strict=True))
    missed = losses - _ln_losses(fitted, every, nearest)
    beside = np.eye(len(J))  # what is left of a miss beside the law nearest to it
    beside[:, inside] -= J @ np.linalg.pinv(J[inside])
    covariance = beside @ _lack(every, own + shared) @ beside.T + (missed.T * shares) @ missed
    size, kinds = np.linalg.eigh(covariance)
    d = kinds[:, -_KINDS:] * np.sqrt(np.maximum(size[-_KINDS:], 0.0))
    if isinstance(of, Mapping):
        points = slice(count + rows, -len(region["N"]))
        law = Local(J, d, J[points], d[points]).mean
    else:
        targets = np.eye(J.shape[1])[[fitted.free.index(p) for p in of]]
        law = Local(J, d, targets, np.zeros((len(of), d.shape[1])))
    sums = sums_of(law, _trained(request, count, own, shared)).sum(axis=0)
    sums += _UNKNOWN * rows * np.eye(*sums.shape)
    belief = Estimated(law, sums, (sums, sums))
    forms = fitted.discrepancy.forms if fitted.discrepancy else ()
    rivals = ", ".join(f"{form.law} with {100 * form.share:.0f} %" for form in forms) or "no other form"
    return Asked(belief, own[:count], shared[:count], now, about, rivals=rivals)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The law that was fitted, moved as near as it comes to other curves over a region."""

    fitted: Fit
    problem: Problem
    order: NDArray[np.int64]
    """Of the region's points in the problem."""

    @staticmethod
    def of(fitted: Fit, region: Mapping[str, Array]) -> Nearest:
        frame = pl.DataFrame(dict(region)).with_columns(loss=1.0)
        problem, data = pose(describe(fitted.law), frame, Options(objective="squares_log"))
        return Nearest(fitted, problem, data.order)

    def parameters(self, curves: Array) -> Array:
        """Of the law nearest to each curve of ln losses over the region, shape (curves, free)."""
        start = np.tile([self.fitted.params[p] for p in self.fitted.free], (len(curves), 1))
        return descend(self.problem, start, None, curves[:, self.order]).parameters

    def slopes(self, parameters: Array, places: Mapping[str, Array]) -> Array:
        """Of ln loss in each parameter, shape (places, free)."""
        columns = tuple(places[c] for c in self.problem.law.column_names)
        alike = np.ones(len(columns[0]))
        return slopes(replace(self.problem, columns=columns, target=alike, weights=alike), parameters)


def _rivals(fitted: Fit, places: Mapping[str, Array]) -> tuple[Array, Array]:
    """ln losses by draws of rival forms, shape (draws, places), and the share of each draw."""
    losses, shares = [np.zeros((0, len(places["N"])))], [np.zeros(0)]
    for form in fitted.discrepancy.forms if fitted.discrepancy else ():
        count = len(next(iter(form.parameters.values())))
        values = form.values(np.arange(count), places)
        values = np.log(values[np.isfinite(values).all(axis=1) & (values > 0).all(axis=1)])
        losses.append(values)
        shares.append(np.full(len(values), form.share / max(1, len(values))))
    return np.concatenate(losses), np.concatenate(shares)


def _region(places: Mapping[str, Array], repeats: bool) -> Mapping[str, Array]:
    """Over which a law is nearest to another: evenly all sizes and tokens of the places, or the places themselves."""
    if repeats:
        return places
    ends = [np.geomspace(places[c].min(), places[c].max(), _SIDE) for c in ("N", "D")]
    N, D = (each.ravel() for each in np.meshgrid(*ends))
    return {"N": N, "D": D, "C": FLOPS_PER_PARAMETER_TOKEN * N * D, "unique_tokens": D}


def _lack(places: Mapping[str, Array], noise: Array) -> Array:
    """Covariance of what a law misses, whatever it is, at some places with so much noise each."""
    logs = np.log(np.stack([places[c] for c in ("N", "D", "unique_tokens")], axis=1))
    return lack_of_fit(logs, LACK * float(np.median(noise)))


def _trained(request: Request, first: int, own: Array, shared: Array) -> Units:
    """The trunks of the runs so far, which stand behind as many places."""
    labels = _trunks(request.runs)
    trunks = [first + np.flatnonzero(labels == trunk) for trunk in np.unique(labels)]
    rows = np.full((len(trunks), max(map(len, trunks))), -1, np.int64)
    for i, trunk in enumerate(trunks):
        rows[i, : len(trunk)] = trunk
    return Units(rows, own, shared, np.ones(len(trunks)), np.arange(len(trunks)))


def _ln_losses(fitted: Fit, places: Mapping[str, Array], draws: Mapping[str, Array] | None = None) -> Array:
    """ln loss at each place of each draw, of the fit's unless others are given, shape (draws, places)."""
    law = describe(fitted.law)
    if others := [c for c in law.column_names if c not in READS]:
        raise BadOption("law", law.name, f"one of {', '.join(READS)}; it reads {', '.join(others)} too")
    named = {p: v[:, None] for p, v in (draws or fitted.draws).items()}
    with np.errstate(all="ignore"):
        values = law(*(places[c] for c in law.column_names), **named)
    return np.log(np.maximum(values, 1e-300))


def _noise(request: Request, fitted: Fit, places: Mapping[str, Array]) -> tuple[Array, Array]:
    """Variances of a run's own miss and of its trunk's, at each place."""
    standard = fitted.noise.standard if fitted.noise else fitted.residuals
    labels = _trunks(request.runs)
    own, shared = noise_of(standard, fitted.residual_weights, labels, len(fitted.free))
    size = fitted.noise.size(places) ** 2 if fitted.noise else np.ones(len(places["N"]))
    return own * size, shared * size


def noise_of(residuals: Array, counted: Array, labels: NDArray[np.int64], free: int) -> tuple[float, float]:
    """Variances of a run's own miss and of what its trunk shares; half and half where trunks are too few to say.

    Args:
        residuals: in ln loss, shape (runs,).
        counted: what each counts.
        labels: the number of its trunk, from 0 on.
        free: parameters that were fitted.
    """
    groups, rows = Clusters(labels, int(labels.max()) + 1, ""), len(residuals)
    own, shared = own_and_shared(residuals, counted, groups)
    total = max(_LEAST, show.weighted_rms(residuals, counted) ** 2 * rows / max(1, rows - free))
    spare = groups.count - 1 if groups.count < rows else 0
    share = (spare * shared / max(own + shared, 1e-300) + _HALF_SHARED / 2) / (spare + _HALF_SHARED)
    return total * (1 - share), total * share


def _trunks(runs: pl.DataFrame) -> NDArray[np.int64]:
    """The number of each run's trunk; each a trunk of its own where that is not known."""
    if "trunk_id" not in runs.columns or runs["trunk_id"].null_count():
        return np.arange(runs.height)
    return (runs["trunk_id"].rank("dense").to_numpy() - 1).astype(np.int64)
