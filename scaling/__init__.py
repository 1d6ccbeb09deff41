"""Scaling laws from models you train yourself: train, fit, ask, report.

    import scaling
    from scaling.laws import chinchilla

    runs = scaling.open_runs("runs/quickstart")
    found = scaling.fit(chinchilla, runs)
    print(found)
    scaling.plot(found)

Names are imported when they are first used, so that a fit does not pay for torch, nor a sweep for a plot.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "open_runs": "scaling.store",
    "open_evaluations": "scaling.store",
    "read_runs": "scaling.store",
    "read_study": "scaling.study",
    "sweep": "scaling.train.sweep",
    "fit": "scaling.fit",
    "compare": "scaling.fit",
    "cross_validate": "scaling.fit",
    "profile": "scaling.fit",
    "extrapolate": "scaling.fit",
    "as_lmfit": "scaling.fit",
    "Fit": "scaling.fit",
    "Prediction": "scaling.fit",
    "Comparison": "scaling.fit",
    "forecast": "scaling.fit",
    "ComputePath": "scaling.fit",
    "Forecast": "scaling.fit",
    "plot": "scaling.plot",
    "report": "scaling.report",
    "ScalingError": "scaling.errors",
}

__all__ = [
    "open_runs",
    "open_evaluations",
    "read_runs",
    "read_study",
    "sweep",
    "fit",
    "compare",
    "cross_validate",
    "profile",
    "extrapolate",
    "as_lmfit",
    "Fit",
    "Prediction",
    "Comparison",
    "forecast",
    "ComputePath",
    "Forecast",
    "plot",
    "report",
    "ScalingError",
]

if TYPE_CHECKING:
    from scaling.errors import ScalingError
    from scaling.fit import (
        Comparison,
        ComputePath,
        Fit,
        Forecast,
        Prediction,
        as_lmfit,
        compare,
        cross_validate,
        extrapolate,
        fit,
        forecast,
        profile,
    )
    from scaling.plot import plot
    from scaling.report import report
    from scaling.store import open_evaluations, open_runs, read_runs
    from scaling.study import read_study
    from scaling.train.sweep import sweep


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"scaling has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Face(ModuleType):
    """Keeps `scaling.fit` the function: importing the room of that name would otherwise put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOME and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
