"""How often intervals of a score in two steps hold, and what a prediction's backtests are worth at its distance.

SCALING_PUBLISHED=DIR python benchmarks/coverage_tools.py --part downstream
SCALING_PUBLISHED=DIR python benchmarks/coverage_tools.py --part distance
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from coverage import FIRST, world

from scaling.fitting import Prediction, downstream, fit
from scaling.laws import chinchilla, describe, score_from_loss
from scaling.published import open_published
from scaling.show import table

LEVELS = (0.5, 0.8, 0.95)
DRAWS = 200
TASKS = {
    "hellaswag": "hellaswag_val_rc_5shot", "arc_easy": "arc_easy_test_rc_5shot",
    "arc_challenge": "arc_challenge_test_rc_5shot",
    "csqa": "csqa_val_rc_5shot", "openbookqa": "openbookqa_test_rc_5shot", "piqa": "piqa_val_rc_5shot",
    "socialiqa": "socialiqa_val_rc_5shot", "winogrande": "winogrande_val_rc_5shot",
}  # fmt: skip
TARGETS = ("peteish7_eval_anneal", "peteish13_eval_final")


KINDS = {"scores follow the loss": "", "scores follow the law": "law", "scores of a trunk together": "trunk"}


def scored(number: int, kind: str = "", first: int = FIRST) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs of a grid with losses and scores, and runs one and two decades of compute beyond it.

    Scores follow the measured loss, or of kind "law" the loss without its noise, so that the predictor has errors; of
    kind "trunk" most of what scores miss is shared by the runs of a trunk.
    """
    rng = np.random.default_rng([first, number])
    alpha, beta = rng.uniform(0.25, 0.45, 2)
    truth = {"E": rng.uniform(1.2, 2.2), "alpha": alpha, "beta": beta}
    truth |= {"A": rng.uniform(0.3, 1.0) * 2e7**alpha, "B": rng.uniform(0.3, 1.0) * 2e8**beta}
    middle = float(chinchilla(2e8, 2e9, **truth))
    link = {
        "a": rng.uniform(0.4, 0.7),
        "b": 0.25,
        "k": rng.uniform(2.0, 6.0),
        "L_mid": middle + rng.uniform(-0.2, 0.2),
    }
    own, trunk, spread = rng.uniform(0.002, 0.006), rng.uniform(0.001, 0.004), rng.uniform(0.003, 0.01)

    def made(N: np.ndarray, D: np.ndarray, trunk_id: np.ndarray) -> pl.DataFrame:
        pushed = rng.normal(size=trunk_id.max() + 1)[trunk_id]
        clean = chinchilla(N, D, **truth)
        loss = clean * np.exp(trunk * pushed + own * rng.normal(size=len(N)))
        off = rng.normal(size=len(N))
        if kind == "trunk":
            off = 0.6 * off + 0.8 * rng.normal(size=trunk_id.max() + 1)[trunk_id]
        score = score_from_loss(clean if kind == "law" else loss, **link) + spread * off
        return pl.DataFrame(
            {"N": N, "D": D, "C": 6 * N * D, "trunk_id": trunk_id, "loss": loss, "score": score}
        )

    sizes, budgets = np.geomspace(2e6, 2e8, 10), np.geomspace(2e7, 4e9, 6)
    inside = made(np.repeat(sizes, 6), np.tile(budgets, 10), np.repeat(np.arange(10), 6))
    ahead = np.repeat(10.0 ** np.array([0.5, 1.0]), 4)
    return inside, made(2e8 * ahead, 4e9 * ahead, np.arange(8))


def simulated(worlds: int, first: int) -> str:
    """Share of new runs that intervals of the score hold, and how far off the medians are: two steps, and one."""
    header = ["new runs beyond the fit", "50 %", "80 %", "95 %", "miss, points", "worlds"]
    rows = [
        [f"{words}: {row[0]}", *row[1:]] for words, kind in KINDS.items() for row in held(worlds, kind, first)
    ]
    return table(header, rows)


