"""From size and data to a score in two steps: a law of the loss, then a law of the score on that loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from scaling import show
from scaling.arguments import checked
from scaling.errors import BadOption, FitError, require_columns, require_kind
from scaling.fitting.data import Array, Table, as_frame, compute, numbers_of, read
from scaling.fitting.estimate import fit
from scaling.fitting.fewclusters import FEW
from scaling.fitting.prediction import Prediction
from scaling.fitting.resample import clusters
from scaling.fitting.result import Fit
from scaling.laws.base import describe
from scaling.laws.capability import score_from_compute

_TOGETHER = "cluster of the run"  # the column by which both steps are resampled
_COUNTED = "counted run"  # the column that weighs runs without a score nothing
_TELLS = 0.1  # level at which misses of both steps are taken to be pushed together
_SCATTERED = 2000  # draws of a new run's scatter where there is no bootstrap


@dataclass(frozen=True, eq=False, repr=False)
class Downstream(show.Shown):
    """Two fits in a row, and a single one to compare them with."""

    loss: Fit
    """The loss from what its law reads."""
    score: Fit
    """The score from the loss."""
    paired: bool
    """Whether a draw of both steps rests on the same resampled runs."""
    scored: tuple[float, float]
    """Smallest and largest loss that has a score."""
    one_step: Fit | None
    """The score as a sigmoid of log compute alone; None where the runs do not say, or do not determine it."""
    rms: float
    """Root mean square miss of both steps in a row over the runs that have a score, in its unit; NaN where the scores
    are in a table of their own."""
    both: Array
    """Residuals of loss and score of the runs that have both, shape (runs, 2); none where tables differ."""

    def predict(
        self, *, level: float = 0.8, new_run: bool = False, discrepancy: bool = True, **columns: ArrayLike
    ) -> Prediction:
        """Scores at columns of your choice, with the doubt of both steps in the interval.

        Each draw of the first law, moved by its model discrepancy beyond the runs, gives a loss, at which the draw of
        the second law that rests on the same runs gives a score.

        Args:
            level: share of the two-sided interval.
            new_run: add the scatter of single runs around both laws, that of one run taken together.
            discrepancy: as for `Fit.predict`, for the first step. None is known for the second: a score at a loss below
                all that were seen follows the form of its law, which `notes` say.
            **columns: what the law of the loss reads.

        Raises:
            MissingColumns, BadOption: as `Fit.predict`.
        """
        first = self.loss.predict(level=level, new_run=new_run, discrepancy=discrepancy, **columns)
        law, shape = describe(self.loss.law), first.median.shape
        given = [np.asarray(columns.get(c.name, c.default), float) for c in law.columns]
        points = dict(zip(law.column_names, map(np.ravel, np.broadcast_arrays(*given)), strict=True))
        drawn = self.loss.drawn and self.score.drawn
        count = len(self.loss.draws[law.parameter_names[0]]) if drawn else _SCATTERED if new_run else 1
        rng = np.random.default_rng([self.loss.options.seed, 3])
        parameters = (_columns(fitted, count, drawn) for fitted in (self.loss, self.score))
        with np.errstate(all="ignore"):
            losses = np.broadcast_to(
                self.loss.law(*points.values(), **next(parameters)), (count, first.median.size)
            )
            known = self.loss.discrepancy
            if known and first.discrepancy:
                losses = known.move(losses, known.draws(count, self.loss.options.seed), points)
            off = self._scatter(rng, losses.shape) if new_run else np.zeros((2, 1, 1))
            losses = losses * np.exp(off[0]) if self.loss.options.goal.log else losses + off[0]
            scores = np.broadcast_to(self.score.law(losses, **next(parameters)), losses.shape) + off[1]
        low, median, high = (
            np.asarray(row) for row in np.quantile(scores, show.tails(level), axis=0).reshape(3, *shape)
        )
        if not drawn and not new_run:
            low, high = np.full(shape, np.nan), np.full(shape, np.nan)
        kind = "new run" if new_run else "mean"
        return Prediction(
            median, low, high, level, kind, first.discrepancy, self._notes(first.median), first.distance
        )  # fmt: skip

    def _scatter(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Residuals of loss and score, shape (2, *shape): of one run where it has both, widened as in `Fit.predict`."""
        if len(self.both):
            off = self.both[rng.integers(0, len(self.both), shape)]
            off = np.moveaxis(off, -1, 0)
        else:
            off = np.stack([rng.choice(f.residuals, shape) for f in (self.loss, self.score)])
        widths = [_widened(fitted) for fitted in (self.loss, self.score)]
        return off * np.array(widths)[:, None, None]

    def _notes(self, losses: Array) -> tuple[str, ...]:
        low, high = self.scored
        if not losses.size or (losses.min() >= low and losses.max() <= high):
            return ()
        far = float(losses.min() if low - losses.min() >= losses.max() - high else losses.max())
        return (
            f"the loss {far:.4g} lies outside those that have a score, {low:.4g} to {high:.4g}: there the form of "
            f"{self.score.name} decides",
        )

    def shown(self) -> Iterator[str | show.Table]:
        together = "both steps drawn together" if self.paired else "each step drawn by itself"
        yield f"{self.score.target} from {self.loss.target} in two steps, {together}"
        yield from self.loss.shown()
        yield from self.score.shown()
        if self.one_step and np.isfinite(self.rms):
            beside = show.weighted_rms(self.one_step.residuals, self.one_step.residual_weights)
            yield f"both steps miss the score by {self.rms:.2g} rms, {self.one_step.name} alone by {beside:.2g}"


