"""The matrix of a transfer study: cells of source, target, size and dose, with the arms that each is judged against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import QuestionError, did_you_mean
from scaling.questions._transfer.arms import ARM

Array = NDArray[np.float64]
ENOUGH = 2
"""Seeds that a difference needs."""


class PlaceboWithoutRuns(QuestionError):
    """A placebo that no run was trained on, or whose source none was."""

    placebo: str
    missing: str
    added: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked to judge by the placebo {self.placebo!r}, but no run adds {self.missing!r}; runs add "
            f"{', '.join(map(repr, self.added)) or 'nothing'}. {did_you_mean(self.missing, self.added)}"
            "Leave it out, or train runs with it."
        )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A source added to a target at one size and dose; arms by their row in the matrix."""

    N: float
    target: str
    unique: float
    tokens: float
    source: str
    dose: float
    added_tokens: float
    added_unique: float
    """Distinct tokens of the source."""
    arm: int
    alone: int
    repeats: int | None
    """The target alone for as many steps."""
    words: tuple[int, ...]
    """Placebos with the words of the source."""
    form: tuple[int, ...]
    """Placebos with its form."""

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def base(self) -> tuple[float, float]:
        """Distinct tokens of the target, and how many were trained on."""
        return self.unique, self.tokens

    @property
    def repeated(self) -> bool:
        """Whether the target was seen more than once before anything was added."""
        return self.tokens > self.unique


@dataclass(frozen=True, eq=False)
class Matrix:
    """Arms by seed, and the cells that they make."""

    arms: pl.DataFrame
    """One row for each arm."""
    seeds: tuple[int, ...]
    value: Array
    """`[arms, seeds]`, lower is better; NaN where there is no run."""
    own: Array
    """The same, of each model on what was added to its target."""
    cells: tuple[Cell, ...]

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Source and target of all cells, that with most cells first."""
        every = [cell.pair for cell in self.cells]
        return tuple(sorted(dict.fromkeys(every), key=every.count, reverse=True))

    def added(self, arm: int) -> str:
        """What an arm adds to its target."""
        return self.arms["added"][arm]


def matrix(
    rows: pl.DataFrame, placebos: Mapping[str, str], form_placebos: Mapping[str, str], sign: float
) -> Matrix:
    """Arms beside what they are judged by.

    Cells are of sources alone; where a source has placebos, of the doses at which at least one of them was trained.

    Args:
        rows: of `read_arms`.
        placebos: of domains with the words of a source, and no skill, to that source.
        form_placebos: the same of domains with its form.
        sign: 1 where less is better, -1 where more is.

    Raises:
        PlaceboWithoutRuns: names the placebo.
    """
    added = tuple(rows["added"].unique().sort().to_list())
    for placebo, source in {**placebos, **form_placebos}.items():
        for domain in (placebo, source):
            if domain not in added:
                raise PlaceboWithoutRuns(placebo, domain, tuple(filter(None, added)))
    arms = rows.select(*ARM, "dose", "D", "added_unique").unique(ARM, maintain_order=True)
    number = {key: i for i, key in enumerate(arms.select(ARM).rows())}
    seeds = tuple(rows["seed"].unique().sort().to_list())
    value, own = np.full((2, len(arms), len(seeds)), np.nan)
    for *key, seed, one, other in rows.select(*ARM, "seed", "value", "added_value").rows():
        value[number[tuple(key)], seeds.index(seed)] = sign * one
        own[number[tuple(key)], seeds.index(seed)] = sign * other
    judged_by = {**placebos, **form_placebos}
    cells = []
    for arm, row in enumerate(arms.iter_rows(named=True)):
        N, target, unique, tokens, source, more = (row[name] for name in ARM)

        def common(*key: Any, arm: int = arm) -> int | None:
            """The arm with that key, where it shares seeds with this one."""
            other = number.get(key)
            alike = other is not None and np.isfinite(value[arm] - value[other]).sum() >= ENOUGH
            return other if alike else None

        alone = common(N, target, unique, tokens, "", 0.0)
        if not source or source in judged_by or alone is None:
            continue
        words, form = (
            tuple(
                other
                for placebo, of in made.items()
                if of == source and (other := common(N, target, unique, tokens, placebo, more)) is not None
            )
            for made in (placebos, form_placebos)
        )
        if words or form or source not in judged_by.values():
            cells.append(Cell(
                N=N, target=target, unique=unique, tokens=tokens, source=source, dose=row["dose"], added_tokens=more,
                added_unique=row["added_unique"], arm=arm, alone=alone, words=words, form=form,
                repeats=common(N, target, unique, row["D"], "", 0.0),
            ))  # fmt: skip
    return Matrix(arms, seeds, value, own, tuple(cells))
