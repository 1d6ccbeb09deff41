"""Memorised or generalised, in words."""

from __future__ import annotations

import polars as pl

from scaling.questions.phrases import moves
from scaling.units import print_count
from scaling.verdict import Estimate

RISES, STALLS, BEFORE = (
    "skill rises past full memory",
    "skill stalls at full memory",
    "skill came before memory was full",
)
MEMORY, CANNOT = "memory without the rule", "cannot tell"
ANSWERS = (RISES, STALLS, BEFORE, MEMORY, CANNOT)
"""What `memory` may answer."""

ENOUGH = 0.05
"""Share of answers above chance below which there is no skill."""
LEAST = 10.0
"""Points below which a rise counts as none."""
KNOWN = 0.95
"""Share of right answers from which there is nothing left to rise."""


_LEADS = {
    RISES: "Skill goes on rising after memory is full",
    STALLS: "Skill does not rise any more once memory is full",
    BEFORE: "The rule was learned before memory was full",
    MEMORY: "These models memorise and do not learn the rule",
    CANNOT: "These runs cannot tell whether skill outgrows memory",
}


def sentence(
    answer: str,
    capacity: Estimate,
    rise: Estimate,
    first: Estimate,
    last: Estimate,
    chance: float,
    rests: str,
) -> str:
    """The answer with what held-out answers do past full memory, then what a full memory holds, in the models asked."""
    moved = {
        BEFORE: f"{first.said('% of answers')} about unseen documents are right where memory is just full",
        MEMORY: f"{last.said('% of answers')} about unseen documents are right, and by chance {100 * chance:.2g} %",
    }.get(answer, f"past full memory, more data {moves(rise)} about unseen documents")
    went = "" if answer in (BEFORE, MEMORY) else f"They go from {first.said()} to {last.said()}. "
    return f"**{_LEADS[answer]}:** {moved}. {went}A full memory holds {capacity.said()}, in {rests}."


def cannot(why: str) -> str:
    """Why the runs cannot tell."""
    return f"**These runs cannot tell what is memorised and what is learned:** {why}."


def doubts(full: pl.DataFrame, slope: Estimate, skill: str) -> tuple[str, ...]:
    """What would change the answer, from the cells at capacity."""
    epochs = float(full["epochs"].to_numpy().min())
    linear = "is within" if abs(slope.value - 1) <= 0.1 else "is not within"
    return (
        f"**Longer training.** Memory was filled in {epochs:.3g} epochs or more; capacity is what was reached, "
        "not what could be.",
        f"**Another law of capacity.** Its slope of {slope.value:.2f} against parameters {linear} a tenth of linear.",
        f"**A harder rule.** All of this is of {skill!r}; a rule that these sizes cannot learn would stay memory.",
    )


MORE = 4.0
"""Times the data, or the epochs, that runs without an answer should see."""


def more_data(runs: pl.DataFrame, *, filled: bool) -> str:
    """The runs without which memory was never full, or never overflowed."""
    if not filled:
        return f"the same cells for {MORE:g} times the tokens, until the memory of two sizes or more is full"
    most = int(runs["unique_tokens"].to_numpy().max())
    return f"every size on {print_count(MORE * most, 2)} distinct tokens too, for as many epochs"


_LARGER = 4
LARGER = _LARGER * (1 + _LARGER)
"""Times the FLOPs of the largest run that each seed of the runs asked for takes: of two amounts, as often seen."""


def next_runs(table: pl.DataFrame) -> str:
    """Runs that would tell most."""
    largest, most = int(table["params_total"].to_numpy().max()), int(table["unique_tokens"].to_numpy().max())
    return (
        f"models of {print_count(_LARGER * largest, 2)} parameters on {print_count(most, 2)} and on "
        f"{print_count(_LARGER * most, 2)} distinct tokens, for where skill and memory part at a larger size"
    )
