"""Plateau or power law: invented curves are told apart, at the error rates that the verdict states."""

import functools

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from scaling.errors import BadOption, MissingColumns
from scaling.fitting import fit
from scaling.fitting.data import BadPredictor, MixedConventions, NonFiniteLoss, TooFewScales
from scaling.fitting.predictive import stacking_weights
from scaling.laws import bnsl, chinchilla, compute_only
from scaling.questions import plateau
from scaling.questions._plateau import CONTINUES, FLAT, SLOWS, UNDECIDED
from scaling.questions._plateau.case import ALARMS, SEEDS
from scaling.questions._plateau.frontier import frontier
from scaling.questions._plateau.metrics import metrics, naive
from scaling.questions._plateau.rivals import Jury, Scored, measured, rivals
from scaling.questions._plateau.worlds import (
    NO_PLATEAU,
    PLATEAUS,
    Simulator,
    Truths,
    scattered,
    statistics,
    stopped,
)
from scaling.store import open_runs


def invented(curve, *, noise=0.004, points=24, seeds=3, decades=4.0, seed=0, floor=0.0):
    """Runs on one path from 1e17 FLOPs on, their noise relative to the loss above a floor."""
    generator = np.random.default_rng(seed)
    C = np.repeat(np.geomspace(1e17, 10 ** (17 + decades), points), seeds)
    loss = floor + (curve(C) - floor) * np.exp(noise * generator.normal(size=len(C)))
    return pl.DataFrame({"C": C, "loss": loss, "seed": np.tile(np.arange(seeds), points)})


def power(C):
    return 1.7 + 1.5 * (C / 1e17) ** -0.15


def hard(C, onset=1e20):
    return power(np.minimum(C, onset))


def ask(runs, worlds=100, **options):
    return plateau(runs, worlds=worlds, **options)


@functools.cache
def asked(curve):
    """The verdict on runs along a curve, with every option at rest."""
    return ask(invented(curve))


def court(runs):
    """Curve, jury and simulator of runs."""
    curve = frontier(runs)
    design = measured(curve)
    jury = Jury(rivals(curve, float(design.x[-1])), design)
    by = {says: tuple(form for form in jury.forms if form.says == says) for says in (CONTINUES, SLOWS)}
    return curve, jury, Simulator(jury, by[CONTINUES], by[SLOWS], design, curve.loss)


@pytest.mark.parametrize("seed", range(3))
def test_plateau_calls_no_power_law_with_a_floor_flat(seed):
    verdict = ask(invented(power, seed=seed), seed=seed)
    assert verdict.answer == CONTINUES and verdict.identifiable
    assert verdict.numbers["posterior odds of a plateau"].high < 1
    assert "onset of the plateau" not in verdict.numbers


@pytest.mark.parametrize("onset", [3e19, 1e20])
def test_plateau_recovers_the_onset(onset):
    """A hard stop seen for a decade and more; the 99 % interval holds it."""
    verdict = ask(invented(lambda C: hard(C, onset)), level=0.99)
    start = verdict.numbers["onset of the plateau"]
    assert verdict.answer == FLAT and start.low < onset < start.high < 2.5 * onset
    assert "Flat beyond C" in verdict.sentence and verdict.numbers["posterior odds of a plateau"].low > 1


def test_onset_intervals_hold_the_truth_as_often_as_they_say():
    """60 onsets, soft and hard stops, each world with a truth of its own: 80 % intervals, binomial bounds at 99.9 %.

    A slow approach has no such onset: the median is 0.15 decades past its beginning.
    """
    curve, jury, simulator = court(invented(power))
    generator, held = np.random.default_rng(0), 0
    judge = next(one for one in jury.scored(len(curve.loss)) if one.rival.says == FLAT)
    for k, onset in enumerate(np.geomspace(300, 2000, 60)):
        truths = Truths.draw(simulator.power, jury.design, curve.loss, 1, generator)
        losses = stopped(truths, PLATEAUS[k % 2], jury.design.x, onset, generator)
        loss = scattered(losses, jury.design, generator)[0]
        low, high = np.quantile(judge.draw(loss, 1000, generator)[2]["onset"], [0.1, 0.9])
        held += low < onset < high
    assert binom.ppf(0.001, 60, 0.8) <= held <= binom.ppf(0.999, 60, 0.8)


def test_plateau_tells_slower_from_flat():
    law = bnsl(1)

    def broken(C):
        return law(C / 1e17, E=0.0, A=3.0, c0=0.09, c1=-0.05, d1=30.0, f1=0.3)

    verdict = ask(invented(broken))
    assert verdict.answer == SLOWS and "smaller exponent" in verdict.sentence


