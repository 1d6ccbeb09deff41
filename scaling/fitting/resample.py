"""Which runs stand or fall together, the weights of bootstrap draws over them, and the priors of each draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import BadOption, MissingColumns
from scaling.fitting.data import COUNTS, Array, Data, compute

_FEWEST = 5  # bins of compute below which rows say more
_CHECKPOINTS = 16  # rows of one N, at the median, from which they are a learning curve and no grid of runs
_MODELS = ("seed", "run_id", "run", "name", "model", "Model")  # columns that may tell curves of one N apart
_CHANCE = 1e-3  # that independent misses look so much alike
_ROUNDING = 1e-8  # rms of misses that are rounding
_BINS_PER_DECADE = 4
_LITTLE = 0.01  # of what all runs say of a direction, which is hardly anything
_ASKED = 200  # draws, enough for a share in percent
_CELLS = 1 << 22  # draws × clusters at once


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of runs that are not independent of each other."""

    labels: NDArray[np.int64]
    """Cluster number of each row."""
    count: int
    words: str
    """In the words of a printed fit: "rows", "17 quarter-decade bins of 6ND", "8 clusters of trunk_id"."""

    @property
    def members(self) -> list[NDArray[np.int64]]:
        """The rows of each cluster."""
        order = np.argsort(self.labels, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.labels, minlength=self.count))[:-1])


def clusters(data: Data, choice: str = "auto", misses: Array | None = None) -> Clusters:
    """Groups of runs to resample together.

    Args:
        data: what is fitted.
        misses: of each run in the fit, which show to "auto" what belongs together where no column says so.
        choice: "rows", "compute", the name of a column (a row without a value is a cluster of its own), or "auto":
            `trunk_id` where the table has it (and more than one), else the learning curves of models where rows
            are checkpoints of one model each, else runs that `miss_alike`, else quarter-decade bins of compute (at
            least five), else rows.

    Raises:
        MissingColumns: neither a word above nor a column of the table.
        BadOption: not a word at all, "compute" for a table without C or N and D, or a single cluster.
    """
    if not isinstance(choice, str):
        raise BadOption("cluster", choice, "'auto', 'rows', 'compute' or the name of a column")
    if choice == "auto":
        kinds = (
            (lambda: _groups(data, "trunk_id"), 2),
            (lambda: _curves(data), 2),
            (lambda: None if misses is None else miss_alike(data, misses), 2),
            (lambda: _groups(data, "compute"), _FEWEST),
        )
        made = ((kind(), fewest) for kind, fewest in kinds)
        several = (groups for groups, fewest in made if groups is not None and groups.count >= fewest)
        return next(several, clusters(data, "rows"))
    if choice == "rows":
        return Clusters(np.arange(data.rows), data.rows, "rows")
    groups = _groups(data, choice)
    if groups is None and choice == "compute":
        wanted = "'rows' or a column here, as the table has neither C nor N and D"
        raise BadOption("cluster", choice, wanted)
    if groups is None and choice in data.table.columns:
        raise BadOption("cluster", choice, "a column with values; here it is empty")
    if groups is None:
        hint = "cluster= takes 'auto', 'rows', 'compute' or a column."
        raise MissingColumns([choice], data.table.columns, hint)
    if groups.count < 2:
        wanted = "something that differs between runs; here all fall into one cluster"
        raise BadOption("cluster", choice, wanted)
    return groups


def _groups(data: Data, choice: str) -> Clusters | None:
    """By quarter decades of compute, or by a column; None where the table lacks it."""
    if choice == "compute":
        flops = compute(data.frame(*COUNTS))
        if flops is None:
            return None
        bins = np.round(
            _BINS_PER_DECADE * np.log10(flops[0])
        )  # centred on decades: 1e19 ± 1 % stays together
        labels, count = _number(bins.astype(float))
        return Clusters(labels, count, f"{count} quarter-decade bins of {flops[1]}")
    if choice not in data.table.columns or not data.table[choice].count():
        return None
    value = data.frame(choice)[choice].rank("dense")
    alone = value.is_null().to_numpy()
    labels, count = _number(np.where(alone, -np.arange(data.rows), value.fill_null(0)))
    words = f"{count - alone.sum()} clusters of {choice}"
    return Clusters(labels, count, words + f" and {alone.sum()} rows without" * bool(alone.any()))


