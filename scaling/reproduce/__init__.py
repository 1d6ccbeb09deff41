"""Published fits made again: the authors' procedure, named setting by setting, run by this suite on their runs.

from scaling.reproduce import isoflop_sweeps
print(isoflop_sweeps())
"""

from scaling.reproduce.fits import (
    chinchilla_fit,
    chinchilla_points,
    ladder_fit,
    mixture_fit,
    overtraining_fit,
)
from scaling.reproduce.isoflop import IsoflopExponent, isoflop_exponent, isoflop_sweeps
from scaling.reproduce.repetition import repetition_fit, repetition_r2, repetition_runs
from scaling.reproduce.schedules import (
    PUBLISHED_R2,
    SCHEDULE_LAWS,
    ScheduleFit,
    schedule_fit,
    schedule_points,
    schedule_table,
)

__all__ = [
    "chinchilla_fit",
    "chinchilla_points",
    "ladder_fit",
    "mixture_fit",
    "overtraining_fit",
    "IsoflopExponent",
    "isoflop_exponent",
    "isoflop_sweeps",
    "repetition_fit",
    "repetition_r2",
    "repetition_runs",
    "PUBLISHED_R2",
    "SCHEDULE_LAWS",
    "ScheduleFit",
    "schedule_fit",
    "schedule_points",
    "schedule_table",
]