def test_plateau_needs_the_entropy_to_tell_a_gradual_end_from_the_floor():
    """The same curve, which comes down to 2 nats: an end at an entropy of 2, a plateau above one of 1.5."""
    runs = invented(lambda C: 2.0 + 1.2 * (C / 1e17) ** -0.4, noise=0.01, floor=1.5)
    above = ask(runs, entropy=1.5)
    assert above.answer == FLAT and "above the entropy" in above.sentence
    at = invented(lambda C: 2.0 + 1.2 * (C / 1e17) ** -0.4, noise=0.01, floor=2.0)
    assert ask(at.with_columns(entropy=2.0)).answer == CONTINUES


def test_plateau_says_what_a_short_range_still_tells():
    verdict = ask(invented(lambda C: 3.0 * (C / 1e17) ** -0.05, decades=1.5))
    assert verdict.answer == UNDECIDED and not verdict.identifiable
    assert "1.5 decades" in verdict.sentence and "below 2" in verdict.sentence
    fall = verdict.numbers["fall of the loss per decade of compute"]
    assert fall.low < 100 * (1 - 10**-0.05) < fall.high
    assert "1.0 × 10¹⁹ FLOPs" in verdict.next_runs[0]
    command = f"scaling propose RUNS --question plateau --flops {SEEDS}e19 > study.toml"
    assert command in verdict.doubts and command in str(verdict)


def test_plateau_is_not_identifiable_where_noise_hides_one():
    verdict = ask(invented(power, noise=0.2, points=8, seeds=2))
    assert verdict.answer == UNDECIDED
    assert verdict.numbers["misses of a plateau over 2 decades"].value > 50


def test_plateau_with_one_seed_says_that_noise_is_not_known():
    one, several = ask(invented(power, seeds=1)), asked(power)
    assert "No run was repeated" in one.doubts and "three seeds" in one.doubts.lower()
    assert "No run was repeated" not in several.doubts


def test_plateau_states_the_rates_that_fresh_worlds_have():
    """500 fresh worlds of each kind, three of five kinds outside the rivals, against what thresholds and rates promise.

    A threshold that is the quantile of 500 draws has a rate with a standard error of 1 % by itself: bounds are those
    of the binomial at 99.9 %, twice the share asked for.
    """
    _, jury, simulator = court(invented(power))
    thresholds = simulator.thresholds(jury.design.x[-1] / 10, 500, np.random.default_rng(1), alarms=ALARMS)
    stated = simulator.rates(thresholds, [1.0], 500, np.random.default_rng(2))
    fresh = simulator.rates(thresholds, [1.0], 500, np.random.default_rng(3))
    assert fresh["name"].to_list() == [*NO_PLATEAU, *PLATEAUS]
    for before, now in zip(stated.iter_rows(named=True), fresh.iter_rows(named=True), strict=True):
        apart = abs(before["wrong"] - now["wrong"])
        middle = np.clip((before["wrong"] + now["wrong"]) / 2, 0.01, 0.99)
        assert apart < 3.5 * np.sqrt(2 * middle * (1 - middle) / now["worlds"])
    none = fresh.filter(pl.col("onset_decades").is_null())
    assert (none["wrong"] * none["worlds"] <= binom.ppf(0.999, 500, 2 * ALARMS)).all()
    assert none["wrong"].to_numpy().mean() <= ALARMS
    misses = fresh.filter(pl.col("onset_decades") == 1.0)["wrong"].to_numpy()
    assert misses.max() < 0.1


def same(one, other):
    """Whether two verdicts rest on the same tables."""
    return all(table.equals(other.evidence[name]) for name, table in one.evidence.items())


def test_plateau_is_invariant_to_row_order_and_repeats_by_seed():
    runs = invented(hard)
    first, shuffled = asked(hard), ask(runs.sample(fraction=1.0, shuffle=True, seed=4))
    assert str(first) == str(shuffled) and same(first, shuffled)
    assert first.data_hash == shuffled.data_hash
    other = ask(runs, seed=1)
    assert other.answer == first.answer and not same(other, first)


def test_scores_of_a_batch_match_those_of_each_world_alone():
    curve, jury, simulator = court(invented(power))
    generator = np.random.default_rng(0)
    truths = Truths.draw(simulator.power, jury.design, curve.loss, 20, generator)
    losses = scattered(stopped(truths, "hard stop", jury.design.x, 100.0, generator), jury.design, generator)
    together = np.array(statistics(jury, losses))
    alone = np.hstack([statistics(jury, losses[i : i + 1]) for i in range(20)])
    assert together == pytest.approx(alone, rel=1e-9)


