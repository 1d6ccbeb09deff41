"""Rival forms: other laws of the same columns, fitted to the same runs, and how much of the extrapolation is theirs.

Laws that fit one grid of runs about equally well part beyond it, and how far is known before anything larger has been
trained. So each form has a share of the draws beyond the runs by how near it fits:

    share ∝ (mean |r| √(n / (n - p)))^(-6)

(r the misses of n runs, p the free parameters.) That is the likelihood of a Laplace law of six independent runs: runs
of one grid share their misses, and the likelihood of all would pick one form where the next lies a percent behind.
In simulated worlds powers from 4 to 20 cover the same to 2 points; the lowest keep more of the rivals.

Where the misses of the nearest form of one scale bend by more than chance, one with a break is asked as well, by draws
of its posterior, and the chance P of such bends takes from the others' odds:

    odds ∝ (mean |r| √(n / (n - p)))^(-6) × (-e P ln P),    P < 1 / e

The factor is the most that a chance P leaves to a hypothesis without bends, whatever the prior beside it.

Source:
    Sellke, Bayarri and Berger 2001, The American Statistician 55(1), equation 3, for that bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scaling.errors import FitError
from scaling.fitting.bends import chance_of_bends
from scaling.fitting.data import Data, scales
from scaling.fitting.discrepancy import Form, Misses, backtest, expected
from scaling.fitting.extrapolation import broken_curves
from scaling.fitting.minimum import Minimum, minimise, pose
from scaling.fitting.options import Options
from scaling.fitting.resample import Clusters
from scaling.fitting.solve import Solution
from scaling.laws import along, bnsl, chinchilla, describe, kaplan, power_law, power_law_floor, power_mean
from scaling.laws.base import Law
from scaling.show import weighted_rms

Refits = Callable[[Minimum, Clusters, int, Options], list[Solution]]

_POWER = 6.0
_DRAWS = 64  # refits of a rival, enough for a share of an interval
_LEAST = 0.02  # share below which a form has no say
_SAME = 1e-4  # relative difference of mean misses at which a form is the law by another name
_ROWS_EACH = 2  # runs for each free parameter that a rival needs
_NO_MISSES = Misses(np.zeros(0, np.int64), *np.zeros((3, 0)))


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
    kinds = _kinds(minimum.problem.law, data, options)
    own = _nearness(minimum)
    asked = [one for kind in kinds if (one := _fitted(kind, data, options))]
    asked = [one for one in asked if abs(_nearness(one[0]) - own) > _SAME * own]
    simple = [(minimum, data, groups)]
    simple += [(rival, its, replace(groups, labels=groups.labels[its.order])) for rival, its in asked]
    near = [_nearness(one) for one, *_ in simple]
    nearest, _, clusters = simple[int(np.argmin(near))]
    left = _left_without_bends(nearest, clusters) if kinds else 1.0
    broken = _broken(nearest, options.seed) if left < 1.0 else None
    if broken is None:
        shares = shares_by_nearness(near)
    else:
        shares = shares_by_nearness([*near, broken[1]], [*[left] * len(near), 1.0])
    forms = [
        _form(share, *one, options, refits)
        for one, share in zip(simple[1:], shares[1:], strict=False)
        if share >= _LEAST
    ]
    if broken is not None and shares[-1] >= _LEAST:
        forms.append(replace(broken[0], share=shares[-1]))
    return tuple(form for form in forms if form)


def shares_by_nearness(near: list[float], odds: list[float] | None = None) -> list[float]:
    """What each law has a share of, from the mean size of its misses; the shares add up to one.

    Args:
        near: mean size of the misses of each.
        odds: of each beside that; even unless given.
    """
    shares = (np.array(near) / min(near)) ** -_POWER * (odds or 1.0)
    return (shares / shares.sum()).tolist()


def _left_without_bends(minimum: Minimum, groups: Clusters) -> float:
    """What the chance of the bends in a law's misses leaves of its odds; 1 where there is no sign of any."""
    problem = minimum.problem
    if len(problem.columns) != 1 or problem.objective.quantile != 0.5:
        return 1.0
    chance = max(chance_of_bends(problem, minimum.best, groups), np.finfo(float).tiny)
    return float(-np.e * chance * np.log(chance)) if chance < 1.0 / np.e else 1.0


@np.errstate(all="ignore")
def _broken(nearest: Minimum, seed: int) -> tuple[Form, float] | None:
    """Curves with a break, without their share, and their nearness; None where these runs carry none.

    They have had no backtests: where origins lie before the break, those would say what is known without them.
    """
    problem, counted = nearest.problem, nearest.problem.weights > 0
    x, losses = problem.columns[0][counted], problem.target[counted]
    law = describe(along(bnsl(1), problem.law.column_names[0]))
    free = len(law.parameters)
    if len(np.unique(x)) < free or len(x) < _ROWS_EACH * free or losses.min() <= 0.0:
        return None
    goal, freedom = problem.objective, float(np.sqrt(len(x) / (len(x) - free)))
    parameters = broken_curves(x, losses, draws=_DRAWS, seed=seed)
    drawn = [dict(zip(parameters, one, strict=True)) for one in zip(*parameters.values(), strict=True)]
    misses = [goal.miss(law(problem.columns[0], **one), problem.prepared, problem.stderr) for one in drawn]
    sizes = [float(np.average(np.abs(one), weights=problem.weights)) for one in misses]
    best = int(np.argmin(sizes))
    if not np.isfinite(sizes[best]):
        return None
    off = goal.prepare(law(problem.columns[0], **drawn[best])) - problem.prepared
    noise = max(weighted_rms(off, problem.weights) * freedom, 1e-12)
    kept = {p: tuple(map(float, values)) for p, values in parameters.items()}
    return Form(law.name, law.column_names, 0.0, kept, *expected(_NO_MISSES, noise)), sizes[best] * freedom


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
