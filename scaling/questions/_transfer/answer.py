"""Does training on one domain help another, beyond its words and its steps, and how does that change with size?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from scaling.errors import BadOption, QuestionError
from scaling.fitting.data import framed
from scaling.questions._transfer import words
from scaling.questions._transfer.arms import read_arms
from scaling.questions._transfer.judged import weigh
from scaling.questions._transfer.matrix import Matrix, matrix
from scaling.questions._transfer.readings import GPT2_N, POWER, Trend, half_widths
from scaling.questions._transfer.tables import evidence
from scaling.questions._transfer.words import ANSWERS, CANNOT
from scaling.questions.measured import read_values, sign_of, unit_of
from scaling.questions.phrases import named
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
    weighed = weigh(made, bar, dose, level, seed)
    answers = {pair: weighed.answer(pair, other_forms) for pair in made.pairs}
    tables = evidence(weighed, answers, asked, unit_of(measurements, measure), level, seed)
    answer, main = answers[asked], weighed.pairs[weighed.main(asked)]
    sizes = [made.cells[i].N for i in main.cells]
    said = {
        "question": f"Does {named(asked[0])} help {named(asked[1])}, and how does that change with size?",
        "topic": "transfer",
        "answers": ANSWERS,
        "evidence": tables,
        "reach": Reach.of(runs.filter(pl.col("N").is_in(sizes))),
        "data_hash": hash_of(rows.drop("added_unique"), placebos, form_placebos, other_forms, measure),
        "seed": seed,
        "answer": answer,
    }
    if answer == CANNOT:
        why = "too few seeds have every arm" if main.learned else "the source was not learned at any size"
        runs_asked = (words.next_runs(CANNOT, None),)
        sentence = words.cannot(*asked, why)
        return Verdict(
            **said, sentence=sentence, numbers={}, would_change=(), next_runs=runs_asked, identifiable=False
        )
    return Verdict(**said, **_words(asked, answer, tables, main.trend, weighed.learned.count(False), level))


def _asked(
    made: Matrix, source: str | None, target: str | None, other_forms: Mapping[str, str]
) -> tuple[str, str]:
    fits = [p for p in made.pairs if source in (None, p[0]) and target in (None, p[1])]
    if not fits:
        raise NoSuchPair(source, target, tuple(" → ".join(pair) for pair in made.pairs))
    return next((pair for pair in fits if pair[1] not in other_forms), fits[0])


def _words(
    asked: tuple[str, str],
    answer: str,
    tables: Mapping[str, pl.DataFrame],
    trend: Trend | None,
    unlearned: int,
    level: float,
) -> dict[str, Any]:
    shown = tables["pairs"].filter(source=asked[0], target=asked[1]).to_dicts()
    row, others = next(r for r in shown if r["main"]), [r for r in shown if not r["main"]]
    used_up = next((r for r in others if r["epochs"] > 1), None)
    numbers = {"gain over sizes": words.gain(row)}
    numbers |= {f"gain beyond {kind}": left for kind, left in words.beyond(row).items()}
    same = tables["cells"].filter(source=asked[0], target=asked[1], unique=row["unique"], dose=row["dose"])
    cells = same.sort("N").to_dicts()
    unit = f"tokens of {named(asked[1])}"
    for cell in (cells[0], cells[-1])[: len(cells)]:
        for name, what in {"worth": "", "adjusted": ", beyond its placebo"}.items():
            if not math.isnan(cell[name]) and (name == "worth" or cell["words"] is not None):
                said_of = f"worth of a token of {named(asked[0])}{what}, N = {cell['N']:,}"
                numbers[said_of] = _rate(cell, name, level, unit)
    critical = (row["gain_high"] - row["gain"]) / row["stderr"]
    detectable = row["stderr"] * (critical + half_widths(2 * POWER - 1))
    said = words.doubts(row, detectable, used_up, trend.bend if trend else None, unlearned)
    if trend is not None:
        slope, gpt2 = (Estimate(*ends, level, unit) for ends in (trend.slope, trend.gpt2))
        numbers["slope of the rate, for each decade of N"] = slope
        decades = math.log10(GPT2_N / row["largest"])
        said.insert(0, words.trend(slope, gpt2, decades, trend.bounded))
    rest = tables["pairs"].filter("main", (pl.col("source") != asked[0]) | (pl.col("target") != asked[1]))
    if len(rest):
        said.append(words.others(rest.to_dicts()))
    decided = next((r for r in others if r["answer"] == answer), None)
    worth = None if math.isnan(cells[-1]["worth"]) else _rate(cells[-1], "worth", level, unit)
    return {
        "sentence": words.sentence(answer, row, decided, worth),
        "numbers": numbers,
        "would_change": tuple(said),
        "next_runs": (words.next_runs(answer, row),),
    }


def _rate(cell: Mapping[str, Any], name: str, level: float, unit: str) -> Estimate:
    """An exchange rate of a cell; a bound where the target's curve does not reach so far."""
    bound = int(math.isinf(cell[f"{name}_high"])) - int(math.isinf(cell[f"{name}_low"]))
    return Estimate.of_row(cell, name, level, unit, bound=bound)
