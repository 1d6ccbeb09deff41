"""What the runs can tell apart: asked of the design before a fit, and of its solution and draws after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import FitError
from scaling.fitting.data import COUNTS, Array, Data, TooFewScales, numbers_of, scales
from scaling.fitting.options import Options
from scaling.fitting.problem import Problem
from scaling.intake.doubts import off_epochs, too_few, too_high
from scaling.laws.base import Argument, Law
from scaling.units import counted

_TOKENISERS = ("vocabulary", "vocab_size", "tokenizer", "tokeniser")
_TEXTS = ("corpus", "dataset", "data")  # columns of words that name what was trained on


class TooFewRuns(FitError):
    """No more runs than free parameters: the law goes through every one, and nothing says how sure it is."""

    law: str
    free: tuple[str, ...]
    given: int

    def __str__(self) -> str:
        return (
            f"{self.law} has {len(self.free)} free parameters ({', '.join(self.free)}) and needs more runs than that, "
            f"but got {counted(self.given, 'run')}. Train more, or hold parameters still, e.g. "
            f"fit(..., fixed={{{self.free[0]!r}: 1.69}})."
        )


class CollinearPredictors(FitError):
    """Predictors that move together, so that their effects cannot be told apart."""

    law: str
    columns: tuple[str, ...]
    spread: float

    def __str__(self) -> str:
        names = " and ".join(self.columns)
        return (
            f"{self.law} tells {names} apart, but in these runs one follows from the other to within {self.spread:.2g} "
            f"% (a power law between them). Add runs off that line, or {_HOLD}."
        )


FLAT = "the objective is flat along it"
SINGULAR = 1e20
"""Condition number from which on a flat parameter has no interval: draws do not move along what they cannot see."""
_HOLD = "hold a parameter still, e.g. fit(..., fixed={...})"
_COLLINEAR = 1.0  # percent that one predictor must stray from a power of the others
_NEARLY = 25.0  # percent below which it strays so little that a fit says so
_FLAT = 1e10  # condition number beyond which some direction is not determined
_WIDE = 100.0  # ratio of the ends of a 95 % interval beyond which a positive parameter is not determined
_TRIALS = 64  # points of the parameters at which a law is asked whether one of them is its floor
_FAR_OUT = 1e60  # times the runs: where a floor is all that is left of a loss
_COME_DOWN = 1e-3  # of the floor, which a loss far out must come down to
_CUT = 0.01  # share of a prior beyond the bounds that is worth a word
_ENDED_WELL = ("done", "finished", "completed", "complete", "success", "succeeded")
_ENOUGH_TO_SEE = 10  # targets that are round by more than chance
_NORMAL = 0.6745  # median of the absolute value of a standard normal variable
_MUCH = 0.7  # of the scatter, from which on rounding makes half of its square
_EXACT = 1e-3  # of a step: a law that misses by less made numbers that happen to be round
_BRINK = 1e-3  # of a parameter, beside which the law must have a value
_AT_BOUND = 0.1  # share of draws at a bound beyond which a parameter is not determined


def spare_runs(data: Data, free: int) -> int:
    """By how many the runs outnumber the free parameters; a row that is given twice counts once."""
    read = np.stack([*data.columns.values(), data.target], axis=1)
    return len(np.unique(read[data.weights > 0], axis=0)) - free


def require_enough(law: Law, data: Data, options: Options) -> None:
    """Refuse runs that cannot tell the free parameters of a law apart.

    A parameter that is held still makes up for one scale of the columns that it goes with; a prior counts as a run, and
    otherwise as if it held its parameter still.

    Raises:
        TooFewRuns, TooFewScales, CollinearPredictors.
    """
    free = options.free(law)
    spare = spare_runs(data, len(free))
    if spare + len(options.priors) <= 0:
        raise TooFewRuns(law.name, free, spare + len(free))
    for gap in _gaps(law, data, options):
        if gap.error:
            raise gap.error


@dataclass(frozen=True)
class _Gap:
    """Something that the runs alone cannot tell apart."""

    words: str
    error: FitError | None
    """None where parameters that are held still make up for it."""


def _gaps(law: Law, data: Data, options: Options) -> Iterator[_Gap]:
    held = law.held | dict(options.fixed) | {name: mean for name, (mean, _) in options.priors.items()}
    extent = {name: data.columns[name] for name in scales(law, data)}
    goes_with = _goes_with(law, data, held, tuple(extent))
    every = len({*law.parameter_names, *held})
    needed = min(3, every)
    for name, values in extent.items():
        distinct = tuple(np.unique(values).tolist())
        helping = [p for p, columns in goes_with.items() if name in columns or not columns]
        least = max(1, needed - len(helping))
        if len(distinct) < needed:
            words = (
                f"{law.name} needs {needed} scales of {name}, and the runs have {len(distinct)}: the rest of what it "
                f"says along {name} is held ({', '.join(helping)})"
            )
            error = TooFewScales(law.name, name, distinct, least, f", or {_HOLD}")
            yield _Gap(words, error if len(distinct) < least else None)
    logs = {name: np.log(values) for name, values in extent.items()}
    for name, values in logs.items() if 2 <= len(extent) < every else ():
        others = [np.ones_like(values)] + [v for other, v in logs.items() if other != name]
        design = np.stack(others, axis=1)
        fitted, *_ = np.linalg.lstsq(design, values, rcond=None)
        strays = 100.0 * float(np.std(values - design @ fitted))
        if strays < _COLLINEAR:
            helping = [p for p, columns in goes_with.items() if columns]
            together = (name, *(other for other in logs if other != name))
            words = (
                f"{' and '.join(together)} follow from each other in these runs to within {strays:.2g} %: {law.name} "
                f"tells them apart only by what is held ({', '.join(helping)})"
            )
            yield _Gap(words, None if helping else CollinearPredictors(law.name, together, strays))
            return
        if strays < _NEARLY:
            yield _Gap(_nearly(law, logs, strays), None)
            return


def _nearly(law: Law, logs: Mapping[str, Array], strays: float) -> str:
    """That predictors move together in all runs but for a few percent."""
    off, names = "add runs off that line", " and ".join(logs)
    if set(logs) == {"N", "D"} and 100.0 * np.std(ratio := logs["D"] - logs["N"]) < _NEARLY:
        spread = 100.0 * float(np.std(ratio))
        words = f"D/N is nearly constant, {np.exp(np.median(ratio)):.3g} to within {spread:.2g} %"
    else:
        words = f"{names} nearly follow from each other in these runs, to within {strays:.2g} %"
    return f"{words}, so that {law.name} can hardly tell what {names} do apart: {off}"


def _goes_with(
    law: Law, data: Data, held: Mapping[str, float], names: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """The scales that each held parameter's effect depends on: N for A and alpha of A/N^alpha, none for a floor."""
    point = {p.name: _typical(p) for p in law.parameters} | dict(held)
    goes_with = {}
    for parameter, value in held.items():
        moved = point | {parameter: value + 0.01 * max(abs(value), 0.1)}

        def effect(columns: Mapping[str, Array], moved: dict[str, float] = moved) -> Array:
            with np.errstate(all="ignore"):
                return np.asarray(law(*columns.values(), **moved) - law(*columns.values(), **point), float)

        try:
            here = effect(data.columns)
            apart = {
                c: effect(data.columns | {c: np.full(data.rows, np.median(data.columns[c]))}) for c in names
            }
        except Exception:
            goes_with[parameter] = names  # the law itself is at fault, and the fit will say so
            continue
        if not np.isfinite(here).all():
            goes_with[parameter] = names
            continue
        size = 1e-6 * float(np.max(np.abs(here)))
        goes_with[parameter] = tuple(c for c in names if np.any(np.abs(apart[c] - here) > size))
    return goes_with