def _curves(data: Data) -> Clusters | None:
    """By model, where each comes with so many D that rows must be checkpoints.

    A model is one N, and where an N has several losses at one D, one N of one seed, run or name. Where no column tells
    them apart, all curves of an N are one cluster.
    """
    if not {"N", "D"} <= set(data.table.columns):
        return None
    frame = data.frame("N", "D", *_MODELS)
    by_size = None
    for name in (None, *(name for name in _MODELS if name in frame.columns)):
        models = (
            frame.select(pl.struct("N", *[name] * (name is not None)).rank("dense")).to_series().to_numpy()
        )
        labels, count = _number(models)
        places = np.unique(np.stack([labels, frame["D"].to_numpy()]), axis=1)
        if float(np.median(np.bincount(places[0].astype(int)))) < _CHECKPOINTS:
            continue
        if len(places.T) == data.rows:
            return Clusters(labels, count, f"{count} curves of one model each")
        if name is None:
            by_size = Clusters(labels, count, f"{count} values of N, whose curves no column tells apart")
    return by_size


def miss_alike(data: Data, misses: Array) -> Clusters | None:
    """Runs of one N, of one seed, run or name, or of both, whose misses are not independent; None where they are.

    As checkpoints of one training that nothing marks as such, seeds that share their data, or a law that is wrong along
    N. By the analysis of variance of the misses,

        F = [Σ_g n_g (r̄_g - r̄)² / (k - 1)] / [Σ_g Σ_i (r_i - r̄_g)² / (n - k)]

    beyond what chance makes once in a thousand; a coarser group by the means of the finer ones within it. The
    parameters of the law have already taken a part of what differs between groups, so F errs on the low side.

    Args:
        data: what was fitted.
        misses: shape (rows,), in its order.
    """
    counts = data.weights > 0
    if not np.sqrt(np.mean(misses[counts] ** 2)) > _ROUNDING or not np.isfinite(misses).all():
        return None
    frame = data.frame("N", *_MODELS)
    names = [name for name in _MODELS if name in frame.columns]
    size = ["N"] if "N" in frame.columns else []
    kinds = [[*size, name] for name in names] * bool(size) + [size] * bool(size) + [[name] for name in names]
    alike, labels = None, np.arange(data.rows)
    for kind in kinds:
        coarse, count = _number(frame.select(pl.struct(kind).rank("dense")).to_series().to_numpy())
        pairs = np.unique(np.stack([labels, coarse]), axis=1)
        if len(pairs.T) > labels.max() + 1 or not _differ(labels[counts], coarse[counts], misses[counts]):
            continue
        alike = Clusters(coarse, count, f"{count} values of {' and '.join(kind)} whose runs miss alike")
        labels = coarse
    return alike


@np.errstate(all="ignore")
def _differ(fine: NDArray[np.int64], coarse: NDArray[np.int64], misses: Array) -> bool:
    """Whether the means of the fine groups differ between the coarse ones by more than chance."""
    from scipy.special import fdtrc  # in the function, as scipy takes long to import

    one, place = np.unique(fine, return_index=True)
    means = (np.bincount(fine, misses) / np.bincount(fine))[one]
    group, count = _number(coarse[place])
    if count < 2 or 2 * count > len(one):
        return False
    centre = (np.bincount(group, means) / np.bincount(group))[group]
    between, within = np.sum((centre - means.mean()) ** 2), np.sum((means - centre) ** 2)
    free = len(one) - count
    return bool(fdtrc(count - 1, free, (between / (count - 1)) / (within / free)) < _CHANCE)


def _number(values: NDArray) -> tuple[NDArray[np.int64], int]:
    distinct, labels = np.unique(values, return_inverse=True)
    return labels.astype(np.int64), len(distinct)


def bootstrap_weights(
    groups: Clusters, weights: Array, *, draws: int, seed: int, chunk: int
) -> Iterator[Array]:
    """What each row counts in each bootstrap draw: as often as its cluster was drawn.

    Args:
        groups: clusters drawn with replacement, as many as there are.
        weights: what each row counts once, shape (rows,).
        draws: how many in all.
        seed: of the draws; the same whatever the chunk.
        chunk: most draws at once, to bound memory.

    Yields:
        Arrays of shape (up to chunk, rows).
    """
    for times in _times_drawn(groups.count, draws=draws, seed=seed, chunk=chunk):
        yield times[:, groups.labels] * weights


def _times_drawn(count: int, *, draws: int, seed: int, chunk: int) -> Iterator[NDArray[np.int64]]:
    """How often each of so many clusters comes up in each draw, shapes (up to chunk, count)."""
    rng = np.random.default_rng(seed)
    for first in range(0, draws, chunk):
        batch = min(chunk, draws - first)
        picked = rng.integers(0, count, (batch, count))
        picked += count * np.arange(batch)[:, None]
        yield np.bincount(picked.ravel(), minlength=batch * count).reshape(batch, count)


