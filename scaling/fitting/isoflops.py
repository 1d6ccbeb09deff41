"""The best size at each budget of compute, read off curves of equal compute, and how it grows: approach 2.

A single run that was trained badly moves the parabola of its budget, and with it the exponent: of 16 runs one that
ended 5 % too high made .63 of .51. So each run is held against all curves together before any vertex is read off, one
that fits none is left out by name, and the run that moves the exponent most is told in any case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.arguments import checked, number, share, whole
from scaling.errors import BadOption, require_columns, require_kind
from scaling.fitting.data import Array, Table, TooFewScales, as_frame, counts_of
from scaling.fitting.vertex import FORMS, Vertex, degree_of, minimum_of, near_lowest, vertex
from scaling.fitting.words import ENOUGH
from scaling.units import print_count

_SAME = 0.05  # neighbours closer than this in ln C have one budget
_WIDEST = 0.3  # in ln C, beyond which a chain of neighbours is no budget
_BUDGETS = 3  # that make a slope with an error
_ALARM = 0.01  # chance that one of the sound runs of a table is taken for one that fits no curve
_LEAST_MISS = 1e-4  # in log loss, below which no run is astray: curves without noise miss a cubic by less
_SPARE = 3  # runs more than coefficients, below which no run can be told from noise
_OUTER = 0.25  # share of the sizes at either end, in ln N, where a vertex is off-centre


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
    interval: show.Interval
    """Of a, over bootstrap draws; NaN without 20 of them."""
    draws: Array
    """Of a, shape (draws,)."""
    other_form: float
    """a by the other form, cubic or parabola; NaN where the runs are too few for it."""
    astray: pl.DataFrame
    """Runs left out as they fit no curve of the others: row, N, C, loss, miss_percent, exponent_with."""
    influence: pl.DataFrame
    """a without each run that is used: row, N, C, loss, exponent; the one that moves it most first."""
    thin: int = 0
    """Budgets left out as they have too few sizes."""
    off_center: int = 0
    """Budgets whose minimum lies in the outer quarter of their sizes, where a parabola is biased."""
    cluster: str = "rows"

    def shown(self) -> Iterator[show.Table | str]:
        header = ["C, FLOPs", "best N", "± %", "tokens per parameter", "loss"]
        rows = [
            [
                _flops(C),
                print_count(N, 3),
                "" if math.isnan(spread) else f"{100 * spread:.0f}",
                f"{D / N:.3g}",
                f"{loss:.3f}",
            ]
            for C, N, D, loss, spread, _ in self.table.iter_rows()
        ]
        power = f"N = G C^a with a = {show.with_error(self.exponent, self.stderr)}"
        left = f"; {self.skipped} budgets left out, their minimum at an end" if self.skipped else ""
        left += f"; {self.thin} left out, of too few sizes" if self.thin else ""
        yield show.Table(header, rows, f"{power}, the {self.form} of {len(self.table)} budgets{left}")
        if len(self.draws) >= ENOUGH:
            ends = show.interval(self.interval.low, self.interval.high, self.interval.level)
            over = f"{len(self.draws)} wild bootstrap draws over {self.cluster}"
            yield f"a {ends}, from {over} and how budgets scatter"
        for _, N, C, loss, miss, exponent in self.astray.iter_rows():
            side = "above" if miss > 0 else "below"
            yield (
                f"left out, as it fits no curve of the others: N = {print_count(N, 3)} at C = {_flops(C)} (loss "
                f"{loss:.4g}), {abs(miss):.2g} % {side} them; with it a = {exponent:.3f}"
            )
        if len(self.influence):
            _, N, C, _, most = self.influence.row(0)
            change, run = abs(most - self.exponent), f"N = {print_count(N, 3)} at C = {_flops(C)}"
            yield f"without any one run a changes by {change:.2g} at most ({run})"
        if self.off_center:
            other = "cubic" if self.form == "parabola" else "parabola"
            yield (
                f"{self.off_center} of {len(self.table)} minima lie in the outer quarter of their sizes, where a "
                f"parabola is biased: the {other} says a = {self.other_form:.3f}. Add sizes on the other side"
            )


def _flops(C: float) -> str:
    return f"{C:.2e}".replace("e+", "e")


@checked
def isoflop(
    runs: Table,
    *,
    form: str = "parabola",
    within: float = 8.0,
    bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    robust: bool = True,
) -> IsoFlop:
    """How the best size grows with compute, from curves of equal compute.

        N*(C) = vertex of the loss over ln N at budget C,    ln N* = a ln C + ln G,    D* = C / (k N*)

    with k = C / (N D) of the median run. Runs whose C lie within 5 % of a neighbour's are one budget. A budget needs a
    size more than the form has coefficients; one whose minimum is at an end is counted and left out.

    A run is left out where its externally studentised residual from all curves at once,

        ln loss = c_C + (s + s' ln C) u + (k + k' ln C) u² + k" u³,    u = ln N - ln N*,

    is larger than a normal one of all these runs would be in 1 of 100 tables; then the next one is sought. Draws of a
    are of the wild bootstrap: residuals of the vertices' polynomials change sign together within a trunk. The interval
    is a ± t s, with s the larger of what the draws and the scatter of the budgets around the line say, each with the t
    of its degrees of freedom.

    Args:
        runs: columns N, D, C and loss; trunk_id where runs share a trunk.
        form: "parabola" or "cubic".
        within: sizes up to this factor from the lowest loss enter the polynomial.
        bootstrap: draws of a; fewer than 20 make no interval.
        seed: of the draws.
        level: of the interval.
        robust: leave out runs that fit no curve; False: use all.

    Raises:
        MissingColumns: one of the four is not there.
        BadPredictor: N, D, C or a loss that is not finite and above zero.
        TooFewScales: fewer than three budgets with an interior minimum.
        BadOption: another form, a factor that is not above 1, a level outside (0, 1).

    Source:
        Hoffmann et al. 2022, arXiv:2203.15556, section 3.2. The outlier test: Cook and Weisberg 1982, Residuals and
        Influence in Regression, section 2.2.
    """
    from scipy.special import stdtrit  # quantiles of t, without the second that scipy.stats takes to import

    require_kind("robust", robust, (bool, np.bool_), "True or False")
    degree, level = degree_of(form), share("level", level, "0.95")
    bootstrap = whole("bootstrap", bootstrap, "a whole number, 0 to skip it")
    points = _Points.of(as_frame(runs), degree, within)
    used, astray = np.ones(len(points.N), bool), []
    while robust and (worst := points.astray(used)):
        used[worst[0]] = False
        astray.append(worst)
    best = points.read(used)
    if len(best.C) < _BUDGETS:
        hint = f"; one counts where {degree + 2} sizes N share its C and the lowest loss is between them"
        raise TooFewScales(f"approach 2 ({form})", "C", tuple(best.C.tolist()), _BUDGETS, hint)
    slope, height, stderr = line_through(np.log(best.C), np.log(best.N))
    draws = points.draws(best, used, bootstrap, seed)
    half = math.nan
    if len(draws) >= ENOUGH:
        t = stdtrit([len(best.C) - 2, best.spare], (1.0 + level) / 2.0)
        half = float(np.max(t * [stderr, np.std(draws)]))
    left_out = {i: points.read(used | (np.arange(len(used)) == i)).exponent for i, _ in astray}
    return IsoFlop(
        table=best.table(), exponent=float(slope), stderr=float(stderr), coefficient=math.exp(height), form=form,
        interval=show.Interval(slope, slope - half, slope + half, level), draws=draws,
        other_form=replace(points, degree=5 - degree).read(used).exponent,
        astray=points.rows([i for i, _ in astray]).with_columns(
            miss_percent=pl.Series([100 * miss for _, miss in astray], dtype=pl.Float64),
            exponent_with=pl.Series(list(left_out.values()), dtype=pl.Float64),
        ),
        influence=points.influence(best, used), skipped=best.skipped, thin=best.thin, off_center=best.off_center,
        cluster=points.cluster,
    )  # fmt: skip


def budgets(C: ArrayLike) -> list[NDArray[np.int64]]:
    """Rows of each budget, smallest first: neighbours within 5 % in C are one, chains wider than 35 % are none."""
    logs = np.log(np.asarray(C, float))
    order = np.argsort(logs, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(logs[order]) > _SAME) + 1)
    return [part for part in parts if len(part) and np.ptp(logs[part]) <= _WIDEST]


def line_through(x: Array, y: Array) -> tuple[Any, Any, Any]:
    """Slope by least squares, height at zero and standard error of the slope, NaN for two points; y may be draws,
    shape (..., points)."""
    away = x - x.mean()
    slope = y @ away / (away @ away)
    height = y.mean(axis=-1) - slope * x.mean()
    miss = y - height[..., None] - slope[..., None] * x
    with np.errstate(all="ignore"):
        return slope, height, np.sqrt((miss**2).sum(axis=-1) / (len(x) - 2) / (away @ away))


@dataclass(frozen=True, eq=False)
class _Vertices:
    """What was read off the curves."""

    members: list[NDArray[np.int64]]
    """Rows of each budget that has a minimum."""
    C: Array
    D: Array
    each: list[Vertex]
    degree: int
    skipped: int
    thin: int
    off_center: int

    @property
    def N(self) -> Array:
        return np.array([one.x for one in self.each])

    @property
    def exponent(self) -> float:
        return float(line_through(np.log(self.C), np.log(self.N))[0]) if len(self.C) > 1 else math.nan

    @property
    def spare(self) -> int:
        """Points beyond the coefficients of their polynomials; one at least."""
        return max(1, sum(one.points - self.degree - 1 for one in self.each))

    def table(self) -> pl.DataFrame:
        kinds = dict.fromkeys(["C", "N", "D", "loss", "ln_N_stderr"], pl.Float64) | {"points": pl.Int64}
        rows = [
            (C, v.x, D, v.loss, v.stderr, v.points) for C, D, v in zip(self.C, self.D, self.each, strict=True)
        ]
        return pl.DataFrame(rows, schema=kinds, orient="row")


class _Curve(NamedTuple):
    """What was read off the runs of one budget."""

    member: NDArray[np.int64]
    best: Vertex | None = None
    """None where they have too few sizes."""
    C: float = math.nan
    D: float = math.nan
    thin: bool = False
    off_center: bool = False


@dataclass(frozen=True, eq=False)
class _Points:
    """Runs on curves of equal compute, and the polynomial to read them with."""

    N: Array
    D: Array
    C: Array
    loss: Array
    labels: NDArray[np.int64]
    """Cluster of each run."""
    cluster: str
    curves: list[NDArray[np.int64]]
    """Rows of each budget."""
    degree: int
    within: float
    known: dict[tuple[int, bytes], _Curve] = field(init=False, default_factory=dict)
    """Each curve by its first row and the rows that are used of it, once it is read."""

    @staticmethod
    def of(frame: pl.DataFrame, degree: int, within: float) -> _Points:
        columns = ("N", "D", "C", "loss")
        require_columns(columns, frame.columns, "Curves of equal compute need N, D, C and loss.")
        if not number("within", within) > 1:
            raise BadOption("within", within, "a factor above 1, e.g. 8")
        N, D, C, loss = (counts_of(frame, name) for name in columns)
        trunks = "trunk_id" in frame.columns and frame["trunk_id"].null_count() == 0
        labels = frame["trunk_id"].rank("dense").to_numpy() - 1 if trunks else np.arange(len(N))
        several = len(np.unique(labels)) > len(budgets(C))
        if not several:  # one trunk a budget says nothing of the noise along a curve
            labels = np.arange(len(N))
        words = f"{labels.max() + 1} clusters of trunk_id" if trunks and several else f"{len(N)} runs"
        return _Points(N, D, C, loss, labels.astype(np.int64), words, budgets(C), degree, within)

    def rows(self, of: Sequence[int]) -> pl.DataFrame:
        """The runs by the number of their row."""
        at = np.array(of, np.int64)
        return pl.DataFrame({"row": at, "N": self.N[at], "C": self.C[at], "loss": self.loss[at]})

    def read(self, used: NDArray[np.bool_]) -> _Vertices:
        """The vertex of each budget. Of one that lost a run to the others, so many sizes as coefficients will do."""
        every = [self._curve(curve, curve[used[curve]]) for curve in self.curves]
        good = [one for one in every if one.best and one.best.interior]
        return _Vertices(
            [one.member for one in good], np.array([one.C for one in good]), np.array([one.D for one in good]),
            [one.best for one in good if one.best], self.degree, sum(one.best is not None for one in every) - len(good),
            sum(one.thin for one in every), sum(one.off_center for one in good),
        )  # fmt: skip

    def _curve(self, curve: NDArray[np.int64], member: NDArray[np.int64]) -> _Curve:
        """One budget, read off some of its runs; once, as leaving a run out moves its own curve alone."""
        key = int(curve[0]), member.tobytes()
        if key not in self.known:
            self.known[key] = self._read_curve(curve, member)
        return self.known[key]

    def _read_curve(self, curve: NDArray[np.int64], member: NDArray[np.int64]) -> _Curve:
        N, D, C, loss = (column[member] for column in (self.N, self.D, self.C, self.loss))
        if len(np.unique(N)) < self.degree + 2 - (len(member) < len(curve)):
            return _Curve(member, thin=len(np.unique(self.N[curve])) > 1)
        best = vertex(N, loss, form=FORMS[self.degree], within=self.within)
        if not best.interior:
            return _Curve(member, best)
        price, budget = np.median(C / (N * D)), float(np.exp(np.mean(np.log(C))))
        ends = np.log(np.sort(N[near_lowest(N, loss, self.within)[1]])[[0, -1]])
        is_outer = not _OUTER <= (math.log(best.x) - ends[0]) / (ends[1] - ends[0]) <= 1 - _OUTER
        return _Curve(member, best, budget, budget / (price * best.x), off_center=is_outer)

    def astray(self, used: NDArray[np.bool_]) -> tuple[int, float] | None:
        """The run that fits the curves of the others worst, where it does so beyond chance, and by how much it misses
        what they say, in log loss."""
        from scipy.special import stdtrit  # as above

        curves = [curve[used[curve]] for curve in self.curves]
        curves = [curve for curve in curves if len(np.unique(self.N[curve])) >= self.degree + 1]
        best = self.read(used)
        if len(best.C) < 2:
            return None
        slope, height, _ = line_through(np.log(best.C), np.log(best.N))
        row, budget = np.concatenate(curves), np.repeat(np.arange(len(curves)), [len(c) for c in curves])
        x = np.log(self.C[row])
        u = np.log(self.N[row]) - slope * x - height
        near = np.abs(u) <= math.log(self.within)
        row, budget, x, u = row[near], budget[near], x[near] - x.mean(), u[near]
        levels = (budget[:, None] == np.unique(budget)).astype(float)
        design = np.column_stack([levels, u, u * x, u**2, u**2 * x, u**3])
        basis, size, _ = np.linalg.svd(design / np.linalg.norm(design, axis=0), full_matrices=False)
        basis = basis[:, size > 1e-9 * size[0]]
        target, spare = np.log(self.loss[row]), len(row) - basis.shape[1] - 1
        if spare < _SPARE:
            return None
        miss, alone = target - basis @ (basis.T @ target), 1.0 - (basis**2).sum(axis=1)
        alone = np.where(alone > 1e-6, alone, np.inf)
        scatter = np.sqrt(np.maximum((miss**2).sum() - miss**2 / alone, 1e-30) / spare)
        t = np.abs(miss) / np.sqrt(alone) / scatter
        worst = int(np.argmax(t))
        beyond = t[worst] > stdtrit(spare, 1.0 - _ALARM / (2 * len(row)))
        missed = float(miss[worst] / alone[worst])
        return (int(row[worst]), missed) if beyond and abs(missed) > _LEAST_MISS else None

    def draws(self, best: _Vertices, used: NDArray[np.bool_], count: int, seed: int) -> Array:
        """a of the wild bootstrap: within a cluster the residuals of all polynomials change sign together."""
        signs = 2.0 * np.random.default_rng(seed).integers(0, 2, (count, self.labels.max() + 1)) - 1.0
        ln_N = np.empty((count, len(best.C)))
        for i, member in enumerate(best.members):
            lowest, near = near_lowest(self.N[member], self.loss[member], self.within)
            u, target = np.log(self.N[member] / self.N[member[lowest]])[near], np.log(self.loss[member])[near]
            design = np.vander(u, self.degree + 1, increasing=True)
            inverse = np.linalg.pinv(design)
            alone = np.maximum(1.0 - (design * inverse.T).sum(axis=1), 1e-3)
            fitted = design @ (inverse @ target)
            moved = fitted + signs[:, self.labels[member[near]]] * (target - fitted) / np.sqrt(alone)
            place = minimum_of(inverse @ moved.T)
            ends = np.where(moved[:, np.argmin(u)] < moved[:, np.argmax(u)], u.min(), u.max())
            place = np.clip(np.where(np.isnan(place), ends, place), u.min(), u.max())
            ln_N[:, i] = place + math.log(self.N[member[lowest]])
        return line_through(np.log(best.C), ln_N)[0]

    def influence(self, best: _Vertices, used: NDArray[np.bool_]) -> pl.DataFrame:
        """a without each run in turn, the run that moves it most first."""
        rows = np.concatenate(best.members)
        without = [self.read(used & (np.arange(len(used)) != i)).exponent for i in rows]
        table = self.rows(rows.tolist()).with_columns(exponent=pl.Series(without))
        return table.sort((pl.col("exponent") - best.exponent).abs(), descending=True, nulls_last=True)
