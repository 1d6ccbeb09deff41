"""A fit in words: what was fitted to what, and each parameter to the digits that its draws support."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scaling import show
from scaling.laws.base import Argument

if TYPE_CHECKING:
    from scaling.fitting.result import Fit

ENOUGH = 20  # draws below which there is no interval: its ends would be single refits
_BOTH_WAYS = 0.1  # of the value: beyond it a factor says more than ±, where a parameter is known to a factor
_SPREAD = 100.0  # a factor so large is no error; the interval alone is printed
_MANY_TIMES = 10.0  # the value: so large a half width is no error either
_ENDLESS = 1e6  # times the value: a draw there has run away
_MORE_THAN_CHANCE = 3.0  # standard deviations of chi² that its runs must stray to be worth a word
_EXACT = 1e-6  # percent; a law that misses by less made the runs
_ENDS = (0.025, 0.16, 0.84, 0.975)  # of the 95 % and the 68 % interval
_NEAR = 1e-9  # of a bound, relative: at it


class ParameterTable(show.Table):
    """A table that prints a parameter a line: "alpha = 0.347 ± 0.016  95 % [0.317, 0.372]"; a page has no column for
    intervals where there are none."""

    def __str__(self) -> str:
        name, value = (max(len(row[i]) for row in self.rows) for i in (0, 1))
        lines = [
            f"{p:>{name + 2}} = {number:<{value}}  {within}".rstrip() for p, number, within, _ in self.rows
        ]
        return "\n".join([self.caption, *lines])

    def _repr_html_(self) -> str:
        if any(within for _, _, within, _ in self.rows):
            return super()._repr_html_()
        rows = [(p, value, unit) for p, value, _, unit in self.rows]
        return show.Table(("parameter", "value", "unit"), rows, self.caption)._repr_html_()


def heading(fitted: Fit) -> str:
    """What was fitted to what, and what else had a say: rows that weigh nothing, weights, priors."""
    weights = fitted.residual_weights[fitted.residual_weights > 0]
    words = f"{fitted.name} fitted to {len(weights)} runs"
    if nothing := fitted.rows - len(weights):
        words += f" ({nothing} more weigh nothing)"
    words += f", {fitted.method}"
    if len(weights) and weights.max() > weights.min():
        words += f"; weights from {weights.min():.3g} to {weights.max():.3g}"
    if priors := fitted.settings.get("priors"):
        said = (f"{p} = {mean:g} ± {spread:g}" for p, (mean, spread) in priors.items())
        words += f"; prior {', '.join(said)}"
    return words


def in_words(fitted: Fit, parameter: Argument) -> tuple[str, str]:
    """A fitted parameter with half of its 68 % interval, a factor, or no error where none means anything; and its
    95 % interval."""
    value, draws = fitted.params[parameter.name], fitted.draws[parameter.name]
    if not fitted.drawn:
        return f"{value:.4g}".replace("e+", "e"), ""
    if parameter.name in fitted.made_up_for:
        return f"{value:.4g}".replace("e+", "e"), "not determined"
    low, below, above, high = (float(end) for end in np.quantile(draws, _ENDS))
    lowest, highest = _limits(fitted, parameter)
    half, factor = (above - below) / 2.0, np.sqrt(above / below) if below > 0 else np.inf
    words = show.with_error(value, half)
    if parameter.quantity.log and half > _BOTH_WAYS * abs(value):
        by = show.two_digits(factor) if factor >= 10 else f"{factor:.2f}"
        words = show.two_digits(value) + (f" ×/÷ {by}" if factor < _SPREAD else "")
    elif half > _MANY_TIMES * abs(value) > 0:
        words = show.two_digits(value)
    endless = high >= highest * (1 - _NEAR) or (value > 0 and high > _ENDLESS * value)
    if endless and parameter.quantity.high != 1.0:  # a share ends at one by its nature
        return show.two_digits(value), f"95 % ≥ {show.two_digits(low)}, no upper end"
    if np.isclose(value, lowest, rtol=_NEAR, atol=1e-12):
        return show.two_digits(value), f"95 % ≤ {show.two_digits(max(high, value))}"
    return words, show.interval(low, high, 0.95)


def _limits(fitted: Fit, parameter: Argument) -> tuple[float, float]:
    """Between which a parameter was sought: the law's bounds, and those asked for."""
    low, high = fitted.settings.get("bounds", {}).get(parameter.name, (None, None))
    quantity = parameter.quantity
    return (
        quantity.low if low is None else max(low, quantity.low),
        quantity.high if high is None else min(high, quantity.high),
    )


def bootstrap_words(fitted: Fit) -> str:
    draws = len(fitted.draws[fitted.free[0]])
    if not draws:
        return "no bootstrap"
    kind = "wild bootstrap" if fitted.settings.get("resample") == "wild" else "bootstrap"
    words = f"{draws} {kind} draws over {fitted.cluster}"
    if not fitted.drawn:
        words += f", too few for an interval: at least {ENOUGH} draws make one"
    if fitted.draws_unfinished:
        words += f" ({fitted.draws_unfinished} of them did not converge)"
    return words


def missed_words(fitted: Fit) -> str:
    """The runs that the law misses most: in percent of what is fitted, or in the unit of the target."""
    if fitted.rms_percent < _EXACT or not fitted.missed_most:
        return ""
    if fitted.options.goal.log:
        missed = {name: f"{100 * math.expm1(miss):+.2g} %" for name, miss in fitted.missed_most.items()}
    else:
        missed = {name: f"{miss:+.2g}" for name, miss in fitted.missed_most.items()}
    return "misses most: " + ", ".join(f"{name} ({miss})" for name, miss in missed.items())


def chi_squared_words(fitted: Fit) -> str:
    """Chi² per degree of freedom, and whether the runs scatter by more or less than their standard errors."""
    freedom = int((fitted.residual_weights > 0).sum()) - len(fitted.free)
    if fitted.chi_squared is None or freedom < 1:
        return ""
    each = fitted.chi_squared / freedom
    words = f"; chi² {fitted.chi_squared:.4g} for {freedom} degrees of freedom, {each:.3g} each"
    if abs(each - 1.0) > _MORE_THAN_CHANCE * np.sqrt(2.0 / freedom):
        words += f": the runs scatter {np.sqrt(each):.2g} times as much as their standard errors say"
    return words