@checked
def downstream(
    loss_law: Callable[..., Any], score_law: Callable[..., Any], runs: Table, *, score: str = "score",
    loss: str = "loss", scores: Table | None = None, cluster: str = "auto", bootstrap: int = 1000, seed: int = 0,
    score_options: Mapping[str, Any] | None = None, **options: Any,
) -> Downstream:  # fmt: skip
    """A score predicted in two steps, the doubt of both in its intervals.

        L = loss_law(N, D, …),   score = score_law(L)

    The score's law is fitted to measured losses. Where one table has both, and what pushes a run's loss pushes its
    score, or all scores of a cluster, each bootstrap draw resamples the same clusters of runs in both steps, so that a
    draw whose loss is low is followed by the score that goes with it. Else, and under eight clusters, which are not
    resampled, each step is drawn by itself, the score's over runs.

    Args:
        loss_law: of the loss, e.g. `chinchilla`.
        score_law: of one column `loss`, e.g. `score_from_loss` or `error_from_loss`.
        runs: with the columns of the first law, the loss, and the score (which may be missing in some rows).
        score: column of the score.
        loss: column of the loss, e.g. the task's own in bits per byte.
        scores: a table of its own with `loss` and `score`, e.g. of checkpoints and of other models.
        cluster, bootstrap, seed: as for `fit`.
        score_options: of the second step, as for `fit`, e.g. {"bounds": {"a": (0, 0.75)}} where four answers are to
            choose from; least squares on the score unless another objective is named.
        **options: of the first step, as for `fit`.

    Returns:
        A `Downstream`; print it, and ask its `predict`.

    Raises:
        BadOption: a score law that does not read `loss` alone, or no run with a score.
        MissingColumns, LawError, FitError, RecordError: as `fit`, for either step.

    Source:
        Bhagia et al. 2024, arXiv:2412.04403, section 3; Gadre et al. 2024, arXiv:2403.08540, section 2.
    """
    if describe(score_law).column_names != ("loss",):
        raise BadOption(
            "score_law", describe(score_law).name, "a law that reads loss alone, e.g. score_from_loss"
        )
    frame = as_frame(runs)
    for option, column in (("score", score), ("loss", loss)):
        require_kind(option, column, str, "the name of a column")
    if score_options is not None:
        require_kind(
            "score_options", score_options, Mapping, "a dictionary of options of fit, e.g. {'delta': 0.01}"
        )
    if scores is None:
        require_columns([score], frame.columns, "Or pass scores=, a table with the loss and the score.")
    how: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed}
    later: dict[str, Any] = (
        {"objective": "squares"} | dict(score_options or {}) | {"target": score, "weights": _COUNTED}
    )
    data = read(describe(loss_law).columns, frame, target=loss, weights=options.get("weights"))
    groups = clusters(data, cluster)
    labels = np.empty(data.rows, np.int64)
    labels[data.order] = groups.labels
    frame = frame.with_columns(pl.Series(_TOGETHER, labels))
    first = replace(
        fit(loss_law, frame, target=loss, cluster=_TOGETHER, **how, **options), cluster=groups.words
    )
    if scores is not None:
        table = _scored(as_frame(scores), loss, score)
        second = fit(score_law, table, **later, **how)
        return Downstream(first, _shuffled(second, seed), False, _ends(table), None, np.nan, np.zeros((0, 2)))
    table = _scored(frame, loss, score)
    counts = table[_COUNTED].to_numpy() > 0
    plain = fit(score_law, table, **later, bootstrap=0, seed=seed)
    both = np.stack([first.residuals, plain.residuals], axis=1)[counts]
    paired = groups.count >= FEW and _pushed_together(both, labels[counts])
    over = groups if paired or groups.count < FEW else clusters(data, "rows")
    drawn = later | {"cluster": "rows" if over.words == "rows" else _TOGETHER}
    second = replace(fit(score_law, table, **drawn, **how), cluster=over.words)
    alone = {
        "target": score,
        "objective": later["objective"],
        "weights": _COUNTED,
        "cluster": _TOGETHER,
    } | how
    with np.errstate(all="ignore"):
        curve = first.law(*(data.columns[c][np.argsort(data.order)] for c in data.columns), **first.params)
        missed = table[score].to_numpy() - score_law(curve, **second.params)
    rms = float(np.sqrt(np.mean(missed[counts] ** 2)))
    second = second if paired else _shuffled(second, seed)
    return Downstream(first, second, paired, _ends(table), _one_step(table, alone), rms, both)


