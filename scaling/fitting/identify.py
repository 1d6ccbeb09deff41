"""Which parameters the runs determine, and how it shows when they do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scaling.fitting.problem import Array, Problem

_FLAT = 1e10  # condition number beyond which some direction is not determined
_WIDE = 100.0  # ratio of the ends of a 95 % interval beyond which a positive parameter is not determined
_AT_BOUND = 0.1  # share of draws at a bound beyond which a parameter is not determined


@np.errstate(all="ignore")
def condition(problem: Problem, best: Array) -> tuple[float, NDArray[np.bool_]]:
    """Condition number of the Gauss-Newton matrix with unit diagonal, and what its flattest direction moves.

    All rows count here, not only the active ones: the question is what the design determines.
    """
    _, parts = problem.derivatives(best[None])
    value = problem.call(best[None])[0]
    J = np.stack([np.broadcast_to(parts.get(j, 0.0), (1, problem.rows))[0] for j in range(len(best))], axis=1)
    J = J / value[:, None] if problem.objective.log else J
    J = J * np.sqrt(problem.weights)[:, None]
    J = J[np.isfinite(J).all(1)]
    size = np.sqrt((J**2).sum(0))
    dead = size == 0
    J = J[:, ~dead] / size[~dead]
    if not J.size:
        return np.inf, np.ones(len(best), bool)
    _, singular, directions = np.linalg.svd(J, full_matrices=False)
    if dead.any():  # some parameter moves nothing at all; the others are another question
        return np.inf, dead
    loose = dead.copy()
    loose[~dead] = np.abs(directions[-1]) > 0.3
    return float((singular[0] / max(singular[-1], 1e-300)) ** 2), loose


def undetermined(
    problem: Problem, best: Array, draws: Array, condition_number: float, loose: NDArray[np.bool_]
) -> dict[str, str]:
    """Parameters that the runs do not determine, and how that shows."""
    found: dict[str, str] = {}
    for j, argument in enumerate(problem.free):
        name, low, high = argument.name, problem.low[j], problem.high[j]
        for end, bound in (("lower", low), ("upper", high)):
            if np.isfinite(bound) and np.isclose(best[j], bound, rtol=1e-9, atol=1e-12):
                found[name] = f"at its {end} bound {bound:g}"
        if name in found:
            continue
        if condition_number > _FLAT and loose[j]:
            found[name] = f"the objective is flat along it, condition number {condition_number:.1e}"
        elif len(draws):
            ends = np.quantile(draws[:, j], [0.025, 0.975])
            at_bound = np.mean(
                np.isclose(draws[:, j], low, rtol=1e-9, atol=1e-12) | np.isclose(draws[:, j], high, rtol=1e-9)
            )
            if at_bound > _AT_BOUND:
                found[name] = f"{100 * at_bound:.0f} % of the draws end at a bound"
            elif argument.quantity.log and ends[0] > 0 and ends[1] / ends[0] > _WIDE:
                found[name] = f"95 % of the draws span a factor of {ends[1] / ends[0]:.1e}"
    return found
