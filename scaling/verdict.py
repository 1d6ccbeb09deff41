"""What the runs answer: one sentence, its numbers with their intervals, and what would change it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling import show
from scaling.arguments import number, share
from scaling.errors import BadOption, QuestionError, require_columns
from scaling.fitting.data import counts_of
from scaling.laws.optimal import FLOPS_PER_PARAMETER_TOKEN
from scaling.units import in_number, power_of_ten, print_count


class UnknownAnswer(QuestionError):
    """An answer that is none of those a question may have."""

    topic: str
    answer: str
    answers: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.topic} was answered with {self.answer!r}, but it may be answered with "
            f"{', '.join(map(repr, self.answers))} alone. Answer with one of these."
        )


GPT2_PARAMETERS = 124e6
"""The smallest GPT-2, embeddings included: Radford et al. 2019, as released."""

FRONTIER_FLOPS = 2.1e25
"""Training compute of GPT-4 as Epoch AI estimates it (Notable AI models, 2023); larger ones have been trained since."""


ASKED_BY = {
    "plateau": "plateau", "law": "law", "repetition": "repetition", "transfer": "transfer", "decade": "forecast",
    "audit": "exponent", "wall": "repetition",
}  # fmt: skip
"""By topic, the question by which `scaling propose` finds the runs that would tell."""
DECADE = 10.0
"""Times the compute of the largest run: what it takes to know more, where a question knows no better."""

_NOTHING = 1e-12
"""An end of an interval nearer to 0 is that of rounding."""

_MANY = 1e4
"""From here on a number is told as a count: 85k."""

SEEDS = 10
"""Of every arm, that a question about arms asks for where it cannot tell."""

PLACES = {"committed": "committed", "local": "this machine"}
"""What a reader calls the origins of a row."""


class Prose(str):
    """Markdown that a notebook shows as text."""

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Estimate(show.Interval):
    """A number with its interval and its unit."""

    unit: str
    bound: int = 0
    """1 where no more is known than that it is `low` or more, -1 that it is `high` or less; 0 is an interval."""

    @property
    def value(self) -> float:
        """The number itself."""
        return self.median

    @staticmethod
    def of(draws: NDArray[np.float64], level: float, unit: str, *, method: Any = "linear") -> Estimate:
        """Median and central interval of draws; `method` as for `numpy.quantile`, "nearest" where some are infinite.

        A single draw has no interval.
        """
        if len(draws) == 1:
            return Estimate(float(draws[0]), math.nan, math.nan, level, unit)
        low, middle, high = np.quantile(draws, show.tails(level), method=method)
        return Estimate(float(middle), float(low), float(high), level, unit)

    @staticmethod
    def of_row(row: Mapping[str, Any], name: str, level: float, unit: str, *, bound: int = 0) -> Estimate:
        """A column of a row with its ends, name_low and name_high, or where these are not there low and high."""
        low, high = (row.get(f"{name}_{end}", row.get(end)) for end in ("low", "high"))
        return Estimate(row[name], low, high, level, unit, bound)  # type: ignore[arg-type]

    @staticmethod
    def of_share(part: float, whole: float, level: float) -> Estimate:
        """Percent that a part is of the independent trials, with the interval of Jeffreys' prior."""
        low, high = 100 * share_ends(part, whole, level)
        return Estimate(100 * part / whole, float(low), float(high), level, "%")

    def __mul__(self, factor: float) -> Estimate:
        """So many times it, in the same unit; of less than nothing the ends change places."""
        low, high = sorted((factor * self.low, factor * self.high))
        bound = -self.bound if factor < 0 else self.bound
        return replace(self, median=factor * self.median, low=low, high=high, bound=bound)

    def said(self, what: str | None = None, form: Callable[[float], str] | None = None) -> str:
        """The number in a sentence: "0.36 nats/token (95 % interval 0.28 to 0.43)", "at least 0.2 tokens (95 % bound)".

        Args:
            what: it counts, before the interval; None is the unit.
            form: of the number and of the ends; None shows two digits of how far these lie apart.
        """
        number = self.amount(form or self._form)
        counted = in_number(number, self.unit if what is None else what)
        return f"{number}{counted and f' {counted}'} ({self._within(form or self._form)})"

    def either(self, more: str, less: str) -> str:
        """The number without its sign, which one of two words has: "0.36 nats/token lower (95 % interval …)"."""
        return self.said(more) if self.value >= 0 else (self * -1).said(less)

    def amount(self, form: Callable[[float], str]) -> str:
        """The number; of a bound what is known: "at least 0.2", or "none measurable" where that is below nothing."""
        end = self.low if self.bound > 0 else self.high
        if not self.bound or math.isnan(end):
            return form(self.value)
        said = f"{'at least' if self.bound > 0 else 'at most'} {form(end if abs(end) > _NOTHING else 0.0)}"
        return f"none measurable, {said}" if self.bound > 0 and end <= _NOTHING else said

    def _within(self, form: Callable[[float], str]) -> str:
        if math.isnan(self.low):
            return "no interval"
        if self.bound:
            return f"{show.share_inside(self.level)} bound"
        return f"{100 * self.level:.3g} % interval {form(self.low)} to {form(self.high)}"

    def _form(self, number: float) -> str:
        apart = self.high - self.low
        if abs(self.value) >= _MANY:
            return print_count(number)
        if math.isfinite(apart):
            return show.rounded(number, apart)
        return show.two_digits(number) if math.isfinite(number) else f"{number:g}"

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.bound and not math.isnan(self.low if self.bound > 0 else self.high):
            return f"{self.amount('{:.3g}'.format)}{unit}, {show.share_inside(self.level)}"
        if math.isnan(self.low):
            return f"{print_count(self.value, 4)}{unit}, no interval"
        if (
            not 1e-5 * abs(self.value) <= self.high - self.low < math.inf
        ):  # alike in each digit shown, or endless
            return (
                f"{self.value:.3g}{unit}, {show.share_inside(self.level)} [{self.low:.3g}, {self.high:.3g}]"
            )
        if self.value >= _MANY:
            ends = f"{show.share_inside(self.level)} [{print_count(self.low)}, {print_count(self.high)}]"
            return f"{print_count(self.value)}{unit}, {ends}"
        within = show.interval(self.low, self.high, self.level)
        return f"{show.rounded(self.value, (self.high - self.low) / 2)}{unit}, {within}"


