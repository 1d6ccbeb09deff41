"""Studies of locality whose answer is known, to see how often the question gets it right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

BLENDS = {
    "neither": {"general": 1.0},
    "manuals": {"general": 0.6, "manuals": 0.4},
    "scripts": {"general": 0.6, "scripts": 0.4},
    "manuals and scripts": {"general": 0.6, "manuals": 0.2, "scripts": 0.2},
}


def world(
    right: Mapping[str, float],
    *,
    seeds: int = 5,
    sizes: Sequence[int] = (10_000, 100_000, 1_000_000),
    spread: float = 0.08,
    requests: int = 256,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs and measurements of models that get given shares right.

    Args:
        right: share of "base" and of "ceiling", and by pre-training that of labels of others, "neither" to "manuals and
            scripts".
        seeds, sizes: of every arm.
        spread: standard deviation over seeds, the same for all arms.
        requests: scored, each right or wrong by chance beside.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    runs, measured = [], []
    for name, blend in BLENDS.items():
        for N in sizes:
            for one in range(seeds):
                base = f"{name} {N} {one}"
                arms = (
                    (base, "pretrain", None, blend, {"": right["base"], " after 1": right["base"]}),
                    (f"{base} o", "sft", base, {"known": 1.0}, {"": right[name]}),
                    (
                        f"{base} 8",
                        "sft",
                        base,
                        {"known": 0.9, "new": 0.1},
                        {"": (right[name] + right["ceiling"]) / 2},
                    ),
                    (f"{base} a", "sft", base, {"known": 0.5, "new": 0.5}, {"": right["ceiling"]}),
                    (f"{base} r", "reward", base, {"pairs": 1.0}, {" best of 4": right["base"]}),
                    (f"{base} p", "prefer", base, {"pairs": 1.0}, {"": right["base"]}),
                )
                for run, stage, parent, shares, groups in arms:
                    documents = {"8": 8, "a": 600}.get(run[-1]) if stage == "sft" else None
                    unique = {d: 40 * (documents if d == "new" and documents else 1000) for d in shares}
                    runs.append(
                        (run, stage, parent, json.dumps(shares), json.dumps(unique), N, one, 40, 1e12)
                    )
                    for group, share in groups.items():
                        p = float(np.clip(share + spread * rng.normal() * (0 < share < 1), 0, 1))
                        got = rng.binomial(requests, p) / requests
                        doubted = (got * requests + 1) / (requests + 2)
                        error = (doubted * (1 - doubted) / (requests + 2)) ** 0.5
                        measured.append((run, 1, "executed", f"new{group}", got, error, requests, "1"))
    header = ["run_id", "stage", "parent_run", "blend", "domain_unique", "N", "seed", "context", "C"]
    points = ["run_id", "step", "probe", "group", "value", "stderr", "n", "unit"]
    tables = ((runs, header), (measured, points))
    one, other = (pl.DataFrame(rows, names, orient="row", infer_schema_length=None) for rows, names in tables)
    return one, other


def flags_world(
    gain: float,
    *,
    seeds: int = 3,
    questions: int = 128,
    programs: int = 32,
    alike: float = 0.0,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs and measurements of models that answer .3 of the questions right, and so much more after manuals.

    Args:
        gain: mean over programs.
        seeds: of both arms; each shifts a model's share by a standard deviation of .02.
        questions, programs: in each group.
        alike: how much the gain differs from program to program, in units of .15.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    runs, measured = [], []
    for group in ("known manual short", "held out manual short"):
        of = np.repeat(0.15 * alike * rng.normal(size=programs), -(-questions // programs))[:questions]
        luck = rng.random(questions)  # a question that is easy for one model is so for all
        for name, more in (("neither", 0.0), ("manuals", gain + of)):
            for one in range(seeds):
                p = np.clip(0.3 + more + 0.02 * rng.normal(), 0, 1)
                mine = np.where(rng.random(questions) < 0.5, luck, rng.random(questions))
                got = float((mine < p).mean())
                doubted = (got * questions + 1) / (questions + 2)
                error = (doubted * (1 - doubted) / (questions + 2)) ** 0.5
                run = f"{name} {one}"
                runs.append((run, json.dumps(BLENDS[name]), 10_000, one))
                measured.append((run, 1, "item_choice", group, got, error, questions, "1"))
    points = ["run_id", "step", "probe", "group", "value", "stderr", "n", "unit"]
    one = pl.DataFrame(runs, ["run_id", "blend", "N", "seed"], orient="row").unique()
    return one, pl.DataFrame(measured, points, orient="row")
