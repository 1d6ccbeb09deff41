"""What each arm of a study of locality got right: a row for every model and way to ask it."""

from __future__ import annotations

import json
import re

import numpy as np
import polars as pl

from scaling.errors import QuestionError
from scaling.questions.seeds import mean_over_seeds, ratio_interval, slope, student
from scaling.units import counted

NOTHING, OTHERS, OWN, PREFERRED = "nothing", "labels of others", "its own labels", "preferences"
CHOSEN = "best of {}"
CELL = ["pretrained", "N"]


class NoArm(QuestionError):
    """A study of locality that lacks what its index is made of."""

    arm: str
    there: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked how local abilities are, but no run is of the arm {self.arm!r}; there are "
            f"{', '.join(self.there) or 'none'}. Train it as in runs/locality/study.toml, and keep the probe executed."
        )


def cells(runs: pl.DataFrame, measured: pl.DataFrame, tested: str) -> pl.DataFrame:
    """Share of right commands of every model and arm.

    Args:
        runs: of all stages, as from `open_runs`.
        measured: as from `open_measurements`, the probe "executed" among them.
        tested: the domain of the requests.

    Returns:
        Columns pretrained (what its text had beside the general blend), N, seed, arm, documents (of labels of the
        tested tools, where there are any), share, stderr; N is the weights inside the blocks.

    Raises:
        NoArm: a base, labels of others, or the tested tools' own are missing.
    """
    base = runs.filter(pl.col("stage") == "pretrain")
    blends = {run: set(json.loads(blend)) for run, blend in base.select("run_id", "blend").rows()}
    general = set.intersection(*blends.values()) if blends else set()
    names = {run: " and ".join(sorted(blend - general)) or "neither" for run, blend in blends.items()}
    score = re.compile(rf"{re.escape(tested)}(?: (after|best of) (\d+))?")
    about = {row["run_id"]: row for row in runs.iter_rows(named=True)}
    rows = []
    for point in measured.filter(pl.col("probe") == "executed").iter_rows(named=True):
        run, way = about.get(point["run_id"]), score.fullmatch(point["group"])
        parent = run and (run["parent_run"] or run["run_id"])
        if not run or not way or parent not in names:
            continue
        unique = json.loads(run["domain_unique"] or "{}").get(tested)
        documents = unique // run["context"] if unique else 0
        if arm := _arm(run["stage"], way, documents):
            rows.append(
                (names[parent], run["N"], run["seed"], arm, documents, point["value"], point["stderr"])
            )
    header = ["pretrained", "N", "seed", "arm", "documents", "share", "stderr"]
    kinds = [pl.String, pl.Int64, pl.Int64, pl.String, pl.Int64, pl.Float64, pl.Float64]
    frame = pl.DataFrame(rows, schema=dict(zip(header, kinds, strict=True)), orient="row")
    most = frame["documents"].max() or 0
    own = (pl.col("documents") > 0) & (pl.col("documents") < most)
    frame = frame.with_columns(arm=pl.when(own).then(pl.format("{} documents", "documents")).otherwise("arm"))
    there = tuple(frame["arm"].unique().sort())
    for arm in (NOTHING, OTHERS, OWN):
        if arm not in there:
            raise NoArm(arm, there)
    read, way = pl.col("pretrained"), pl.col("arm")
    order = read != "neither", read.str.count_matches(" and "), read, "N", "documents"
    return frame.sort(*order, way == OTHERS, way != NOTHING, way.str.len_chars(), way, "seed")


def _arm(stage: str, way: re.Match[str], documents: int) -> str | None:
    """What a model was given, and how it was asked; None for what no arm is made of."""
    if way[1] == "best of":
        return CHOSEN.format(way[2])
    if way[1] == "after":
        return counted(int(way[2]), "example") if stage == "pretrain" else None
    if stage == "sft":
        return OWN if documents else OTHERS
    return {"pretrain": NOTHING, "prefer": PREFERRED}.get(stage)


