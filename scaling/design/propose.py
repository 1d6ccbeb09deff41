"""Which runs next: those that shrink the doubt about an answer most for their FLOPs, as a study that `sweep` takes."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scaling import show
from scaling.arguments import checked, number, share, whole
from scaling.design.asked import QUESTIONS, Asked, NoSuchParameter, Request, UnknownQuestion, ask, law_of
from scaling.design.candidates import REACH, BudgetTooSmall, Candidates, candidates
from scaling.design.domains import read_blends
from scaling.design.information import Batch, Belief, Estimated, Units, best_batch
from scaling.design.shares import BLENDS, ask_blend
from scaling.design.slopes import Arms, arms_of, ask_slope, gains
from scaling.errors import BadOption, require_columns
from scaling.fitting.data import Array, Table, as_frame, counts_of
from scaling.laws.base import describe
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.study import Study, Trunk, read_study
from scaling.study.text import study_text
from scaling.units import counted, power_of_ten, print_count

SLOPES = ("transfer", "slope")
_TIMES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the budget, at which the doubt that would be left is printed."""
_SPENT = 0.9
"""Of the budget, below which it is said why no more is spent."""
_CORPUS: dict[str, Any] = {
    "source": "installed",
    "packages": ["numpy", "scipy", "polars", "lmfit", "matplotlib", "networkx"],
    "blend": {"code": 0.5, "prose": 0.5},
}
_OF_GRIDS = ("width", "depth", "head_dim", "budgets", "seed", "peak_lr", "unique_budget", "max_epochs")


@dataclass(frozen=True)
class Lot:
    """Trunks of one shape and one list of budgets, which train as a stack: a seed each."""

    N: int
    width: int
    depth: int
    budgets: tuple[int, ...]
    unique_budget: int | None
    seeds: tuple[int, ...]
    flops: float
    keys: dict[str, Any]
    """Of the study's grid."""
    blend: str = ""
    """Shares of domains in words, where blends are asked about."""


@dataclass(frozen=True, eq=False, repr=False)
class Proposal(show.Shown):
    """The next runs, what they would take, and how much they would leave in doubt."""

    question: str
    about: str
    """The target in words."""
    lots: tuple[Lot, ...]
    budget: float
    """FLOPs that were asked."""
    flops: float
    """FLOPs that the runs take, trunks and cooldowns."""
    now: dict[str, show.Interval]
    """The interval of each target from the runs so far; none where the question is which law is true."""
    path: pl.DataFrame
    """times, flops, left (of the width of the interval, or of the standard deviation of the answer), nats (expected log
    Bayes factor for the true law; null where the target has an interval), for several budgets."""
    stop_below: float
    study: str = ""
    """TOML that `scaling sweep` takes."""
    left_out: int = 0
    """Runs that repeat text, which the law takes for new."""
    rests: str = ""
    """In words, what the answer rests on where it is that of one law: other forms, and what they would make it miss."""

    @property
    def left(self) -> float:
        """Width of the interval after these runs, over that of now."""
        return self._at(1.0)

    @property
    def next_decade(self) -> float:
        """By what share ten times the budget would shrink it further."""
        return 1.0 - self._at(10.0) / self.left

    @property
    def stop(self) -> bool:
        """Whether to stop after these runs: the next decade of FLOPs shrinks the doubt by less than `stop_below`."""
        return self.next_decade < self.stop_below

    def flops_for(self, left: float = 0.5) -> float:
        """FLOPs after which so much of the width is left, between the budgets of `path`; infinite where none does."""
        known = self.path.sort("flops")
        x, y = np.log(known["flops"].to_numpy()), np.log(np.minimum.accumulate(known["left"].to_numpy()))
        if y[-1] > np.log(left):
            return float("inf")
        return float(np.exp(np.interp(-np.log(left), -y, x)))

    def write(self, path: str | Path) -> Path:
        """Write the study file; its path comes back."""
        path = Path(path)
        path.write_text(self.study)
        return path

    def shown(self) -> Iterator[str | show.Table]:
        yield f"next runs for {self.about}, within {power_of_ten(self.budget)} FLOPs"
        blends = any(lot.blend for lot in self.lots)
        rows = [
            [
                *[lot.blend] * blends,
                print_count(lot.N),
                f"{lot.width}, {lot.depth}",
                ", ".join(print_count(b) for b in lot.budgets),
                "all" if lot.unique_budget is None else print_count(lot.unique_budget),
                str(len(lot.seeds)),
                power_of_ten(lot.flops),
            ]
            for lot in self.lots
        ]
        yield show.Table(
            [
                *["blend, %"] * blends,
                "parameters N",
                "width, depth",
                "tokens D",
                "of it unique",
                "seeds",
                "FLOPs",
            ],
            rows,
        )
        yield from self.words

    @property
    def words(self) -> Iterator[str]:
        """What is known of the target, what these runs would leave, and whether to go on."""
        if self.left_out:
            yield f"left out: {counted(self.left_out, 'run')} that repeat text"
        for name, one in self.now.items():
            yield f"now    {name} = {one.words('{:.4g}'.format)}"
        ways = [
            f"{100 * left:.0f} % at {power_of_ten(flops)} FLOPs"
            for flops, left in self.path.select("flops", "left").rows()
        ]
        what = "of the interval's width" if self.now else "of the answer's standard deviation"
        yield f"left   {what}: {', '.join(ways)}"
        if not self.now:
            nats = ", ".join(f"{value:.2g}" for value in self.path["nats"])
            yield f"        expected log Bayes factor for the true law, in the same order: {nats} nats"
        if (half := self.flops_for()) < np.inf:
            yield f"        a half is left at about {power_of_ten(half)} FLOPs"
        if self.rests:
            yield f"rests  {self.rests}"
        if self.flops < _SPENT * self.budget:
            rest = 100 * (1 - self.flops / self.budget)
            yield f"unspent {rest:.0f} % of the budget: no runs that it pays for would bring the answer nearer"
        said = "stop after these" if self.stop else "go on after these"
        yield f"then   {said}: the next decade of FLOPs would shrink it by {100 * self.next_decade:.0f} %"

    def _at(self, times: float) -> float:
        return float(self.path.filter(pl.col("times") == times)["left"].item())


