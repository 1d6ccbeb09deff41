"""Are post-training abilities local to their labels?"""

from __future__ import annotations

import math

import polars as pl

from scaling.errors import require_columns
from scaling.fitting.data import framed
from scaling.questions._locality import words
from scaling.questions._locality.cells import NOTHING, OTHERS, OWN, arms, cells, index, labels_worth, slopes
from scaling.questions._locality.words import CANNOT, LOCAL, NOT, PARTLY
from scaling.questions.phrases import models
from scaling.verdict import Estimate, Reach, Verdict, check_level, hash_of, more_seeds

QUESTION = "Are post-training abilities local to their labels?"


@framed("runs", "measured")
def locality(
    runs: pl.DataFrame, measured: pl.DataFrame, *, tested: str = "new", level: float = 0.8
) -> Verdict:
    """How much of what a tool's own labels teach comes without them, by what was read before.

        Λ = 1 − (without − base) / (with − base)

    Commands are scored by running them: base is a pre-trained model, without the same after labels of other tools, with
    after labels of the tested ones too. The answer rests on the largest models that have read the most about the tools:
    "not local" where the interval of Λ lies below 1/3, "local" where it lies above 2/3, "partly local" where it lies
    between 0 and 1 and is narrower than 2/3, else "cannot tell". Intervals are over seeds, of which five or more
    resolve a difference of a quarter.

    Args:
        runs: of all stages, as from `open_runs` of a study like runs/locality.
        measured: `open_measurements` of it, with the probe "executed".
        tested: domain of the requests whose tools have no labels among those of others.
        level: of the intervals.

    Raises:
        MissingColumns: a column is not there.
        NoArm: a base, labels of others, or the tested tools' own are missing.
        BadOption: a level that is none.
    """
    check_level(level)
    require_columns(
        ("run_id", "stage", "parent_run", "blend", "domain_unique", "N", "seed", "context"),
        runs.columns,
        "Open a study of later stages, e.g. open_runs('runs/locality').",
    )
    frame = cells(runs, measured, tested)
    table, indices = arms(frame, level), index(frame, level)
    steepness = slopes(indices, level)
    N = int(indices["N"].to_numpy().max())
    largest = indices.filter(pl.col("N") == N).with_columns(
        texts=pl.col("pretrained").str.count_matches(" and ")
    )
    read = largest.filter(pl.col("pretrained") != "neither")
    (decides,) = (
        (read if len(read) else largest)
        .sort("texts", "pretrained", descending=[True, False])
        .head(1)
        .rows(named=True)
    )
    said = words.answer(decides["low"], decides["high"]) if math.isfinite(decides["locality"]) else CANNOT
    at = table.filter((pl.col("N") == N) & (pl.col("pretrained") == decides["pretrained"]))
    rows = (at.row(by_predicate=pl.col("arm") == arm, named=True) for arm in (NOTHING, OTHERS, OWN))
    right = [Estimate.of_row(row, "share", level, "%") * 100 for row in rows]
    numbers = {
        f"locality, {row['pretrained']}": Estimate.of_row(row, "locality", level, "")
        for row in largest.iter_rows(named=True)
        if math.isfinite(row["locality"])
    }
    numbers |= {
        f"change for a decade of N, {row['pretrained']}": Estimate.of_row(row, "slope", level, "")
        for row in steepness.iter_rows(named=True)
    }
    seeds, flops = more_seeds(runs)
    return Verdict(
        question=QUESTION,
        topic="locality",
        answers=(LOCAL, PARTLY, NOT, CANNOT),
        answer=said,
        sentence=words.sentence(
            said,
            decides["pretrained"],
            Estimate.of_row(decides, "locality", level, ""),
            right,
            models(N, N, decides["seeds"]),
        ),
        numbers=numbers,
        evidence={
            "arms": table,
            "index": indices,
            "slopes": steepness,
            "labels_worth": labels_worth(table, N),
        },
        would_change=words.DOUBTS,
        next_runs=(seeds,) if said == CANNOT else words.NEXT_RUNS,
        next_flops=flops,
        identifiable=said != CANNOT,
        reach=Reach.of(runs.with_columns(D=pl.lit(1)) if "D" not in runs.columns else runs),
        data_hash=hash_of(frame),
    )
