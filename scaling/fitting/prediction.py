"""What a fit, or the end of a curve, predicts: losses with their intervals, and how far out they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling import show
from scaling.fitting.distance import Distance

_LINES = 8


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(show.Shown, show.Interval):
    """Losses that a fit expects, with an interval: nats/token, in the broadcast shape of the columns asked for."""

    kind: str
    """"mean": where the law runs. "new run": where another run of its own would end, its scatter included."""
    discrepancy: bool = False
    """Whether some of it lies beyond the runs, and model discrepancy is in its interval."""
    notes: tuple[str, ...] = ()
    """What else a reader should know of it."""
    distance: Distance | None = None
    """How far outside the runs, and what backtests missed so far out; None of a fit without bootstrap."""

    def shown(self) -> Iterator[str]:
        what = "for the mean" if self.kind == "mean" else "for a new run"
        if self.discrepancy:
            what += ", model discrepancy included"
        low, middle, high = (np.atleast_1d(a).ravel() for a in (self.low, self.median, self.high))
        for a, center, b in zip(low[:_LINES], middle[:_LINES], high[:_LINES], strict=True):
            yield f"{show.rounded(center, (b - a) / 2)}, {show.interval(a, b, self.level)} {what}"
        if len(middle) > _LINES:
            yield f"… and {len(middle) - _LINES} more"
        if not len(middle):
            yield f"no predictions {what}: none were asked for"
        if self.distance:
            yield from self.distance.shown()
        yield from self.notes
