"""How much an objective rises for noise alone where parameters are held at their true values.

The rise of a log-likelihood is chi² by Wilks' theorem only where the objective is the likelihood of the noise. A Huber
penalty is none, and runs of a trunk are not independent. In general, with k parameters held, twice the rise is about

    λ k F(k, ν),    λ = tr(Qᵀ Ω Q) / k,    Ω = Σ_g ψ̃_g ψ̃_gᵀ / b,    b = E ψ',    ψ̃_g = (I − H_gg)^(−1/2) ψ_g      (CR2)

where ψ is the slope of the penalty at the residuals of a cluster g of runs, Q the directions of the curve that only
the held parameters move, and ν Satterthwaite's degrees of freedom. For independent runs of one scatter λ is
E ψ² / E ψ'. Under a Huber penalty with a narrow bend, b is the density of the residuals at zero times its width. Rows
within the bend are too few to count, so it is read from a difference of ψ over a band as wide as a kernel would be,
without the rows that such a fit goes through, one for each parameter. A prior is a row whose scatter is known.

Source:
    Heritier and Ronchetti 1994, Journal of the American Statistical Association 89(427), for the rise of robust
    objectives; Rao and Scott 1984, Annals of Statistics 12(1), for the mean over k directions; Koenker 2005, Quantile
    Regression, section 3.4.2, for the band; Bell and McCaffrey 2002, Survey Methodology 28(2), for CR2 and ν.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling.fitting.data import Array
from scaling.fitting.fewclusters import FEW, adjust, freedom, tangent
from scaling.fitting.problem import Problem
from scaling.fitting.resample import Clusters

_BAND = 0.8  # standard deviations times n^(-1/5); of .5 to 1.8 no simulated coverage depended on it
_NORMAL = 0.6745  # median of the absolute value of a standard normal variable
_ENDLESS = 1e6  # degrees of freedom that are as good as no end


@dataclass(frozen=True)
class Rise:
    """Twice the rise of an objective at held values that are true: `scale` times `held` times F(held, freedom)."""

    held: int
    scale: float
    """λ, in the objective's own units."""
    freedom: float

    def limit(self, level: float) -> float:
        """The rise over `scale` at the edge of a region of this level: k F / 2, nats where λ is one."""
        from scipy.special import fdtri  # in the function, as scipy takes long to import

        return 0.5 * self.held * float(fdtri(self.held, min(self.freedom, _ENDLESS), level))


@np.errstate(all="ignore")
def rise(problem: Problem, best: Array, groups: Clusters, held: tuple[int, ...]) -> Rise:
    """λ and its degrees of freedom, where these parameters are held.

    Args:
        problem, best: what was fitted, its priors weighed, and its solution of shape (free,).
        groups: clusters of its rows.
        held: places of the parameters among the free ones.

    Of the known standard errors of a Gaussian objective no more than their word is taken: λ is one or more.
    """
    bend = _bend(problem, best)
    slope, weight = tangent(problem, best)
    runs, free = slope.shape
    pull = problem.prior_precision if problem.prior_precision is not None else np.zeros(free)
    rows = np.concatenate([np.sqrt(bend) * slope, np.diag(np.sqrt(problem.temperature * pull))])
    order = [j for j in range(free) if j not in held] + list(held)
    size = np.linalg.norm(rows, axis=0)
    plane = np.linalg.qr((rows / np.where(size > 0, size, 1.0))[:, order])[0]
    known = problem.temperature * float((plane[runs:, -len(held) :] ** 2).sum())  # of the priors
    plane, members = plane[:runs], groups.members
    moved = adjust(plane, members)[:, -len(held) :]
    push = np.sqrt(problem.weights) * problem.objective.to_second_order(problem.misses(best[None])[0])[1]
    seen = float(sum(((push[g] @ moved[g]) ** 2).sum() for g in members)) / bend
    shared = groups.count < FEW
    count = float(np.mean([freedom(plane, one, weight, members, shared=shared) for one in moved.T]))
    scale = max((seen + known) / len(held), np.finfo(float).tiny)
    if problem.objective.stderr and scale <= 1.0:
        return Rise(len(held), 1.0, _ENDLESS)
    return Rise(len(held), scale, count * (1.0 + known / seen) ** 2 if seen > 0 else _ENDLESS)


def _bend(problem: Problem, best: Array) -> float:
    """E ψ', from the difference of ψ over a band around each residual."""
    goal = problem.objective
    if goal.delta is None:
        return 1.0
    miss, weights = problem.misses(best[None])[0], problem.weights
    counted = np.flatnonzero(weights > 0)
    through = np.argsort(np.abs(miss[counted]))[: len(best)]
    counted = np.delete(counted, through) if len(counted) > len(best) else counted
    r, w = miss[counted], weights[counted]
    band = max(_BAND * float(np.median(np.abs(r))) / _NORMAL * len(r) ** -0.2, 1e-6 * goal.delta)
    while True:
        ahead, behind = (goal.to_second_order(r + side * band)[1] for side in (1.0, -1.0))
        bend = float(np.average(ahead - behind, weights=w)) / (2.0 * band)
        if bend > 0 or not np.isfinite(band):
            return bend
        band *= 2.0
