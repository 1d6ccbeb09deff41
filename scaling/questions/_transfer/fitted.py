"""Laws of transfer and of blends, fitted to the rows of one transfer study; where the rows do not suffice, why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from scaling.design.blending import blend
from scaling.design.curves import LAWS
from scaling.design.domains import without
from scaling.errors import ScalingError
from scaling.fitting import Fit, fit
from scaling.fitting.data import framed
from scaling.laws.mixture import transferred_data
from scaling.show import Table
from scaling.units import print_count

_ALPHA = 0.18
"""Exponent of the target's data that Hernandez et al. 2021 give from text to Python, where a study has one amount."""
_SCALES = 3
"""Amounts of the target from which its exponent is fitted."""
_AGAIN = 1.01
"""Epochs above which text was seen again."""


@framed("runs", "cells")
def fitted_laws(
    runs: pl.DataFrame,
    cells: pl.DataFrame,
    *,
    source: str,
    target: str,
    placebos: Mapping[str, str] | None = None,
    level: float = 0.95,
    bootstrap: int = 100,
    seed: int = 0,
) -> Table:
    """Effective data transferred, and the laws of blends, with their parameters and what they miss.

        D_T = k D_F^alpha N^beta         D_T = worth × tokens added, over the cells of a pair, at one dose
        L = law(r) or law(r, D)          of each law in `blend`, at the size with the most different blends, its largest

    D_T is fitted by squares on its logarithm, at the dose that most sizes have, the largest of several; alpha is held
    at 0.18 where there are fewer than three amounts of the target. Blends are those of fresh text in which the target
    stands, without placebos; what a law misses is of blends left out, in percent of the loss. Rows that do not suffice
    say so in place of parameters.

    Args:
        runs: of a study, as `transfer` takes them.
        cells: `evidence["cells"]` of its verdict.
        source, target: the pair of which data are transferred; the blends are of all domains beside the target.
        placebos: left out of blends.
        level: of the intervals of parameters.
        bootstrap: refits of each law.
        seed: of folds, starts and refits.

    Source:
        Hernandez et al. 2021, arXiv:2102.01293, equation 1.1; Ye et al. 2024, arXiv:2403.16952, equation 4; Shukor et
        al. 2025, arXiv:2507.09404, their additive law.
    """
    rows = [_transferred(cells, source, target, level, bootstrap, seed)]
    rows += _blended(runs, target, placebos or {}, level, bootstrap, seed)
    return Table(["law", "fitted to", "parameters", "misses, %", "proposes"], rows)


def _transferred(
    cells: pl.DataFrame, source: str, target: str, level: float, bootstrap: int, seed: int
) -> list[str]:
    """Effective data transferred of one pair, at the dose that most sizes have."""
    name, mine = (
        "effective data transferred",
        cells.filter(pl.col("epochs") <= _AGAIN, source=source, target=target),
    )
    if "worth" not in mine.columns or mine.drop_nulls("worth").is_empty():
        return [name, "", f"no cell says what {source} is worth in {target}", "", ""]
    sizes = mine.drop_nulls("worth").group_by("dose").agg(pl.col("N").n_unique()).sort("N", "dose")
    dose = float(sizes["dose"][-1])
    rows = (
        mine.drop_nulls("worth")
        .filter(dose=dose)
        .select("N", D_finetune="unique", D_transferred=pl.col("worth") * pl.col("dose") * pl.col("unique"))
    )
    each = (f"{print_count(D)} at N = {print_count(N)}" for N, _, D in rows.sort("N").iter_rows())
    said = f"{source} at dose {dose:g}, D_T {', '.join(each)}"
    fixed = {"alpha": _ALPHA} if rows["D_finetune"].n_unique() < _SCALES else {}
    if (rows["D_transferred"] <= 0).any():
        return [name, said, "not fitted: some data transferred are below zero, which no k can give", "", ""]
    try:
        fitted = fit(
            transferred_data, rows, target="D_transferred", objective="squares_log", fixed=fixed, bootstrap=bootstrap,
            cluster="rows", seed=seed,
        )  # fmt: skip
    except ScalingError as problem:
        return [name, said, f"not fitted: {problem}", "", ""]
    held = f"; alpha held at {_ALPHA}, as one amount of the target has none" if fixed else ""
    return [name, said, _parameters(fitted, level) + held, f"{fitted.rms_percent:.1f} (in sample)", ""]


def _blended(
    runs: pl.DataFrame, target: str, placebos: Mapping[str, str], level: float, bootstrap: int, seed: int
) -> Iterator[list[str]]:
    """Each law of blends at one size."""
    share = pl.col("blend").str.json_path_match(f'$["{target}"]').cast(pl.Float64)
    fresh = without(runs.filter(pl.col("epochs") <= _AGAIN, share > 0), placebos)
    if fresh.is_empty():
        return
    tried = fresh.group_by("N").agg(pl.col("blend").n_unique()).sort("blend", "N")
    size, blends = int(tried["N"][-1]), int(tried["blend"][-1])
    mine = fresh.filter(N=size)
    for law in LAWS:
        said = f"{len(mine)} runs, {blends} blends, N = {print_count(size)}"
        try:
            made = blend(mine, target, law=law, bootstrap=bootstrap, seed=seed)
        except ScalingError as problem:
            yield [law, said, f"not fitted: {problem}", "", ""]
            continue
        best = ", ".join(f"{100 * s:.0f} % {d}" for d, s in made.proposal.items() if s > 0.005)
        said = f"{said}, for {print_count(made.D)} tokens" if made.D else said
        yield [
            law,
            said,
            _parameters(made.fits[target], level),
            f"{made.laws['held_out_percent'][0]:.1f}",
            best,
        ]


def _parameters(fitted: Fit, level: float) -> str:
    """Each fitted parameter with the interval of its draws."""
    said = []
    for name, value in fitted.params.items():
        if name in fitted.free:
            low, high = (float(np.quantile(fitted.draws[name], (1 + sign * level) / 2)) for sign in (-1, 1))
            said.append(f"{name} {value:.2g} [{low:.2g}, {high:.2g}]")
    return ", ".join(said)
