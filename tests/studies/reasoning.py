"""Studies of what was read first whose answer is known, to see how often the question gets it right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

TARGET, SOURCE, PLACEBO, TEXT = "english", "code", "shuffled code", "prose"
BUDGETS = (25_000, 50_000, 100_000, 200_000, 400_000)
_READ = {
    "": None,
    "text": {TEXT: 1.0},
    "source": {TEXT: 0.5, SOURCE: 0.5},
    "placebo": {TEXT: 0.5, PLACEBO: 0.5},
}


def world(
    sooner: Mapping[str, float],
    *,
    seeds: int = 5,
    sizes: Sequence[int] = (25_000, 100_000),
    spread: float = 0.05,
    in_common: float = 0.08,
    steep: float = 2.0,
    onset: float = 150_000.0,
    onset_spread: float = 0.3,
    seed: int = 0,
) -> pl.DataFrame:
    """Runs that learn a skill all of a sudden, sooner or later by what they had read.

        loss = 1.6 / (1 + (D · sooner / onset)^steep)

    Args:
        sooner: of "text", "source", "placebo" and "" (nothing), how many times fewer tokens they need; 1 if not given.
        seeds, sizes: of every arm.
        spread, in_common: standard deviations of a run's loss, and of what all runs of a size and seed share.
        steep: how sudden.
        onset, onset_spread: tokens at which half is learned, and how much its logarithm differs from run to run.
        seed: of the draws.
    """
    rng, rows = np.random.default_rng(seed), []
    for N in sizes:
        for s in range(seeds):
            shared = in_common * rng.normal()
            for arm, blend in _READ.items():
                parent = f"{N} {s} {arm}" if blend else None
                if blend:
                    rows.append((parent, None, N, 500_000, s, json.dumps(blend), None, 6.0 * N * 500_000))
                at = onset * np.exp(onset_spread * rng.normal()) / sooner.get(arm, 1.0)
                for D in BUDGETS:
                    loss = 1.6 / (1 + (D / at) ** steep) + shared + spread * rng.normal()
                    learned = (f"{N} {s} {arm} {D}", parent, N, D, s, json.dumps({TARGET: 1.0}), loss)
                    rows.append((*learned, 6.0 * N * D))
    header = ["run_id", "parent_run", "N", "D", "seed", "blend", f"loss_{TARGET}", "C"]
    return pl.DataFrame(rows, header, orient="row", infer_schema_length=None)


def decayed(
    costs: Mapping[str, float],
    *,
    seeds: int = 5,
    sizes: Sequence[int] = (6_000, 25_000),
    spread: float = 0.015,
    in_common: float = 0.02,
    heavy: bool = False,
    seed: int = 0,
) -> pl.DataFrame:
    """Runs that go on from a constant rate, their rate falling, to the target and as much of something, or to it alone.

        loss = 2.2 - .06 log2(D_target / 32768) + cost

    Args:
        costs: of "source" and "placebo", nats/token above the target alone by as many tokens of it; 0 if not given.
        seeds, sizes: of every arm.
        spread, in_common: standard deviations of a run's loss, and of what all runs of a size and seed share.
        heavy: whether a run's own part is of Student's t with three degrees of freedom.
        seed: of the draws.
    """
    rng, rows = np.random.default_rng(seed), []
    blends = {"": {TARGET: 1.0}} | {
        arm: {TARGET: 0.5, domain: 0.5} for arm, domain in (("source", SOURCE), ("placebo", PLACEBO))
    }
    for N in sizes:
        for s in range(seeds):
            parent, shared = f"{N} {s}", in_common * rng.normal()
            rows.append((parent, None, N, 524_288, s, json.dumps({TARGET: 1.0}), 2.3 + shared, 1e12))
            for arm, blend in blends.items():
                for tokens in (32_768, 65_536, 131_072)[: 2 if arm else 3]:
                    own = spread * (rng.standard_t(3) / np.sqrt(3) if heavy else rng.normal())
                    loss = 2.2 - 0.06 * np.log2(tokens / 32_768) + costs.get(arm, 0.0) + shared + own
                    D = round(tokens / blend[TARGET])
                    rows.append(
                        (f"{parent} {arm} {D}", parent, N, D, s, json.dumps(blend), loss, 6.0 * N * D)
                    )
    header = ["run_id", "parent_run", "N", "D", "seed", "blend", f"loss_{TARGET}", "C"]
    return pl.DataFrame(rows, header, orient="row", infer_schema_length=None)
