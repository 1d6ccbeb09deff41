"""Does training on one domain help another, beyond its words and its steps, and how does that change with size?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scaling.errors import BadOption, QuestionError
from scaling.fitting.data import framed
from scaling.questions._transfer import words
from scaling.questions._transfer.arms import read_arms
from scaling.questions._transfer.matrix import ENOUGH, Cell, Matrix, matrix
from scaling.questions._transfer.readings import (
    GPT2_N,
    POWER,
    Judged,
    Rates,
    Trend,
    best_doses,
    half_widths,
    judge,
    matrix_rows,
    rates,
    trends,
)
from scaling.questions._transfer.words import ANSWERS, CANNOT, FORM, HELPS, HURTS, OPEN, WORDS
from scaling.questions.contrasts import moderated
from scaling.questions.measured import read_values, sign_of, unit_of
from scaling.show import named_ends
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of


class NothingAdded(QuestionError):
    """A question about transfer, asked of runs that add nothing to a target that was also trained alone."""

    runs: int

    def __str__(self) -> str:
        return (
            f"asked what one domain does for another, but none of these {self.runs} runs adds one to a target that "
            "others train on alone, at the same size, on as many of its tokens, with two seeds in common. Train both, "
            "as in runs/transfer-text/study.toml."
        )


class NoSuchPair(QuestionError):
    """A source and a target that no cell has."""

    source: str | None
    target: str | None
    pairs: tuple[str, ...]

    def __str__(self) -> str:
        asked = f"{self.source or 'anything'} → {self.target or 'anything'}"
        return f"asked about {asked}, but the runs have {', '.join(self.pairs)}. Ask about one of these."


_HALF = 0.5
"""Share of the effect that must be left in another form of the target, for the effect not to be one of form."""


@dataclass(frozen=True, eq=False)
class _Pair:
    """A source and a target, over the sizes that have its largest dose, on one base of the target."""

    cells: tuple[int, ...]
    """One for each size, by their number in the matrix."""
    judged: Judged
    trend: Trend | None
    learned: bool
    """Whether the source was learned at some size; only such cells count, where there are any."""


@framed("runs", "measurements")
def transfer(
    runs: pl.DataFrame,
    *,
    source: str | None = None,
    target: str | None = None,
    placebos: Mapping[str, str] | None = None,
    form_placebos: Mapping[str, str] | None = None,
    other_forms: Mapping[str, str] | None = None,
    measurements: pl.DataFrame | None = None,
    measure: str = "loss",
    higher_is_better: bool | None = None,
    learned: float | None = None,
    dose: float | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Verdict:
    """Whether a source helps a target, by how much beyond its placebo, and how that goes with size.

    A cell is a source added to a fixed amount of a target, at one size and dose, over seeds that are paired with those
    of the target alone. Its gain is how much lower the target's value is than alone; beyond words, how much lower than
    with the best placebo, which has as many steps; where the target had been seen more than once before, beyond repeats
    too, the target again for as many steps. Intervals of gains, and of what is beyond, hold for all cells at once
    (max-T). The exchange rate is the number of target tokens that an added one is worth,

        (D(L with the source) - D(L alone)) / added tokens

    with D(L) read off the target-only runs of the same size, a bound where they do not come to L; less that of the best
    placebo it is the adjusted rate, of which the slope is per decade of N. The answer is of one source and target, over
    its sizes at its largest dose:

        "helps", "hurts"             the gain is beyond chance, and for "helps" beyond every placebo and repeat
        "more steps or shared words explain it"   it is not beyond a placebo of words, or repeats, also where the target
                                     is used up
        "shared form explains it"    it is not beyond a placebo of form, or less than half is left in another form of
                                     the target
        "cannot be extrapolated"     sizes differ in sign, or the rate falls with size and its line does not keep its
                                     sign up to GPT-2
        "no effect at these sizes", "cannot tell"

    Args:
        runs: rows of the store, with N, D, seed, run_id, blend, domain_epochs and `loss_<domain>`; of one
            corpus. Runs of three domains and more are passed over.
        source, target: the pair that is asked about; by default the one with most cells.
        placebos: of each domain that has the words of a source but no skill, that source; of a study's text
            `study.corpus.placebo_of`.
        form_placebos: the same of domains with a source's form: random answers, equal distances.
        other_forms: of each domain that says a target in another form, that target.
        measurements: of the same runs, where `measure` is a probe with a group for each domain.
        measure: "loss", or a probe such as "answer_exact", by its last value.
        higher_is_better: of what is measured; None is as the probe has it.
        learned: value that a source must reach itself, for its cells to count; in any case it must be learned better
            than its words without their order are.
        dose: tokens added for each of the target's at which pairs are judged; None is the largest that most sizes have.
        level: of all intervals.
        seed: of draws.

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
        PlaceboWithoutRuns: no run adds a placebo, or its source.
        NothingAdded, NoSuchPair: there is no cell, or none of that pair.
        BadOption: the level is no share, or no cell of the pair has that dose.

    Source:
        Exchange rates: Hernandez et al. 2021, arXiv:2102.01293, effective data transferred, D_T over D_F.
    """
    check_level(level)
    placebos, form_placebos, other_forms = placebos or {}, form_placebos or {}, other_forms or {}
    values = read_values(runs, measurements, measure)
    rows = read_arms(runs, values, {**placebos, **form_placebos})
    sign = sign_of(measure, higher_is_better)
    made = matrix(rows, placebos, form_placebos, sign)
    if not made.cells:
        raise NothingAdded(len(runs))
    asked = _asked(made, source, target, other_forms)
    bar = None if learned is None else sign * learned
    tried = sorted({cell.dose for cell in made.cells if cell.pair == asked})
    if dose is not None and dose not in tried:
        raise BadOption("dose", dose, f"one of {', '.join(f'{one:g}' for one in tried)}")
    learned_cells = [is_learned(made, cell, bar) for cell in made.cells]
    priced = rates(made, seed=seed)
    every, pairs = _judged(made, priced, learned_cells, dose, level, seed)
    unlearned = learned_cells.count(False)
    answers = {pair: _answer(pair, made, pairs, every, other_forms) for pair in made.pairs}
    unit = unit_of(measurements, measure)
    evidence = _evidence(made, priced, every, learned_cells, pairs, answers, asked, unit, level, seed)
    shown = evidence["pairs"].filter(source=asked[0], target=asked[1])
    answer, sizes = answers[asked], [made.cells[i].N for i in pairs[_main(pairs, asked)].cells]
    said = {
        "question": f"Does {asked[0]} help {asked[1]}, and how does that change with size?",
        "topic": "transfer",
        "answers": ANSWERS,
        "evidence": evidence,
        "reach": Reach.of(runs.filter(pl.col("N").is_in(sizes))),
        "data_hash": hash_of(rows.drop("added_unique"), placebos, form_placebos, other_forms, measure),
        "seed": seed,
        "answer": answer,
    }
    if answer == CANNOT:
        main = pairs[_main(pairs, asked)]
        why = "too few seeds have every arm" if main.learned else "the source was not learned at any size"
        runs_asked = (words.next_runs(CANNOT, None),)
        sentence = words.cannot(*asked, why)
        return Verdict(
            **said, sentence=sentence, numbers={}, would_change=(), next_runs=runs_asked, identifiable=False
        )
    return Verdict(**said, **_words(asked, answer, shown.to_dicts(), evidence, pairs, unlearned, level))


def is_learned(made: Matrix, cell: Cell, bar: float | None) -> bool:
    """Whether the source was learned: to the bar where there is one, and better than its words without their order.

    A placebo of form, such as the same distances, may be easier than its source and learned to the end.
    """
    own = made.own[cell.arm]
    if np.isnan(own).all():
        return True
    if bar is not None and np.nanmean(own) > bar:
        return False
    apart = [made.own[placebo] - own for placebo in cell.words]
    apart = [a[np.isfinite(a)] for a in apart]
    return all(len(a) < ENOUGH or a.mean() > 2 * a.std(ddof=1) / math.sqrt(len(a)) for a in apart)


def _asked(
    made: Matrix, source: str | None, target: str | None, other_forms: Mapping[str, str]
) -> tuple[str, str]:
    fits = [p for p in made.pairs if source in (None, p[0]) and target in (None, p[1])]
    if not fits:
        raise NoSuchPair(source, target, tuple(" → ".join(pair) for pair in made.pairs))
    return next((pair for pair in fits if pair[1] not in other_forms), fits[0])


_Key = tuple[tuple[str, str], tuple[float, float]]


def _judged(
    made: Matrix, priced: Rates, learned: Sequence[bool], dose: float | None, level: float, seed: int
) -> tuple[list[Judged], dict[_Key, _Pair]]:
    """Every cell, and every pair on each of its bases, at the dose that is asked, or that most sizes have, the largest.

    They are judged together, so that one chance in twenty of a false alarm is that of the whole matrix.
    """
    doses: dict[_Key, dict[float, list[int]]] = {}
    counts = {(cell.pair, cell.base) for cell, known in zip(made.cells, learned, strict=True) if known}
    for i, cell in enumerate(made.cells):
        if learned[i] or (cell.pair, cell.base) not in counts:
            doses.setdefault((cell.pair, cell.base), {}).setdefault(cell.dose, []).append(i)
    chosen = [
        max(seen.values(), key=lambda c: (made.cells[c[0]].dose == dose, len(c), made.cells[c[0]].dose))
        for seen in doses.values()
    ]
    sizes = [_with_seeds(made, numbers) for numbers in chosen]
    groups = [[i] for i in range(len(made.cells))] + sizes
    judged = judge(made, [[made.cells[i] for i in group] for group in groups], level=level, seed=seed)
    lines = trends([[(made.cells[i].N, priced.adjusted[i]) for i in group] for group in sizes], level)
    over = zip(doses, sizes, judged[len(made.cells) :], lines, strict=True)
    return judged[: len(made.cells)], {
        key: _Pair(tuple(group), one, line, key in counts) for key, group, one, line in over
    }


def _with_seeds(made: Matrix, numbers: list[int]) -> list[int]:
    """The cells that share seeds: while all together have too few, the size with fewest is left out."""

    def seeds(i: int) -> Any:
        return np.isfinite(made.value[made.cells[i].arm] - made.value[made.cells[i].alone])

    kept = sorted(numbers, key=lambda i: made.cells[i].N)
    while len(kept) > 1 and np.all([seeds(i) for i in kept], axis=0).sum() < ENOUGH:
        kept.remove(min(kept, key=lambda i: seeds(i).sum()))
    return kept


def _main(pairs: Mapping[_Key, _Pair], pair: tuple[str, str]) -> _Key:
    """The base that a pair's answer rests on: with most sizes, of these one that was seen once, then the largest."""
    return max(
        (k for k in pairs if k[0] == pair), key=lambda k: (len(pairs[k].cells), k[1][0] == k[1][1], k[1][1])
    )


