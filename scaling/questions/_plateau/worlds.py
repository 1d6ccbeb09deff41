"""Invented worlds at the design points and the noise of given runs, and how often a verdict on them would be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from scaling.fitting.data import Array
from scaling.questions._plateau import CONTINUES, FLAT, SLOWS, UNDECIDED
from scaling.questions._plateau.rivals import Design, Jury, Rival, Scored, together

STEADY = ("power law", "wiggle")
"""Worlds in which the exponent stays what it was, wiggles aside."""

NO_PLATEAU = (*STEADY, "drifting exponent", "two power laws", "broken, slower")
"""Kinds of worlds without a plateau; all but the first and the last follow laws that no rival has."""

PLATEAUS = ("soft stop", "hard stop", "slow approach")
"""Kinds of worlds with one; only the first follows a rival's law."""

SAID = {"said_flat": FLAT, "said_slower": SLOWS, "said_power_law": CONTINUES, "said_nothing": UNDECIDED}
"""Columns with the share of worlds of which each answer is said."""


@dataclass(frozen=True, eq=False)
class Truths:
    """Curves drawn from what the runs say under some rivals, one per world."""

    removable: Callable[[Array], Array]
    """H g(x)/g(1) of every world: compute relative to the first point, shape (worlds or 1, points), to nats/token."""
    floor: Array
    """E, shape (worlds, 1)."""

    @staticmethod
    def draw(
        forms: Sequence[Rival], design: Design, loss: Array, worlds: int, generator: np.random.Generator
    ) -> Truths:
        """From the posterior of these rivals together, given the losses of the runs, shape (points,)."""
        scored = [Scored.of(form, design, len(loss)) for form in forms]
        logs = np.array([one.log_evidence(loss[None])[0] for one in scored])
        chosen = generator.choice(len(forms), worlds, p=np.exp(logs - np.logaddexp.reduce(logs)))
        parts, floor = [], np.empty((worlds, 1))
        for k in np.unique(chosen):
            rows = np.flatnonzero(chosen == k)
            height, floor[rows], bends = scored[k].draw(loss, len(rows), generator)
            parts.append((rows, forms[k].removable, bends, height))

        def removable(x: Array) -> Array:
            value = np.empty((worlds, x.shape[1]))
            for rows, g, bends, height in parts:
                at = x[rows] if len(x) > 1 else x
                value[rows] = height * g(at, **bends) / g(np.ones((1, 1)), **bends)
            return value

        return Truths(removable, floor)


def steady(truths: Truths, kind: str, x: Array, generator: np.random.Generator) -> Array:
    """Losses without noise in worlds that have no plateau, shape (worlds, points).

    - power law, broken: the truths as they are;
    - wiggle: times 1 + a sin(2π log10(x)/p + φ), a up to 1.5 %, p of 0.7 to 2 decades;
    - drifting exponent: at the last point it has changed by up to 40 %, evenly in ln C, either way;
    - two power laws: a share w of the removable part has r times the exponent, w in [0.2, 0.8] and r in [0.3, 3].
    """
    value, worlds = truths.removable(x[None]), len(truths.floor)
    uniform = generator.uniform(size=(4, worlds, 1))
    if kind == "wiggle":
        swing = 0.003 + 0.012 * uniform[0]
        phase = 2 * np.pi * (np.log10(x) / (0.7 + 1.3 * uniform[1]) + uniform[2])
        value = value * (1.0 + swing * np.sin(phase))
    elif kind == "drifting exponent":
        change = 0.4 * (2.0 * uniform[0] - 1.0)
        fall = np.log(value / value[:, :1])
        value = value[:, :1] * np.exp(fall * (1.0 + 0.5 * change * np.log(x) / np.log(x[-1])))
    elif kind == "two power laws":
        share, r = 0.2 + 0.6 * uniform[0], 0.3 * 10.0 ** uniform[1]
        relative = value / value[:, :1]
        value = value[:, :1] * ((1.0 - share) * relative + share * relative**r)
    return truths.floor + value


