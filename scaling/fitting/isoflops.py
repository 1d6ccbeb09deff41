"""The best size at each budget of compute, read off curves of equal compute, and how it grows: approach 2."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.errors import MissingColumns
from scaling.fitting.data import Table, TooFewScales, as_frame
from scaling.fitting.vertex import degree_of, vertex
from scaling.units import print_count

_SAME = 0.05  # neighbours closer than this in ln C have one budget
_WIDEST = 0.3  # in ln C, beyond which a chain of neighbours is no budget
_BUDGETS = 3  # that make a slope with an error


@dataclass(frozen=True, eq=False, repr=False)
class IsoFlop(show.Shown):
    """The best size at each budget, and the power law through them."""

    table: pl.DataFrame
    """One row per budget with an interior minimum: C, N, D, loss, ln_N_stderr, points."""
    exponent: float
    """a of N = G C^a."""
    stderr: float
    """Standard error of a, from how the budgets scatter around the line."""
    coefficient: float
    """G."""
    form: str
    skipped: int
    """Budgets left out, as their lowest point is the smallest or the largest size."""

    def shown(self) -> Iterator[show.Table]:
        header = ["C, FLOPs", "best N", "± %", "tokens per parameter", "loss"]
        rows = [
            [
                f"{C:.2e}".replace("e+", "e"),
                print_count(N, 3),
                "" if math.isnan(spread) else f"{100 * spread:.0f}",
                f"{D / N:.3g}",
                f"{loss:.3f}",
            ]
            for C, N, D, loss, spread, _ in self.table.iter_rows()
        ]
        power = f"N = G C^a with a = {show.with_error(self.exponent, self.stderr)}"
        left = f"; {self.skipped} budgets left out, their minimum at an end" if self.skipped else ""
        yield show.Table(header, rows, f"{power}, the {self.form} of {len(self.table)} budgets{left}")


def isoflop(runs: Table, *, form: str = "parabola", within: float = 8.0) -> IsoFlop:
    """How the best size grows with compute, from curves of equal compute.

        N*(C) = vertex of the loss over ln N at budget C,    ln N* = a ln C + ln G,    D* = C / (k N*)

    with k = C / (N D) of the median run. Runs whose C lie within 5 % of a neighbour's are one budget. A budget needs a
    size more than the form has coefficients; one whose minimum is at an end is counted and left out.

    Args:
        runs: columns N, D, C and loss.
        form: "parabola" or "cubic".
        within: sizes up to this factor from the lowest loss enter the polynomial.

    Raises:
        MissingColumns: one of the four is not there.
        TooFewScales: fewer than three budgets with an interior minimum.
        BadOption: another form, or a factor that is not above 1.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.
    """
    degree = degree_of(form)
    frame = as_frame(runs)
    if missing := [name for name in ("N", "D", "C", "loss") if name not in frame.columns]:
        raise MissingColumns(missing, frame.columns, "Curves of equal compute need N, D, C and loss.")
    N, D, C, loss = (frame[name].cast(pl.Float64).to_numpy() for name in ("N", "D", "C", "loss"))
    rows, skipped = [], 0
    for member in budgets(C):
        if len(np.unique(N[member])) < degree + 2:
            continue
        best = vertex(N[member], loss[member], form=form, within=within)
        if not best.interior:
            skipped += 1
            continue
        price = np.median(C[member] / (N[member] * D[member]))
        budget = float(np.exp(np.mean(np.log(C[member]))))
        rows.append((budget, best.x, budget / (price * best.x), best.loss, best.stderr, best.points))
    columns = dict.fromkeys(["C", "N", "D", "loss", "ln_N_stderr"], pl.Float64) | {"points": pl.Int64}
    table = pl.DataFrame(rows, schema=columns, orient="row").sort("C")
    if len(table) < _BUDGETS:
        hint = f"; one counts where {degree + 2} sizes N share its C and the lowest loss is between them"
        raise TooFewScales(f"approach 2 ({form})", "C", tuple(table["C"].to_list()), _BUDGETS, hint)
    x, y = np.log(table["C"].to_numpy()), np.log(table["N"].to_numpy())
    middle = float(x.mean())
    design = np.stack([x - middle, np.ones_like(x)], axis=1)
    (slope, level), *_ = np.linalg.lstsq(design, y, rcond=None)
    scatter = float(((y - design @ [slope, level]) ** 2).sum()) / (len(x) - 2)
    stderr = math.sqrt(scatter / float(((x - middle) ** 2).sum()))
    coefficient = math.exp(level - slope * middle)
    return IsoFlop(table, float(slope), stderr, coefficient, form, skipped)


def budgets(C: ArrayLike) -> list[NDArray[np.int64]]:
    """Rows of each budget, smallest first: neighbours within 5 % in C are one, chains wider than 35 % are none."""
    logs = np.log(np.asarray(C, float))
    order = np.argsort(logs, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(logs[order]) > _SAME) + 1)
    return [part for part in parts if len(part) and np.ptp(logs[part]) <= _WIDEST]