def _typical(parameter: Argument) -> float:
    """A value to look at the law with."""
    if parameter.default is not None:
        return parameter.default
    low, high = parameter.quantity.start or (0.5, 0.5)
    return float(np.sqrt(low * high)) if low > 0 else 0.25 * low + 0.75 * high


def caveats(law: Law, data: Data, options: Options) -> tuple[str, ...]:
    """What is known of the runs and the law does not see, and what they alone do not tell; printed with the fit."""
    words = [gap.words for gap in _gaps(law, data, options)]
    if "D" in data.columns and "unique_tokens" in data.table.columns and "unique_tokens" not in data.columns:
        repeated = int(
            (data.columns["D"] > 1.01 * numbers_of(data.frame("unique_tokens"), "unique_tokens")).sum()
        )
        if repeated:
            words.append(
                f"{repeated} of the runs repeat data, which {law.name} takes for new: "
                f'keep "epochs = 1", or fit with_repeats({law.name})'
            )
    words += filter(None, (too_few(name, data.columns[name]) for name in COUNTS if name in data.columns))
    if options.target == "loss" and (high := too_high(data.target)):
        words.append(high)
    words += _epochs(data)
    if "status" in data.table.columns and data.table["status"].dtype == pl.String:
        ended = data.table["status"].drop_nulls().str.to_lowercase()
        if len(badly := ended.filter(~ended.is_in(_ENDED_WELL))):
            words.append(
                f"{len(badly)} of the runs did not end well by their status ({', '.join(badly.unique().sort())}), and "
                "are fitted all the same: keep runs.filter(pl.col('status') == 'done')"
            )
    if "corpus_hash" in data.table.columns and (corpora := data.table["corpus_hash"].n_unique()) > 1:
        words.append(f"the runs come from {corpora} corpora, whose losses differ: keep one corpus_hash")
    for name in _TEXTS:
        if data.table.schema.get(name) != pl.String:
            continue
        if (texts := data.table[name].drop_nulls().n_unique()) > 1:
            words.append(f"the runs have {texts} values of {name}, and losses differ between texts: keep one")
    return (
        *words,
        *_tokenisers(data, options),
        *_floors_above(law, data, options),
        *_cut_priors(law, options),
    )


