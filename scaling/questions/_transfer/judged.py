"""What a matrix says of each source and target: every cell and every pair weighed together, and the answer of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling.questions._transfer.matrix import ENOUGH, Cell, Matrix
from scaling.questions._transfer.readings import Judged, Rates, Trend, judge, rates, trends
from scaling.questions._transfer.words import CANNOT, FORM, HELPS, HURTS, OPEN, WORDS

Key = tuple[tuple[str, str], tuple[float, float]]
"""Source and target, and of the target distinct tokens and how many were trained on."""
_HALF = 0.5
"""Share of the effect that must be left in another form of the target, for the effect not to be one of form."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A source and a target, over the sizes that have its largest dose, on one base of the target."""

    cells: tuple[int, ...]
    """One for each size, by their number in the matrix."""
    judged: Judged
    trend: Trend | None
    learned: bool
    """Whether the source was learned at some size; only such cells count, where there are any."""


@dataclass(frozen=True, eq=False)
class Weighed:
    """A matrix with all that is judged of it."""

    made: Matrix
    priced: Rates
    every: tuple[Judged, ...]
    """Of each cell."""
    learned: tuple[bool, ...]
    """Whether the source of each cell was learned."""
    pairs: dict[Key, Pair]

    def main(self, pair: tuple[str, str]) -> Key:
        """The base that an answer rests on: with most sizes, of these one that was seen once, then the largest."""
        bases = {key: len(one.cells) for key, one in self.pairs.items() if key[0] == pair}
        return max(bases, key=lambda key: (bases[key], key[1][0] == key[1][1], key[1][1]))

    def answer(self, pair: tuple[str, str], other_forms: Mapping[str, str]) -> str:
        """What is said of a source and a target, whose other forms are named."""
        key = self.main(pair)
        main = self.pairs[key]
        answer = main.judged.answer
        if not main.learned or not math.isfinite(main.judged.gain.mean):
            return CANNOT
        if answer == HELPS:
            bases = [
                one.judged.answer for other, one in self.pairs.items() if other[0] == pair and other != key
            ]
            answer = next((other for other in bases if other in (WORDS, HURTS, FORM)), answer)
        forms = [(pair[0], form) for form, of in other_forms.items() if of == pair[1]]
        if answer == HELPS and not all(self._is_in(form, main.judged) for form in forms):
            answer = FORM
        if answer in (HELPS, HURTS):
            opposite = {HELPS: HURTS, HURTS: HELPS}[answer]
            if any(self.every[i].answer == opposite for i in main.cells) or _fades(main.trend, answer):
                return OPEN
        return answer

    def _is_in(self, other: tuple[str, str], judged: Judged) -> bool:
        """Whether the effect is there, and at least half as large, on the same skill in another form."""
        if not any(key[0] == other for key in self.pairs):
            return True
        there = self.pairs[self.main(other)].judged
        left, whole = ((one.words or one.gain).mean for one in (there, judged))
        return there.answer == HELPS and left >= _HALF * whole


def weigh(made: Matrix, bar: float | None, dose: float | None, level: float, seed: int) -> Weighed:
    """Every cell, and every pair on each of its bases, at the dose that is asked, or that most sizes have, the largest.

    They are judged together, so that one chance in twenty of a false alarm is that of the whole matrix.

    Args:
        made: the matrix.
        bar: value that a source must reach itself to count as learned.
        dose: that is asked.
        level: of intervals.
        seed: of draws.
    """
    learned, priced = tuple(_is_learned(made, cell, bar) for cell in made.cells), rates(made, seed=seed)
    doses: dict[Key, dict[float, list[int]]] = {}
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
    pairs = {key: Pair(tuple(group), one, line, key in counts) for key, group, one, line in over}
    return Weighed(made, priced, tuple(judged[: len(made.cells)]), learned, pairs)


def _with_seeds(made: Matrix, numbers: list[int]) -> list[int]:
    """The cells that share seeds: while all together have too few, the size with fewest is left out."""

    def seeds(i: int) -> Any:
        return np.isfinite(made.value[made.cells[i].arm] - made.value[made.cells[i].alone])

    kept = sorted(numbers, key=lambda i: made.cells[i].N)
    while len(kept) > 1 and np.all([seeds(i) for i in kept], axis=0).sum() < ENOUGH:
        kept.remove(min(kept, key=lambda i: seeds(i).sum()))
    return kept


def _is_learned(made: Matrix, cell: Cell, bar: float | None) -> bool:
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


def _fades(trend: Trend | None, answer: str) -> bool:
    """Whether the rate goes towards the other sign beyond chance, and its line does not keep the sign up to GPT-2."""
    if trend is None:
        return False
    sign = 1 if answer == HELPS else -1
    towards = max(sign * trend.slope[1], sign * trend.slope[2]) < 0
    return towards and min(sign * trend.gpt2[1], sign * trend.gpt2[2]) <= 0
