"""How fragile is a law? Every defensible way to fit the same runs, and which choice moves the answer most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import BadOption, MissingColumns, QuestionError
from scaling.fitting import Fit, fit
from scaling.fitting.data import Table, as_frame
from scaling.fitting.isoflops import isoflop
from scaling.laws import chinchilla, kaplan, power_mean
from scaling.laws.base import describe
from scaling.questions._audit.multiverse import CHOICES, OUTCOMES, multiverse, outcomes, prices
from scaling.show import two_digits
from scaling.units import power_of_ten
from scaling.verdict import Estimate, Reach, Verdict, percent


class TooFewRunsToAudit(QuestionError):
    """Too few runs to leave some out and fit the rest."""

    law: str
    needed: int
    given: int

    def __str__(self) -> str:
        return (
            f"an audit of {self.law} leaves runs out and needs {self.needed} or more, but got {self.given}. "
            f"Train more, or fit once and say so: fit({self.law}, runs)."
        )


class EmptyStep(QuestionError):
    """A step of a chain that no runs belong to."""

    step: dict[str, object]
    combinations: int

    def __str__(self) -> str:
        asked = ", ".join(f"{name} = {value!r}" for name, value in self.step.items())
        return (
            f"asked for the runs with {asked}, but there are none among the {self.combinations} combinations of these "
            "columns. Name one that is there, e.g. from runs.select(...).unique()."
        )


QUESTION = "How fragile is this law: do the defensible ways to fit the same runs agree?"

ROBUST, FRAGILE, CANNOT_TELL = "robust", "fragile", "not identifiable from these runs"
"""What `audit` may answer."""

MATTERS = {"a": 0.1, "tokens_per_parameter": 3.0, "loss_100x": 1.05}
"""From which width a range over choices makes a law fragile: a difference of a, a factor of the other two.