@checked
def propose(
    runs: Table,
    *,
    question: str,
    flops: float | None = None,
    hours: float | None = None,
    law: Callable[..., Any] | None = None,
    parameter: str | None = None,
    C: float | None = None,
    reading: str | None = None,
    target: str | Mapping[str, float] | None = None,
    study: Study | str | Path | None = None,
    sizes: tuple[float, float] | None = None,
    tokens: tuple[float, float] | None = None,
    most_seeds: int = 8,
    stop_below: float = 0.2,
    level: float = 0.8,
    bootstrap: int = 400,
    seed: int = 0,
) -> Proposal:
    """The next runs within a budget: those after which an answer would be known best.

        v(A) = v - k_A (K_A + R_A)^-1 k_A'

    is what runs A leave of the variance of a target, from draws (see `design.information`). Parameters and losses
    are judged as a fit to all runs will have them: its mean square error, of noise and of the bias where a rival form
    that the runs do not exclude is true. Then the law nearest to it over the sizes and tokens is sought.
    Trunks are chosen, a trunk's cooldown branches for the price of 20 % each; seeds of one shape train as a stack.

    Args:
        runs: so far; columns N, D and loss, and where they are there C, seed, trunk_id, unique_tokens, width, peak_lr.
        question: "exponent" (the exponents of a law, or `parameter`), "forecast" (the loss at C), "surface" (the
            losses at all sizes and tokens that could be trained), "law" (which of chinchilla, kaplan and power_mean),
            "plateau" (or a power law), "repetition" (R_D of a law with repeats), "transfer" (the slope against size
            of what a source gives a target), "slope" (of `reading`), "exchange" (what a token of each other domain is
            worth in a target's own), or "blend" (the best shares for a target).
        flops: the budget, FLOPs.
        hours: the budget in place of it, at the FLOP/s that the runs reached (columns C and seconds).
        law: of N, D and unique_tokens, for all but "law" and the slopes; chinchilla unless given.
        parameter: of the law, for "exponent" and "repetition".
        C: FLOPs at which "forecast" asks; ten times the largest run unless given.
        reading: the column that "slope" is of, one row for each N and seed.
        target: of "exchange" and "blend", as for `scaling.blend`: a domain whose loss was measured.
        study: whose corpus, shape, rate and schedule the runs are to have, a study or its file; for the slopes it is
            needed, as its arms are what is trained. Without one shapes follow `flops.ladder`.
        sizes, tokens: smallest and largest N and D; by default half the smallest and eight times the largest so far.
        most_seeds: of one shape.
        stop_below: share by which the next decade of FLOPs should shrink the width, not to stop.
        level: of the intervals.
        bootstrap, seed: of the fit.

    Returns:
        A `Proposal`; print it, plot it, `write` its study.

    Raises:
        UnknownQuestion, NoSuchParameter, NoLawFits, NoReadings, BudgetTooSmall: see there.
        BadOption: neither flops nor hours, or another option out of range.
        FitError, MissingColumns: as `fit`, for the law and the runs.

    Source:
        Chaloner and Verdinelli 1995, Statistical Science 10(3), equation 14; Box and Draper 1959, JASA 54(287).
    """
    if question not in (known := (*QUESTIONS, *SLOPES, *BLENDS)):
        raise UnknownQuestion(question, known)
    share("level", level, "0.8")
    share("stop_below", stop_below, "0.2")
    whole("most_seeds", most_seeds, "a number of seeds, 1 or more", least=1)
    whole("bootstrap", bootstrap, "a number of refits, 100 or more", least=100)
    if C is not None and not number("C", C, "a number of FLOPs above zero") > 0:
        raise BadOption("C", C, "a number of FLOPs above zero")
    if (frame := as_frame(runs)).is_empty():
        raise BadOption("runs", "none", "one or more; no row fulfils the condition, or the table is empty")
    frame = _complete(frame)
    if C is not None and (least := float(frame["C"].to_numpy().min())) > C:
        raise BadOption("C", C, f"FLOPs to look ahead to; the smallest run took {least:.1e}")
    budget = _budget(flops, hours, frame)
    source = None if study is None else study if isinstance(study, Study) else read_study(study)
    if question in SLOPES:
        request = Request(runs=frame, level=level, seed=seed)
        asked, batch, path, lots = _of_arms(request, question, reading, source, budget, most_seeds)
        text, left_out = _arms_text, 0
    elif question in BLENDS:
        if source is None and (others := sorted({*read_blends(frame).domains} - {*_CORPUS["blend"]})):
            raise BadOption("study", None, f"the study whose corpus has {', '.join(others)}")
        request = Request(runs=frame, level=level, seed=seed, bootstrap=bootstrap)
        asked, units, there = ask_blend(request, question, target, _template(source), most_seeds)
        if budget < (least := float(there.flops.min())):
            raise BudgetTooSmall(budget, least, there.trunks[int(there.flops.argmin())].name)
        batch, path = _spent(asked, units, budget)
        lots, text, left_out = _lots(batch, there, "blend"), _text, 0
    else:
        chosen = describe(law_of(question, law))
        if parameter is not None and parameter not in chosen.parameter_names:
            raise NoSuchParameter(parameter, chosen.name, chosen.parameter_names)
        repeats = "unique_tokens" in chosen.column_names
        new = frame if repeats else frame.filter(pl.col("D") <= 1.01 * pl.col("unique_tokens"))
        if new.is_empty():
            raise BadOption(
                "law", chosen.name, "one with repeats, as every run repeats text: laws.with_repeats of it"
            )
        request = Request(
            runs=new, law=law, parameter=parameter, C=C, level=level, seed=seed, bootstrap=bootstrap
        )
        how: dict[str, Any] = {"repeats": repeats, "sizes": sizes, "tokens": tokens}
        asked, batch, path, lots = _of_law(request, question, source, budget, most_seeds, how)
        text, left_out = _text, frame.height - new.height
    said = Proposal(
        question, asked.about, lots, budget, batch.flops, asked.now, path, stop_below, left_out=left_out,
        rests=_rests(asked, batch),
    )  # fmt: skip
    return replace(said, study=text(said, source))


