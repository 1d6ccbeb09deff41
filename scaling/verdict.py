"""What the runs answer: one sentence, its numbers with their intervals, and what would change it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from scaling import show
from scaling.units import print_count

GPT2_PARAMETERS = 124e6
"""The smallest GPT-2, embeddings included: Radford et al. 2019, as released."""

FRONTIER_FLOPS = 2.1e25
"""Training compute of GPT-4 as Epoch AI estimates it (Notable AI models, 2023); larger ones have been trained since."""


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

    @property
    def value(self) -> float:
        """The number itself."""
        return self.median

    def __str__(self) -> str:
        if self.high - self.low < 1e-5 * abs(self.value):  # ends that differ in no digit that is shown
            return f"{self.value:.3g} {self.unit}, {100 * self.level:.3g} % [{self.low:.3g}, {self.high:.3g}]"
        if self.value >= 1e4:
            ends = f"{100 * self.level:.3g} % [{print_count(self.low)}, {print_count(self.high)}]"
            return f"{print_count(self.value)} {self.unit}, {ends}"
        within = show.interval(self.low, self.high, self.level)
        return f"{show.rounded(self.value, (self.high - self.low) / 2)} {self.unit}, {within}"


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
        """From the columns params_total (or N) and C."""
        size = runs["params_total" if "params_total" in runs.columns else "N"].to_numpy()
        return Reach(int(size.min()), int(size.max()), float(runs["C"].to_numpy().max()))

    @property
    def decades_to_gpt2(self) -> float:
        return math.log10(GPT2_PARAMETERS / self.largest)

    @property
    def decades_to_frontier(self) -> float:
        return math.log10(FRONTIER_FLOPS / self.compute)

    def __str__(self) -> str:
        return (
            f"models of {print_count(self.smallest)} to {print_count(self.largest)} parameters, "
            f"{_apart(self.decades_to_gpt2, 1)} GPT-2 (124M); the largest run took {self.compute:.1e} FLOPs, "
            f"{_apart(self.decades_to_frontier, 0)} GPT-4"
        ).replace("e+", "e")


def _apart(decades: float, digits: int) -> str:
    return f"{abs(decades):.{digits}f} decades {'below' if decades > 0 else 'above'}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to a question, and how sure."""

    question: str
    answer: str
    """One of a closed set for each question."""
    sentence: str
    """The answer in Markdown, for a reader who stops here."""
    numbers: dict[str, Estimate]
    evidence: pl.DataFrame
    """The table that the sentence rests on."""
    would_change: tuple[str, ...]
    """What would have to be seen for another answer."""
    next_runs: tuple[str, ...] = ()
    """Runs that would sharpen it most."""
    identifiable: bool = True
    """False where these runs cannot tell."""
    reach: Reach | None = None
    """None where the answer rests on no runs."""
    data_hash: str
    seed: int = 0

    @property
    def lead(self) -> Prose:
        """The sentence alone, set large in a report."""
        return Prose(f'<div class="answer">\n\n{self.sentence}\n\n</div>')

    @property
    def doubts(self) -> Prose:
        """What would change the answer, as a list, and which runs would tell."""
        lines = [f"- {line}" for line in self.would_change]
        if self.next_runs:
            lines.append(f"- **Runs that would tell most.** {'; '.join(self.next_runs)}.")
        if self.reach is not None:
            lines.append(f"- **Size.** All of this rests on {self.reach}.")
        return Prose("\n".join(lines))

    def __str__(self) -> str:
        plain = self.sentence.replace("**", "")
        numbers = [f"  {name}: {number}" for name, number in self.numbers.items()]
        rests = [] if self.reach is None else [f"rests on {self.reach}"]
        return "\n".join([self.question, plain, *numbers, *rests])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        rows = "\n".join(f"| {name} | {number} |" for name, number in self.numbers.items())
        return f"{self.lead}\n\n| | |\n|---|---|\n{rows}\n\n{self.doubts}"


def percent(value: float, digits: int = 2) -> str:
    """A share for people: 5.6 %."""
    return f"{float(f'{value:.{digits}g}'):g} %"


def between(low: Any, high: Any, level: float) -> str:
    """An interval inside a sentence: "80 % interval 1.33 to 1.39"."""
    return f"{100 * level:.3g} % interval {low} to {high}"
