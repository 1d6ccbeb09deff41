"""Generations of models as arms over paired seeds, and what their text is worth in real text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scaling.errors import QuestionError, require_columns
from scaling.questions.contrasts import contrast
from scaling.questions.exchange import Curve, Worth, worth
from scaling.questions.measured import read_values
from scaling.questions.seeds import student

Array = NDArray[np.float64]
ARMS = ("replace", "accumulate", "verified")
"""Which pages a generation reads, see `study.Trunk.generated`."""
REAL = "real"
_NINE_OF_TEN = 1.28
"""Standard errors that a difference must be beyond the interval's half width, to be seen in nine of ten studies."""
_LEAST = 0.01
"""Share of the real text below which pages are too few to be worth anything."""
_COLUMNS = ("run_id", "parent_run", "generation", "generated", "N", "D", "unique_tokens", "seed", "blend")


class NoGenerations(QuestionError):
    """A question about text by models, asked of runs that read none, or whose forebears are not there."""

    runs: int
    why: str

    def __str__(self) -> str:
        return (
            f"asked what text by models does to those that read it, but of these {self.runs} runs {self.why}. Train "
            "generations as in runs/synthetic/study.toml, two seeds or more, and open all of its runs."
        )


def generations(
    runs: pl.DataFrame, measurements: pl.DataFrame | None, measure: str, sign: float
) -> pl.DataFrame:
    """Every run of a study of generations with its arm.

    Returns:
        Columns N, seed, arm ("real" for runs that read no pages of models), generation, unique (distinct tokens that
        it read), base (those of the real text that its line began with; of real text its own), value (lower is better).

    Raises:
        MissingColumns: a column is not there.
        NoValues: `measure` was not measured.
        NoGenerations: no run reads pages of models, or not the runs that their lines began with.
    """
    require_columns(_COLUMNS, runs.columns, "Open a study of generations, e.g. open_runs('runs/synthetic').")
    values = read_values(runs, measurements, measure)
    about = {row["run_id"]: row for row in runs.select(_COLUMNS).iter_rows(named=True)}
    domains = {domain for _, domain in values}

    def first(run_id: str) -> str:
        row = about.get(run_id)
        if row is None:
            raise NoGenerations(len(runs), f"{run_id} is not there, from which another goes on")
        return first(row["parent_run"]) if row["generation"] else run_id

    rows = []
    for run_id, row in about.items():
        read = [d for d in domains if f'"{d}"' in row["blend"] and (run_id, d) in values]
        if len(read) != 1:
            continue
        begun = about[first(run_id)]
        arm, number = row["generated"] or REAL, row["generation"] or 0
        value = sign * values[run_id, read[0]]
        rows.append((row["N"], row["seed"], arm, number, row["unique_tokens"], begun["unique_tokens"], value))
    header = ["N", "seed", "arm", "generation", "unique", "base", "value"]
    frame = pl.DataFrame(rows, header, orient="row")
    if frame.filter(pl.col("generation") > 0).is_empty():
        raise NoGenerations(len(runs), "none reads pages of models")
    begun = frame.filter(pl.col("generation") > 0)["base"].unique()
    if len(begun) > 1:
        raise NoGenerations(
            len(runs), f"lines begin with {len(begun)} amounts of real text, and one is wanted"
        )
    return frame.sort("N", "arm", "generation", "unique", "seed")


def base_of(frame: pl.DataFrame) -> float:
    """Distinct tokens of the real text that every line began with."""
    return float(frame.filter(pl.col("generation") > 0)["base"].to_numpy()[0])