_Chosen = tuple[Asked, Batch, pl.DataFrame, tuple[Lot, ...]]


def _of_arms(
    request: Request, question: str, reading: str | None, source: Study | None, budget: float, most: int
) -> _Chosen:
    """Further widths and seeds of every arm of a study."""
    if source is None:
        raise BadOption("study", None, "the study whose arms are to be trained, e.g. runs/transfer-text")
    read, name = gains(request.runs) if question == "transfer" else _reading(request.runs, reading)
    arms = arms_of(source, request.runs, REACH)
    asked, units = ask_slope(request, read, name, arms, most)
    if budget < arms.flops.min():
        raise BudgetTooSmall(budget, float(arms.flops.min()), f"every arm at width {arms.widths[0]}")
    batch, path = _spent(asked, units, budget)
    return asked, batch, path, _lots_of_arms(batch, arms)


def _of_law(
    request: Request, question: str, source: Study | None, budget: float, most: int, how: dict[str, Any]
) -> _Chosen:
    """Trunks on a grid of sizes and budgets."""
    template = _template(source)
    candidates(request.runs, template, budget=budget, **how)  # refuses a budget that pays for nothing
    there = candidates(request.runs, template, budget=max(_TIMES) * budget, **how)
    asked = ask(question, request, there.columns)
    units = Units(there.places, asked.own, asked.shared, there.flops, there.shapes, most)
    batch, path = _spent(asked, units, budget)
    return asked, batch, path, _lots(batch, there)


