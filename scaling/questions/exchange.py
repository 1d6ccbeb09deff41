"""What added tokens are worth: read off how the target's own value falls with more of the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Array = NDArray[np.float64]
_DRAWS, _POINTS = 400, 129


@dataclass(frozen=True, eq=False)
class Curve:
    """The measured value of models of one size trained on the target alone, each token once."""

    tokens: Array
    """Many, evenly spaced in the logarithm, from the least to the most that were trained on."""
    value: Array
    """Means over seeds, made to fall (the lowest so far), with monotone cubics in ln tokens between them."""
    draws: Array
    """What they might have been, `[draws, tokens]`."""

    @staticmethod
    def of(once: pl.DataFrame, *, seed: int = 0) -> Curve | None:
        """From arms of one target at one size, each token seen once; None with fewer than three budgets."""
        from scipy.interpolate import PchipInterpolator

        stderr = pl.col("value").std() / pl.len().sqrt()
        means = once.group_by("tokens").agg(pl.col("value").mean(), stderr=stderr).sort("tokens")
        if len(means) < 3:
            return None
        tokens, value, errors = (means[name].fill_null(0.0).to_numpy() for name in means.columns)
        noise = np.random.default_rng(seed).normal(size=(_DRAWS, len(value)))
        curves = np.minimum.accumulate(np.concatenate([value[None], value + errors * noise]), axis=1)
        known = np.log(tokens)
        at = np.linspace(known[0], known[-1], _POINTS)
        made = PchipInterpolator(known, curves, axis=1)(at)
        return Curve(np.exp(at), made[0], made[1:])

    def at(self, value: Array) -> Array:
        """Tokens at which the curve has these values; its ends where it has not."""
        return _read(self.value, self.tokens, value)

    def at_drawn(self, value: float) -> Array:
        """Tokens at which each drawn curve has this value."""
        return _read(self.draws, self.tokens, np.full(len(self.draws), value))

    def beyond(self, value: Array) -> int:
        """1 where a value is lower than all that was measured, -1 where one is higher, else 0."""
        return 1 if (value < self.value[-1]).any() else -1 if (value > self.value[0]).any() else 0


def _read(curve: Array, tokens: Array, value: Array) -> Array:
    """Where falling curves, one or one for each value, pass the values; their points are the last axis."""
    curve = np.broadcast_to(curve, (len(value), len(tokens)))
    right = np.clip((curve > value[:, None]).sum(1), 1, len(tokens) - 1)
    above, below = (np.take_along_axis(curve, i[:, None], 1)[:, 0] for i in (right - 1, right))
    share = np.clip((above - value) / np.maximum(above - below, 1e-300), 0.0, 1.0)
    at = np.log(tokens)
    return np.exp(at[right - 1] + share * (at[right] - at[right - 1]))


@dataclass(frozen=True, eq=False)
class Worth:
    """Target tokens that each added one is worth."""

    seeds: Array
    draws: Array
    """Of the mean over seeds, had the curve been measured again; the same curves in every arm."""
    beyond: int
    """1 where a seed is lower than all of the curve, so that this is a lower bound; -1 an upper one."""

    def less(self, other: Worth) -> Worth:
        """How much more it is worth than another one."""
        return Worth(self.seeds - other.seeds, self.draws - other.draws, self.beyond or -other.beyond)


def worth(curve: Curve, start: float | None, base: Array, gain: Array, added: float) -> Worth:
    """The exchange rate of an arm,

        (D(base - gain) - D(base)) / added tokens

    where D(L) is the number of target tokens at which the curve is at L. Each seed moves along the curve of the means
    by its own gain, so that what it has in common in both arms cancels.

    Args:
        curve: of the target at this size.
        start: D(base) where it is known, for each token of the base was seen once.
        base: the target's value without the addition, by seed.
        gain: how much lower the value is with it, by the same seeds.
        added: tokens.
    """
    levels, mean = base.mean() - gain, base.mean()
    first = curve.at(mean[None])[0] if start is None else start
    firsts = curve.at_drawn(mean) if start is None else start
    drawn = (curve.at_drawn(levels.mean()) - firsts) / added
    return Worth((curve.at(levels) - first) / added, drawn, curve.beyond(levels))