def _answer(
    pair: tuple[str, str],
    made: Matrix,
    pairs: Mapping[_Key, _Pair],
    every: Sequence[Judged],
    other_forms: Mapping[str, str],
) -> str:
    key = _main(pairs, pair)
    main = pairs[key]
    answer = main.judged.answer
    if not main.learned or not math.isfinite(main.judged.gain.mean):
        return CANNOT
    if answer == HELPS:
        bases = [one.judged.answer for other, one in pairs.items() if other[0] == pair and other != key]
        survives = [other for other in bases if other in (WORDS, HURTS, FORM)]
        answer = survives[0] if survives else answer
    if answer == HELPS and any(
        not _in_other_form(main.judged, pairs, (pair[0], form))
        for form, of in other_forms.items()
        if of == pair[1]
    ):
        answer = FORM
    if answer in (HELPS, HURTS):
        opposite = {HELPS: HURTS, HURTS: HELPS}[answer]
        if any(every[i].answer == opposite for i in main.cells) or _fades(main.trend, answer):
            return OPEN
    return answer


def _in_other_form(judged: Judged, pairs: Mapping[_Key, _Pair], other: tuple[str, str]) -> bool:
    """Whether the effect is there, and at least half as large, on the same skill in another form."""
    if not any(key[0] == other for key in pairs):
        return True
    there = pairs[_main(pairs, other)].judged
    left, whole = ((one.words or one.gain).mean for one in (there, judged))
    return there.answer == HELPS and left >= _HALF * whole


