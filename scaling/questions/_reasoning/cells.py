"""Models that go on to a target from what they had read before, as arms over paired seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import QuestionError, require_columns
from scaling.questions.contrasts import contrast
from scaling.questions.measured import Values, read_values

Array = NDArray[np.float64]
NOTHING = "nothing"
_COLUMNS = ("run_id", "parent_run", "N", "D", "seed", "blend")
_FRAME = {"N": pl.Int64, "seed": pl.Int64, "read": pl.String, "D": pl.Int64, "value": pl.Float64}
_NINE_OF_TEN = 1.28
"""Standard errors that a difference must be beyond the interval's half width, to be seen in nine of ten studies."""


class NoSuchReading(QuestionError):
    """A question about what was read first, asked of runs that did not read it."""

    target: str
    source: str
    read: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked what {self.source!r} read first does for {self.target!r}, but the runs that go on to it had read "
            f"{', '.join(map(repr, self.read)) or 'nothing'}. It takes models that read {self.source!r}, and others "
            "that read the same without it, two seeds each; train both, as in runs/learning-to-reason/study.toml."
        )


@dataclass(frozen=True)
class Arms:
    """What is compared: what was read first with the source, without it, and with each placebo in its place."""

    with_source: str
    without: str
    placebos: tuple[str, ...]
    more: tuple[str, ...] = ()
    """As many tokens in all of the target alone: shown beside the others, and no part of the answer."""


def name_of(domains: Set[str]) -> str:
    """What was read, in words."""
    return " and ".join(sorted(domains)) or NOTHING


def learners(
    runs: pl.DataFrame, measurements: pl.DataFrame | None, target: str, measure: str, sign: float
) -> pl.DataFrame:
    """Every run on the target alone, by what its parent had read.

    Returns:
        Columns N, seed, read (domains that were read first, in words), D (tokens of the target), value (lower is
        better).

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
    """
    values, blends = _read(runs, measurements, measure)
    rows = [
        (N, seed, name_of(blends.get(parent, {}).keys() - {target}), D, sign * values[run, target])
        for run, parent, N, D, seed, _ in runs.select(_COLUMNS).iter_rows()
        if blends[run].keys() == {target} and (run, target) in values and (parent is None or parent in blends)
    ]
    return _means(pl.DataFrame(rows, _FRAME, orient="row"))


def decays(
    runs: pl.DataFrame, measurements: pl.DataFrame | None, target: str, measure: str, sign: float
) -> pl.DataFrame:
    """Every run that goes on from another one and reads the target, by what else it reads meanwhile.

    Those of the target alone are "nothing" by their tokens; and "more TARGET" beside each run of as many tokens in all.

    Returns:
        As of `learners`.

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
    """
    values, blends = _read(runs, measurements, measure)
    rows = [
        (N, seed, name_of(own.keys() - {target}), round(D * own[target]), sign * values[run, target], D)
        for run, parent, N, D, seed, _ in runs.select(_COLUMNS).iter_rows()
        if parent in blends and target in (own := blends[run]) and (run, target) in values
    ]
    frame = pl.DataFrame(rows, _FRAME | {"all": pl.Int64}, orient="row")
    mixed = frame.filter(pl.col("read") != NOTHING).select("N", "D", "all").unique()
    more = frame.filter(read=NOTHING).drop("D").join(mixed, on=["N", "all"])
    return _means(pl.concat([frame, more.with_columns(read=pl.lit(more_of(target))).select(frame.columns)]))


def more_of(target: str) -> str:
    """What the target alone is called, where it stands for what others read beside it."""
    return f"more {target}"


def _read(
    runs: pl.DataFrame, measurements: pl.DataFrame | None, measure: str
) -> tuple[Values, dict[str | None, dict[str, float]]]:
    """What was measured of each run, and the domains that it reads with their shares."""
    require_columns(
        _COLUMNS, runs.columns, "Open a study whose grids go on from others, with all of its runs."
    )
    blends = {
        run: {domain: share for domain, share in json.loads(blend).items() if share}
        for run, blend in runs.select("run_id", "blend").iter_rows()
    }
    return read_values(runs, measurements, measure), blends


def _means(frame: pl.DataFrame) -> pl.DataFrame:
    """A row for each size, reading, count of tokens and seed."""
    means = frame.group_by("N", "seed", "read", "D").agg(pl.col("value").mean())
    return means.sort("N", "read", "D", "seed")


def arms(frame: pl.DataFrame, target: str, source: str, placebos: Mapping[str, str]) -> Arms:
    """Which of the readings are compared: of those with the source, that with most runs.

    Raises:
        NoSuchReading: there is none, or none without the source.
    """
    read = frame["read"].value_counts(sort=True)["read"].to_list()

    def domains(name: str) -> frozenset[str]:
        return frozenset() if name == NOTHING else frozenset(name.split(" and "))

    for name in read:
        rest = domains(name) - {source}
        if source in domains(name) and name_of(rest) in read:
            swapped = (name_of(rest | {one}) for one, of in placebos.items() if of == source)
            more = (more_of(target),) if more_of(target) in read else ()
            return Arms(name, name_of(rest), tuple(one for one in swapped if one in read), more)
    raise NoSuchReading(target, source, tuple(sorted(read)))


