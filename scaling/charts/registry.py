"""Which function draws what: a result by the name of its type, a verdict by its topic; imported when it is drawn.

A question's chart is one file, `verdicts/TOPIC.py`, with a function `draw(verdict)`. Nothing else names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.errors import MissingPackage, PlotError


class UnknownResult(PlotError):
    """An object that no figure is made for."""

    given: str
    results: tuple[str, ...]
    topics: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked to draw {self.given}, but figures are made for {', '.join(self.results)}, and Verdict on "
            f"{', '.join(self.topics)}. Pass one of these, e.g. plot(fit(chinchilla, runs))."
        )


RESULTS = {
    "Fit": "results.parameters",
    "Fit with runs": "live.loss_against_compute",
    "Comparison": "results.comparison",
    "CrossValidation": "results.comparison",
    "Allocation": "results.allocation",
    "Blend": "blends.proposed",
    "Proposal": "next_runs.proposed",
    "Forecast": "results.fan",
    "Prediction": "results.prediction",
    "Profile": "results.profile",
    "Contour": "results.contour",
    "IsoFlop": "results.isoflop",
    "Envelope": "results.envelope",
    "Agreement": "results.agreement",
    "Pooled": "families.pooled",
    "Influence": "leftout.moves",
}
"""Functions of this room by the type of their result, which need not be imported to be known."""


def topics() -> tuple[str, ...]:
    """What verdicts can be drawn on."""
    folder = Path(__file__).parent / "verdicts"
    return tuple(sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__"))


def drawing(result: Any, *, with_runs: bool = False) -> Callable[..., Any]:
    """The function that draws a result, alone or with the runs behind it.

    Raises:
        UnknownResult: no figure is made for it.
        MissingPackage: the extra "plot" is not installed.
    """
    kinds = [kind.__name__ for kind in type(result).__mro__ if kind.__module__.startswith("scaling.")]
    ending = " with runs" if with_runs else ""
    if "Verdict" in kinds:
        given = f"a Verdict on {result.topic!r}{ending}"
        names = [f"verdicts.{topic}.draw" for topic in topics() if topic == result.topic and not with_runs]
    else:
        given = f"a {type(result).__name__}{ending}"
        names = [RESULTS[kind + ending] for kind in kinds if kind + ending in RESULTS]
    if not names:
        raise UnknownResult(given, tuple(RESULTS), topics())
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as reason:
        raise MissingPackage(reason.name or "altair", "plot") from None
    module, _, function = names[0].rpartition(".")
    return getattr(importlib.import_module(f"scaling.charts.{module}"), function)
