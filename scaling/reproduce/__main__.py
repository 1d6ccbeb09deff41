"""`python -m scaling.reproduce [FOLDER]`: derive runs/published anew."""

import sys
from pathlib import Path

from scaling.errors import ScalingError
from scaling.reproduce.derive import derive

try:
    for path in derive(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/published")):
        print(path)
except ScalingError as problem:
    sys.exit(str(problem))
