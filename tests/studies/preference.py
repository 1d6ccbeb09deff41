"""Studies of preferences whose answer is known, to see how often the question gets it right."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

from scaling.corpora.synthetic.dialogues import DOMAINS, STEM
from scaling.questions._preference.cells import PAIRS, distance_of

N_OF = (1, 2, 4, 8, 16, 32, 64)
BASE = 0.5
ALPHA, BETA = 0.30, 0.10
"""Of the law of the gain with a domain's own preferences: 0.26 at 16 answers."""


def world(
    carried: float,
    *,
    shuffled: float = -0.1,
    with_own: float = 1.0,
    seeds: int = 5,
    sizes: Sequence[int] = (6_000, 25_000, 100_000),
    spread: float = 0.03,
    degrees: float = np.inf,
    requests: int = 40,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs and measurements of reward models that win a given share of what their own preferences would.

    Args:
        carried: share of the gain that comes without a domain's own preferences; not a number where the arm without
            has labels at random too.
        shuffled: gain of labels at random at 16 answers.
        with_own: factor on the gain with own preferences; 0 is a ceiling that is none.
        seeds, sizes: of every arm.
        spread: standard deviation of a reward model's gain over seeds.
        degrees: of freedom of Student's t that seeds are drawn from, scaled to that spread; infinite is the normal.
        requests: of each domain, each scored with a standard deviation of 0.25.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    runs: list[tuple[object, ...]] = []
    measured: list[tuple[object, ...]] = []
    arms = {
        "all": (DOMAINS, 99), "none": ([d for d in DOMAINS if d not in STEM], 99), "random": ((), 99),
        **{f"but {d}": ([e for e in DOMAINS if e != d], 99) for d in DOMAINS},
    }  # fmt: skip
    error = 0.25 / requests**0.5
    for N in sizes:
        for one in range(seeds):
            base = f"{N} {one}"
            runs.append((base, "pretrain", None, _blend(DOMAINS), 1_000_000, N, one, 33, 1e12))
            drawn = {d: BASE + error * rng.normal() for d in DOMAINS}
            measured += [(base, 1, "helpful", d, drawn[d], error, requests, "1") for d in DOMAINS]
            for name, (seen, comparisons) in arms.items():
                for stage in ("reward", "prefer"):
                    run = f"{base} {name} {stage}"
                    blend = _blend([d + PAIRS for d in seen] or ["shuffled pairs"])
                    runs.append((run, stage, base, blend, 33 * comparisons, N, one, 33, 1e12))
                    off = spread * _student(rng, degrees)
                    for d in DOMAINS:
                        share = (with_own if d in seen else carried) if seen else np.nan
                        if share != share:
                            share = shuffled / _gain(16)
                        level = {n: drawn[d] + share * _gain(n) + off * distance_of(n) for n in N_OF}
                        if stage == "reward":
                            groups = [
                                (f"{d} best of {n}", level[n] + (n > 1) * 0.01 * rng.normal()) for n in N_OF
                            ]
                            groups += [
                                (f"{d} {w} best of {n}", level[n]) for w in ("asked", "true") for n in (1, 64)
                            ]
                            right = 0.85 if d in seen else 0.5 + 0.35 * max(carried, 0.0)
                            measured.append((run, 1, "preferred", d + PAIRS, right, 0.03, 128, "1"))
                        else:
                            groups = [(d, level[16])]
                            measured.append(
                                (run, 1, "divergence", d, distance_of(16) ** 2, 0.05, requests, "nats/answer")
                            )
                        measured += [
                            (run, 1, "helpful", group, gold, error, requests, "1") for group, gold in groups
                        ]
    header = ["run_id", "stage", "parent_run", "blend", "D", "N", "seed", "context", "C"]
    points = ["run_id", "step", "probe", "group", "value", "stderr", "n", "unit"]
    tables = ((runs, header), (measured, points))
    first, second = (
        pl.DataFrame(rows, names, orient="row", infer_schema_length=None) for rows, names in tables
    )
    return first, second


def _gain(n: int) -> float:
    d = distance_of(n)
    return d * (ALPHA - BETA * d)


def _student(rng: np.random.Generator, degrees: float) -> float:
    """A draw of standard deviation one."""
    if not np.isfinite(degrees):
        return float(rng.normal())
    return float(rng.standard_t(degrees) * ((degrees - 2) / degrees) ** 0.5)


def _blend(domains: Sequence[str]) -> str:
    return json.dumps({d: 1 / len(domains) for d in domains})
