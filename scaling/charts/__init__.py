"""Pictures of results: `plot` for the screen, `scaling.charts.print` for paper.

Nothing here imports altair or matplotlib before something is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

from scaling.charts.registry import UnknownResult, drawing
from scaling.errors import BadOption, check_installed
from scaling.fitting.data import as_frame, framed
from scaling.laws import chinchilla, kaplan, power_mean

if TYPE_CHECKING:
    import polars as pl

    from scaling.charts.refitting import Refit

__all__ = ["UnknownResult", "plot", "refit"]


def _postpone_grammar() -> None:
    """Let altair come without the grammar of international addresses, three quarters of its import's time.

    jsonschema, which altair imports, builds it for a check that no chart asks for. Whoever does ask gets it then.
    """
    spec = find_spec("rfc3987_syntax")
    if spec is None or spec.loader is None or spec.name in sys.modules:
        return
    module, build = module_from_spec(spec), spec.loader.exec_module

    def built() -> Any:
        if vars(module).pop("__getattr__", None):
            build(module)
        return module

    vars(module).update(
        __getattr__=lambda name: getattr(built(), name),
        is_valid_syntax=lambda term, value: built().is_valid_syntax(term, value),
    )
    sys.modules[spec.name] = module


_postpone_grammar()


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
        Contour                       the regions of two parameters that go together
        IsoFlop                       the best size at each budget, and the power law through them
        Envelope                      the same from learning curves
        Agreement                     how far each constant lies from its fitted value
        Pooled                        each family's parameters, alone and leaning on the others
        Influence                     how a prediction moves without each run, size or cluster
        Verdict                       what it judges, by its topic

    It draws offline, in a notebook too; after `live.enable()` the charts of a page share one Vega bundle instead of
    carrying 0.9 MB each.

    Args:
        result: one of these.
        runs: for a fit of a law of N and D: the runs that it was fitted to.

    Raises:
        UnknownResult: something else.
        BadOption: no runs, or no table.
        MissingPackage: the extra "plot" is not installed.
    """
    draw = drawing(result, with_runs=runs is not None)
    if runs is None:
        return draw(result)
    if (frame := as_frame(runs)).is_empty():
        raise BadOption("runs", "none", "the runs that were fitted, one or more")
    return draw(result, frame)


@framed("runs")
def refit(
    runs: pl.DataFrame,
    *,
    law: Callable[..., Any] = chinchilla,
    laws: Sequence[Callable[..., Any]] = (chinchilla, kaplan, power_mean),
    objective: str = "huber_log",
    bootstrap: int = 200,
    seed: int = 0,
) -> Refit:
    """A fit in JupyterLab that follows its reader.

    Drag over runs, or click one, to leave them out; choose another law, another objective, another window of compute.
    The law is fitted anew at every move, without resampling, and with it when the moves rest. Below stand the numbers
    and the line of Python that makes the same fit. The same choices can be read and set from another cell:

        live = scaling.refit(runs, law=chinchilla)
        live.left_out, live.law, live.window = [0, 7], "kaplan", (12.0, 14.0)    # window: powers of ten of FLOPs
        live.fitted, live.runs, live.line

    On a page without a kernel it stands still, with charts, numbers and line as they were.

    Args:
        runs: columns N, D, C and loss, and what the laws read.
        law: that it begins with; of N and D, or of N, D and unique_tokens.
        laws: to choose from.
        objective: one of `charts.refitting.OBJECTIVES`; as for `scaling.fit`.
        bootstrap: draws of the fit at rest.
        seed: of starts and bootstrap.

    Raises:
        MissingColumns: the runs lack one of N, D, C and loss.
        NotALaw: a law does not read N and D.
        BadOption: an objective or a number of draws that there is not.
        MissingPackage: the extra "notebooks" is not installed.
    """
    check_installed("plot", "altair", "vl_convert")
    check_installed("notebooks", "anywidget", "traitlets")
    from scaling.charts.refitting import Refit  # here, because the packages it imports are of an extra

    return Refit(runs, law, laws, objective=objective, bootstrap=bootstrap, seed=seed)
