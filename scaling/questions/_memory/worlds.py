"""Rows of a memory study from worlds whose capacity and skill are known: what the verdict is tested on."""

from __future__ import annotations

import json
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


STORED = ("once", "4 times", "16 times", "64 times")
RULED = tuple(f"rule {name}" for name in STORED)


def duplicated(
    *,
    steep: float = 0.8,
    middle: float = 5.0,
    cost: float = 0.1,
    sizes: tuple[int, ...] = (6_000, 14_000, 26_000),
    seeds: int = 3,
    spread: float = 0.5,
    shared: float = 0.3,
    loss_spread: float = 0.1,
    heavy: bool = False,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs that saw some documents 4, 16 and 64 times as often as others, and runs that saw all equally often.

        log odds of the share memorised = steep (log2(times) - middle)

    Args:
        steep, middle: log odds for each doubling, and log2(times) at which half is memorised.
        cost: of duplicates on fresh answers, nats/token.
        sizes, seeds: of either kind of run.
        spread, shared: standard deviations of the log odds of a run's domain, and of what a size and what a seed share.
        loss_spread: of the loss on fresh answers of a run, and of what runs of one size and seed share.
        heavy: whether a domain's own part is of Student's t with three degrees of freedom.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    of_seed, of_size = (rng.normal(0, shared, n) for n in (seeds, len(sizes)))
    runs, measured = list[dict[str, object]](), list[dict[str, object]]()

    def add(run: str, probe: str, group: str, value: float) -> None:
        measured.append({"run_id": run, "step": 500, "probe": probe, "group": group, "value": float(value)})

    for i, size in enumerate(sizes):
        for s in range(seeds):
            level = 1.0 + loss_spread * rng.normal()
            for arm, often in (("dup", (8, 31, 125, 500)), ("plain", (24, 0, 0, 0))):
                run, times = f"{size} {s} {arm}", dict(zip(STORED, often, strict=True))
                epochs = {d: float(t) for d, t in times.items() if t}
                epochs |= {f"rule {d}": float(t) for d, t in times.items() if t}
                told = {"run_id": run, "params_total": size, "N": size // 2, "D": 800_000, "seed": s}
                runs.append(told | {"C": 4.8e6 * size, "domain_epochs": json.dumps(epochs)})
                loss = level + loss_spread * rng.normal() + (cost if arm == "dup" else 0.0)
                for domain, t in epochs.items():
                    own = spread * (rng.standard_t(3) / np.sqrt(3) if heavy else rng.normal())
                    odds = steep * (np.log2(t) - middle) + own + of_seed[s] + of_size[i]
                    share = 1 / (1 + np.exp(-odds))
                    add(run, "memorised", domain, share)
                    add(run, "memorised", domain + ON_OFFER, 1.0)
                    if domain in RULED:
                        fresh = float(np.exp(-loss))
                        add(run, "seen_exact", domain, fresh + (1 - fresh) * share)
                        add(run, "perturbed_exact", domain, fresh * (1 - share))
                        add(run, "answer_exact", domain, fresh)
                        add(run, "answer_loss", domain, loss)
    return pl.DataFrame(runs), pl.DataFrame(measured)