@dataclass(frozen=True)
class Gain:
    """How much lower the value of the models with the source is than that of others, over the learning curve."""

    over: str
    N: float
    """Infinite for the mean over sizes."""
    mean: float
    stderr: float
    low: float
    high: float
    seeds: int

    @property
    def detectable(self) -> float:
        """The gain that would be seen in nine of ten such studies."""
        return (self.high - self.low) / 2 + _NINE_OF_TEN * self.stderr


def gains(frame: pl.DataFrame, compared: Arms, level: float, seed: int) -> list[Gain]:
    """Gains of the source over each other arm, on the mean over sizes that have it and its rest, and at each size.

    The value of a model is its mean over all token counts, which lie evenly in their logarithm: the area under its
    learning curve, over those counts that the source has. Intervals of the mean over sizes hold each for itself, as
    they are read in a fixed order; those of single sizes hold all together.
    """
    read = [compared.with_source, compared.without, *compared.placebos, *compared.more]
    asked = frame.filter(read=compared.with_source).select("N", "D").unique()
    some = frame.filter(pl.col("read").is_in(read)).join(asked, on=["N", "D"], how="semi")
    area = some.group_by("N", "read", "seed", maintain_order=True).agg(
        pl.col("value").mean(), counts=pl.len()
    )
    area = area.filter(pl.col("counts") == pl.col("counts").max().over("N"))
    both = area.filter(pl.col("read").is_in(read[:2])).group_by("N", "seed").len().filter(pl.col("len") == 2)
    whole = both.group_by("N").len().filter(pl.col("len") > 1)  # sizes of which two seeds have both arms
    seeds, sizes = sorted(area["seed"].unique()), sorted(whole["N"])
    keys, rows = [], []
    for name in read if sizes else ():
        each = []
        for N in sizes:
            known = dict(area.filter(N=N, read=name).select("seed", "value").iter_rows())
            each.append(np.array([known.get(s, math.nan) for s in seeds]))
            keys.append((float(N), name))
        rows += each
        keys.append((math.inf, name))
        rows.append(np.mean(each, axis=0))
    place, values = {key: i for i, key in enumerate(keys)}, np.array(rows)
    pairs = [
        (place[N, name], place[N, compared.with_source])
        for N, name in keys
        if name != compared.with_source
        and np.isfinite(values[place[N, name]] - values[place[N, compared.with_source]]).sum() > 1
    ]
    if not pairs:
        return []
    groups = [-1.0 if math.isinf(N) else math.log(N) for N, _ in keys]
    tested = contrast(values, pairs, groups, seed=seed)
    of = [keys[i] for i, _ in pairs]
    together = tested.critical([i for i, (N, _) in enumerate(of) if not math.isinf(N)], level)
    made = []
    for i, (N, name) in enumerate(of):
        mean, error = float(tested.mean[i]), float(tested.stderr[i])
        half = error * (tested.critical([i], level) if math.isinf(N) else together)
        made.append(Gain(name, N, mean, error, mean - half, mean + half, int(tested.seeds[i])))
    return made


def twice(frame: pl.DataFrame, without: str) -> float:
    """What twice the tokens of the target gain, by the ends of the mean learning curve without the source."""
    means = frame.filter(read=without).group_by("D").agg(pl.col("value").mean()).sort("D")
    if len(means) < 2:
        return 0.0
    tokens, value = means["D"].to_numpy(), means["value"].to_numpy()
    return max(0.0, float(value[0] - value[-1]) / math.log2(tokens[-1] / tokens[0]))


def halfway(frame: pl.DataFrame, without: str) -> float:
    """The value between those with the fewest and with the most tokens of the target, of the arm without the source."""
    means = frame.filter(read=without).group_by("D").agg(pl.col("value").mean()).sort("D")["value"].to_numpy()
    return float(means[0] + means[-1]) / 2


def to_criterion(frame: pl.DataFrame, criterion: float) -> pl.DataFrame:
    """Tokens of the target at which each model's curve first comes to a value, linear in ln D between budgets.

    Returns:
        Columns N, seed, read, tokens, reached (false where it does not: tokens are then the most it was trained on).
    """
    rows = []
    for (N, seed, read), some in frame.group_by(["N", "seed", "read"], maintain_order=True):
        at = np.log(some.sort("D")["D"].to_numpy())
        value = np.minimum.accumulate(some.sort("D")["value"].to_numpy())
        reached = bool(value[-1] <= criterion)
        where = float(np.interp(-criterion, -value, at)) if reached else float(at[-1])
        rows.append((N, seed, read, math.exp(where), reached))
    return pl.DataFrame(rows, ["N", "seed", "read", "tokens", "reached"], orient="row")
