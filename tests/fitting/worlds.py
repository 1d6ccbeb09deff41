"""Invented runs whose law is known."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl

CHINCHILLA = {"E": 1.7, "A": 400.0, "B": 1200.0, "alpha": 0.34, "beta": 0.33}


def grid(law, *, noise=0.0, seed=0, columns, target="loss", **truth):
    """A run at every combination of the columns' values, with relative noise on the loss."""
    points = np.array(list(itertools.product(*columns.values())), float)
    named = dict(zip(columns, points.T, strict=True))
    loss = law(*named.values(), **truth)
    return pl.DataFrame(
        named | {target: loss * np.exp(noise * np.random.default_rng(seed).normal(size=len(loss)))}
    )


def square(law, *, noise=0.0, seed=0, sizes=5, budgets=6, **truth):
    """A grid over N and D."""
    columns = {"N": np.geomspace(1e6, 1e9, sizes), "D": np.geomspace(1e8, 3e10, budgets)}
    return grid(law, noise=noise, seed=seed, columns=columns, **truth)