def thin_draws(groups: Clusters, slopes: Array, weights: Array, *, draws: int, seed: int) -> float:
    """Share of the draws of `bootstrap_weights` that hardly say anything of some direction of the parameters.

    Hardly: a hundredth of what all runs say of it, which are the eigenvalues of the drawn clusters' JᵀJ beside that of
    all. How many clusters there are in a draw says less: one budget of seven sizes is worth seven trunks of one size.

    Args:
        groups: what was drawn.
        slopes: J, of the fitted curve in the objective's terms, shape (rows, free).
        weights: of the rows.
        draws, seed: as for `bootstrap_weights`.
    """
    finite = np.isfinite(slopes).all(axis=1) & (weights > 0)
    basis, size, _ = np.linalg.svd(np.sqrt(weights[finite])[:, None] * slopes[finite], full_matrices=False)
    basis, labels = basis[:, size > 1e-12 * size[:1]], groups.labels[finite]
    if not basis.shape[1]:
        return 1.0
    each = np.zeros((groups.count, basis.shape[1], basis.shape[1]))
    np.add.at(each, labels, basis[:, :, None] * basis[:, None, :])
    flat = each.reshape(groups.count, -1)
    times = _times_drawn(
        groups.count, draws=min(draws, _ASKED), seed=seed, chunk=max(1, _CELLS // groups.count)
    )
    said = np.linalg.eigvalsh(np.concatenate([some @ flat for some in times]).reshape(-1, *each.shape[1:]))
    return float(np.mean(said[:, 0] < _LITTLE))


def prior_means(around: Array, std: Array, low: Array, high: Array, *, draws: int, seed: int) -> Array:
    """Where the Gaussian prior on each parameter is centred in each draw: about as sure as the prior itself.

    A prior is one more observation, of the parameter itself, and so it is drawn anew like the others (randomised
    maximum a posteriori). Where it outweighs the runs the draws are then those of the prior, and not all its mean. For
    a linear law with Gaussian noise they are the posterior's.

    Args:
        around: of each parameter, shape (free,): the mean of its prior, where the runs are resampled; the solution,
            where the runs of a draw are scattered around that, as in the wild bootstrap.
        std: standard deviation of each prior, shape (free,); infinite where there is none.
        low, high: bounds of each parameter, shape (free,): the normal distribution is cut off there.
        draws, seed: as for `bootstrap_weights`.

    Returns:
        shape (draws, free); NaN where there is no prior.

    Source:
        Bardsley, Solonen, Haario and Laine 2014, SIAM Journal on Scientific Computing 36(4), for a linear
        law, where it is exact.
    """
    from scipy.special import ndtr, ndtri  # in the function, as scipy takes long to import

    rank = np.random.default_rng([seed, 3]).uniform(size=(draws, len(around)))
    has = np.isfinite(std)
    centre, width = np.where(has, around, 0.0), np.where(has, std, 1.0)
    flip = np.where(low > centre, -1.0, 1.0)  # so that it is the lower tail, which ndtr knows to many digits
    ends = np.sort(flip * (np.stack([low, high]) - centre) / width, axis=0)
    below, above = ndtr(ends)
    drawn = centre + flip * width * ndtri(below + rank * (above - below))
    return np.where(has, np.clip(drawn, low, high), np.nan)


def wild_targets(
    groups: Clusters, fitted: Array, miss: Array, *, draws: int, seed: int, chunk: int
) -> Iterator[Array]:
    """Targets of each draw of the wild cluster bootstrap: the fitted curve, each cluster's misses kept or sign-flipped.

    The design stays as it is: no size or budget drops out of a draw, which matters for small grids. It leans on
    misses that are as likely positive as negative.

    Args:
        groups: clusters that share a sign.
        fitted: the curve as the objective compares it (its logarithm, for a log objective), shape (rows,).
        miss: fitted minus observed in the same terms, shape (rows,).
        draws, seed, chunk: as for `bootstrap_weights`.

    Yields:
        Arrays of shape (up to chunk, rows).
    """
    rng = np.random.default_rng(seed)
    for first in range(0, draws, chunk):
        signs = 2 * rng.integers(0, 2, (min(chunk, draws - first), groups.count)) - 1
        yield fitted - signs[:, groups.labels] * miss
