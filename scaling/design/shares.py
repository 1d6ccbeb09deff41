"""Blends as candidates: what runs on further blends would tell of an exchange rate, or of the best blend.

exchange   how many of a target's own tokens a token of each other domain is worth
blend      the shares of the domains with the lowest loss on a target

The belief is that of the draws of `scaling.blend`, at the largest size that there are runs of; a run of a blend tells
the loss on every target at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scaling import show
from scaling.design.asked import LACK, Asked, Request, noise_of
from scaling.design.blending import Blend
from scaling.design.blending import blend as best_blend
from scaling.design.candidates import Candidates, octaves, rates_of, shapes_near
from scaling.design.curves import Curve
from scaling.design.domains import Blends, read_blends
from scaling.design.information import Belief, Units, lack_of_fit
from scaling.errors import BadOption, FitError
from scaling.fitting.data import Array
from scaling.flops import count_flops, count_parameters
from scaling.study import Trunk
from scaling.sweeps.cost import tokens_to_train

BLENDS = ("exchange", "blend")
"""What can be asked of blends."""
_DRAWN, _EVEN = 60, 9  # blends of three domains or more, and of two
_BUDGETS = 4  # most
_VARIES = 0.005  # standard deviation of a share that is not yet known
_ALIKE = 0.1  # distance of shares within which a law misses alike
_LEAST = 1e-8  # variance of ln loss, where runs have no noise


class InNoDoubt(FitError):
    """An answer that all draws agree on."""

    about: str
    known: str

    def __str__(self) -> str:
        return (
            f"asked which runs would tell {self.about}, but all draws agree on it: {self.known}. Train with that, or "
            "widen what was tried by runs on other blends first."
        )


def ask_blend(
    request: Request,
    question: str,
    target: str | Mapping[str, float] | None,
    template: Trunk | None,
    most: int,
) -> tuple[Asked, Units, Candidates]:
    """What is believed of blends, and the blends and budgets within what was tried that could be trained next.

    Raises:
        BadOption: no target, or several for an exchange rate.
        InNoDoubt: every draw gives the same answer.
        FitError: as `scaling.blend`, for the runs.
    """
    if target is None or (question == "exchange" and not isinstance(target, str)):
        measured = ", ".join(read_blends(request.runs).losses)
        raise BadOption("target", target, f"a domain whose loss is asked about, of {measured}")
    law = "exchange" if question == "exchange" else "auto"
    made = best_blend(
        request.runs, target, law=law, level=request.level, bootstrap=request.bootstrap, seed=request.seed
    )
    curves = made.objective.curves
    blends = next(iter(curves.values())).blends
    targets, now, about = (_rates if question == "exchange" else _shares)(made, request)
    there = _candidates(request, blends, template, len(curves))
    losses = np.concatenate(
        [_ln_losses(curve, made.objective.draws, there, blends) for curve in curves.values()], axis=1
    )
    noise = [_noise(curve, blends) for curve in curves.values()]
    each = len(there.columns["N"])
    own, shared = (np.repeat([one[i] for one in noise], each) for i in (0, 1))
    belief = Belief.of(targets, losses, _lack(there, [one[2] for one in noise]))
    return (
        Asked(belief, own, shared, now, about),
        Units(there.places, own, shared, there.flops, there.shapes, most),
        there,
    )


_Wanted = tuple[Array, dict[str, show.Interval], str]
"""Targets of each draw, shape (draws, targets), the interval of each now, and what they are in words."""


def _rates(made: Blend, request: Request) -> _Wanted:
    target, fitted = next(iter(made.fits.items()))
    names = [p for p in fitted.free if p.startswith("tau_") and fitted.draws[p].std() > 0]
    own, ends = made.objective.curves[target].own, fitted.intervals(request.level)
    others = ", ".join(d for d in made.domains if d != own)
    about = f"the worth of a token of {others} in tokens of {own}, for the loss on {target}"
    if not names:
        raise InNoDoubt(
            about, ", ".join(f"{fitted.params[p]:.3g}" for p in fitted.free if p.startswith("tau_"))
        )
    now = {p: show.Interval(fitted.params[p], *ends[p], request.level) for p in names}
    return np.stack([fitted.draws[p] for p in names], axis=1), now, about


def _shares(made: Blend, request: Request) -> _Wanted:
    about = f"the best blend for the loss on {', '.join(made.target)}"
    varies = [i for i in range(len(made.domains)) if made.draws[:, i].std() > _VARIES]
    if not varies:
        raise InNoDoubt(
            about, ", ".join(f"{d} {100 * s:.3g} %" for d, s in made.proposal.items() if s > _VARIES)
        )
    middle, low, high = made.shares.median, made.shares.low, made.shares.high
    now = {
        f"share of {made.domains[i]}": show.Interval(
            float(middle[i]), float(low[i]), float(high[i]), request.level
        )
        for i in varies
    }
    return made.draws[:, varies], now, about


def _candidates(request: Request, blends: Blends, template: Trunk | None, targets: int) -> Candidates:
    """A trunk for each blend and budget; its places are the losses on each target."""
    runs, base = request.runs, template or Trunk.of(width=64, budgets=(131_072,))
    size, spent = blends.N, blends.D
    if size is None or spent is None:
        raise BadOption("runs", "blends", "with the columns N and D")
    (shape,) = shapes_near(base if template else None, (float(size[0]), float(size[0])))
    N, per_token = count_parameters(shape).matrices, count_flops(shape).total
    budgets = octaves(base.schedule.tokens_per_step, float(spent.min()), float(spent.max()))
    budgets = [budgets[i] for i in np.unique(np.linspace(0, len(budgets) - 1, _BUDGETS).round().astype(int))]
    seed = int(runs["seed"].cast(int).max()) + 1 if "seed" in runs.columns else 0  # type: ignore[arg-type]
    base = base.but(
        width=shape.width,
        depth=shape.depth,
        head_dim=shape.head_dim,
        peak_lr=rates_of(runs, base)(shape.width),
        seed=seed,
    )
    every = _tried(blends, request.seed)
    trunks = [base.but(budgets=(D,), blend=_pairs(blends, shares)) for shares in every for D in budgets]
    count = len(trunks)
    columns = {"N": np.full(count, float(N)), "D": np.tile(np.array(budgets, float), len(every))}
    columns |= {f"share {d}": np.repeat(every[:, i], len(budgets)) for i, d in enumerate(blends.domains)}
    flops = np.array([per_token * tokens_to_train(trunk) for trunk in trunks])
    places = np.arange(count)[:, None] + count * np.arange(targets)[None, :]
    return Candidates(tuple(trunks), places, columns, flops, np.repeat(np.arange(len(every)), len(budgets)))


def _tried(blends: Blends, seed: int) -> Array:
    """Blends within what was tried, in permille, shape (blends, domains)."""
    low, high = blends.shares.min(axis=0), blends.shares.max(axis=0)
    if len(low) == 2:
        first = np.linspace(low[0], high[0], _EVEN)
        every = np.stack([first, 1 - first], axis=1)
    else:
        drawn = np.random.default_rng([seed, 8]).dirichlet(np.full(len(low), 0.7), 50 * _DRAWN)
        inside = ((drawn >= low - 1e-9) & (drawn <= high + 1e-9)).all(axis=1)
        every = np.concatenate([blends.shares, drawn[inside][:_DRAWN]])
    every = np.unique(every.round(3), axis=0)
    every[np.arange(len(every)), every.argmax(axis=1)] += 1 - every.sum(axis=1)
    return every.round(3)


def _pairs(blends: Blends, shares: Array) -> tuple[tuple[str, float], ...]:
    return tuple((d, float(s)) for d, s in zip(blends.domains, shares, strict=True) if s > 0)


def _ln_losses(curve: Curve, draws: int, there: Candidates, blends: Blends) -> Array:
    """ln loss of each draw at each blend and budget, shape (draws, places)."""
    every = np.stack([there.columns[f"share {d}"] for d in blends.domains], axis=1)
    losses = []
    with np.errstate(all="ignore"):  # the slope at a share of zero, which nobody reads
        for shares, D in zip(every, there.columns["D"], strict=True):
            at = curve if blends.budgets is None else replace(curve, tokens=float(D))
            losses.append(at(np.broadcast_to(shares, (draws, len(shares))), drawn=True)[0])
    return np.log(np.maximum(np.stack(losses, axis=1), 1e-300))


def _noise(curve: Curve, blends: Blends) -> tuple[float, float, float]:
    """Variances of a run's own miss, of its trunk's, and of what the law misses between blends."""
    fitted = curve.fitted
    labels: NDArray[np.int64] = np.arange(fitted.rows)
    if blends.trunks is not None and not blends.trunks.null_count():
        labels = (blends.trunks.rank("dense").to_numpy() - 1).astype(np.int64)
    own, shared = noise_of(fitted.residuals, fitted.residual_weights, labels, len(fitted.free))
    total = max(own + shared, _LEAST)
    return own, shared, max(LACK * total, (curve.miss / 100) ** 2 - total)


def _lack(there: Candidates, variances: list[float]) -> Array:
    """What laws miss, alike for blends that are near each other; each target's law misses on its own."""
    shares = np.stack([values for name, values in there.columns.items() if name.startswith("share ")], axis=1)
    alike = lack_of_fit(shares, 1.0, _ALIKE)
    return np.kron(np.diag(variances), alike).astype(float)