def arms(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    """Mean over seeds of every arm, with Student's interval; a cell's spread is never below what its requests allow."""
    table = []
    for key, some in frame.group_by([*CELL, "arm", "documents"], maintain_order=True):
        mean, stderr = mean_over_seeds(some["share"].to_numpy(), some["stderr"].to_numpy())
        reach = student(level, len(some)) * stderr
        table.append((*key, len(some), mean, max(0.0, mean - reach), min(1.0, mean + reach)))
    header = ["pretrained", "N", "arm", "documents", "seeds", "share", "low", "high"]
    return pl.DataFrame(table, schema=header, orient="row")


def index(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    """The locality index of every pre-training and size, with Fieller's interval over seeds.

        Λ = 1 − (without − base) / (with − base)

    0 where labels of other tools do as much as the tools' own, 1 where they do nothing; not a number, and its interval
    too, where the ceiling does not beat the base by two standard errors.

    Source:
        Fieller 1954, Journal of the Royal Statistical Society B 16, 175-185, for the interval of a ratio.
    """
    table = []
    for key, some in frame.group_by(CELL, maintain_order=True):
        parts = {
            arm: some.filter(arm=arm).sort("seed").rename({"share": arm, "stderr": f"{arm} error"})
            for arm in (NOTHING, OTHERS, OWN)
        }
        both = parts[NOTHING].select("seed", NOTHING, f"{NOTHING} error")
        for arm in (OTHERS, OWN):
            both = both.join(parts[arm].select("seed", arm, f"{arm} error"), on="seed")
        if len(both) < 2:
            continue
        base = both[NOTHING].to_numpy()
        gains = np.stack([both[arm].to_numpy() - base for arm in (OTHERS, OWN)])
        errors = np.stack([both[f"{arm} error"].to_numpy() for arm in (NOTHING, OTHERS, OWN)])
        table.append((*key, len(both), *ratio_interval(gains, errors, level)))
    header = ["pretrained", "N", "seeds", "ceiling", "ceiling_stderr", "locality", "low", "high"]
    return pl.DataFrame(table, schema=header, orient="row")


def slopes(indices: pl.DataFrame, level: float) -> pl.DataFrame:
    """Change of the index for a decade of N, by weighted least squares over the sizes at which it is defined."""
    table = []
    for (name,), some in indices.drop_nans("locality").group_by(["pretrained"], maintain_order=True):
        if len(some) > 1:
            columns = ("N", "locality", "low", "high")
            at = slope(
                *(some[c].to_numpy() for c in columns), seeds=int(some["seeds"].to_numpy().min()), level=level
            )
            table.append((name, len(some), *at))
    return pl.DataFrame(table, schema=["pretrained", "sizes", "slope", "low", "high"], orient="row")


def labels_worth(table: pl.DataFrame, N: int) -> pl.DataFrame:
    """Documents of labels with which a model that has read nothing of the tools does as well as those that have.

    The curve of "neither" is read between its points, in the logarithm of documents; infinite above its last point.
    """
    at = table.filter(pl.col("N") == N)
    curve = at.filter(
        (pl.col("pretrained") == "neither") & ((pl.col("documents") > 0) | (pl.col("arm") == OTHERS))
    )
    curve = curve.sort("documents")
    shares, documents = np.maximum.accumulate(curve["share"].to_numpy()), curve["documents"].to_numpy()
    rows = []
    for name, share in at.filter(pl.col("arm") == OTHERS).select("pretrained", "share").rows():
        if name == "neither" or not len(shares):
            continue
        beyond = share > shares[-1]
        worth = np.inf if beyond else np.expm1(np.interp(share, shares, np.log1p(documents)))
        rows.append((name, share, float(worth)))
    return pl.DataFrame(rows, schema=["pretrained", "share", "documents"], orient="row")