def _epochs(data: Data) -> Iterator[str]:
    """Epochs that contradict the tokens beside them, and more distinct tokens than were trained on."""
    D, unique = (data.columns.get(name, np.zeros(1)) for name in ("D", "unique_tokens"))
    if "D" in data.columns and (count := int((unique > 1.01 * D).sum())):
        yield (
            f"unique_tokens is above D in {count} of the runs, more than can have been seen: it is the distinct tokens "
            "that a run saw, at most D"
        )
    named = ("epochs", "D", "unique_tokens")
    if not all(name in data.table.columns and data.table[name].dtype.is_numeric() for name in named):
        return
    if count := int(off_epochs(*(numbers_of(data.table, name) for name in named)).sum()):
        yield (
            f"epochs contradicts D / unique_tokens in {count} of the runs: laws of repeated data read the tokens, "
            "filters on epochs do not. Correct one of them"
        )


def _tokenisers(data: Data, options: Options) -> Iterator[str]:
    """Runs whose losses for each token are of different tokens."""
    for name in _TOKENISERS if "per_byte" not in options.target else ():
        if name in data.table.columns and (several := data.table[name].drop_nulls().n_unique()) > 1:
            yield (
                f"the runs have {several} values of {name}, and a token is not the same for each: losses in nats/token "
                "compare within one. Keep one, or fit a loss for each byte"
            )