@dataclass(frozen=True)
class Reach:
    """The sizes that an answer rests on, and how far they are from those that people ask about."""

    smallest: int
    largest: int
    """Parameters, embeddings and head included."""
    compute: float
    """Training FLOPs of the largest run."""

    @staticmethod
    def of(runs: pl.DataFrame) -> Reach:
        """From the columns params_total (or N) and C (or 6 N D)."""
        count = "params_total" if "params_total" in runs.columns else "N"
        require_columns((count, *_spent_in(runs)), runs.columns, "Sizes and compute come from them.")
        size = counts_of(runs, count)
        if not len(size):
            raise BadOption(
                "runs", "none", "one or more; no row fulfils the condition, or the table is empty"
            )
        return Reach(int(size.min()), int(size.max()), float(flops_of(runs).to_numpy().max()))

    @property
    def decades_to_gpt2(self) -> float:
        return math.log10(GPT2_PARAMETERS / self.largest)

    @property
    def decades_to_frontier(self) -> float:
        return math.log10(FRONTIER_FLOPS / self.compute)

    def __str__(self) -> str:
        return (
            f"models of {print_count(self.smallest)} to {print_count(self.largest)} parameters, "
            f"{_apart(self.decades_to_gpt2, 1)} GPT-2 (124M); the largest run took {power_of_ten(self.compute)} FLOPs, "
            f"{_apart(self.decades_to_frontier, 0)} GPT-4"
        )


def _apart(decades: float, digits: int) -> str:
    return f"{abs(decades):.{digits}f} decades {'below' if decades > 0 else 'above'}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdict:
    """The answer to a question, and how sure."""

    question: str
    topic: str
    """The question's short name, by which its folder and its figure are known: "plateau"."""
    answers: tuple[str, ...]
    """Every answer that the question may have."""
    answer: str
    """One of them."""
    sentence: str
    """The answer in Markdown, for a reader who stops here."""
    numbers: dict[str, Estimate]
    evidence: dict[str, pl.DataFrame]
    """The tables that the sentence rests on, by name."""
    would_change: tuple[str, ...]
    """What would have to be seen for another answer."""
    next_runs: tuple[str, ...] = ()
    """Runs that would sharpen it most."""
    next_flops: float | None = None
    """Training FLOPs that they take, where the question knows."""
    identifiable: bool = True
    """False where these runs cannot tell."""
    reach: Reach | None = None
    """None where the answer rests on no runs."""
    data_hash: str
    seed: int = 0

    def __post_init__(self) -> None:
        if self.answer not in self.answers:
            raise UnknownAnswer(self.topic, self.answer, self.answers)

    @property
    def lead(self) -> Prose:
        """The sentence alone, set large in a report."""
        return Prose(f'<div class="answer">\n\n{self.sentence}\n\n</div>')

    @property
    def doubts(self) -> Prose:
        """What would change the answer, as a list, and which runs would tell."""
        lines = [f"- {line}" for line in self.would_change]
        if self.next_runs:
            lines.append(f"- **Runs that would tell most.** {self._asked_runs}.")
        if self.study_command:
            lines.append(
                f"- **As a study.** `{self.study_command}` writes the runs that would tell most for so many FLOPs."
            )
        if self.reach is not None:
            lines.append(f"- **Size.** All of this rests on {self.reach}.")
        return Prose("\n".join(lines))

    @property
    def study_command(self) -> str | None:
        """The command that writes the study which would tell, with the FLOPs it needs; None where the runs can tell."""
        flops = self.next_flops or (self.reach and DECADE * self.reach.compute)
        if self.identifiable or not flops or self.topic not in ASKED_BY:
            return None
        return f"scaling propose RUNS --question {ASKED_BY[self.topic]} --flops {flops:.0e} > study.toml".replace(
            "e+", "e"
        )

    @property
    def would_tell(self) -> str | None:
        """What would settle the answer: a command, or else in words with the FLOPs; None where the runs can tell."""
        return None if self.identifiable else self.study_command or self._asked_runs or None

    @property
    def _asked_runs(self) -> str:
        flops = (
            f", about {power_of_ten(self.next_flops)} FLOPs"
            if self.next_flops and not self.identifiable
            else ""
        )
        return "; ".join(self.next_runs) + flops

    @property
    def details(self) -> Sequence[show.Table | str]:
        """What a question prints below its numbers."""
        return ()

    def __str__(self) -> str:
        numbers = [f"  {name}: {number}" for name, number in self.numbers.items()]
        rests = [] if self.reach is None else [f"rests on {self.reach}"]
        asked = [] if self.would_tell is None else [f"would tell: {self.would_tell}"]
        lines = [self.question, self.sentence.replace("**", ""), *numbers, *rests, *asked]
        return "\n\n".join(["\n".join(lines), *map(str, self.details)])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return "\n\n".join([self.lead, self.grounds._repr_markdown_()])

    @property
    def grounds(self) -> Grounds:
        """All but the sentence, for a page that began with it."""
        return Grounds(self)