def _template(source: Study | None) -> Trunk | None:
    return next((t for t in source.trunks if not t.parent), None) if source else None


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """The runs with C and unique_tokens, where 6 N D and D stand in for them."""
    require_columns(("N", "D"), frame.columns, "A proposal needs both of each run so far.")
    N, D = counts_of(frame, "N"), counts_of(frame, "D")
    if "C" not in frame.columns:
        frame = frame.with_columns(C=pl.Series(FLOPS_PER_PARAMETER_TOKEN * N * D))
    if "unique_tokens" not in frame.columns:
        frame = frame.with_columns(unique_tokens=pl.Series(D))
    return frame.with_columns(pl.col("unique_tokens").fill_null(pl.col("D")))


def _budget(flops: float | None, hours: float | None, runs: pl.DataFrame) -> float:
    if flops is not None and hours is not None:
        raise BadOption("hours", hours, "left out, as flops= is given, or the other way round")
    if flops is None and hours is None:
        raise BadOption("flops", flops, "a number of FLOPs above zero, or left out where hours= is given")
    option, given = ("flops", flops) if hours is None else ("hours", hours)
    value = number(option, given, "a number above zero")
    if not 0 < value < np.inf:
        raise BadOption(option, given, "a number above zero")
    if hours is None:
        return value
    if "seconds" not in runs.columns or not (known := runs.filter(pl.col("seconds") > 0)).height:
        raise BadOption(
            "hours", hours, "flops= in its place, as these runs do not say how many seconds they took"
        )
    budget = 3600 * value * float(np.median((known["C"] / known["seconds"]).to_numpy()))
    if not np.isfinite(budget):
        raise BadOption("hours", hours, "a number of hours whose FLOPs can be counted")
    return budget


def _reading(frame: pl.DataFrame, reading: str | None) -> tuple[pl.DataFrame, str]:
    if reading is None or reading not in frame.columns:
        raise BadOption("reading", reading, f"a column of the runs: {', '.join(frame.columns)}")
    return frame.select("N", "seed", pl.col(reading).cast(pl.Float64).alias("value")), reading


def _spent(asked: Asked, units: Units, budget: float) -> tuple[Batch, pl.DataFrame]:
    """The best batch, and what the best batches of other budgets would leave."""
    batches = [best_batch(asked.belief, units, times * budget) for times in _TIMES]
    rows = [
        (times, times * budget, _left(asked.belief, batch.belief), _nats(asked.prior, batch.belief))
        for times, batch in zip(_TIMES, batches, strict=True)
    ]
    schema = {"times": pl.Float64, "flops": pl.Float64, "left": pl.Float64, "nats": pl.Float64}
    return batches[_TIMES.index(1.0)], pl.DataFrame(rows, schema=schema, orient="row")


def _rests(asked: Asked, batch: Batch) -> str:
    if not isinstance(batch.belief, Estimated):
        return ""
    bias = f"{100 * batch.belief.bias:.0f} % of the mean square error that is left"
    return f"on the law that is named, beside {asked.rivals}: were it not the true one, by {bias}"


def _left(before: Belief | Estimated, after: Belief | Estimated) -> float:
    """Geometric mean over the targets of the standard deviation after, over before."""
    return float(np.exp((after.doubt - before.doubt) / 2))


