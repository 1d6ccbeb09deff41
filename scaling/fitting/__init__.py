"""Fits: a law and a table of runs in, parameters with honest errors out.

from scaling.fitting import fit
from scaling.laws import chinchilla
print(fit(chinchilla, runs))
"""

from scaling.fitting.agreement import Agreement, agree
from scaling.fitting.averaging import Average, average
from scaling.fitting.bridge import as_lmfit
from scaling.fitting.crossval import CrossValidation, cross_validate
from scaling.fitting.estimate import fit
from scaling.fitting.evidence import Comparison, compare
from scaling.fitting.extrapolation import extrapolate
from scaling.fitting.families import Pooled
from scaling.fitting.forecasting import ComputePath, Forecast, forecast
from scaling.fitting.isoflops import IsoFlop, isoflop
from scaling.fitting.leftout import Influence, influence
from scaling.fitting.lowestcurves import Envelope, envelope
from scaling.fitting.pooling import pool
from scaling.fitting.prediction import Prediction
from scaling.fitting.profiles import Contour, Profile, profile
from scaling.fitting.result import Fit, Starts
from scaling.fitting.twosteps import Downstream, downstream
