"""Fits: a law and a table of runs in, parameters with honest errors out.

from scaling.fit import fit
from scaling.laws import chinchilla
print(fit(chinchilla, runs))
"""

from scaling.fit.bridge import as_lmfit
from scaling.fit.crossval import CrossValidation, cross_validate
from scaling.fit.estimate import fit
from scaling.fit.evidence import Comparison, compare
from scaling.fit.extrapolate import extrapolate
from scaling.fit.forecast import ComputePath, Forecast, forecast
from scaling.fit.isoflop import IsoFlop, isoflop
from scaling.fit.profile import Profile, profile
from scaling.fit.result import Fit, Prediction, Starts

__all__ = [
    "fit",
    "compare",
    "cross_validate",
    "profile",
    "extrapolate",
    "isoflop",
    "forecast",
    "as_lmfit",
    "Fit",
    "Prediction",
    "Starts",
    "Comparison",
    "CrossValidation",
    "Profile",
    "IsoFlop",
    "Forecast",
    "ComputePath",
]
