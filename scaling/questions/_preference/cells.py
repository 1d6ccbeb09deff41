"""What every model of a study of preferences won over its parent, domain by domain."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from scaling.errors import QuestionError

ALL, SHUFFLED = "all domains", "shuffled labels"
GOLD = "gold"
"""The mean over all ways in which an answer may be good."""
PAIRS = " pairs"
"""Behind a domain's name: the domain of its preferences."""
_CELL = {"arm": pl.String, "N": pl.Int64, "seed": pl.Int64, "comparisons": pl.Int64, "domain": pl.String}
_CHOICES = (
    _CELL
    | {"way": pl.String}
    | dict.fromkeys(("n", "distance", "gold", "stderr", "gain", "base_stderr"), pl.Float64)
)
_POLICIES = _CELL | dict.fromkeys(("distance", "gold", "stderr", "gain", "base_stderr"), pl.Float64)
_RANKED = _CELL | dict.fromkeys(("accuracy", "stderr"), pl.Float64)


class NoPreferences(QuestionError):
    """A study of preferences that lacks what its answer is made of."""

    arm: str
    there: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked whether preferences carry over, but no reward model is of the arm {self.arm!r}; there are "
            f"{', '.join(map(repr, self.there)) or 'none'}. Train it as in runs/preference/study.toml, and keep the "
            "probe helpful."
        )


def distance_of(n: float) -> float:
    """√KL of the best of n from what it is chosen among, √nat.

        KL = ln n − (n − 1) / n

    Source:
        Stiennon et al. 2020, arXiv:2009.01325, appendix G.3.
    """
    return max(math.log(n) - (n - 1) / n, 0.0) ** 0.5


def best_n(distance: float) -> float:
    """The n whose best lies at a distance; infinite where that is beyond a million."""
    n = np.geomspace(1, 1e6, 4001)
    apart = np.sqrt(np.maximum(np.log(n) - (n - 1) / n, 0.0))
    return float(np.interp(distance, apart, n, right=np.inf)) if distance > 0 else 1.0


def without(domains: Sequence[str]) -> str:
    """The name of the arm that lacks the preferences of some domains."""
    return f"without {' and '.join(sorted(domains))}"


def tables(runs: pl.DataFrame, measured: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Three tables, a row for each model and domain: best of n by reward models, policies, and pairs ranked right.

    Args:
        runs: of all stages, as from `open_runs`.
        measured: as from `open_measurements`, the probes "helpful", "divergence" and "preferred" among them.

    Returns:
        All have columns arm, N, seed, comparisons (trained on) and domain. Choices have n, distance (√KL, √nat), gold
        and its stderr, gain over the parent, base_stderr, and the way in which answers are good that this is of, or
        "gold"; policies the same but way and n; ranked accuracy and its stderr.
    """
    value: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
    for run, probe, group, *point in measured.select(
        "run_id", "probe", "group", "value", "stderr"
    ).iter_rows():
        value.setdefault(run, {})[probe, group] = (point[0], point[1])
    base = runs.filter(pl.col("stage") == "pretrain")
    domains = sorted({domain for blend in base["blend"] for domain in json.loads(blend)})
    choices, policies, ranked = [], [], []
    for run in runs.filter(pl.col("stage").is_in(["reward", "prefer"])).iter_rows(named=True):
        mine = value.get(run["run_id"], {})
        parent = value.get(run["parent_run"], {})
        comparisons = run["D"] // run["context"]
        key = (_arm(json.loads(run["blend"]), domains), run["N"], run["seed"], comparisons)
        for domain in domains:
            if at := mine.get(("preferred", domain + PAIRS)):
                ranked += [(*key, domain, *at)] if run["stage"] == "reward" else []
            if run["stage"] == "reward":
                choices += [(*key, domain, *row) for row in _chosen(mine, domain)]
            elif (gold := mine.get(("helpful", domain))) and (was := parent.get(("helpful", domain))):
                moved = max(mine.get(("divergence", domain), (math.nan, 0.0))[0], 0.0) ** 0.5
                policies.append((*key, domain, moved, *gold, gold[0] - was[0], was[1]))
    one, two, three = (
        pl.DataFrame(rows, schema=schema, orient="row").sort("N", "arm", "comparisons", "domain", "seed")
        for rows, schema in ((choices, _CHOICES), (policies, _POLICIES), (ranked, _RANKED))
    )
    return one, two, three


def _arm(blend: Mapping[str, float], domains: Sequence[str]) -> str:
    """By whose preferences it has seen."""
    seen = {name.removesuffix(PAIRS) for name in blend} & set(domains)
    if not seen:
        return SHUFFLED
    left_out = set(domains) - seen
    return without([*left_out]) if left_out else ALL


def _chosen(
    mine: Mapping[tuple[str, str], tuple[float, float]], domain: str
) -> list[tuple[str | float, ...]]:
    """Way, n, distance, gold, stderr, gain and base_stderr of every n."""
    form = re.compile(rf"{re.escape(domain)}(?: (\w+))? best of (\d+)")
    worth = {
        (said[1] or GOLD, int(said[2])): at
        for (probe, group), at in mine.items()
        if probe == "helpful" and (said := form.fullmatch(group))
    }
    return [
        (way, n, distance_of(n), *at, at[0] - worth[way, 1][0], worth[way, 1][1])
        for (way, n), at in sorted(worth.items())
        if (way, 1) in worth
    ]


def of_seeds(frame: pl.DataFrame, domains: Sequence[str]) -> pl.DataFrame:
    """Gain of every seed, the mean over some domains, with standard errors of what the checker was asked."""
    some = frame.filter(pl.col("domain").is_in(list(domains)))
    keys = [name for name in ("arm", "N", "comparisons", "n", "seed") if name in frame.columns]
    root = pl.col("stderr").pow(2).sum().sqrt() / pl.len()
    of_base = pl.col("base_stderr").pow(2).sum().sqrt() / pl.len()
    whole = some.group_by(keys).agg(
        pl.col("gain", "gold", "distance").mean(), stderr=root, base_stderr=of_base, domains=pl.len()
    )
    return whole.filter(pl.col("domains") == len(domains)).sort(keys)
