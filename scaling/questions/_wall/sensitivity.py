"""Which inputs of a simulation its outcome varies with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray


def rank_shares(outcome: NDArray, inputs: Mapping[str, NDArray]) -> pl.DataFrame:
    """Share of the variance of the outcome's rank that goes with the rank of each input.

        share = β ρ,   ρ = Spearman correlation,   β = coefficient of the standardised ranks in a linear regression

    For independent inputs β = ρ and a share is ρ²; in any case they add up to R², so at most to 1, and the rest is
    what ranks do not add up to.

    Args:
        outcome: shape (draws,), may be infinite.
        inputs: by name, each of shape (draws,); those that do not vary are left out.

    Returns:
        Columns input, share, rank_correlation; the largest share first, no rows where nothing varies.

    Source:
        Pratt 1987, "Dividing the indivisible"; ranks as in Iman and Conover 1979, Technometrics 21, 499.
    """
    names = [name for name, values in inputs.items() if np.ndim(values) and np.min(values) < np.max(values)]
    schema = {"input": pl.String, "share": pl.Float64, "rank_correlation": pl.Float64}
    drawn = pl.DataFrame({"outcome": outcome, **{name: inputs[name] for name in names}})
    if not names or drawn["outcome"].n_unique() == 1:
        return pl.DataFrame(schema=schema)
    related = np.corrcoef(drawn.select(pl.all().rank("average")).to_numpy(), rowvar=False)
    rho = related[1:, 0]
    beta = np.linalg.lstsq(related[1:, 1:], rho, rcond=None)[0]
    shares = pl.DataFrame({"input": names, "share": beta * rho, "rank_correlation": rho}, schema=schema)
    return shares.sort("share", descending=True)
