"""Published fits of one call each: the runs, the law and the objective that their authors name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from scaling.fitting import Fit, fit
from scaling.laws import chinchilla, mixing, overtraining
from scaling.published import open_published

LARGE = ("open_lm_1b", "open_lm_7b")
"""Architectures that Gadre et al. predict, and do not fit."""

TARGETS = ("peteish7", "peteish13")
"""Sizes that Bhagia et al. predict, and do not fit."""


def r_squared(losses: ArrayLike, expected: ArrayLike) -> float:
    """Share of the variance of losses that is explained: R² = 1 - Σ (L - expected)² / Σ (L - mean L)²."""
    L, law = np.asarray(losses, float), np.asarray(expected, float)
    return float(1.0 - np.sum((L - law) ** 2) / np.sum((L - L.mean()) ** 2))


def chinchilla_points() -> pl.DataFrame:
    """The 240 points that were refitted: all but the five largest losses.

    Raises:
        MissingPublished: the points are not on this machine.
    """
    return open_published("chinchilla").sort("loss").head(240)


def chinchilla_fit(*, likelihood: bool = False, bootstrap: int = 0, seed: int = 0) -> Fit:
    """The five constants of `chinchilla` from the points of the original figure.

    Two estimators go by this name. The plain one, Huber on log loss with delta 1e-3, has its minimum 0.001018274 at
    E 1.81722, alpha .34731, beta .36717. The published table maximises a Huber likelihood whose scale is free:
    A 482.006, B 2085.434, E 1.81686, alpha .34781, beta .36585.

    Args:
        likelihood: the second estimator.
        bootstrap: number of refits to resampled points, drawn one by one as in the paper.
        seed: of the starts and the bootstrap.

    Raises:
        MissingPublished: the points are not on this machine.

    Source:
        Besiroglu et al. 2024, arXiv:2404.10102, table 1.
    """
    return fit(
        chinchilla, chinchilla_points(), objective="huber_likelihood" if likelihood else "huber_log",
        bootstrap=bootstrap, cluster="rows", seed=seed,
    )  # fmt: skip


def overtraining_fit(*, bootstrap: int = 0, seed: int = 0) -> Fit:
    """The four constants of `overtraining` from runs of at most 0.4B parameters on RedPajama; loss on C4.

    Args:
        bootstrap: number of refits to resampled runs.
        seed: of the starts and the bootstrap.

    Raises:
        MissingPublished: the runs are not on this machine.

    Source:
        Gadre et al. 2024, arXiv:2403.08540, section 3.
    """
    runs = open_published("overtraining").filter(pl.col("dataset") == "rpj", ~pl.col("arch").is_in(LARGE))
    return fit(overtraining, runs, bootstrap=bootstrap, cluster="rows", seed=seed)


def ladder_fit(law: Callable[..., Any] = chinchilla, *, bootstrap: int = 0, seed: int = 0) -> Fit:
    """A law of N and D from the small runs of a model ladder; loss on C4.

    Args:
        law: of N and D.
        bootstrap: number of refits to resampled runs.
        seed: of the starts and the bootstrap.

    Raises:
        MissingPublished: the runs are not on this machine.

    Source:
        Bhagia et al. 2024, arXiv:2412.04403, the first of their two steps.
    """
    runs = open_published("ladder").filter(pl.col("N").is_not_null(), ~pl.col("size").is_in(TARGETS))
    return fit(law, runs, bootstrap=bootstrap, cluster="rows", seed=seed)


def mixture_fit(*, bootstrap: int = 0, seed: int = 0) -> Fit:
    """`mixing` over 16 shares from 512 runs of 1M parameters; loss on Pile-CC, whose own share is the reference.

    Args:
        bootstrap: number of refits to resampled runs.
        seed: of the starts and the bootstrap.

    Raises:
        MissingPublished: the runs are not on this machine.

    Source:
        Runs of Liu et al. 2024, arXiv:2407.01492; the law of Ye et al. 2024, arXiv:2403.16952.
    """
    runs = open_published("mixtures")
    shares = [c for c in runs.columns if c.startswith("w_") and c != "w_pile_cc"]
    return fit(mixing(*shares), runs.filter(split="train"), bootstrap=bootstrap, cluster="rows", seed=seed)