A tenth of a is a factor of 1.6 in the size planned two decades ahead; the factors are conventions as well."""

WIDEST = 0.2
"""Width of the resampling interval of a from which the runs do not determine it, however they are fitted."""

FEWEST = 20
"""Resampled refits that an interval takes."""

PORIAN_2024: tuple[Mapping[str, str], ...] = (
    {"param_count": "kaplan", "warmup": "long", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "long", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "kaplan", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "chinchilla", "hparams": "base"},
    {"param_count": "standard", "warmup": "short", "decay": "const", "hparams": "tuned"},
)
"""From Kaplan's exponent to Hoffmann's: Porian et al. 2024, arXiv:2406.19146, figure 1; count the head, shorten the
warm-up, match the decay to each budget, tune rate and batch (which needs no decay)."""

_WORDS = {
    "form": ("the form of the law", "runs off the compute-optimal line, with few and with many tokens per parameter"),
    "objective": ("the objective", "further seeds at the points that miss most, to know which are noise"),
    "left_out": ("which runs are left out", "the runs that miss most once more, with other seeds"),
    "N_counted": ("how parameters are counted", "larger models, whose embeddings and head are a small share"),
    "C_counted": ("how compute is counted", "larger models, whose attention and head are a small share"),
    "window": ("the window of compute", "runs half a decade beyond the largest, at three sizes or more"),
    "weighting": ("what each run counts", "as many runs at each budget"),
}  # fmt: skip

_NAMES = {
    "a": "exponent a of the best N in compute",
    "tokens_per_parameter": "tokens per parameter",
    "loss_100x": "loss at 100 times the compute",
}
_UNITS = {"a": "in N ∝ C^a", "tokens_per_parameter": "tokens per parameter", "loss_100x": "nats/token"}


def audit(
    runs: Table,
    *,
    law: Callable[..., Any] = chinchilla,
    others: Sequence[Callable[..., Any]] = (power_mean, kaplan),
    bootstrap: int = 200,
    level: float = 0.8,
    seed: int = 0,
) -> Verdict:
    """Whether the defensible ways to fit the same runs agree, and which choice moves the answer most.

    Objective and its delta, runs left out, how N and C are counted (as far as the columns allow), window of compute,
    weighting, and form (`law`, `others`, approach 2 with a parabola and a cubic) are crossed; `evidence` has a row for
    each, see `multiverse`. Three outcomes are followed over the rows that are kept: the exponent a, the best tokens per
    parameter at the largest compute, and the loss at 100 times that. The answer is

        "not identifiable from these runs"   where resampling the runs alone moves a by 0.2 or more, or fewer than half
                                             of the fits of `law` converge;
        "fragile"                            where choices move a by 0.1, tokens per parameter by a factor of 3, or the
                                             loss by 5 %, or more; or where most fits of `law` do not count, because
                                             another form misses the runs by much less;
        "robust"                             otherwise: what the law says does not hang on how it was fitted. It
                                             may still hang on the runs, for which see the resampling intervals.

    A range over choices is no interval: the choices are not draws, and how often each level occurs is a convention.

    Args:
        runs: columns N, D and loss at least; C, params_head, params_total and loss_stderr widen the choices.
        law: the law that is audited, of N and D.
        others: forms beside it.
        bootstrap: resampled refits under the usual choices.
        level: of the intervals, and the share of the specifications that a range holds.
        seed: of starts and bootstrap.

    Raises:
        MissingColumns: no N, D or loss.
        TooFewRunsToAudit: fewer than twice as many runs as the law has parameters.
        NotALaw: a form that reads other columns than N and D.
        BadOption: fewer than 20 resampled refits, or a level outside (0, 1).
        FitError: as `fit`.

    Source:
        Steegen et al. 2016, "Increasing transparency through a multiverse analysis"; Simonsohn et al. 2020,
        "Specification curve analysis".
    """
    frame, described = as_frame(runs), describe(law)
    if missing := [name for name in ("N", "D", "loss") if name not in frame.columns]:
        raise MissingColumns(missing, frame.columns, "An audit needs N, D and loss of each run.")
    if len(frame) < 2 * len(described.parameters):
        raise TooFewRunsToAudit(described.name, 2 * len(described.parameters), len(frame))
    if bootstrap < FEWEST:
        raise BadOption(
            "bootstrap", bootstrap, f"{FEWEST} or more, as an audit compares choices with resampling"
        )
    if not 0.0 < level < 1.0:
        raise BadOption("level", level, "between 0 and 1, e.g. 0.8")
    table = multiverse(frame, law, others=others, seed=seed)
    base = fit(law, frame, bootstrap=bootstrap, seed=seed)
    price = next(iter(prices(frame).values()))
    drawn = outcomes(described, {p: base.draws[p] for p in base.params}, price)
    best = outcomes(described, {p: np.array([v]) for p, v in base.params.items()}, price)
    kept = table.filter("kept")
    tails = [(1 - level) / 2, (1 + level) / 2]
    resampled = {}
    for name, unit in _UNITS.items():
        low, high = np.nanquantile(drawn[name], tails)
        resampled[name] = Estimate(float(best[name][0]), float(low), float(high), level, unit)
    chosen = {name: _range(kept[name], level, _UNITS[name]) for name in MATTERS}
    own = table.filter(form=described.name)
    answer = _answer(own, resampled, chosen)
    largest = price.C.max()
    moves = influence(table)
    numbers = {f"{_NAMES[name]}, resampling the runs": resampled[name] for name in MATTERS}
    numbers |= {f"{_NAMES[name]}, over choices": chosen[name] for name in MATTERS}
    return Verdict(
        question=QUESTION,
        answer=answer,
        sentence=_sentence(answer, table, described.name, len(frame), largest, resampled, chosen, moves),
        numbers=numbers,
        evidence=table,
        would_change=tuple(_doubts(frame, base, table, moves)),
        next_runs=(_WORDS[moves["choice"][0]][1],) if len(moves) else (),
        identifiable=answer != CANNOT_TELL,
        reach=Reach.of(frame.with_columns(C=pl.Series(price.C))),
        data_hash=base.data_hash,
        seed=seed,
    )


def influence(table: pl.DataFrame, outcome: str = "a") -> pl.DataFrame:
    """How much each choice moves an outcome, most first.

        share = (RSS without the choice - RSS of all choices) / total sum of squares

    of least squares on one level per column, over the rows that are kept; in a complete crossing it is the main
    effect's share of the variance, and what all shares leave to one is interaction. Tokens per parameter enter by their
    logarithm.

    Args:
        table: as `multiverse` returns it.
        outcome: one of `OUTCOMES`.

    Returns:
        One row per choice with two levels or more: choice, levels, share, largest_change (between two rows that differ
        in this choice alone; a factor for tokens per parameter), low, high (the levels of these two rows).

    Raises:
        MissingColumns: no such outcome.
    """
    if outcome not in OUTCOMES:
        raise MissingColumns([outcome], list(OUTCOMES), "Name one of these outcomes.")
    kept = table.filter("kept")
    log = outcome == "tokens_per_parameter"
    y = kept[outcome].log() if log else kept[outcome]
    varied = [name for name in CHOICES if kept[name].n_unique() > 1]
    spread = float(((y - y.mean()) ** 2).sum()) if len(kept) else 0.0
    rows = []
    for choice in varied:
        others = [name for name in varied if name != choice]
        share = (_rest(kept, y, others) - _rest(kept, y, varied)) / spread if spread > 0 else 0.0
        at = pl.col("_y")
        pairs = (
            kept.with_columns(_y=y)
            .group_by([name for name in CHOICES if name != choice], maintain_order=True)
            .agg(
                change=at.max() - at.min(),
                low=pl.col(choice).get(at.arg_min()),
                high=pl.col(choice).get(at.arg_max()),
            )
            .sort("change", descending=True, maintain_order=True)
        )
        change = float(pairs["change"][0])
        change = float(np.exp(change)) if log else change
        rows.append((choice, kept[choice].n_unique(), share, change, pairs["low"][0], pairs["high"][0]))
    schema = {
        "choice": pl.String, "levels": pl.Int64, "share": pl.Float64, "largest_change": pl.Float64,
        "low": pl.String, "high": pl.String,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("share", descending=True)


def chain(
    runs: Table,
    steps: Sequence[Mapping[str, Any]] = PORIAN_2024,
    *,
    form: str = "parabola",
    within: float = 8.0,
) -> pl.DataFrame:
    """The exponent of approach 2 for one sweep after another, and what was changed between them.

    Each step selects runs by the values of columns. Steps may be other countings of the same trainings or other
    trainings altogether: a warm-up, a decay or a rate is no choice of analysis, and no reweighing shows it.

    Args:
        runs: columns N, D, C, loss, and those that the steps name.
        steps: values of columns, one mapping for each step; by default the sweeps of `published:isoflop`, of which
            one dataset must have been selected.
        form: "parabola" or "cubic", as for `isoflop`.
        within: as for `isoflop`.

    Returns:
        One row per step: step (from 0), changed ("" for the first), rows, budgets, a, stderr, change (of a, null for
        the first).

    Raises:
        MissingColumns: a step names a column that is not there.
        EmptyStep: no runs have the values of a step.
        TooFewScales: fewer than three budgets with a minimum in a step.

    Source:
        Porian et al. 2024, arXiv:2406.19146, figure 1 and table 1.
    """
    frame = as_frame(runs)
    named = dict.fromkeys(name for step in steps for name in step)
    if missing := [name for name in named if name not in frame.columns]:
        raise MissingColumns(missing, frame.columns, "Name the columns that tell the sweeps apart in steps=.")
    parts = [frame.filter(**step) for step in steps]
    for step, part in zip(steps, parts, strict=True):
        if not len(part):
            raise EmptyStep(dict(step), frame.select(list(step)).unique().height)
    rows = []
    for i, (step, part) in enumerate(zip(steps, parts, strict=True)):
        found = isoflop(part, form=form, within=within)
        before = steps[i - 1] if i else step
        changed = [
            f"{name}: {before.get(name)} → {value}"
            for name, value in step.items()
            if before.get(name) != value
        ]
        change = found.exponent - rows[-1][4] if i else None
        rows.append(
            (i, ", ".join(changed), len(part), len(found.table), found.exponent, found.stderr, change)
        )
    schema = {
        "step": pl.Int64, "changed": pl.String, "rows": pl.Int64, "budgets": pl.Int64, "a": pl.Float64,
        "stderr": pl.Float64, "change": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _rest(kept: pl.DataFrame, y: pl.Series, choices: list[str]) -> float:
    """Residual sum of squares of an outcome on one level per column."""
    design = np.ones((len(kept), 1))
    if choices:
        design = np.hstack([design, kept.select(choices).to_dummies(drop_first=True).to_numpy()])
    wanted = y.to_numpy()
    fitted, *_ = np.linalg.lstsq(design.astype(float), wanted, rcond=None)
    return float(((wanted - design @ fitted) ** 2).sum())


def _range(values: pl.Series, level: float, unit: str) -> Estimate:
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan, level, unit)
    low, middle, high = np.quantile(values.to_numpy(), [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Estimate(float(middle), float(low), float(high), level, unit)


def _answer(own: pl.DataFrame, resampled: Mapping[str, Estimate], chosen: Mapping[str, Estimate]) -> str:
    a, moved = resampled["a"], any(_width(name, chosen[name]) >= MATTERS[name] for name in MATTERS)
    if not a.high - a.low < WIDEST or not _most(own["converged"]):
        return CANNOT_TELL
    return FRAGILE if moved or not _most(own["kept"]) else ROBUST


def _most(flags: pl.Series) -> bool:
    return 2 * int(flags.sum()) > len(flags)


def _width(name: str, found: Estimate) -> float:
    return found.high - found.low if name == "a" else found.high / found.low


def _sentence(
    answer: str, table: pl.DataFrame, law: str, runs: int, largest: float, resampled: Mapping[str, Estimate],
    chosen: Mapping[str, Estimate], moves: pl.DataFrame,
) -> str:  # fmt: skip
    kept = int(table["kept"].sum())
    first = (
        f"**{answer[0].upper()}{answer[1:]}.** Of {len(table)} ways to fit these {runs} runs, {kept} count."
    )
    if not kept:
        return first

    if not _most(table.filter(form=law)["kept"]):
        miss = {form: _typical(table, form) for form in table["form"].unique(maintain_order=True)}
        joint = {form: value for form, value in miss.items() if not form.startswith("isoFLOP")}
        best = min(joint, key=lambda form: joint[form])
        first += (
            f" Most fits of `{law}` do not: it misses a run by {percent(joint[law])} where `{best}` misses it by "
            f"{percent(joint[best])}."
        )

    def ends(name: str, form: Callable[[float], str]) -> str:
        over, drawn = (f"{form(e.low)} to {form(e.high)}" for e in (chosen[name], resampled[name]))
        return f"from {over} (resampling the runs: {drawn})"

    said = (
        f"{first} Over {100 * chosen['a'].level:.3g} % of those the exponent a of the best N in compute runs "
        f"{ends('a', '{:.2f}'.format)}, the best tokens per parameter at {power_of_ten(largest)} FLOPs "
        f"{ends('tokens_per_parameter', two_digits)}, the loss at 100 times that {ends('loss_100x', '{:.2f}'.format)}."
    )
    if not len(moves):
        return said
    top = moves.row(0, named=True)
    return (
        f"{said} **What moves a most is {_WORDS[top['choice']][0]}:** {100 * top['share']:.0f} % of its variance, and "
        f"up to {top['largest_change']:.2f} when nothing else changes ({top['low']} against {top['high']})."
    )


def _typical(table: pl.DataFrame, form: str) -> float:
    """The middle of the median misses of one form, percent."""
    return float(np.median(table.filter(form=form)["median_percent"].to_numpy()))


def _doubts(frame: pl.DataFrame, base: Fit, table: pl.DataFrame, moves: pl.DataFrame) -> list[str]:
    """What would have to be seen for another answer, in Markdown."""
    doubts = []
    if len(moves):
        shares = dict(moves.select("choice", "share").iter_rows())
        said = ", ".join(f"{_WORDS[choice][0]} {100 * share:.0f} %" for choice, share in shares.items())
        doubts.append(
            f"**One choice made for good.** Shares of the variance of a over choices: {said}; together, beyond each "
            f"alone, {100 * max(0.0, 1.0 - sum(shares.values())):.0f} %."
        )
    out = table.filter(~pl.col("kept")).group_by("form", maintain_order=True).len()
    if len(out):
        counts = ", ".join(f"{count} of `{form}`" for form, count in out.iter_rows())
        doubts.append(
            f"**Fits that do not count.** {counts}: not converged, or a median miss beyond 1.5 times the best form's."
        )
    if not _repeated(frame):
        doubts.append(
            "**Noise.** There is one seed for each point, so how far a second training would land is not known; the "
            "resampling intervals take the scatter around the law for it."
        )
    doubts += [f"**Not determined.** {name}: {how}." for name, how in base.undetermined.items()]
    doubts += [f"**These runs.** {note[0].upper()}{note[1:]}." for note in base.notes]
    doubts.append(
        "**Trainings are no choices of analysis.** Tokens, text, rate, schedule and warm-up are the same in every row "
        "here; other sweeps have other exponents, see `chain`."
    )
    return doubts


def _repeated(frame: pl.DataFrame) -> bool:
    """Whether some point was trained more than once."""
    if "seed" in frame.columns and frame["seed"].n_unique() == 1:
        return False
    same = [name for name in ("N", "D", "unique_tokens", "peak_lr") if name in frame.columns]
    return bool(frame.select(same).is_duplicated().any())
