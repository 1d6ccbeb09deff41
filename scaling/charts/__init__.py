"""Pictures of results: `plot` for the screen, `scaling.charts.print` for paper.

Nothing here imports altair or matplotlib before something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaling.errors import MissingPackage, PlotError

if TYPE_CHECKING:
    import polars as pl


class UnknownResult(PlotError):
    """An object that no figure is made for."""

    given: object
    known: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked to draw a {type(self.given).__name__}, but figures are made for {', '.join(self.known)}. "
            "Pass one of these, e.g. plot(fit(chinchilla, runs))."
        )


__all__ = ["plot"]


def plot(result: Any, runs: pl.DataFrame | None = None) -> Any:
    """The altair chart of a result.

        Fit with runs    loss against compute: the runs, the frontier, two sliders
        Fit alone        how the bootstrap draws of each parameter spread
        Comparison       how far each law misses the runs it saw and those it did not
        Allocation       the best size and data for each budget

    It draws offline, in a notebook too; after `live.enable()` the charts of a page share one Vega bundle instead of
    carrying 0.9 MB each.

    Args:
        result: one of these.
        runs: for a fit of a law of N and D: the runs that it was fitted to.

    Raises:
        UnknownResult: something else.
        MissingPackage: the extra "plot" is not installed.
    """
    from scaling.design.allocation import Allocation
    from scaling.fitting import Comparison, Fit, Forecast

    if not isinstance(result, Fit | Comparison | Allocation | Forecast):
        raise UnknownResult(result, ("Fit", "Comparison", "Allocation", "Forecast"))
    try:
        from scaling.charts import live, offline, results
    except ImportError as reason:
        raise MissingPackage(reason.name or "altair", "plot") from None
    offline.enable_alone()
    if isinstance(result, Comparison):
        return results.comparison(result)
    if isinstance(result, Allocation):
        return results.allocation(result)
    if isinstance(result, Forecast):
        return results.fan(result)
    return results.parameters(result) if runs is None else live.loss_against_compute(result, runs)