def held(worlds: int, kind: str, first: int) -> list[list[str]]:
    hits: dict[str, list[np.ndarray]] = {}
    miss: dict[str, list[np.ndarray]] = {}
    for number in range(worlds):
        inside, ahead = scored(number, kind, first)
        both = downstream(chinchilla, score_from_loss, inside, bootstrap=DRAWS, seed=number)
        N, D, C, score = (ahead[c].to_numpy() for c in ("N", "D", "C", "score"))
        ways: dict[str, Callable[[float], Prediction]] = {
            "two steps": lambda level: both.predict(level=level, new_run=True, N=N, D=D)  # noqa: B023
        }
        if both.one_step:
            ways["one step"] = lambda level: both.one_step.predict(level=level, new_run=True, C=C)  # type: ignore  # noqa: B023
        for way, predict in ways.items():
            bands = [predict(level) for level in LEVELS]
            inside_them = np.array([(b.low <= score) & (score <= b.high) for b in bands])
            for decades, part in ((1, slice(0, 4)), (2, slice(4, 8))):
                hits.setdefault(f"{way}, {decades} decades", []).append(inside_them[:, part].mean(1))
                miss.setdefault(f"{way}, {decades} decades", []).append(
                    np.abs(100 * (bands[1].median - score))[part].mean(keepdims=True)
                )
    return [
        [
            way,
            *(f"{100 * share:.0f}" for share in np.mean(held, axis=0)),
            f"{np.median(miss[way]):.2g}",
            str(len(held)),
        ]
        for way, held in hits.items()
    ]


def published() -> str:
    """The 7B and 13B models of the ladder, task by task, from models of 190M to 1B."""
    runs = open_published("ladder").filter(pl.col("N").is_not_null())
    small = runs.filter(~pl.col("size").is_in(["peteish7", "peteish13"]))
    large = runs.filter(pl.col("name").is_in(TARGETS)).sort("name", descending=True)
    rows = []
    for task, column in TASKS.items():
        bits, score = f"eval.downstream_bpb.{column}_bpb", f"eval.downstream.{column}_len_norm"
        both = downstream(
            chinchilla, score_from_loss, small, loss=bits, score=score, bootstrap=DRAWS,
            score_options={"bounds": {"a": (0.0, 0.8)}},
        )  # fmt: skip
        seen = large[score].to_numpy()
        band = both.predict(new_run=True, N=large["N"].to_numpy(), D=large["D"].to_numpy())
        alone = both.one_step.predict(C=large["C"].to_numpy()).median if both.one_step else np.full(2, np.nan)
        shown = [task]
        for truth, middle, low, high, one in zip(seen, band.median, band.low, band.high, alone, strict=True):
            shown += [
                f"{100 * truth:.1f}",
                f"{100 * middle:.1f} [{100 * low:.1f}, {100 * high:.1f}]",
                f"{100 * one:.1f}",
            ]
        rows.append(shown)
    header = ["task", "7B", "two steps, 80 %", "one step", "13B", "two steps, 80 %", "one step"]
    return table(header, rows)


def distance(worlds: int) -> str:
    """What the fitted curve missed new runs by, beside what the backtests printed with the prediction had missed."""
    rows = []
    for right, words in ((True, "the fitted law is true"), (False, "another law is true")):
        points = []
        for number in range(worlds // 2):
            one = world(FIRST + number, right=right)
            fitted = fit(one.law, one.runs, bootstrap=DRAWS, seed=number)
            columns: dict[str, Any] = {c: one.unseen[c].to_numpy() for c in describe(one.law).column_names}
            band = fitted.predict(discrepancy=False, **columns)
            miss = 100 * np.abs(one.unseen["loss"].to_numpy() / band.median - 1)
            if band.distance is not None:
                points += list(zip(band.distance.farthest, band.distance.backtest, miss, strict=True))
        far, said, miss = np.array(points).T
        for low, high in ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0)):
            here = (far > low) & (far <= high) & np.isfinite(said)
            ratio = miss[here] / said[here]
            rows.append([
                words, f"{low:g} to {high:g}", f"{np.median(said[here]):.2g}", f"{np.median(miss[here]):.2g}",
                f"{100 * np.mean(ratio < 1):.0f}", f"{100 * np.mean(ratio < 2):.0f}", str(int(here.sum())),
            ])  # fmt: skip
    header = [
        "worlds",
        "decades beyond",
        "backtests, rms %",
        "miss, %",
        "within 1×, %",
        "within 2×, %",
        "runs",
    ]
    return table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Two-step scores, and backtests at a distance.")
    parser.add_argument("--part", choices=("downstream", "published", "distance"), required=True)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--first", type=int, default=FIRST + 1, help="number of the downstream worlds' seed")
    options = parser.parse_args()
    if options.part == "downstream":
        print(simulated(options.worlds, options.first))
    elif options.part == "published":
        print(published())
    else:
        print(distance(options.worlds))


if __name__ == "__main__":
    main()