def stopped(truths: Truths, kind: str, x: Array, onset: float, generator: np.random.Generator) -> Array:
    """Losses without noise in worlds whose compute stops to count at an onset, shape (worlds, points).

    The truth is read at a compute x' that saturates at about s, the onset:

    - hard stop: x' = min(x, s);
    - soft stop: x' = (x^-p + s^-p)^(-1/p), p in [2, 6];
    - slow approach: beyond s, ln x' = ln s + w (1 - exp(-(ln x - ln s)/w)), w in [0.2, 0.6].
    """
    uniform = generator.uniform(size=(len(truths.floor), 1))
    beyond = np.maximum(np.log(x / onset), 0.0)
    if kind == "hard stop":
        worth = np.broadcast_to(np.minimum(x, onset), (len(uniform), len(x)))
    elif kind == "soft stop":
        p = 2.0 + 4.0 * uniform
        worth = (x**-p + onset**-p) ** (-1.0 / p)
    else:
        w = 0.2 + 0.4 * uniform
        worth = np.minimum(x, onset) * np.exp(w * -np.expm1(-beyond / w))
    return truths.floor + truths.removable(worth)


def scattered(losses: Array, design: Design, generator: np.random.Generator) -> Array:
    """Losses with the noise of the design, its size known only as well as its degrees of freedom let."""
    z = generator.normal(size=losses.shape) @ np.linalg.cholesky(design.covariance).T
    return losses + z * np.sqrt(design.freedom / generator.chisquare(design.freedom, (len(losses), 1)))


def longer(design: Design, factor: float, seeds: int, variance: float) -> Design:
    """The design with one more point at so many times the last compute, of so many runs, each of that variance."""
    n = len(design.x)
    covariance = np.zeros((n + 1, n + 1))
    covariance[:n, :n], covariance[n, n] = design.covariance, variance / seeds
    return _on(replace(design, covariance=covariance), factor)


def beyond(design: Design, factor: float) -> Design:
    """The path of the design's points, and a dozen further ones as far as so many times the last compute, which have no
    noise: for curves alone."""
    return _on(design, np.geomspace(1.0, factor, 13)[1:])


def _on(design: Design, times: Any) -> Design:
    """Further points at so many times the last compute; their text is fresh, and grows with the root of compute."""
    path = replace(design, x=np.append(design.x, times * design.x[-1]))
    if design.D is None or design.unique_tokens is None:
        return path
    fresh = np.sqrt(times) * design.D[-1]
    return replace(path, D=np.append(design.D, fresh), unique_tokens=np.append(design.unique_tokens, fresh))