def _cut_priors(law: Law, options: Options) -> Iterator[str]:
    """Priors with a part beyond the bounds, which no draw follows there."""
    from scipy.special import ndtr  # in the function, as scipy takes long to import

    names = (p for p in law.parameter_names if p not in options.fixed)
    for p, low, high in zip(names, *options.limits(law), strict=True):
        mean, spread = options.priors.get(p, (np.nan, 1.0))
        outside = float(ndtr((low - mean) / spread) + ndtr((mean - high) / spread))
        if outside >= _CUT:
            yield f"{100 * outside:.2g} % of the prior of {p} lie outside [{low:g}, {high:g}]: it is cut off there"


def _floors_above(law: Law, data: Data, options: Options) -> Iterator[str]:
    """Floors that are held, or kept by a bound or a prior, above losses of the runs."""
    weighed = data.target[data.weights > 0]
    kept = {p: (value, f"is held at {value:g}") for p, value in (law.held | dict(options.fixed)).items()}
    for p, (low, _) in options.bounds.items():
        if low is not None:
            kept[p] = (low, f"is bounded to {low:g} or more")
    for p, (mean, spread) in options.priors.items():
        low = mean - 2 * spread
        kept[p] = (low, f"has a prior of {mean:g} ± {spread:g}")
    for p, (value, how) in kept.items():
        below = int((weighed < value).sum())
        if below and _is_floor(law, data, p, value):
            yield (
                f"{p} {how}, above the lowest loss, {weighed.min():.4g}: {law.name} cannot come near {below} of the "
                f"{len(weighed)} runs, and the other parameters make up for it. Free {p}, or compare units"
            )


@np.errstate(all="ignore")
def _is_floor(law: Law, data: Data, name: str, value: float) -> bool:
    """Whether no loss of the law lies below this parameter, whatever the others, and some come down to it far out."""
    rng = np.random.default_rng(0)
    others, unit = {}, next((p.quantity.unit for p in law.parameters if p.name == name), "nats/token")
    for p in law.parameters:
        low, high = p.quantity.start or (0.1, 1.0)
        if p.quantity.unit and p.quantity.unit == unit:  # another level of the loss lies above its floor
            low, high = max(low, value), value + high
        even = low <= 0 or not p.quantity.log
        draws = rng.uniform(0.0, 1.0, (_TRIALS, 1))
        others[p.name] = low + (high - low) * draws if even else low * (high / low) ** draws
    parameters = others if name in law.held else others | {name: value}
    far = {
        c.name: data.columns[c.name] * _FAR_OUT if c.quantity.log or c.quantity.count or not c.annotated
        else data.columns[c.name]
        for c in law.columns
    }  # fmt: skip
    try:
        here, there = (np.asarray(law(*at.values(), **parameters), float) for at in (data.columns, far))
    except Exception:  # a law is anybody's code, and the fit says what is wrong with it
        return False
    slack = _COME_DOWN * abs(value)
    known, reached = here[np.isfinite(here)], there[np.isfinite(there)]
    return bool(
        len(known) and len(reached) and known.min() >= value - slack and reached.min() <= value + slack
    )


@np.errstate(all="ignore")
def slopes(problem: Problem, best: Array) -> Array:
    """Slopes of the curve in each free parameter, in the objective's terms, shape (rows, free)."""
    _, parts = problem.derivatives(best[None])
    J = np.stack([np.broadcast_to(parts.get(j, 0.0), (1, problem.rows))[0] for j in range(len(best))], axis=1)
    return J / problem.call(best[None])[0][:, None] if problem.objective.log else J


@np.errstate(all="ignore")
def condition(problem: Problem, best: Array) -> tuple[float, NDArray[np.bool_]]:
    """Condition number of the Gauss-Newton matrix with unit diagonal, and what its flattest direction moves.

    All rows count here, not only the active ones: the question is what the design determines.
    """
    J = slopes(problem, best) * np.sqrt(problem.weights)[:, None]
    J = J[np.isfinite(J).all(1)]
    size = np.sqrt((J**2).sum(0))
    dead = size == 0
    J = J[:, ~dead] / size[~dead]
    if not J.size:
        return np.inf, np.ones(len(best), bool)
    _, singular, directions = np.linalg.svd(J, full_matrices=False)
    if dead.any():  # some parameter moves nothing at all; the others are another question
        return np.inf, dead
    loose = dead.copy()
    loose[~dead] = np.abs(directions[-1]) > 0.3
    return float((singular[0] / max(singular[-1], 1e-300)) ** 2), loose