def test_rivals_match_the_fitting_engine():
    """The least sum of squares over the grid, priors included, is a little above that of `fit`, which has none."""
    curve, jury, _ = court(invented(power))
    stderr = np.sqrt(np.diag(jury.design.covariance))
    fitted = fit(
        compute_only,
        {"C": curve.C, "loss": curve.loss, "loss_stderr": stderr},
        objective="gaussian",
        bootstrap=0,
    )
    rival = next(form for form in jury.forms if form.name == "power law towards a floor")
    judge = Scored.of(rival, jury.design, len(curve.loss))
    least = judge.squares(judge.whitened(curve.loss[None])).min()
    assert 2 * fitted.objective - 1e-6 < least < 2 * fitted.objective + 2.0
    _, E, bends = judge.draw(curve.loss, 4000, np.random.default_rng(0))
    assert E.mean() == pytest.approx(fitted.params["E"], abs=3 * E.std())
    assert bends["alpha"].mean() == pytest.approx(fitted.params["alpha"], abs=3 * bends["alpha"].std())


def test_stacking_recovers_the_rival_that_predicts():
    generator = np.random.default_rng(0)
    good, bad = generator.normal(size=50), generator.normal(size=50) - 3
    assert stacking_weights(np.stack([good, bad])) == pytest.approx([1, 0], abs=0.02)
    assert stacking_weights(np.stack([good, good])) == pytest.approx([0.5, 0.5])


def grid(noise=0.003, seeds=2, seed=0, shared=0.0):
    """Every size with every budget, two seeds, branches of one trunk per size and seed."""
    generator, rows = np.random.default_rng(seed), []
    for N in np.geomspace(1e6, 1e9, 10):
        for s in range(seeds):
            trunk = generator.normal()
            for D in np.geomspace(2e7, 2e10, 10):
                off = noise * (np.sqrt(shared) * trunk + np.sqrt(1 - shared) * generator.normal())
                loss = chinchilla(N, D, E=1.7, A=400, B=400, alpha=0.34, beta=0.28) * np.exp(off)
                rows.append((N, D, 6 * N * D, loss, s, f"{N:.0f}-{s}"))
    return pl.DataFrame(rows, schema=["N", "D", "C", "loss", "seed", "trunk_id"], orient="row")


def test_frontier_leaves_the_ends_of_a_grid_out():
    runs = grid()
    curve = frontier(runs)
    assert not curve.path and curve.cut > 0 and not curve.table["edge"].any()
    sizes, tried = curve.table["N"].to_numpy(), runs["N"].to_numpy()
    assert tried.min() < sizes.min() and sizes.max() < tried.max()
    assert curve.spread == pytest.approx(0.003, rel=0.2) and curve.freedom == 100
    narrow = frontier(runs.filter(pl.col("N") < 3e7))
    assert narrow.cut == 0 and narrow.table["edge"].sum() > 3


def test_frontier_recovers_the_noise_that_a_trunk_shares():
    curve = frontier(grid(seeds=6, shared=0.6))
    sizes = curve.table["N"].to_numpy()
    same = (sizes[:, None] == sizes) & ~np.eye(len(sizes), dtype=bool)
    scale = np.sqrt(np.diag(curve.covariance))
    shared = (curve.covariance / np.outer(scale, scale))[same]
    assert len(shared) and shared.mean() == pytest.approx(0.6, abs=0.15)


def test_plateau_says_nothing_of_a_bend_at_the_ends_of_a_grid():
    """The largest model sees ever more tokens: its loss bends, though the frontier of all models would not."""
    capped = grid(noise=0.001).filter(pl.col("N") < 3e7)
    verdict = ask(capped)
    assert verdict.answer == UNDECIDED and "the largest or smallest tried" in verdict.sentence
    assert verdict.reach is not None and verdict.reach.compute == pytest.approx(capped["C"].max())


def test_plateau_names_repeated_data_where_that_bends_the_curve():
    """One path whose text is used up half-way; the fresh tokens that repeats are worth explain the bend."""
    C = np.repeat(np.geomspace(1e15, 1e19, 20), 3)
    N, unique = np.sqrt(C / 120), 1e9
    D = 20 * N
    fresh = np.minimum(D, unique)
    worth = fresh + 5 * fresh * (1 - np.exp(-(D / fresh - 1) / 5))
    loss = 4.0 * (C / 1e15 * worth / D) ** -0.12
    loss *= np.exp(0.003 * np.random.default_rng(0).normal(size=len(C)))
    verdict = ask({"C": C, "N": N, "D": D, "unique_tokens": fresh, "loss": loss})
    assert verdict.answer == SLOWS and "runs out of fresh data does best" in verdict.doubts
    assert "cannot be tested" in asked(power).doubts