@dataclass(frozen=True, eq=False)
class Gain:
    """How much lower the value of an arm is than that of another, over paired seeds."""

    arm: str
    generation: int
    N: float
    """Infinite for the mean over sizes."""
    mean: float
    stderr: float
    half: float
    """Of an interval for all of its family at once."""
    seeds: int

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def gains(frame: pl.DataFrame, level: float, seed: int) -> tuple[list[Gain], list[Gain], Gain | None, float]:
    """What each generation of each arm gains over real text alone.

    Returns:
        Those of the mean over sizes, those of each size, what the verifier adds at the last generation (None without
        it), and the gain that would be seen in nine of ten studies, of the mean over sizes at the last generation.
        Intervals hold for all last generations together, and for all sizes and generations together.
    """
    base = base_of(frame)
    lines = frame.filter((pl.col("generation") > 0) | (pl.col("unique") == base))
    seeds = sorted(lines["seed"].unique())
    keys: list[tuple[float, str, int]] = []
    rows: list[Array] = []
    for (N, arm, number), some in lines.group_by(["N", "arm", "generation"], maintain_order=True):
        keys.append((float(N), str(arm), int(number)))  # type: ignore[arg-type]
        known = dict(some.select("seed", "value").iter_rows())
        rows.append(np.array([known.get(s, math.nan) for s in seeds]))
    sizes = sorted({N for N, _, _ in keys})
    for arm, number in dict.fromkeys((arm, number) for _, arm, number in keys):
        each = [row for key, row in zip(keys, rows, strict=True) if key[1:] == (arm, number)]
        if len(each) == len(sizes):  # a mean over the very same sizes
            keys.append((math.inf, arm, number))
            rows.append(np.mean(each, axis=0))
    place, values = {key: i for i, key in enumerate(keys)}, np.array(rows)
    pairs = [
        (place[N, REAL, 0], i)
        for (N, arm, _), i in place.items()
        if arm != REAL
        and (N, REAL, 0) in place
        and np.isfinite(values[place[N, REAL, 0]] - values[i]).sum() > 1
    ]
    last = max(number for _, _, number in keys)
    verifier = [(math.inf, arm, last) for arm in ("accumulate", "verified")]
    judged = len(pairs)
    if set(verifier) <= place.keys() and np.isfinite(values[[place[k] for k in verifier]].sum(0)).sum() > 1:
        pairs.append((place[verifier[0]], place[verifier[1]]))
    if not judged:
        return [], [], None, math.nan
    groups = [-1.0 if math.isinf(N) else math.log(N) for N, _, _ in keys]
    tested = contrast(values, pairs, groups, seed=seed)
    of = [keys[i] for _, i in pairs]
    ends = [i for i, (N, _, number) in enumerate(of) if math.isinf(N) and number == last]
    each = [i for i, (N, _, _) in enumerate(of) if math.isfinite(N)]
    critical = {True: tested.critical(ends, level), False: tested.critical(each, level)}
    made = [
        Gain(
            arm, number, N, float(tested.mean[i]), float(tested.stderr[i]),
            float(tested.stderr[i] * critical[math.isinf(N)]), int(tested.seeds[i]),
        )
        for i, (N, arm, number) in enumerate(of)
    ]  # fmt: skip
    detectable = max((made[i].half + _NINE_OF_TEN * made[i].stderr for i in ends), default=math.nan)
    made, added = made[:judged], made[judged:]
    pooled = [one for one in made if math.isinf(one.N)]
    return pooled, [one for one in made if math.isfinite(one.N)], added[0] if added else None, detectable


@dataclass(frozen=True)
class Value:
    """What the text of an arm's last generation is worth at one size, or on the mean over sizes."""

    arm: str
    N: float
    worth: tuple[float, float, float]
    """Real tokens that a token by a model is worth, and its interval."""
    factor: tuple[float, float, float]
    """Real text that does as well, over the real text that there was."""
    log_stderr: float
    """Of the logarithm of the factor."""
    beyond: int
    """1 where it is better than the most real text that was tried, so that all is a lower bound; -1 an upper one."""


def values(frame: pl.DataFrame, level: float, seed: int) -> list[Value]:
    """The worth of each arm's text at its last generation, at every size whose curve has three amounts of real text.

        worth = (U(L) - kept) / added        factor = U(L) / base

    U(L) is the amount of real text at which as long a training comes to the arm's loss L, kept the real text that the
    arm still reads (none where pages replace it), and added the text by models. The mean over sizes comes last.
    """
    last = int(frame["generation"].to_numpy().max())
    made: list[Value] = []
    pooled: dict[str, list[tuple[Worth, float, float, float]]] = {}
    for (N,), some in frame.group_by(["N"], maintain_order=True):
        real = some.filter(arm=REAL)
        curve = Curve.of(real.select("seed", "value", tokens=pl.col("unique").cast(pl.Float64)), seed=seed)
        if curve is None:
            continue
        for (arm,), ends in some.filter(generation=last).group_by(["arm"], maintain_order=True):
            base = float(ends["base"].to_numpy()[0])
            own = real.filter(pl.col("unique") == base).select("seed", alone="value")
            both = ends.join(own, on="seed")
            if len(both) < 2:
                continue
            alone, gain = both["alone"].to_numpy(), (both["alone"] - both["value"]).to_numpy()
            kept = 0.0 if arm == "replace" else base
            added = float(both["unique"].to_numpy().astype(float).mean()) - kept
            if added < _LEAST * base:
                continue
            as_good = worth(curve, 0.0, alone, gain, 1.0)
            made.append(_value(str(arm), float(N), [(as_good, kept, added, base)], level))  # type: ignore[arg-type]
            pooled.setdefault(str(arm), []).append((as_good, kept, added, base))
    made += [_value(arm, math.inf, each, level) for arm, each in pooled.items()]
    return made


def _value(arm: str, N: float, each: Sequence[tuple[Worth, float, float, float]], level: float) -> Value:
    """From U(L) at each size, the real text that is kept and what is added; means are of ln U, which is above 0."""
    few = min(len(one.seeds) for one, *_ in each)
    seeds = np.mean([np.log(w.seeds[:few] / base) for w, _, _, base in each], axis=0)
    drawn = np.mean([np.log(w.draws / base) for w, _, _, base in each], axis=0)
    error = math.sqrt(seeds.var(ddof=1) / few + drawn.var())
    half, mean = student(level, few) * error, float(seeds.mean())
    kept, added, base = np.mean([[kept, added, base] for _, kept, added, base in each], axis=0).tolist()
    mid, low, high = (math.exp(end) for end in (mean, mean - half, mean + half))
    signs = [w.beyond for w, *_ in each]
    return Value(
        arm=arm,
        N=N,
        worth=((mid * base - kept) / added, (low * base - kept) / added, (high * base - kept) / added),
        factor=(mid, low, high),
        log_stderr=error,
        beyond=max(signs) if max(signs) > 0 else min(signs),
    )