def _fades(trend: Trend | None, answer: str) -> bool:
    """Whether the rate goes towards the other sign beyond chance, and its line does not keep the sign up to GPT-2."""
    if trend is None:
        return False
    sign = 1 if answer == HELPS else -1
    towards = max(sign * trend.slope[1], sign * trend.slope[2]) < 0
    return towards and min(sign * trend.gpt2[1], sign * trend.gpt2[2]) <= 0


# --- tables --------------------------------------------------------------------------------------------------------


def _evidence(
    made: Matrix,
    priced: Rates,
    every: Sequence[Judged],
    learned: Sequence[bool],
    pairs: Mapping[_Key, _Pair],
    answers: Mapping[tuple[str, str], str],
    asked: tuple[str, str],
    unit: str,
    level: float,
    seed: int,
) -> dict[str, pl.DataFrame]:
    names = {"worth": "plain", "placebo_worth": "placebo", "adjusted": "adjusted"}
    ends = {name: priced.interval(made.cells, kind, level) for name, kind in names.items()}
    cells = []
    for i, (cell, judged) in enumerate(zip(made.cells, every, strict=True)):
        row = _of_cell(made, cell) | _of_judged(judged)
        for name, three in ends.items():
            row |= named_ends(name, three[i])
        cells.append(row | {"answer": judged.answer, "learned": learned[i]})
    table = []
    for key, pair in pairs.items():
        group = [made.cells[i] for i in pair.cells]
        again = [made.value[c.alone] - made.value[c.repeats] for c in group if c.repeats is not None]
        row = _of_cell(made, group[0]) | _of_judged(pair.judged)
        row |= {
            "smallest": group[0].N, "largest": group[-1].N, "sizes": len(group), "level": level,
            "main": key == _main(pairs, key[0]), "asked": key[0] == asked,
            "repeats_gain": float(np.nanmean(again)) if len(again) == len(group) else None,
        }  # fmt: skip
        for name in ("slope", "gpt2", "bend"):
            row |= named_ends(name, getattr(pair.trend, name) if pair.trend else (None, None, None))
        row["bounded"] = bool(pair.trend and pair.trend.bounded)
        table.append(row | {"answer": answers[key[0]] if row["main"] else pair.judged.answer, "unit": unit})
    best = []
    for pair in made.pairs:
        unique, tokens = _main(pairs, pair)[1]
        chosen = [c for c in made.cells if c.pair == pair and c.base == (unique, tokens)]
        best += [(*pair, *row) for row in best_doses(made, chosen, level, seed)]
    curves = [
        matrix_rows(made, N, target).group_by("tokens").agg(pl.col("value").mean(), seeds=pl.len()).sort("tokens")
        .select(pl.lit(target).alias("target"), pl.lit(N).alias("N"), "tokens", "value", "seeds")
        for N, target in sorted({(c.N, c.target) for c in made.cells})
    ]  # fmt: skip
    order, header = ("source", "target", "unique"), ["source", "target", "N", "dose", "low", "high"]
    return {
        "cells": pl.DataFrame(cells, infer_schema_length=None).sort(*order, "N", "dose"),
        "pairs": pl.DataFrame(table, infer_schema_length=None).drop("N").sort(order),
        "best_doses": pl.DataFrame(best, schema=header, orient="row"),
        "competitive": competitive(made, level),
        "curves": pl.concat(curves),
    }