def _nats(prior: Array | None, after: Belief | Estimated) -> float | None:
    """Expected log Bayes factor for the law that is true: half the squared Mahalanobis distance of the rivals.

    Where a share R² of the variance p (1 - p) of a law's indicator is explained, d² = R² / ((1 - R²) p (1 - p)).
    """
    if prior is None:
        return None
    explained = 1.0 - np.clip(after.variance / prior, 1e-12, 1.0)
    return float(np.mean(explained / (1.0 - explained + 1e-12) / prior) / 2)


# --- as a study -----------------------------------------------------------------------------------------


def _lots(batch: Batch, there: Candidates, *more: str) -> tuple[Lot, ...]:
    lots = []
    for unit, times in sorted(Counter(batch.chosen).items()):
        trunk = there.trunks[unit]
        flat, N = trunk.flat, int(there.columns["N"][there.places[unit, 0]])
        seeds = tuple(range(trunk.seed, trunk.seed + times))
        keys: dict[str, Any] = {key: flat[key] for key in _OF_GRIDS if flat[key] is not None} | {
            "seed": list(seeds)
        }
        keys |= {key: dict(flat[key]) for key in more}
        blend = ", ".join(f"{domain} {100 * share:.3g}" for domain, share in keys.get("blend", {}).items())
        model, budgets, cap = trunk.model, trunk.schedule.budgets, trunk.data.unique_budget
        spent = times * float(there.flops[unit])
        lots.append(Lot(N, model.width, model.depth, budgets, cap, seeds, spent, keys, blend))
    return tuple(_fresh(lots))


def _fresh(lots: list[Lot]) -> Iterator[Lot]:
    """Lots of one shape with seeds of their own: the same seed at another budget would be the same trunk again."""
    used: Counter[tuple[int, int]] = Counter()
    for lot in lots:
        shift = used[lot.width, lot.depth]
        seeds = tuple(s + shift for s in lot.seeds)
        used[lot.width, lot.depth] += len(seeds)
        yield replace(lot, seeds=seeds, keys=lot.keys | {"seed": list(seeds)})


def _lots_of_arms(batch: Batch, arms: Arms) -> tuple[Lot, ...]:
    lots = []
    for unit, times in sorted(Counter(batch.chosen).items()):
        seeds = tuple(range(arms.seed, arms.seed + times))
        keys = {"width": arms.widths[unit], "seed": list(seeds)}
        flops = times * float(arms.flops[unit])
        lots.append(Lot(int(arms.N[unit]), arms.widths[unit], 0, (), None, seeds, flops, keys))
    return tuple(lots)


def _raw(source: Study | None) -> dict[str, Any]:
    """The tables of a study's file; its corpus is where it was."""
    file = source.folder / "study.toml" if source else None
    if file is None or not file.is_file():
        return {"corpus": dict(_CORPUS)}
    return tomllib.loads(file.read_text())


def _top(said: Proposal, raw: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: raw[key] for key in ("keep", "probes", "items", "corpus") if key in raw}
    return {"question": f"Next runs for {said.about}."} | kept | {"defaults": dict(defaults)}


def _text(said: Proposal, source: Study | None) -> str:
    raw = _raw(source)
    defaults: dict[str, Any] = {}
    if template := _template(source):
        plain = Trunk.of(width=template.model.width, budgets=template.schedule.budgets).flat
        left_out = {*_OF_GRIDS, "parent", "stage", "member"}
        defaults = {k: v for k, v in template.flat.items() if v != plain[k] and k not in left_out}
        defaults |= {k: dict(defaults[k]) for k in ("blend", "unique") if k in defaults}
    told = str(said).splitlines()
    if source is None:
        told.append(
            "text   of installed packages, as the runs do not say what they read: name yours under [corpus]"
        )
    return study_text(_top(said, raw, defaults), [lot.keys for lot in said.lots], told)


def _arms_text(said: Proposal, source: Study | None) -> str:
    raw = _raw(source)
    own = ("width", "seed", "N")
    defaults = {key: value for key, value in raw.get("defaults", {}).items() if key not in own}
    grids = [
        {key: value for key, value in grid.items() if key not in own} | lot.keys
        for lot in said.lots
        for grid in raw.get("grid", [{}])
    ]
    return study_text(_top(said, raw, defaults), grids, str(said).splitlines())
