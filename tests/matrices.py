"""Invented runs of a transfer study, in which the worth of an added token is known."""

import json

import numpy as np
import polars as pl

SIZES = (6_144, 24_576, 98_304, 393_216)
T = 2**18
PLACEBOS = {"shuffled code": "code"}


def loss(tokens, size):
    return 1.6 - 0.2 * size + 0.65 * (tokens / T) ** -0.3


def world(
    code, placebo, *, seeds=5, noise=0.003, doses=(1, 4), sizes=SIZES, curve=(0.5, 1, 1.5, 2, 3, 4), first=0
):
    """Prose with code or shuffled code, each token of which is worth so many of prose, by the number of the size."""
    rng, rows = np.random.default_rng(first), []

    def add(N, blend, D, value):
        scatter = noise * (common[N] + rng.normal(size=seeds))
        for seed in range(seeds):
            row = {"run_id": f"{len(rows)}", "N": N, "D": int(D), "seed": seed, "blend": json.dumps(blend)}
            rows.append(
                row | {"loss_prose": value + scatter[seed], "loss_code": 2.0, "loss_shuffled code": 3.0}
            )

    common = {N: rng.normal(size=seeds) for N in sizes}
    for size, N in enumerate(sizes):
        for times in curve:
            add(N, {"prose": 1.0}, times * T, loss(times * T, size))
        for name, worth in {"code": code, "shuffled code": placebo}.items():
            for dose in doses:
                blend = {"prose": 1 / (1 + dose), name: dose / (1 + dose)}
                add(N, blend, (1 + dose) * T, loss(T * (1 + worth(size, dose) * dose), size))
    return pl.DataFrame(rows)


def constant(worth):
    return lambda size, dose: worth


def rising(first, step):
    return lambda size, dose: first + step * size
