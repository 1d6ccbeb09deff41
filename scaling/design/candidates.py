"""What could be trained next, trunk by trunk: sizes, budgets, branches and repeated text, each with its FLOPs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from scaling.design.information import Indices
from scaling.errors import BadOption, FitError
from scaling.fitting.data import Array, counts_of
from scaling.flops import Shape, count_flops, count_parameters, ladder
from scaling.study import Trunk
from scaling.sweeps.cost import tokens_to_train
from scaling.units import power_of_ten

_SIZES, _BUDGETS = 9, 12  # most values along either
_BRANCHES = (1, 2, 3, _BUDGETS)  # of a trunk, each half the tokens of the next
_EPOCHS = (2, 64)  # fewest and most of a cap of unique tokens that is worth a place
_BELOW = 2.0  # times below the smallest so far, where runs cost little and a law has more to bend over
_RATIO = 4.0  # times the tokens per parameter so far, beyond which nothing is proposed
REACH = 8.0
"""Times the largest size and the largest budget so far, up to which runs are proposed: a rate that was tuned for small
models, and a law that was fitted to them, go on for about as long."""


class BudgetTooSmall(FitError):
    """A budget below the cheapest run there is."""

    flops: float
    cheapest: float
    name: str

    def __str__(self) -> str:
        return (
            f"asked for the next runs within {power_of_ten(self.flops)} FLOPs, but the cheapest, {self.name}, takes "
            f"{power_of_ten(self.cheapest)}. Ask for that much or more, e.g. --flops {10 * self.cheapest:.0e}.".replace(
                "e+", "e"
            )
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """Trunks that could be trained."""

    trunks: tuple[Trunk, ...]
    """Of the first seed that is new."""
    places: Indices
    """Of each trunk's branches, shape (trunks, most branches); -1 where it has fewer."""
    columns: dict[str, Array]
    """N, D, C and unique_tokens of the run at each place."""
    flops: Array
    """Of each trunk with its cooldowns."""
    shapes: Indices
    """A number for each trunk's shape."""

    @property
    def logs(self) -> Array:
        """ln of what tells places apart, shape (places, columns)."""
        return np.log(np.stack([self.columns[c] for c in ("N", "D", "unique_tokens")], axis=1))


