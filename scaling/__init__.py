"""Scaling laws from models you train yourself: train, fit, ask, report.

    import scaling
    from scaling.laws import chinchilla

    runs = scaling.open_runs("runs/quickstart")
    fitted = scaling.fit(chinchilla, runs)
    print(fitted)
    scaling.plot(fitted)

Names are imported when they are first used, so that a fit does not pay for torch, nor a sweep for a plot.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "open_runs": "scaling.store",
    "open_evaluations": "scaling.store",
    "open_measurements": "scaling.store",
    "read_runs": "scaling.intake",
    "check_runs": "scaling.check",
    "read_study": "scaling.study",
    "sweep": "scaling.sweeps.launch",
    "fit": "scaling.fitting",
    "compare": "scaling.fitting",
    "cross_validate": "scaling.fitting",
    "average": "scaling.fitting",
    "profile": "scaling.fitting",
    "influence": "scaling.fitting",
    "downstream": "scaling.fitting",
    "pool": "scaling.fitting",
    "extrapolate": "scaling.fitting",
    "agree": "scaling.fitting",
    "isoflop": "scaling.fitting",
    "envelope": "scaling.fitting",
    "as_lmfit": "scaling.fitting",
    "allocate": "scaling.design.allocation",
    "blend": "scaling.design.blending",
    "Fit": "scaling.fitting",
    "Prediction": "scaling.fitting",
    "Comparison": "scaling.fitting",
    "Average": "scaling.fitting",
    "Pooled": "scaling.fitting",
    "forecast": "scaling.fitting",
    "ComputePath": "scaling.fitting",
    "Forecast": "scaling.fitting",
    "plot": "scaling.charts",
    "refit": "scaling.charts",
    "report": "scaling.reports",
    "ScalingError": "scaling.errors",
}

__all__ = [
    "open_runs",
    "open_evaluations",
    "open_measurements",
    "read_runs",
    "check_runs",
    "read_study",
    "sweep",
    "fit",
    "compare",
    "cross_validate",
    "average",
    "profile",
    "influence",
    "downstream",
    "pool",
    "extrapolate",
    "agree",
    "isoflop",
    "envelope",
    "as_lmfit",
    "allocate",
    "blend",
    "Fit",
    "Prediction",
    "Comparison",
    "Average",
    "Pooled",
    "forecast",
    "ComputePath",
    "Forecast",
    "plot",
    "refit",
    "report",
    "ScalingError",
]

if TYPE_CHECKING:
    from scaling.charts import plot, refit
    from scaling.check import check_runs
    from scaling.design.allocation import allocate
    from scaling.design.blending import blend
    from scaling.errors import ScalingError
    from scaling.fitting import (
        Average,
        Comparison,
        ComputePath,
        Fit,
        Forecast,
        Pooled,
        Prediction,
        agree,
        as_lmfit,
        average,
        compare,
        cross_validate,
        downstream,
        envelope,
        extrapolate,
        fit,
        forecast,
        influence,
        isoflop,
        pool,
        profile,
    )
    from scaling.intake import read_runs
    from scaling.reports import report
    from scaling.store import open_evaluations, open_measurements, open_runs
    from scaling.study import read_study
    from scaling.sweeps.launch import sweep


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"scaling has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
