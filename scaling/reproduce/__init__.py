"""Published fits made again: the authors' procedure, named setting by setting, run by this suite on their runs.

from scaling.reproduce import isoflop_sweeps
print(isoflop_sweeps())
"""

from scaling.reproduce.isoflop import IsoflopExponent, isoflop_exponent, isoflop_sweeps

__all__ = ["IsoflopExponent", "isoflop_exponent", "isoflop_sweeps"]
