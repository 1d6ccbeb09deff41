"""How much of what preferences win in a domain comes without any of its own, and where their proxy is used up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from scipy.special import stdtr

from scaling.fitting import Fit, fit
from scaling.laws import best_of_n_gain, policy_gain
from scaling.questions._preference.cells import ALL, SHUFFLED, best_n, of_seeds
from scaling.questions.seeds import mean_over_seeds, ratio_interval, student
from scaling.show import tails


def ratios(frame: pl.DataFrame, arm: str, domains: Sequence[str], level: float) -> pl.DataFrame:
    """Gain without the preferences of some domains over the gain with them, in these domains, at every size and budget.

        T = (without − base) / (with − base)

    1 where the preferences of other domains win as much, 0 where they win nothing; not a number where the preferences
    of all domains do not beat the base by two standard errors. Beside it, the gain of labels at random, and p, how
    likely a gain over both nothing and those labels would be by chance, by Student's t over seeds, one-sided.

    Args:
        frame: choices of one n, or policies.
        arm: the one without.
        domains: those left out.
        level: of Fieller's interval.
    """
    gains, table = of_seeds(frame, domains), []
    for (N, comparisons), some in gains.group_by("N", "comparisons", maintain_order=True):
        parts = {name: some.filter(arm=name).sort("seed") for name in (arm, ALL, SHUFFLED)}
        seeds = [*set(parts[arm]["seed"]) & set(parts[ALL]["seed"])]
        if len(seeds) < 2:
            continue
        pair = [parts[name].filter(pl.col("seed").is_in(seeds)) for name in (arm, ALL)]
        both = np.stack([part["gain"].to_numpy() for part in pair])
        errors = np.stack([pair[0]["base_stderr"], *(part["stderr"] for part in pair)])
        ceiling, ceiling_error, local, low, high = ratio_interval(both, errors, level)
        random = parts[SHUFFLED].filter(pl.col("seed").is_in(seeds))
        beside = random["gain"].to_numpy() if len(random) == len(seeds) else np.zeros(len(seeds))
        p = max(_by_chance(both[0]), _by_chance(both[0] - beside))
        shuffled = float(random["gain"].mean()) if len(random) else float("nan")  # pyright: ignore[reportArgumentType]
        gained = (float(both[0].mean()), ceiling, ceiling_error, shuffled, p)
        table.append((N, comparisons, len(seeds), *gained, 1 - local, 1 - high, 1 - low))
    won = ["without", "with", "stderr", "shuffled", "p"]
    header = ["N", "comparisons", "seeds", *won, "ratio", "low", "high"]
    return pl.DataFrame(table, schema=header, orient="row").sort("N", "comparisons")


def _by_chance(gains: np.ndarray) -> float:
    """One-sided probability of a mean gain as large, where there is none."""
    error = gains.std(ddof=1) / len(gains) ** 0.5
    if error == 0:
        return 0.0 if gains.mean() > 0 else 1.0
    return float(1 - stdtr(len(gains) - 1, gains.mean() / error))


def curves(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    """Mean gold and gain over seeds with Student's interval, by arm, size, comparisons, domain and n."""
    keys = [name for name in ("arm", "N", "comparisons", "domain", "n") if name in frame.columns]
    table = []
    for key, some in frame.group_by(keys, maintain_order=True):
        mean, error = mean_over_seeds(some["gold"].to_numpy(), some["stderr"].to_numpy())
        reach = student(level, len(some)) * error
        gain, apart = float(some["gain"].to_numpy().mean()), float(some["distance"].to_numpy().mean())
        table.append((*key, len(some), apart, mean, mean - reach, mean + reach, gain))
    header = [*keys, "seeds", "distance", "gold", "low", "high", "gain"]
    return pl.DataFrame(table, schema=header, orient="row")


def fits(frame: pl.DataFrame, *, level: float, bootstrap: int, seed: int) -> pl.DataFrame:
    """Both laws of over-optimisation fitted to the gains of every arm, size, number of comparisons and domain.

        best of n: d (α − β d)        policy: d (α − β ln d)

    `miss` is the root mean square of what a law leaves of the means over seeds. Over-optimisation begins at `peak`, the
    distance at which the law is largest, which is at `best_n` answers; infinite where β is not above zero. Intervals
    of β are over seeds, as `fit` draws few clusters.
    """
    chosen = "n" in frame.columns
    keys, table = ["arm", "N", "domain"] + (["comparisons"] if chosen else []), []
    for key, some in frame.filter(pl.col("distance") > 0).group_by(keys, maintain_order=True):
        points = {
            "sqrt_kl": some["distance"].to_numpy(), "gain": some["gain"].to_numpy(), "seed": some["seed"].to_numpy(),
        }  # fmt: skip
        if len(np.unique(points["sqrt_kl"])) < 3:
            continue
        law, other = (best_of_n_gain, policy_gain) if chosen else (policy_gain, best_of_n_gain)
        fitted, rival = (_fitted(one, points, bootstrap if one is law else 0, seed) for one in (law, other))
        alpha, beta = fitted.params["alpha"], fitted.params["beta"]
        drawn = fitted.draws["beta"]
        low, high = np.quantile(drawn, tails(level)[::2]) if bootstrap else (np.nan, np.nan)
        apart = peak(law, alpha, beta)
        misses = [_miss(one, points) for one in (fitted, rival)]
        table.append((*key, alpha, beta, low, high, apart, best_n(apart) if chosen else np.nan, *misses))
    schema = [*keys, "alpha", "beta", "low", "high", "peak", "best_n", "miss", "miss_of_other_law"]
    return pl.DataFrame(table, schema=schema, orient="row")


def _fitted(law: Callable[..., object], points: dict[str, np.ndarray], bootstrap: int, seed: int) -> Fit:
    return fit(
        law,
        points,
        objective="squares",
        target="gain",
        cluster="seed",
        bootstrap=bootstrap,
        resample="pairs",
        seed=seed,
    )


def _miss(fitted: Fit, points: dict[str, np.ndarray]) -> float:
    distances = np.unique(points["sqrt_kl"])
    means = np.array([points["gain"][points["sqrt_kl"] == d].mean() for d in distances])
    return float(np.sqrt(np.mean((means - fitted.predict(sqrt_kl=distances).median) ** 2)))


def peak(law: Callable[..., object], alpha: float, beta: float) -> float:
    """The distance at which a law of `fits` is largest; infinite where it goes on rising, 0 where it only falls."""
    if law is best_of_n_gain:
        return max(alpha, 0.0) / (2 * beta) if beta > 0 else np.inf
    return float(np.exp(min(alpha / beta - 1, 50.0))) if beta > 0 else np.inf