def rounding(problem: Problem, best: Array, target: str) -> tuple[str, ...]:
    """Targets that are written with so few digits that rounding is a good part of their scatter.

    Written to q, they are off by q / sqrt(12) in the root mean square, beside the scatter that the fit leaves.
    """
    y, miss = problem.target, problem.misses(best[None])[0]
    step = next((10.0**-k for k in range(4) if np.allclose(y, np.round(y, k), rtol=0, atol=1e-9)), 0.0)
    if not step or len(y) < _ENOUGH_TO_SEE:
        return ()
    scatter = (
        float(np.median(np.abs(miss))) / _NORMAL * (float(np.median(y)) if problem.objective.log else 1.0)
    )
    if step / np.sqrt(12.0) < _MUCH * scatter or scatter < _EXACT * step:
        return ()
    return (
        f"{target} is written to {step:g}, and rounding makes most of the scatter of {scatter:.2g}: it is no chance, "
        "and the same in every resample. Write more digits",
    )


@np.errstate(all="ignore")
def odd_places(problem: Problem, best: Array, data: Data) -> tuple[str, ...]:
    """A solution on the brink of where the law has a value, and scales that it is read at and does not depend on."""
    words = []
    for j, (name, low, high) in enumerate(zip(problem.names, problem.low, problem.high, strict=True)):
        step = _BRINK * max(abs(float(best[j])), _BRINK)
        for moved in (best[j] - step, best[j] + step):
            beside = best.copy()
            beside[j] = np.clip(moved, low, high)
            if not np.isfinite(problem.value(beside[None])[0]):
                words.append(
                    f"{problem.law.name} has no usable value just beyond {name} = {best[j]:.4g}: the fit stands at "
                    "that brink, and intervals say nothing of what lies beyond it"
                )
                break
    value = problem.call(best[None])
    names = problem.law.column_names
    for name in scales(problem.law, data):
        others = [
            tuple(c * (by if n == name else 1.0) for n, c in zip(names, problem.columns, strict=True))
            for by in (0.5, 2.0)
        ]
        if all(np.array_equal(replace(problem, columns=moved).call(best[None]), value) for moved in others):
            words.append(
                f"{problem.law.name} reads {name} and does not use it: its value is the same at half of it and at twice"
            )
    return tuple(words)


def undetermined(
    problem: Problem, best: Array, draws: Array, condition_number: float, loose: NDArray[np.bool_]
) -> dict[str, str]:
    """Parameters that the runs do not determine, and how that shows."""
    how: dict[str, str] = {}
    for j, argument in enumerate(problem.free):
        name, low, high = argument.name, problem.low[j], problem.high[j]
        for end, bound in (("lower", low), ("upper", high)):
            if np.isfinite(bound) and np.isclose(best[j], bound, rtol=1e-9, atol=1e-12):
                how[name] = f"at its {end} bound {bound:g}"
        if name in how:
            continue
        if condition_number > _FLAT and loose[j]:
            how[name] = f"{FLAT}, condition number {condition_number:.1e}"
        elif len(draws):
            ends = np.quantile(draws[:, j], [0.025, 0.975])
            at_bound = np.mean(
                np.isclose(draws[:, j], low, rtol=1e-9, atol=1e-12) | np.isclose(draws[:, j], high, rtol=1e-9)
            )
            if at_bound > _AT_BOUND:
                how[name] = f"{100 * at_bound:.0f} % of the draws end at a bound"
            elif argument.quantity.log and ends[0] > 0 and ends[1] / ends[0] > _WIDE:
                how[name] = f"95 % of the draws span a factor of {ends[1] / ends[0]:.1e}"
    return how
