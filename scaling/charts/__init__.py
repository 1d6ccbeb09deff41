"""Pictures of results: `plot` for the screen, `scaling.charts.print` for paper.

Nothing here imports altair or matplotlib before something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaling.charts.registry import UnknownResult, drawing

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UnknownResult", "plot"]


def plot(result: Any, runs: pl.DataFrame | None = None) -> Any:
    """The altair chart of a result.

        Fit with runs                 loss against compute: the runs, the frontier, two sliders
        Fit alone                     how the bootstrap draws of each parameter spread
        Comparison, CrossValidation   how far each law misses the runs it saw and those it did not
        Allocation                    the best size and data for each budget
        Blend                         the proposed share of each domain, and what it gains
        Proposal                      what the next runs leave of the doubt, by their FLOPs
        Forecast                      loss by year
        Prediction                    each predicted loss with its interval
        Profile                       how the likelihood falls beside the best value of a parameter
        IsoFlop                       the best size at each budget, and the power law through them
        Influence                     how a prediction moves without each run, size or cluster
        Verdict                       what it judges, by its topic

    It draws offline, in a notebook too; after `live.enable()` the charts of a page share one Vega bundle instead of
    carrying 0.9 MB each.

    Args:
        result: one of these.
        runs: for a fit of a law of N and D: the runs that it was fitted to.

    Raises:
        UnknownResult: something else.
        MissingPackage: the extra "plot" is not installed.
    """
    draw = drawing(result, with_runs=runs is not None)
    return draw(result) if runs is None else draw(result, runs)