def candidates(
    runs: pl.DataFrame,
    template: Trunk | None,
    *,
    budget: float,
    repeats: bool = False,
    sizes: tuple[float, float] | None = None,
    tokens: tuple[float, float] | None = None,
) -> Candidates:
    """Every trunk of a grid of sizes and budgets around the runs that a budget of FLOPs pays for.

    Args:
        runs: columns N and D; seed and unique_tokens where they are there.
        template: whose depth, rate and schedule the trunks have; None for shapes of `flops.ladder`.
        budget: FLOPs.
        repeats: whether text may be seen more than once, under caps of unique tokens.
        sizes, tokens: smallest and largest N and D; by default from half the smallest so far to `REACH` times the
            largest, at tokens per parameter within a factor of four of those so far.

    Raises:
        BudgetTooSmall: none is affordable.
        BadOption: sizes or tokens that no trunk has.
    """
    base = template or Trunk.of(width=64, budgets=(131_072,))
    shapes = shapes_near(base if template else None, _range("sizes", sizes, counts_of(runs, "N")))
    if not shapes:
        raise BadOption("sizes", sizes, "a range that a shape of this depth falls into")
    step = base.schedule.tokens_per_step
    budgets = octaves(step, *_range("tokens", tokens, counts_of(runs, "D")))
    caps = (None, *_caps(runs, budgets, base.model.context)) if repeats else (None,)
    seed = int(runs["seed"].cast(pl.Int64).max()) + 1 if "seed" in runs.columns else 0  # type: ignore[arg-type]
    rates = rates_of(runs, base)
    number: dict[tuple[int, int, int], int] = {}
    rows, trunks, flops, of_shape = [], [], [], []
    ratio = counts_of(runs, "D") / counts_of(runs, "N")
    per_parameter = ratio.min() / _RATIO, ratio.max() * _RATIO
    cheapest: tuple[float, str] = (np.inf, "")
    for place, shape in enumerate(shapes):
        per_token, N = count_flops(shape).total, count_parameters(shape).matrices
        for cap in caps:
            able = [d for d in budgets if sizes or tokens or per_parameter[0] <= d / N <= per_parameter[1]]
            for chosen in _branches([d for d in able if cap is None or 2 * cap <= d <= _EPOCHS[1] * cap]):
                trunk = base.but(
                    width=shape.width, depth=shape.depth, head_dim=shape.head_dim, peak_lr=rates(shape.width),
                    budgets=tuple(chosen), seed=seed, unique_budget=cap,
                    max_epochs=1.0 if cap is None else float(-(-max(chosen) // cap)),
                )  # fmt: skip
                cost = per_token * tokens_to_train(trunk)
                cheapest = min(cheapest, (cost, trunk.name))
                if cost <= budget:
                    keys = [(N, d, min(d, cap or d)) for d in chosen]
                    rows.append([number.setdefault(key, len(number)) for key in keys])
                    trunks.append(trunk)
                    flops.append(cost)
                    of_shape.append(place)
    if not trunks:
        raise BudgetTooSmall(budget, *cheapest)
    N, D, unique = np.array(list(number), float).T
    each = {count_parameters(s).matrices: count_flops(s).total for s in shapes}
    columns = {"N": N, "D": D, "unique_tokens": unique, "C": D * np.array([each[int(n)] for n in N])}
    most = max(map(len, rows))
    places = np.array([row + [-1] * (most - len(row)) for row in rows], np.int64)
    return Candidates(tuple(trunks), places, columns, np.array(flops), np.array(of_shape))


def _range(option: str, asked: tuple[float, float] | None, seen: Array) -> tuple[float, float]:
    if asked is None:
        return float(seen.min()) / _BELOW, REACH * float(seen.max())
    low, high = asked
    if not 0 < low <= high < np.inf:
        raise BadOption(option, asked, "the smallest and the largest, e.g. (1e6, 1e9)")
    return float(low), float(high)


def shapes_near(template: Trunk | None, ends: tuple[float, float]) -> list[Shape]:
    """Shapes evenly spaced in ln N: of the template's depth, or of the ladder."""
    if template is None:
        every = {ladder(N) for N in np.geomspace(max(ends[0], 6e3), max(ends[1], 6e3), _SIZES)}
        return sorted(every, key=lambda s: count_parameters(s).matrices)
    model = template.model
    size = count_parameters(model).matrices / model.width**2
    widths = [
        model.head_dim * max(1, round((N / size) ** 0.5 / model.head_dim))
        for N in np.geomspace(*ends, _SIZES)
    ]
    return [replace(model, width=width) for width in sorted(set(widths))]


def octaves(step: int, low: float, high: float) -> list[int]:
    """Octaves of tokens, or as many as there may be, in whole steps."""
    count = min(_BUDGETS, 1 + int(np.log2(high / low) + 1e-9))
    ratio = 2.0 if count < _BUDGETS else (high / low) ** (1 / (count - 1))
    return sorted({step * max(1, round(low * ratio**i / step)) for i in range(count)})


def _branches(budgets: Sequence[int]) -> Iterator[Sequence[int]]:
    """Budgets of a trunk: each as the largest, alone and with those just below it."""
    for last in range(1, len(budgets) + 1):
        for first in sorted({max(0, last - count) for count in _BRANCHES}):
            yield budgets[first:last]


def _caps(runs: pl.DataFrame, budgets: list[int], context: int) -> list[int]:
    """Unique-token budgets: those so far, or else a few of which the largest budget makes several epochs."""
    seen: list[int] = []
    if "unique_tokens" in runs.columns:
        repeated = runs.filter(pl.col("D") > 1.01 * pl.col("unique_tokens"))["unique_tokens"]
        seen = sorted({int(context * max(1, round(u / context))) for u in repeated.to_list()})
    most = budgets[-1] // _EPOCHS[0]
    seen = seen or [context * max(1, int(most / 4**i) // context) for i in range(3)]
    return sorted({seen[0], seen[len(seen) // 2], seen[-1], *(2 * seen[-1],) * (2 * seen[-1] <= most)})


def rates_of(runs: pl.DataFrame, base: Trunk):
    """The peak rate of the nearest width so far; the template's where rows have none."""
    if not {"width", "peak_lr"} <= set(runs.columns):
        return lambda width: base.optim.peak_lr
    usual = runs.group_by("width").agg(pl.col("peak_lr").median()).sort("width")
    widths, rates = usual["width"].to_numpy(), usual["peak_lr"].to_numpy()
    return lambda width: float(rates[np.argmin(np.abs(np.log(widths / width)))])
