"""Studies of generations whose answer is known, to see how often the question gets it right."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

BASE = 4_000
"""Real tokens that every line begins with."""
REAL = (0.5, 1.0, 2.0, 8.0)
"""Amounts of real text that are trained on, over `BASE`."""


def curve(unique: float, floor: float = 0.5, scale: float = 3.0, power: float = 0.3) -> float:
    """Loss of models that read so much real text, nats/token: floor + scale (unique / 100)^-power."""
    return floor + scale * (unique / 100) ** -power


def world(
    worth: Mapping[str, float],
    *,
    generations: int = 4,
    seeds: int = 5,
    sizes: Sequence[int] = (6_000, 14_000, 25_000),
    spread: float = 0.03,
    in_common: float = 0.05,
    heavy: bool = False,
    seed: int = 0,
) -> pl.DataFrame:
    """Runs of models that read text by models of a given worth.

    Args:
        worth: by arm, real tokens that a written one is worth; of "replace", that a token of the last generation is,
            each generation losing the same share.
        generations, seeds, sizes: of every arm.
        spread: standard deviation of a run, nats/token.
        in_common: of what all runs of a size and seed share.
        heavy: whether a run's own part is of Student's t with three degrees of freedom.
        seed: of the draws.
    """
    rng, rows = np.random.default_rng(seed), []

    def add(
        name: str,
        parent: str | None,
        N: int,
        s: int,
        generation: int,
        arm: str | None,
        unique: float,
        loss: float,
    ):
        own = rng.standard_t(3) / math.sqrt(3) if heavy else rng.normal()
        rows.append((
            name, parent, generation or None, arm, N, 200_000, round(unique), s, json.dumps({"text": 1.0}),
            loss + shared[N, s] + spread * own, 6.0 * N * 200_000,
        ))  # fmt: skip

    shared = {(N, s): in_common * rng.normal() for N in sizes for s in range(seeds)}
    for N in sizes:
        for s in range(seeds):
            for times in REAL:
                add(f"{N} {s} {times}", None, N, s, 0, None, times * BASE, curve(times * BASE))
            for arm, value in worth.items():
                for g in range(1, generations + 1):
                    parent = f"{N} {s} {arm} {g - 1}" if g > 1 else f"{N} {s} 1.0"
                    if arm == "replace":
                        unique, as_good = BASE, BASE * value ** (g / generations)
                    else:
                        unique, as_good = BASE * (1 + g), BASE * (1 + value * g)
                    add(f"{N} {s} {arm} {g}", parent, N, s, g, arm, unique, curve(as_good))
    header = [
        "run_id", "parent_run", "generation", "generated", "N", "D", "unique_tokens", "seed", "blend", "loss_text", "C",
    ]  # fmt: skip
    return pl.DataFrame(rows, header, orient="row", infer_schema_length=None)
