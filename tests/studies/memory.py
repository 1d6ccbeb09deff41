"""Rows of a memory study from worlds whose capacity and skill are known: what the verdict is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from scaling.records import ON_OFFER

_PROGRAM_BITS, _STRING_BITS = 40.0, 80.0
_WORDS = 20


@dataclass(frozen=True)
class World:
    """What models of five sizes or so store, and what becomes of their skill."""

    skill: str = "rises"
    """"rises" all along, "stalls" once memory is full, was there "before", or is "memory" alone."""
    bits: float = 2.2
    """A parameter, at the smallest size."""
    slope: float = 1.0
    """Of capacity against parameters, log-log."""
    sizes: tuple[int, ...] = (12_000, 24_000, 40_000, 60_000, 100_000)
    amounts: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
    """Bits on offer over capacity."""
    seeds: int = 3
    size_spread: float = 0.02
    """Standard deviation of a size's own log capacity."""
    run_spread: float = 0.03
    """The same of each run."""
    skill_spread: float = 0.3
    """Standard deviation of skill over runs, in log odds."""
    seed_spread: float = 0.2
    """The part of it that all runs of one seed share."""
    chance: float = 0.1


def simulate(world: World, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs and measurements as a study would bring them."""
    draw = np.random.default_rng(seed)
    shared = draw.normal(0, world.seed_spread, world.seeds)
    runs, measured = list[dict[str, object]](), list[dict[str, object]]()
    for size in world.sizes:
        usual = world.bits * size * (size / world.sizes[0]) ** (world.slope - 1)
        usual *= np.exp(draw.normal(0, world.size_spread))
        for amount in world.amounts:
            for s in range(world.seeds):
                run_id = f"{size} {amount} {s}"
                documents = max(8, round(amount * world.bits * size / (_PROGRAM_BITS + _STRING_BITS)))
                offer = np.array([_PROGRAM_BITS, _STRING_BITS]) * documents
                capacity = usual * np.exp(draw.normal(0, world.run_spread))
                stored = (offer.sum() ** -6 + capacity**-6) ** (-1 / 6)
                noise = shared[s] + draw.normal(0, world.skill_spread)
                fresh = _share(_log_odds(world, amount) + noise, world.chance)
                known = fresh + (1 - fresh) * min(1.0, stored / offer.sum())
                tested = [draw.binomial(n, p) / n for n, p in ((256, min(known, 1.0)), (1024, fresh))]
                shares = (stored / offer.sum() * offer / size, offer / size)
                readings = {("memorised", "programs"): shares[0][0], ("memorised", "strings"): shares[0][1]}
                readings |= {("memorised", "programs" + ON_OFFER): shares[1][0]}
                readings |= {("memorised", "strings" + ON_OFFER): shares[1][1]}
                readings |= {("seen_exact", "programs"): tested[0], ("answer_exact", "programs"): tested[1]}
                readings |= {("answer_loss", "programs"): -np.log(max(fresh, 1e-3))}
                tokens = 2 * _WORDS * documents
                runs.append(
                    {
                        "run_id": run_id,
                        "params_total": size,
                        "unique_tokens": tokens,
                        "seed": s,
                        "N": size // 2,
                    }
                    | {"D": 200 * tokens, "C": 6.0 * size * 200 * tokens}
                )
                measured += [
                    {"run_id": run_id, "step": 100, "probe": probe, "group": group, "value": float(value)}
                    for (probe, group), value in readings.items()
                ]
    return pl.DataFrame(runs), pl.DataFrame(measured)


def _log_odds(world: World, amount: float) -> float:
    """Skill on fresh documents by the bits on offer over capacity; infinite below what any run reaches."""
    if world.skill == "memory":
        return -np.inf
    if world.skill == "before":
        return 6.0
    until = min(amount, 1.5) if world.skill == "stalls" else amount
    return -1.0 + 1.2 * np.log2(until)


def _share(log_odds: float, chance: float) -> float:
    return chance + (1 - chance) / (1 + np.exp(-log_odds)) if np.isfinite(log_odds) else chance