def _of_cell(made: Matrix, cell: Cell) -> dict[str, Any]:
    both = np.isfinite(made.value[cell.arm] - made.value[cell.alone])
    return {
        "source": cell.source, "target": cell.target, "N": cell.N, "unique": cell.unique, "tokens": cell.tokens,
        "epochs": cell.tokens / cell.unique, "dose": cell.dose, "source_unique": cell.added_unique,
        "seeds": int(both.sum()),
    }  # fmt: skip


def _of_judged(judged: Judged) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, one in vars(judged).items():
        row |= named_ends(name, (None,) * 3 if one is None else (one.mean, one.low, one.high))
    return row | {"stderr": judged.gain.stderr}


def competitive(made: Matrix, level: float) -> pl.DataFrame:
    """What a source does in place of as much of the target, both of text seen once.

    Returns:
        source, target, N, D (in all), share (of the source), gain (how much lower the target's value is than with D
        tokens of the target alone), low and high, each for itself.
    """
    keys = ["N", "target", "unique", "tokens", "added", "dose", "D"]
    alone, rows = {}, []
    for arm, (N, target, unique, tokens, added, _, _) in enumerate(made.arms.select(keys).rows()):
        if not added and unique == tokens:
            alone[N, target, tokens] = arm
    sources = {cell.source for cell in made.cells}
    for arm, (N, target, unique, tokens, added, dose, D) in enumerate(made.arms.select(keys).rows()):
        if added in sources and unique == tokens and (N, target, D) in alone:
            gain = made.value[alone[N, target, D]] - made.value[arm]
            if np.isfinite(gain).sum() >= ENOUGH:
                rows.append(((added, target, N, D, round(dose / (1 + dose), 3)), gain))
    schema = {"source": pl.String, "target": pl.String, "N": pl.Int64, "D": pl.Float64, "share": pl.Float64}
    schema |= dict.fromkeys(("gain", "low", "high"), pl.Float64)
    if not rows:
        return pl.DataFrame(schema=schema)
    means = moderated(np.array([gain for _, gain in rows]), [key[2] for key, _ in rows])
    ends = zip(means.mean, means.half_width(level), strict=True)
    table = [(*key, m, m - half, m + half) for (key, _), (m, half) in zip(rows, ends, strict=True)]
    return pl.DataFrame(table, schema=schema, orient="row").sort("source", "target", "D", "N", "share")


