"""Rival forms: other laws of the same columns, fitted to the same runs, and how much of the extrapolation is theirs.

Laws that fit one grid of runs about equally well part beyond it, and how far is known before anything larger has been
trained. So each form has a share of the draws beyond the runs by how near it fits:

    share ∝ (mean |r| √(n / (n - p)))^(-6)

(r the misses of n runs, p the free parameters.) That is the likelihood of a Laplace law of six independent runs: runs
of one grid share their misses, and the likelihood of all would pick one form where the next lies a percent behind.
In simulated worlds powers from 4 to 20 cover the same to 2 points; the lowest keep more of the rivals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scaling.errors import FitError
from scaling.fitting.data import Data, scales
from scaling.fitting.discrepancy import Form, backtest
from scaling.fitting.minimum import Minimum, minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.resample import Clusters
from scaling.fitting.solve import Solution
from scaling.laws import along, chinchilla, describe, kaplan, power_law, power_law_floor, power_mean
from scaling.laws.base import Law

Refits = Callable[[Minimum, Clusters, int, Options], list[Solution]]

_POWER = 6.0
_DRAWS = 64  # refits of a rival, enough for a share of an interval
_LEAST = 0.02  # share below which a form has no say
_SAME = 1e-4  # relative difference of mean misses at which a form is the law by another name
_ROWS_EACH = 2  # runs for each free parameter that a rival needs


def rival_forms(
    minimum: Minimum, data: Data, groups: Clusters, options: Options, refits: Refits
) -> tuple[Form, ...]:
    """The forms that have a say beyond the runs, none where a law's user knows something of its parameters.

    Args:
        minimum: of the law itself, which must read one scale, or N and D, and nothing else.
        data, groups, options: that it was fitted with. Parameters held still, bounds and priors speak of the law's own
            form, so that with any of them no other one is asked.
        refits: draws of a fit's parameters, as `estimate.bootstrap_refits` makes them.
    """
    own = _nearness(minimum)
    asked = (_fitted(kind, data, options) for kind in _kinds(minimum.problem.law, data, options))
    rivals = [(*one, _nearness(one[0])) for one in asked if one]
    rivals = [one for one in rivals if abs(one[2] - own) > _SAME * own]
    shares = shares_by_nearness([own, *(near for *_, near in rivals)])[1:]
    forms = []
    for (fitted, its_data, _), share in zip(rivals, shares, strict=True):
        if share >= _LEAST:
            ordered = replace(groups, labels=groups.labels[its_data.order])
            forms.append(_form(share, fitted, its_data, ordered, options, refits))
    return tuple(form for form in forms if form)


def shares_by_nearness(near: list[float]) -> list[float]:
    """What each law has a share of, from the mean size of its misses; the shares add up to one."""
    odds = (np.array(near) / min(near)) ** -_POWER
    return (odds / odds.sum()).tolist()


def _kinds(law: Law, data: Data, options: Options) -> list[Law]:
    """Forms of the columns that a law reads, itself left out."""
    told = options.fixed or options.bounds or options.priors or law.held
    if told or scales(law, data) != law.column_names:
        return []
    kinds = []
    if set(law.column_names) == {"N", "D"}:
        kinds = [describe(form) for form in (chinchilla, power_mean, kaplan)]
    elif len(law.column_names) == 1:
        kinds = [describe(along(form, law.column_names[0])) for form in (power_law, power_law_floor)]
    return [kind for kind in kinds if kind.name != law.name]


def _fitted(law: Law, data: Data, options: Options) -> tuple[Minimum, Data] | None:
    """A rival's fit to the same runs; None where they do not carry it."""
    if data.rows < _ROWS_EACH * len(law.parameters):
        return None
    try:
        runs = data.columns | {options.target: data.target}
        runs |= {} if data.stderr is None else {options.stderr: data.stderr}
        problem, its_data = pose(law, runs, options, data.weights)
        return minimise(problem, options), its_data
    except FitError:
        return None


def _form(
    share: float, minimum: Minimum, data: Data, groups: Clusters, options: Options, refits: Refits
) -> Form | None:
    """A rival with its own draws and backtests; None where its refits have no value."""
    problem = minimum.problem
    drawn = np.concatenate([one.parameters for one in refits(minimum, groups, _DRAWS, options)])
    drawn = drawn[np.isfinite(problem.call(drawn)).all(1)]
    missed = backtest(problem, data, minimum.best, groups, options.seed)
    if missed is None or not len(drawn):
        return None
    parameters = {p: tuple(map(float, drawn[:, j])) for j, p in enumerate(problem.names)}
    law = problem.law
    return Form(law.name, law.column_names, share, parameters, missed.shift, missed.scale, missed.spread)


def _nearness(minimum: Minimum) -> float:
    """Mean size of its misses, for the freedom that it has."""
    problem = minimum.problem
    spare = max(1, problem.rows - len(problem.free))
    return max(problem.mean_miss(minimum.best) * float(np.sqrt(problem.rows / spare)), 1e-12)