def test_metrics_disagree_about_one_curve():
    """Loss goes on at a steady pace, exact match leaps, the thresholded token stands still."""
    curve = frontier(invented(lambda C: 3.0 * (C / 1e17) ** -0.15))
    said = dict(metrics(curve).select("name", "says").iter_rows())
    assert said["loss"] == said["log-probability of 5 tokens"] == "goes on"
    assert said["exact match of 5 tokens"] == "leaps" and said["thresholded token"] == "looks flat"
    assert naive(1.0, 0.5) == "looks flat" and naive(0.0, 0.0) == "looks flat" and naive(1.0, 2.1) == "leaps"


def test_plateau_shows_every_table_of_its_evidence():
    verdict = asked(hard)
    evidence = verdict.evidence
    assert list(evidence) == ["points", "rivals", "curves", "worlds", "next_runs", "metrics"]
    assert evidence["rivals"]["stacking_weight"].sum() == pytest.approx(1)
    ahead = evidence["curves"].filter(C=pl.col("C").max()).sort("given")
    assert (ahead["low"] <= ahead["loss"]).all() and (ahead["loss"] <= ahead["high"]).all()
    of_flat = ahead.filter(name="saturating above the entropy")
    assert of_flat["loss"][-1] == pytest.approx(evidence["points"]["loss"][-1], rel=0.02), (
        "it rests where the runs did"
    )
    assert of_flat["given"].to_list() == [
        (evidence["points"]["C"] < 0.1 * evidence["points"]["C"].max()).sum(),
        len(evidence["points"]),
    ]
    further = evidence["next_runs"]
    assert further["factor"].to_list() == [3, 10, 30]
    as_is = evidence["worlds"].filter(pl.col("onset_decades") == 0.5)["wrong"].to_numpy()
    assert further["wrong"][0] <= as_is.max()
    assert "3.0 × 10²¹ FLOPs" in verdict.next_runs[0]


def test_plateau_names_what_it_cannot_use():
    runs = invented(power, seeds=1)
    with pytest.raises(NonFiniteLoss, match="finite loss above zero, but 1 of the runs"):
        ask(runs.with_columns(loss=pl.when(pl.col("C") > 9e20).then(float("nan")).otherwise("loss")))
    with pytest.raises(BadPredictor, match="column C must be finite and above zero"):
        ask(runs.with_columns(C=-pl.col("C")))
    with pytest.raises(MissingColumns, match="column C"):
        ask(runs.drop("C"))
    with pytest.raises(TooFewScales, match="needs 6 scales of C or more, but the runs have 5"):
        ask(runs.head(5))
    with pytest.raises(TooFewScales, match="needs 6 scales of C or more, but the runs have 2"):
        ask(invented(power, points=2, seeds=6))
    with pytest.raises(MixedConventions, match=r"entropy says '1.0' and '1.5'"):
        ask(runs.with_columns(entropy=pl.when(pl.col("C") > 1e19).then(1.0).otherwise(1.5)))
    with pytest.raises(BadOption, match=r"entropy=5.*below the lowest loss"):
        ask(runs, entropy=5)
    with pytest.raises(BadOption, match=r"worlds=10 .*100 or more"):
        ask(runs, worlds=10)
    with pytest.raises(BadOption, match="prior"):
        ask(runs, prior=(0.5, 0.2))
    with pytest.raises(BadOption, match="level=80"):
        ask(runs, level=80)


def test_plateau_matches_what_is_known_of_the_chinchilla_runs(published, monkeypatch):
    """Hoffmann et al. fit a power law towards a floor to runs from 6e18 to 3e21 FLOPs."""
    monkeypatch.setenv("SCALING_PUBLISHED", str(published))
    verdict = ask(open_runs("published:chinchilla"))
    assert verdict.answer == CONTINUES and "No run was repeated" in verdict.doubts
    rivals_ = verdict.evidence["rivals"].sort("stacking_weight")
    assert rivals_["name"][-1] == "power law towards a floor"


@pytest.mark.parametrize(("step", "says"), [(0.0, "the loss stands still"), (0.1, "the loss rises")])
def test_plateau_names_a_loss_that_never_fell(step, says):
    C = np.geomspace(1e17, 1e21, 12)
    verdict = plateau({"C": C, "loss": 2.0 + step * np.arange(12)}, worlds=100)
    assert not verdict.identifiable
    assert says in verdict.sentence and "a plateau is the end of a fall" in verdict.sentence
