"""The best size at each budget of compute, read off curves of equal compute, and how it grows: approach 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import Table, TooFewScales, as_frame
from scaling.units import print_count

Array = NDArray[np.float64]

_FORMS = {"parabola": 2, "cubic": 3}
_SAME = 0.05  # neighbours closer than this in ln C have one budget
_WIDEST = 0.3  # in ln C, beyond which a chain of neighbours is no budget
_BUDGETS = 3  # that make a slope with an error


@dataclass(frozen=True)
class CurveVertex:
    """The minimum of a polynomial through a measured curve."""

    x: float
    stderr: float
    """Standard error of ln x; NaN where the polynomial goes through every point."""
    loss: float
    interior: bool
    """Whether the polynomial has a minimum between points on both sides; if not, x is the lowest point."""
    points: int


def curve_vertex(
    x: ArrayLike, loss: ArrayLike, *, form: str = "parabola", within: float = 8.0
) -> CurveVertex:
    """The minimum of a parabola or a cubic in ln x, by least squares through the points around the lowest.

        ln loss ≈ p(u),   u = ln(x / x_lowest),   p'(u*) = 0,   p''(u*) > 0
        var(u*) = q' S q / p''(u*)²,   q = (0, 1, 2u*, 3u*²),   S = covariance of the coefficients of p

    A parabola is symmetric in ln x and a loss curve is not: away from the middle its minimum is biased towards the
    flatter side. A cubic follows the asymmetry and pays with a larger standard error. Each says what the other hides.

    Args:
        x: positive, e.g. parameters.
        loss: as many as x, positive.
        form: "parabola" or "cubic".
        within: points up to this factor from the lowest are used; `math.inf` for all.

    Raises:
        BadOption: another form, or a factor that is not above 1.
        TooFewScales: fewer different x than the polynomial has coefficients.

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.2 (approach 2), where the form is a parabola.
    """
    degree = _degree(form)
    if not within > 1:
        raise BadOption("within", within, "a factor above 1, e.g. 8")
    x, loss = np.asarray(x, float), np.asarray(loss, float)
    found = np.unique(x)
    if len(found) < degree + 1:
        raise TooFewScales(f"a {form}", "x", tuple(found.tolist()), degree + 1)
    lowest = int(np.lexsort((x, loss))[0])
    u = np.log(x / x[lowest])
    near = np.abs(u) <= math.log(within) * (1 + 1e-6) + 1e-12
    at_edge = CurveVertex(float(x[lowest]), math.nan, float(loss[lowest]), False, int(near.sum()))
    if len(np.unique(u[near])) < degree + 1:
        return at_edge
    design, wanted = np.vander(u[near], degree + 1, increasing=True), np.log(loss[near])
    coefficients, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    curve = np.polynomial.Polynomial(coefficients)
    place = _minimum(coefficients)
    if place is None or not u[near].min() < place < u[near].max():
        return at_edge
    spare = len(wanted) - degree - 1
    stderr = math.nan
    if spare > 0:
        variance = float(((wanted - design @ coefficients) ** 2).sum()) / spare
        slope = np.arange(degree + 1) * place ** np.maximum(np.arange(degree + 1) - 1.0, 0.0)
        spread = slope @ np.linalg.inv(design.T @ design) @ slope * variance
        stderr = math.sqrt(spread) / float(curve.deriv(2)(place))
    return CurveVertex(float(x[lowest] * math.exp(place)), stderr, math.exp(curve(place)), True, len(wanted))


@dataclass(frozen=True, eq=False)
class IsoFlop:
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

    def _cells(self) -> tuple[list[str], list[list[str]]]:
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
        return header, rows

    def _caption(self) -> str:
        power = f"N = G C^a with a = {show.with_error(self.exponent, self.stderr)}"
        left = f"; {self.skipped} budgets left out, their minimum at an end" if self.skipped else ""
        return f"{power}, the {self.form} of {len(self.table)} budgets{left}"

    def __str__(self) -> str:
        return f"{self._caption()}\n{show.table(*self._cells())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return show.html_table(*self._cells(), self._caption())


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
    degree = _degree(form)
    frame = as_frame(runs)
    if missing := [name for name in ("N", "D", "C", "loss") if name not in frame.columns]:
        raise MissingColumns(missing, frame.columns, "Curves of equal compute need N, D, C and loss.")
    N, D, C, loss = (frame[name].cast(pl.Float64).to_numpy() for name in ("N", "D", "C", "loss"))
    rows, skipped = [], 0
    for member in budgets(C):
        if len(np.unique(N[member])) < degree + 2:
            continue
        found = curve_vertex(N[member], loss[member], form=form, within=within)
        if not found.interior:
            skipped += 1
            continue
        price = np.median(C[member] / (N[member] * D[member]))
        budget = float(np.exp(np.mean(np.log(C[member]))))
        rows.append((budget, found.x, budget / (price * found.x), found.loss, found.stderr, found.points))
    columns = dict.fromkeys(["C", "N", "D", "loss", "ln_N_stderr"], pl.Float64) | {"points": pl.Int64}
    table = pl.DataFrame(rows, schema=columns, orient="row").sort("C")
    if len(table) < _BUDGETS:
        hint = f"One counts where {degree + 2} sizes N share its C and the lowest loss is between them. "
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


def _degree(form: str) -> int:
    if form not in _FORMS:
        raise BadOption("form", form, "'parabola' or 'cubic'")
    return _FORMS[form]


def _minimum(coefficients: Array) -> float | None:
    """Where a parabola or cubic is flat and bends upwards; None where it does nowhere.

    The root of c1 + 2 c2 u + 3 c3 u² that goes over into the parabola's as c3 vanishes, without cancellation.
    """
    _, c1, c2, c3 = (*coefficients, 0.0)[:4]
    inside = c2 * c2 - 3.0 * c1 * c3
    if inside <= 0.0:
        return None
    root = math.sqrt(inside)
    if c2 > 0.0:
        return -c1 / (c2 + root)
    return (root - c2) / (3.0 * c3) if c3 != 0.0 else None