def first_window(points: int) -> int:
    """How many points the first of the expanding windows holds: a third, three at least."""
    return max(3, points // 3)


def statistics(jury: Jury, losses: Array) -> tuple[Array, Array]:
    """Log expanding-window scores of each world: flat against the rest, and bent (slower or flat) against power laws.

        T = ln p(later points | first window, one side) - ln p(later points | first window, other side)

    The sum over windows of the log predictive density of the next point telescopes to this. Losses are of shape
    (worlds, points), both scores of shape (worlds,).
    """
    n, forms = losses.shape[1], jury.forms
    logs = [jury.log_evidence(losses, m) for m in (n, first_window(n))]

    def score(*says: str) -> Array:
        return together(forms, logs[0], says) - together(forms, logs[1], says)

    return score(FLAT) - score(CONTINUES, SLOWS), score(SLOWS, FLAT) - score(CONTINUES)


@dataclass(frozen=True)
class Thresholds:
    """From where on the scores speak."""

    flat: float
    """T of flat against the rest above which "flat" is said."""
    bent: float
    """T of bent against power laws above which "slows down" is said, where flat is not."""
    unbent: float
    """T of flat against the rest below which "power law continues" is said."""

    def answers(self, flat: Array, bent: Array) -> np.ndarray:
        """What is said in each world."""
        steady = np.where(flat < self.unbent, CONTINUES, UNDECIDED)
        return np.where(flat > self.flat, FLAT, np.where(bent > self.bent, SLOWS, steady))


@dataclass(frozen=True, eq=False)
class Simulator:
    """Draws worlds at the points of a design and asks what would be said of them."""

    jury: Jury
    """The rivals that judge, and where."""
    power: tuple[Rival, ...]
    slower: tuple[Rival, ...]
    """The rivals that worlds are drawn from, without and with a bend."""
    origin: Design
    """Where the runs are that these have been fitted to."""
    loss: Array
    """Of the runs, shape (points,)."""

    def without(self, kind: str, worlds: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Statistics of worlds without a plateau."""
        source = self.slower if kind == "broken, slower" else self.power
        truths = Truths.draw(source, self.origin, self.loss, worlds, generator)
        return self._judge(steady(truths, kind, self.jury.design.x, generator), generator)

    def with_plateau(
        self, kind: str, onset: float, worlds: int, generator: np.random.Generator
    ) -> tuple[Array, Array]:
        """Statistics of worlds with a plateau from that compute on, relative to the first point."""
        truths = Truths.draw(self.power, self.origin, self.loss, worlds, generator)
        return self._judge(stopped(truths, kind, self.jury.design.x, onset, generator), generator)

    def _judge(self, losses: Array, generator: np.random.Generator) -> tuple[Array, Array]:
        return statistics(self.jury, scattered(losses, self.jury.design, generator))

    def thresholds(
        self, onset: float, worlds: int, generator: np.random.Generator, *, alarms: float = 0.05
    ) -> Thresholds:
        """Such that no more than `alarms` of any kind of world without a plateau are called flat, and so on.

        No more than `alarms` of the worlds with a plateau from `onset` on may be said to be power laws.
        """
        drawn = {kind: self.without(kind, worlds, generator) for kind in NO_PLATEAU}
        flat = max(0.0, *(float(np.quantile(one[0], 1 - alarms)) for one in drawn.values()))
        bent = max(0.0, *(float(np.quantile(drawn[kind][1], 1 - alarms)) for kind in STEADY))
        seen = [self.with_plateau(kind, onset, worlds, generator)[0] for kind in PLATEAUS]
        return Thresholds(flat, bent, min(flat, float(np.quantile(np.concatenate(seen), alarms))))

    def rates(
        self, thresholds: Thresholds, onsets: Sequence[float], worlds: int, generator: np.random.Generator
    ) -> pl.DataFrame:
        """What is said of fresh worlds, by kind: shares of each answer, and of wrong ones.

        Onsets are decades before the last point; so many worlds are drawn of each kind without a plateau and, its kinds
        together, at each onset.
        """
        rows = []
        for kind in NO_PLATEAU:
            said = thresholds.answers(*self.without(kind, worlds, generator))
            rows.append(_row(kind, None, said, said == FLAT))
        for decades in onsets:
            for kind, share in shares(PLATEAUS, worlds):
                onset = self.jury.design.x[-1] / 10**decades
                said = thresholds.answers(*self.with_plateau(kind, onset, share, generator))
                rows.append(_row(kind, decades, said, said != FLAT))
        return pl.DataFrame(rows, schema_overrides={"onset_decades": pl.Float64})


def shares(kinds: Sequence[str], worlds: int) -> list[tuple[str, int]]:
    """So many worlds spread evenly over kinds."""
    return [(kind, worlds // len(kinds) + (i < worlds % len(kinds))) for i, kind in enumerate(kinds)]


def _row(kind: str, decades: float | None, said: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    shares = {column: float(np.mean(said == answer)) for column, answer in SAID.items()}
    world = {"name": kind, "onset_decades": decades, "worlds": len(said), "wrong": float(np.mean(wrong))}
    return world | shares