@dataclass(frozen=True, repr=False)
class Grounds:
    """What would change a verdict, and what it rests on: its numbers, and what its question adds to them.

    It prints as the whole verdict does.
    """

    verdict: Verdict

    def __repr__(self) -> str:
        return str(self.verdict)

    def _repr_markdown_(self) -> str:
        rows = [(name, str(number)) for name, number in self.verdict.numbers.items()]
        numbers = [show.Table(("number behind the answer", "value"), rows)] if rows else []
        parts = [p if isinstance(p, str) else p._repr_html_() for p in (*numbers, *self.verdict.details)]
        if data := self.verdict.data_hash[:16]:
            parts.append(f'<p class="caption">Data hash <code>{data}</code>, seed {self.verdict.seed}.</p>')
        return "\n\n".join([self.verdict.doubts, *parts])


def more_seeds(runs: pl.DataFrame) -> tuple[str, float | None]:
    """Further seeds of every arm of a study, up to ten or twice as many, in words, and the FLOPs of as many runs.

    The FLOPs are None where the runs have neither C nor N and D; branches of a trunk count in full, as if it were
    trained for each of them.
    """
    seeds = runs["seed"].n_unique()
    more, first = max(SEEDS - seeds, seeds), int(runs["seed"].cast(pl.Int64).max()) + 1  # type: ignore[arg-type]
    words = f"seeds {first} to {first + more - 1} of every arm, added to `seed` in the study's file"
    known = "C" in runs.columns or {"N", "D"} <= set(runs.columns)
    return words, float(flops_of(runs).sum()) / seeds * more if known else None


def flops_of(runs: pl.DataFrame) -> pl.Series:
    """Training FLOPs of each run, the column C, or 6 N D where there is none."""
    each = np.prod([counts_of(runs, name) for name in _spent_in(runs)], axis=0)
    return pl.Series(each if "C" in runs.columns else FLOPS_PER_PARAMETER_TOKEN * each)


def _spent_in(runs: pl.DataFrame) -> tuple[str, ...]:
    """The columns that compute is read from."""
    return ("C",) if "C" in runs.columns else ("N", "D")


def hash_of(*parts: Any) -> str:
    """A short hash of what an answer rests on; of a table whatever the order of its rows."""
    said = [p.sort(p.columns).write_csv() if isinstance(p, pl.DataFrame) else repr(p) for p in parts]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def share_ends(part: float, whole: float, level: float) -> np.ndarray:
    """Ends of the interval of a share, given so many of so many independent trials and Jeffreys' prior, shape (2,)."""
    from scipy.special import betaincinv

    ends: np.ndarray = betaincinv(part + 0.5, whole - part + 0.5, show.tails(level)[::2])
    return ends


def check_level(level: float) -> None:
    """Raises BadOption unless a level lies between 0 and 1."""
    share("level", level, "0.8")


def check_prior(prior: tuple[float, float]) -> None:
    """Raises BadOption unless a prior is two ascending probabilities."""
    wanted = "two ascending probabilities between 0 and 1"
    if (
        np.shape(prior) != (2,)
        or not 0 < number("prior", prior[0], wanted) <= number("prior", prior[1], wanted) < 1
    ):
        raise BadOption("prior", prior, wanted)


def posterior_odds(factor: float, prior: tuple[float, float]) -> Estimate:
    """A Bayes factor times the odds of a prior: in the middle, and at the prior's two ends."""
    low, high = (p / (1 - p) for p in prior)
    return Estimate(factor * math.sqrt(low * high), factor * low, factor * high, 1.0, "to 1")


def capitalised(words: str) -> str:
    """The same with a capital first; all other letters as they are."""
    return words[:1].upper() + words[1:]


def percent(value: float, digits: int = 2) -> str:
    """A share for people: 5.6 %."""
    return f"{float(f'{value:.{digits}g}'):g} %"