# --- words and numbers ---------------------------------------------------------------------------------------------


def _words(
    asked: tuple[str, str],
    answer: str,
    shown: Sequence[dict[str, Any]],
    evidence: Mapping[str, pl.DataFrame],
    pairs: Mapping[_Key, _Pair],
    unlearned: int,
    level: float,
) -> dict[str, Any]:
    row = next(r for r in shown if r["main"])
    used_up = next((r for r in shown if r["epochs"] > 1 and not r["main"]), None)
    trend, numbers = pairs[_main(pairs, asked)].trend, {}
    same = evidence["cells"].filter(source=asked[0], target=asked[1], unique=row["unique"], dose=row["dose"])
    cells = same.sort("N").to_dicts()
    unit = f"tokens of {asked[1]}"
    for cell in (cells[0], cells[-1])[: len(cells)]:
        for name, what in {"worth": "", "adjusted": ", beyond its placebo"}.items():
            if not math.isnan(cell[name]) and (name == "worth" or cell["words"] is not None):
                said_of = f"worth of a token of {asked[0]}{what}, N = {cell['N']:,}"
                numbers[said_of] = _rate(cell, name, level, unit)
    numbers["gain over sizes"] = Estimate.of_row(row, "gain", level, row["unit"])
    why = words.beyond(row)
    if not math.isnan(cells[-1]["worth"]):
        why += "; in the largest model " + words.worth(_rate(cells[-1], "worth", level, unit), *asked)
    critical = (row["gain_high"] - row["gain"]) / row["stderr"]
    detectable = row["stderr"] * (critical + half_widths(2 * POWER - 1))
    said = words.doubts(row, detectable, used_up, trend.bend if trend else None, unlearned)
    if trend is not None:
        numbers["slope of the rate, for each decade of N"] = Estimate(*trend.slope, level, unit)
        decades = math.log10(GPT2_N / row["largest"])
        said.insert(0, words.trend(trend.slope, trend.gpt2, level, decades, trend.bounded))
    rest = evidence["pairs"].filter("main", (pl.col("source") != asked[0]) | (pl.col("target") != asked[1]))
    if len(rest):
        said.append(words.others(rest.to_dicts()))
    return {
        "sentence": words.sentence(answer, row, why),
        "numbers": numbers,
        "would_change": tuple(said),
        "next_runs": (words.next_runs(answer, row),),
    }


def _rate(cell: Mapping[str, Any], name: str, level: float, unit: str) -> Estimate:
    """An exchange rate of a cell; a bound where the target's curve does not reach so far."""
    bound = int(math.isinf(cell[f"{name}_high"])) - int(math.isinf(cell[f"{name}_low"]))
    return Estimate.of_row(cell, name, level, unit, bound=bound)
