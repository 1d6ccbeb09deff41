"""The runs before their judges: rivals' scores beside the thresholds, and what a larger run would add."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from scaling.fitting.data import Array
from scaling.fitting.predictive import stacking_weights
from scaling.questions._plateau import CONTINUES, FLAT, SLOWS, UNDECIDED
from scaling.questions._plateau.frontier import Frontier
from scaling.questions._plateau.rivals import Jury, rivals
from scaling.questions._plateau.worlds import (
    PLATEAUS,
    Simulator,
    Thresholds,
    beyond,
    first_window,
    longer,
    shares,
    statistics,
)
from scaling.show import tails

SHORTEST = 2.0
"""Decades of compute below which nothing is said of a plateau."""

FEW_MISSES = 0.2
"""Share of missed plateaus below which a next run is enough."""

ALARMS = 0.05
"""Share of worlds without a plateau, of each kind, that may be called flat."""

ONSETS = (0.0, 0.5, 1.0)
"""Where the plateaus of simulated worlds begin, decades before the largest compute; half of the range is added."""

FURTHER = (3.0, 10.0, 30.0)
"""How many times the largest compute the next run may have."""

SEEDS = 4
"""Of a next run."""

BEYOND = 3
"""Points inside the grid that must lie on each side of a bend."""

DRAWS, SHOWN = 4000, 1000
"""Of the place where the curve turns, and of each rival's curve."""


@dataclass(frozen=True, eq=False)
class Case:
    """The runs before their judges."""

    curve: Frontier
    jury: Jury
    thresholds: Thresholds
    rates: pl.DataFrame
    flat: float
    """T of the runs: flat against the rest."""
    logs: Array
    """Log evidence of the points up to each window's end, shape (windows, rivals)."""
    places: dict[str, Array]
    """Draws of where the curve turns, FLOPs, by what the rival says."""
    scored: str
    """What the thresholds make of the scores."""

    def missed(self, decades: float) -> float:
        """Share of simulated plateaus so long that are not called flat."""
        there = self.rates.filter(pl.col("onset_decades") == decades)
        return float(np.average(there["wrong"], weights=there["worlds"]))

    @property
    def half(self) -> float:
        """Half of the range, decades."""
        return round(self.curve.decades / 2, 2)

    @property
    def outside(self) -> bool:
        """Whether the curve turns where it rests on runs at the ends of the grid."""
        if self.scored not in self.places:
            return False
        turn, inner = np.median(self.places[self.scored]), self.curve.table.filter(~pl.col("edge"))["C"]
        return min(int((inner > turn).sum()), int((inner < turn).sum())) < BEYOND

    @property
    def blind(self) -> bool:
        """Whether even a plateau over half of the range would mostly be missed."""
        return self.missed(self.half) > 0.5

    @property
    def answer(self) -> str:
        if self.outside or (self.scored == CONTINUES and self.blind):
            return UNDECIDED
        return self.scored

    @property
    def alarms(self) -> tuple[float, float, str]:
        """Share of worlds without a plateau that are called flat: of all, of the worst kind, and its name."""
        none = self.rates.filter(pl.col("onset_decades").is_null()).sort("wrong", descending=True)
        return float(np.average(none["wrong"], weights=none["worlds"])), none["wrong"][0], none["name"][0]

    @property
    def before(self) -> int:
        """How many points lie below the last decade; never fewer than the first window."""
        return max(first_window(len(self.curve.C)), int((self.curve.C[-1] / 10 > self.curve.C).sum()))

    def curves(self, level: float, generator: np.random.Generator) -> pl.DataFrame:
        """The loss that each rival expects, with its interval, at every point and as far as the largest next run.

        One row per rival, number of points that it is given (those below the last decade, and all) and compute: name,
        says, given, C, loss, low, high.
        """
        loss, tables = self.curve.loss, []
        path = beyond(self.jury.design, FURTHER[-1])
        for given in sorted({self.before, len(loss)}):
            for judge in self.jury.scored(given):
                H, E, bends = judge.draw(loss[:given], DRAWS, generator)
                kept = np.flatnonzero(judge.has_room(E, loss[:given]))[:SHOWN]
                drawn = judge.curves(H[kept], E[kept], {name: at[kept] for name, at in bends.items()}, path)
                low, mid, high = np.quantile(drawn, tails(level), axis=0)
                about = {"name": judge.rival.name, "says": judge.rival.says, "given": given}
                columns = {"C": self.curve.C[0] * path.x, "loss": mid, "low": low, "high": high}
                tables.append(pl.DataFrame(about | columns))
        return pl.concat(tables)

    def rivals(self) -> pl.DataFrame:
        """Each rival's scores: predicting the next point, predicting the later half, and fitting all."""
        n, loss, half = len(self.curve.loss), self.curve.loss, max(3, len(self.curve.loss) // 2)
        gained, judges, halves = self.logs[-1] - self.logs[0], self.jury.scored(n), self.jury.scored(half)
        squares = [float(judge.squares(judge.whitened(loss[None])).min()) for judge in judges]
        ahead = [judge.predict(loss[None], self.jury.design)[0][half:] for judge in halves]
        rivals = {
            "name": [form.name for form in self.jury.forms],
            "says": [form.says for form in self.jury.forms],
            "score": gained - gained.max(),
            "stacking_weight": stacking_weights(np.diff(self.logs, axis=0).T),
            "log_evidence": self.logs[-1] - self.logs[-1].max(),
            "bic": np.array(squares) + [form.parameters * math.log(n) for form in self.jury.forms],
            "held_out_percent": 100 * np.sqrt(np.mean((np.array(ahead) / loss[half:] - 1) ** 2, axis=1)),
        }
        return pl.DataFrame(rivals).sort("score", descending=True)


def case_of(
    curve: Frontier, jury: Jury, thresholds: Thresholds, rates: pl.DataFrame, generator: np.random.Generator
) -> Case:
    n, loss = len(curve.loss), curve.loss
    logs = np.array([jury.log_evidence(loss[None], m)[0] for m in range(first_window(n), n + 1)])
    places = {}
    for says, place in ((FLAT, "onset"), (SLOWS, "turn")):
        judge = next(one for one in jury.scored(n) if one.rival.says == says and place in one.rival.bends)
        places[says] = curve.C[0] * judge.draw(loss, DRAWS, generator)[2][place][:, 0]
    flat, bent = statistics(jury, loss[None])
    scored = str(thresholds.answers(flat, bent)[0])
    return Case(curve, jury, thresholds, rates, float(flat[0]), logs, places, scored)


def further(
    simulator: Simulator, curve: Frontier, worlds: int, generator: np.random.Generator
) -> pl.DataFrame:
    """Misses of a plateau that began half a decade before the largest run, once a larger run is added."""
    variance = float(simulator.origin.covariance[-1, -1]) * float(curve.table["runs"][-1])
    onset, rows = simulator.origin.x[-1] / 10**0.5, []
    for factor in FURTHER:
        design = longer(simulator.origin, factor, SEEDS, variance)
        later = replace(simulator, jury=Jury(rivals(curve, float(design.x[-1])), design))
        thresholds = later.thresholds(onset, max(100, worlds // 4), generator, alarms=ALARMS)
        said = [
            thresholds.answers(*later.with_plateau(kind, onset, share, generator))
            for kind, share in shares(PLATEAUS, worlds)
        ]
        name, wrong = f"{factor:g} times the largest compute", float(np.mean(np.concatenate(said) != FLAT))
        rows.append((name, factor, factor * float(curve.C[-1]), wrong, worlds))
    return pl.DataFrame(rows, schema=["name", "factor", "C", "wrong", "worlds"], orient="row")