def _pushed_together(both: Array, labels: NDArray[np.int64]) -> bool:
    """Whether misses of the score go with those of the loss, or are shared by the runs of a cluster.

    Where neither shows, at a level of a tenth each, the score's law is drawn over runs: draws over ten clusters lose
    the lowest losses in one of three, and are too narrow beyond them.
    """
    from scipy.special import fdtrc

    clusters = np.unique(labels, return_inverse=True)[1]
    count, (loss, score) = np.bincount(clusters), (both - both.mean(axis=0)).T
    groups, runs = len(count), len(both)
    if runs <= max(groups, 3) or not score.any():
        return True
    with_loss = np.corrcoef(loss, score)[0, 1] ** 2 if loss.any() else 0.0
    between = float(np.bincount(clusters, score) ** 2 @ (1.0 / count))
    within = max(float(score @ score) - between, np.finfo(float).tiny)
    p = fdtrc(1, runs - 2, (runs - 2) * with_loss / max(1.0 - with_loss, 1e-12))
    p = min(p, fdtrc(groups - 1, runs - groups, between * (runs - groups) / (within * (groups - 1))))
    return bool(p < _TELLS)


def _scored(frame: pl.DataFrame, loss: str, score: str) -> pl.DataFrame:
    """The table of the second step: `loss`, and a weight of zero where there is no score."""
    require_columns((loss, score), frame.columns, "The second step needs the loss and the score.")
    if loss != "loss":
        frame = frame.drop("loss", strict=False).rename({loss: "loss"})
    values = numbers_of(frame, score)
    has = np.isfinite(values)
    if not has.any():
        raise BadOption("score", score, "a column with a score for some of the runs")
    filled = np.where(has, values, values[has].mean())
    return frame.with_columns(pl.Series(score, filled), pl.Series(_COUNTED, has.astype(float)))


def _one_step(table: pl.DataFrame, how: dict[str, Any]) -> Fit | None:
    flops = compute(table)
    if flops is None:
        return None
    try:
        return fit(score_from_compute, table.with_columns(pl.Series("C", flops[0])), **how)
    except FitError:
        return None


def _shuffled(fitted: Fit, seed: int) -> Fit:
    """The same fit, its draws in another order: what rests on other runs goes with no draw in particular."""
    order = np.random.default_rng([seed, 4]).permutation(len(next(iter(fitted.draws.values()))))
    return replace(fitted, draws={p: v[order] for p, v in fitted.draws.items()})


def _columns(fitted: Fit, count: int, drawn: bool) -> dict[str, Array]:
    """Every parameter as draws of shape (count, 1)."""
    return {p: (fitted.draws[p] if drawn else np.full(count, v))[:, None] for p, v in fitted.params.items()}


def _widened(fitted: Fit) -> float:
    counted = int((fitted.residual_weights > 0).sum())
    return float(np.sqrt(counted / max(1, counted - len(fitted.free))))


def _ends(table: pl.DataFrame) -> tuple[float, float]:
    losses = table.filter(pl.col(_COUNTED) > 0)["loss"].to_numpy()
    return float(losses.min()), float(losses.max())
