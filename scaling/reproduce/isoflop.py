"""The exponent of the compute-optimal size from isoFLOP curves, by the estimator of Porian et al. 2024."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import require_columns
from scaling.fitting.data import TooFewScales
from scaling.fitting.isoflops import isoflop
from scaling.published import open_published

Array = NDArray[np.float64]

SWEEP = ("dataset", "hparams", "warmup", "decay", "param_count", "val", "file")
"""Columns that name one sweep of the source "isoflop"."""

SEED_NOISE = {"rw": 0.002, "owt2": 0.01}
"""Standard deviation of the loss between seeds that the authors assume, nats/token, by dataset."""

_PER_GAP = 25  # grid points between neighbouring sizes
_LEAST_DOUBT = 0.33  # floor of the doubt about ln N, in mean gaps between sizes


@dataclass(frozen=True)
class IsoflopExponent:
    """How the best size grows with compute: N* = k C^a."""

    a: float
    a_stderr: float
    """Over draws of the seed noise; what the choice of estimator does is not in it."""
    k: float
    """Parameters at C = 1."""
    optima: pl.DataFrame = field(repr=False)
    """One row per budget whose minimum is inside the sizes: C, N, ln_N_stderr, loss."""
    left_out: tuple[float, ...]
    """Budgets whose minimum is at an end of the sizes, or that have fewer than three of them."""

    def __str__(self) -> str:
        words = f"N* = {self.k:.3g} C^{self.a:.3f} ± {self.a_stderr:.3f} over {len(self.optima)} budgets"
        if self.left_out:
            words += f"; {len(self.left_out)} left out, their minimum is not inside the sizes"
        return words


def isoflop_exponent(
    runs: pl.DataFrame, *, seed_noise: float, draws: int = 1000, seed: int = 0
) -> IsoflopExponent:
    """The exponent a of N* = k C^a from losses of several sizes at each of several budgets.

        ln L(ln N)     Akima spline through the lowest loss of each size, 25 grid points from size to size
        N*(C)          the median, over draws of L + seed_noise × normal, of the grid point with the lowest spline
        s(C)           standard deviation of ln N* over those draws, at least a third of the gap between sizes,
                       divided by the share of draws whose minimum is inside
        ln N* = ln k + a ln C    by least squares weighted with 1 / s²

    A budget counts where the undisturbed curve and at least half of the draws have their minimum inside. A spline goes
    through every point; `scaling.fitting.isoflops` fits a parabola or a cubic instead, and on the published sweeps that
    moves the exponent by up to 0.04.

    Args:
        runs: columns N, C and loss (nats/token).
        seed_noise: standard deviation of a run's loss between seeds, nats/token.
        draws: of the noise.
        seed: of the noise.

    Raises:
        MissingColumns: a column is not there.
        TooFewScales: fewer than two budgets have a minimum inside.

    Source:
        Porian et al. 2024, arXiv:2406.19146, and the authors' code (`interp_flop` and `power_law_fit`).
    """
    require_columns(("N", "C", "loss"), runs.columns, "An isoFLOP curve is loss against N at one C.")
    rng = np.random.default_rng(seed)
    lowest = runs.group_by("C", "N").agg(pl.col("loss").min()).sort("C", "N")
    optima, stars, left_out = [], [], []
    for (C,), curve in lowest.group_by("C", maintain_order=True):
        N, loss = curve["N"].to_numpy(), curve["loss"].to_numpy()
        minimum = _minimum(N, loss, seed_noise, draws, rng) if len(N) >= 3 else None
        if minimum is None:
            left_out.append(float(C))  # type: ignore[arg-type]
            continue
        optima.append((C, float(np.exp(np.median(minimum.ln_N))), minimum.stderr, minimum.loss))
        stars.append(rng.choice(minimum.ln_N, draws))
    if len(optima) < 2:
        raise TooFewScales("a line through minima inside the sizes", "C", tuple(o[0] for o in optima), 2)
    table = pl.DataFrame(optima, schema=["C", "N", "ln_N_stderr", "loss"], orient="row")
    ln_C, weight = np.log(table["C"].to_numpy()), 1.0 / table["ln_N_stderr"].to_numpy()
    a, ln_k = np.polyfit(ln_C, np.log(table["N"].to_numpy()), 1, w=weight)
    slopes = np.polyfit(ln_C, np.array(stars), 1, w=weight)[0]
    return IsoflopExponent(
        float(a), float(np.std(slopes, ddof=1)), float(np.exp(ln_k)), table, tuple(left_out)
    )


class _Minimum(NamedTuple):
    ln_N: Array
    """Of the draws whose minimum is inside."""
    stderr: float
    loss: float
    """Of the undisturbed curve, nats/token."""


def _minimum(N: Array, loss: Array, noise: float, draws: int, rng: np.random.Generator) -> _Minimum | None:
    from scipy.interpolate import Akima1DInterpolator

    at = np.log(N)
    grid = np.linspace(at[0], at[-1], _PER_GAP * (len(at) - 1))
    plain = Akima1DInterpolator(at, np.log(loss))(grid)
    disturbed = loss[:, None] + noise * rng.normal(size=(len(loss), draws))
    lowest = np.argmin(Akima1DInterpolator(at, np.log(disturbed))(grid), axis=0)
    inside = (lowest > 0) & (lowest < len(grid) - 1)
    if np.argmin(plain) in (0, len(grid) - 1) or 2 * inside.sum() < draws:
        return None
    ln_N = grid[lowest[inside]]
    doubt = max(float(np.std(ln_N)), _LEAST_DOUBT * _PER_GAP * (grid[1] - grid[0]))
    return _Minimum(ln_N, doubt * draws / len(ln_N), float(np.exp(plain.min())))


def isoflop_sweeps(*, draws: int = 1000, seed: int = 0) -> pl.DataFrame:
    """Published exponents beside those estimated here, one row per sweep of the source "isoflop".

    Returns:
        The columns of `SWEEP`, budgets, a and a_stderr by `isoflop_exponent`, a_parabola and a_cubic by
        `scaling.fitting.isoflops` from the same points, and published_a.

    Raises:
        MissingPublished: the points or the published fits are not on this machine.
    """
    points, published = open_published("isoflop"), open_published("isoflop-fits")
    rows = []
    for name, runs in points.group_by(SWEEP, maintain_order=True):
        estimate = isoflop_exponent(runs, seed_noise=SEED_NOISE[str(name[0])], draws=draws, seed=seed)
        forms = (
            isoflop(runs, form=form, bootstrap=0, robust=False).exponent for form in ("parabola", "cubic")
        )
        rows.append((*name, len(estimate.optima), estimate.a, estimate.a_stderr, *forms))
    columns: Sequence[str] = (*SWEEP, "budgets", "a", "a_stderr", "a_parabola", "a_cubic")
    ours = pl.DataFrame(rows, schema=columns, orient="row")
    theirs = published.select(*SWEEP, published_a="n_exponent")
    return ours.join(theirs, on=SWEEP, how="left", maintain_order="left")
