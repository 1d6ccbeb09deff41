"""Which runs next: the update of draws, the batch it finds, the study it writes, and what is refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import scaling
from scaling.__main__ import cli
from scaling.design.asked import NoLawFits, NoSuchParameter, UnknownQuestion
from scaling.design.candidates import BudgetTooSmall
from scaling.design.information import Belief, Estimated, Local, Units, best_batch, lack_of_fit, sums_of
from scaling.design.shares import InNoDoubt
from scaling.design.slopes import NoReadings
from scaling.errors import BadOption
from scaling.fitting.identifiability import TooFewRuns
from scaling.laws import chinchilla, kaplan
from scaling.study import read_study
from scaling.sweeps.cost import tokens_to_train
from scaling.sweeps.job import StackSpec

TRUTH = {"E": 1.8, "A": 0.6 * 1e5**0.34, "B": 0.6 * 1e7**0.3, "alpha": 0.34, "beta": 0.3}


@pytest.fixture(scope="module")
def runs():
    """Four sizes by four budgets, two trunks each, whose branches share half of their noise."""
    rng, rows = np.random.default_rng(0), []
    for trunk, N in enumerate(np.repeat([24_576, 55_296, 98_304, 221_184], 2)):
        shared = 0.004 * rng.normal()
        for D in 2**20 * 2 ** np.arange(4):
            loss = float(chinchilla(float(N), float(D), **TRUTH)) * np.exp(shared + 0.004 * rng.normal())
            rows.append((str(trunk), trunk % 2, float(N), float(D), 6.0 * N * D, loss, float(D), 100.0))
    schema = ["trunk_id", "seed", "N", "D", "C", "loss", "unique_tokens", "seconds"]
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.fixture(scope="module")
def proposal(runs):
    return scaling.propose(runs, question="exponent", flops=3e13, bootstrap=100)


def test_a_belief_matches_the_linear_normal_model():
    """y = a + b x with known noise: what runs leave of var(b) is the inverse of the sum of precisions, in any order."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(200_000, 2)) * [1.0, 0.5]
    x = np.array([0.0, 1.0, 2.0, 3.0])
    belief = Belief.of(draws[:, 1:], draws[:, :1] + draws[:, 1:] * x)
    units = Units(
        np.array([[0, 3], [1, 2], [2, -1]]), np.full(4, 0.3), np.full(4, 0.2), np.ones(3), np.arange(3)
    )
    noise = 0.3 * np.eye(2) + 0.2
    design = np.stack([np.ones(2), x[[0, 3]]], axis=1)
    precision = np.diag([1.0, 4.0]) + design.T @ np.linalg.solve(noise, design)
    precision += np.outer([1.0, 2.0], [1.0, 2.0]) / 0.5
    left = belief.after_all(units, [0, 2])
    assert left.variance[0] == pytest.approx(
        np.linalg.inv(precision)[1, 1], rel=0.05
    )  # ends of draws are cut off
    assert belief.after_all(units, [2, 0]).variance == pytest.approx(left.variance)
    assert left.after(units, 0, taken_out=True).variance == pytest.approx(belief.after(units, 2).variance)
    told = belief.told(units, np.arange(3))[:, 0]
    each = [belief.variance[0] - belief.after(units, i).variance[0] for i in range(3)]
    assert told == pytest.approx(each)


X = np.linspace(-1, 1, 9)


def line(bend, own=0.01):
    """A straight line fitted to runs of a curve with so much of x² in it, to be known where x runs from -1 to 1."""
    J = np.stack([np.ones(9), X], axis=1)
    d = bend * (np.eye(9) - J @ np.linalg.pinv(J)) @ X[:, None] ** 2
    law = Local(J, d, np.array([[0.0, 1.0]]), np.zeros((1, 1)))
    units = Units(np.arange(9)[:, None], np.full(9, own), np.zeros(9), np.ones(9), np.arange(9))
    sums = sums_of(law, units)[[3, 4]].sum(axis=0)
    return law, units, Estimated(law, sums, (sums, sums)), d[:, 0]


def test_an_estimate_matches_least_squares_on_simulated_runs():
    """Of all trunks: noise and bias of the slope; trunk by trunk what it tells of the mean over both halves."""
    _, units, belief, d = line(0.3)
    after = belief.after(units, 6).after(units, 8).after(units, 8)
    x, miss = X[[3, 4, 6, 8, 8]], d[[3, 4, 6, 8, 8]]
    noise = 0.1 * np.random.default_rng(0).normal(size=(20_000, 5))
    slopes = np.polynomial.polynomial.polyfit(x, (miss + noise).T, 1)[1]
    assert np.exp(after.doubt) == pytest.approx((slopes**2).mean(), rel=0.03)
    assert after.bias == pytest.approx(1 - slopes.var() / (slopes**2).mean(), abs=0.01)
    told = after.told(units, np.arange(9))[:, 0]
    assert told == pytest.approx([(after.variance - after.after(units, i).variance)[0] for i in range(9)])
    assert after.after(units, 0).after(units, 0, taken_out=True).variance == pytest.approx(after.variance)


def test_the_error_of_a_surface_matches_least_squares_on_simulated_runs():
    """The mean over all places of what the fitted line misses of the curve, by fewer targets than there are places."""
    law, units, belief, d = line(0.3)
    surface = replace(law, targets=law.slopes, missed=law.misses).mean
    assert len(surface.targets) == 3
    x, y = X[[3, 4, 6, 8, 8]], d[[3, 4, 6, 8, 8]]
    noise = 0.1 * np.random.default_rng(0).normal(size=(20_000, 5))
    lines = np.polynomial.polynomial.polyfit(x, (y + noise).T, 1)
    missed = np.polynomial.polynomial.polyval(X, lines) - d
    after = replace(belief, law=surface).after_all(units, [6, 8, 8])
    assert np.exp(after.doubt) == pytest.approx((missed**2).mean(), rel=0.03)


def test_runs_for_a_surface_spread_where_runs_for_a_slope_lie_at_its_ends():
    """A fit to runs at both ends knows the slope best; to know all losses of a bent curve it needs its middle too."""
    law, units, belief, _ = line(1.0, own=0.1)
    nothing = replace(belief, sums=0.02 * belief.sums, halves=(0.02 * belief.sums,) * 2)
    surface = replace(law, targets=law.slopes, missed=law.misses).mean
    ends, spread = (best_batch(replace(nothing, law=one), units, 12.0) for one in (law, surface))
    assert np.abs(X[list(spread.chosen)]).mean() < np.abs(X[list(ends.chosen)]).mean()
    there, known = (replace(nothing, law=surface).after_all(units, b.chosen).doubt for b in (ends, spread))
    assert known < there


def test_a_batch_is_balanced_where_another_law_would_mislead_it():
    """The slope is told as well by either end of the line, but of a bent curve by one end alone it is misled."""
    (_, units, straight, _), (_, _, bent, _) = map(line, (0.0, 1.0))
    one_end = bent.after_all(units, [8] * 8)
    assert straight.after_all(units, [8] * 8).doubt < bent.doubt - 2 < one_end.doubt
    batch = best_batch(bent, units, 8.0)
    x = X[list(batch.chosen)]
    assert batch.belief.doubt < straight.after_all(units, [8] * 8).doubt
    assert x.min() < 0 < x.max() and abs(x.mean()) < 0.3


def test_the_batch_beats_every_batch_of_its_size_that_is_drawn_at_random(proposal):
    rng = np.random.default_rng(1)
    x = np.linspace(-1, 1, 9)
    draws = rng.normal(size=(2000, 3))
    losses = draws[:, :1] + draws[:, 1:2] * x + draws[:, 2:] * x**2
    belief = Belief.of(draws[:, 1:2], losses, lack_of_fit(x[:, None], 0.01))
    units = Units(np.arange(9)[:, None], np.full(9, 0.1), np.zeros(9), 1.0 + np.arange(9.0), np.arange(9), 3)
    best = best_batch(belief, units, 20.0)
    assert best.flops <= 20
    for _ in range(200):
        chosen, spent = [], 0.0
        for unit in rng.permutation(np.repeat(np.arange(9), 3)):
            if spent + units.flops[unit] <= 20:
                chosen, spent = [*chosen, int(unit)], spent + units.flops[unit]
        assert belief.after_all(units, chosen).doubt > best.belief.doubt - 0.02


def test_a_proposal_is_a_study_that_sweep_takes(proposal, tmp_path):
    """What it says it takes is what the plan of a sweep counts, and no seed is one that was trained."""
    study = read_study(proposal.write(tmp_path / "study.toml"))
    trunks = study.trunks
    assert sum(StackSpec((t,), "x").flops for t in trunks) == pytest.approx(proposal.flops)
    assert proposal.flops <= proposal.budget == 3e13
    assert len(trunks) == sum(len(lot.seeds) for lot in proposal.lots) == len(set(trunks))
    assert min(t.seed for t in trunks) == 2
    assert len({(t.model.width, t.seed) for t in trunks}) == len(trunks)
    for lot in proposal.lots:  # a lot trains as a stack
        alike = [t for t in trunks if (t.model.width, t.schedule.budgets) == (lot.width, lot.budgets)]
        assert len({t.stack_key for t in alike}) == 1
        assert len({tokens_to_train(t) for t in alike}) == 1


def test_a_proposal_says_what_it_leaves_and_when_to_stop(proposal):
    left = proposal.path["left"].to_list()
    assert all(later <= earlier + 0.02 for earlier, later in pairwise(left))
    assert 0 < left[-1] < left[0] <= 1
    assert proposal.stop == (1 - left[-1] / left[2] < 0.2)
    assert proposal.flops_for(1.0) <= proposal.flops_for(0.7) <= proposal.flops_for(0.01) == np.inf
    text = str(proposal)
    assert "alpha, beta of chinchilla" in text
    assert "rests  on the law that is named, beside power_mean with" in text
    assert proposal.flops > 0.9 * proposal.budget and "unspent" not in text
    assert "the next decade of FLOPs would shrink it by" in text
    assert "<table" in proposal._repr_html_()
    assert scaling.plot(proposal).to_dict()


def test_hours_are_a_budget_at_the_speed_of_the_runs(runs):
    """Refused here, as a budget below the cheapest run, before anything is fitted."""
    with pytest.raises(BudgetTooSmall) as refused:
        scaling.propose(runs, question="exponent", hours=1e-6)
    median = float((runs["C"] / runs["seconds"]).median())
    assert refused.value.flops == pytest.approx(3600e-6 * median)


@pytest.mark.parametrize(
    ("question", "options"),
    [("forecast", {"C": 1e14}), ("surface", {}), ("law", {}), ("plateau", {}), ("repetition", {})],
)
def test_every_question_has_runs(runs, question, options):
    """In runs with text seen up to eight times; a forecast is known better after its runs, a law by some nats."""
    repeated = runs.filter(pl.col("D") > 2**21).with_columns(
        unique_tokens=pl.lit(2.0**20), loss=pl.col("loss") * 1.02, trunk_id=pl.col("trunk_id") + "r"
    )
    both = pl.concat([runs, repeated]) if question == "repetition" else runs
    ends = {"sizes": (2e4, 4e5), "tokens": (2**20, 2**24)}
    made = scaling.propose(both, question=question, flops=1e13, bootstrap=100, **ends, **options)
    assert made.lots
    assert 0 < made.left < 1
    if question in ("law", "plateau"):
        assert made.path["nats"].to_list()[-1] > made.path["nats"].to_list()[0] > 0
        assert "expected log Bayes factor" in str(made)
    if question == "surface":
        assert "the losses of" in str(made) and "known as well as the median" in str(made)
    if question == "repetition":
        assert any(lot.unique_budget for lot in made.lots)


def test_a_transfer_slope_is_asked_of_the_arms_of_its_study(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for width in (16, 32, 64):
        N = 24 * width**2
        for seed in range(4):
            gain = 0.02 + 0.01 * np.log10(N) + 0.004 * rng.normal()
            common = (N, seed, float(rng.normal()))
            rows.append((*common[:2], 2**18, 1.0, 0.0, 2.0))
            rows.append((*common[:2], 2**19, 0.5, 0.5, 2.0 * np.exp(-gain)))
    schema = ["N", "seed", "D", "w_prose", "w_code", "loss_prose"]
    table = pl.DataFrame(rows, schema=schema, orient="row").with_columns(loss=pl.col("loss_prose"))
    folder = tmp_path / "arms"
    folder.mkdir()
    (folder / "study.toml").write_text(
        '[corpus]\nsource = "installed"\npackages = ["numpy"]\n[defaults]\nwidth = [16, 32, 64]\nseed = [0, 1, 2, 3]\n'
        'depth = 2\n[[grid]]\nblend = { prose = 1.0 }\nbudgets = ["256Ki"]\n'
        '[[grid]]\nblend = { prose = 0.5, code = 0.5 }\nbudgets = ["512Ki"]\n'
    )
    made = scaling.propose(table, question="transfer", flops=3e12, study=folder)
    assert "how much code lowers the ln loss on prose" in str(made)
    assert 0 < made.left < 1
    study = read_study(made.write(tmp_path / "next.toml"))
    assert {dict(t.data.blend).get("code", 0.0) for t in study.trunks} == {0.0, 0.5}
    assert min(t.seed for t in study.trunks) == 4
    assert sum(StackSpec((t,), "x").flops for t in study.trunks) == pytest.approx(made.flops)
    with pytest.raises(NoReadings, match=r"3 sizes, by at most 1 seeds"):
        scaling.propose(table.filter(pl.col("seed") == 0), question="transfer", flops=3e12, study=folder)
    with pytest.raises(BadOption, match=r"study=None.*whose arms"):
        scaling.propose(table, question="transfer", flops=3e12)


@pytest.fixture(scope="module")
def blends():
    """Eight blends by three budgets, two seeds each, where a token of code is worth .3 of one of prose."""
    rng, rows = np.random.default_rng(0), []
    for prose in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0):
        for D in (2**19, 2**20, 2**21):
            for seed in range(2):
                loss = 1.5 + 60 / (D * (prose + 0.3 * (1 - prose))) ** 0.3 * np.exp(0.004 * rng.normal())
                rows.append((24_576, D, seed, prose, 1 - prose, loss))
    schema = ["N", "D", "seed", "w_prose", "w_code", "loss_prose"]
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(loss=pl.col("loss_prose"))


def test_blends_are_proposed_for_an_exchange_rate(blends, tmp_path):
    """Within the shares and budgets that were tried, each lot a stack, with seeds that are new."""
    made = scaling.propose(blends, question="exchange", target="prose", flops=3e12, bootstrap=100)
    assert "the worth of a token of code in tokens of prose" in str(made) and "blend, %" in str(made)
    assert 0 < made.left < 1
    assert made.now["tau_code"].median == pytest.approx(0.3, abs=0.03)
    trunks = read_study(made.write(tmp_path / "study.toml")).trunks
    assert sum(StackSpec((t,), "x").flops for t in trunks) == pytest.approx(made.flops)
    assert made.flops <= 3e12
    assert {t.data.blend for t in trunks} == {tuple(sorted(lot.keys["blend"].items())) for lot in made.lots}
    assert min(dict(t.data.blend)["prose"] for t in trunks) >= 0.2
    assert min(t.seed for t in trunks) == 2 and len(set(trunks)) == len(trunks)
    assert len({t.stack_key for t in trunks}) == 1
    with pytest.raises(
        InNoDoubt, match=r"the best blend for the loss on prose, but all draws agree on it: prose 100 %"
    ):
        scaling.propose(blends, question="blend", target="prose", flops=3e12, bootstrap=100)
    with pytest.raises(BadOption, match=r"target=None.*a domain whose loss is asked about, of prose"):
        scaling.propose(blends, question="exchange", flops=3e12)
    with pytest.raises(BudgetTooSmall, match=r"the cheapest"):
        scaling.propose(blends, question="exchange", target="prose", flops=1e6, bootstrap=100)
    with pytest.raises(BadOption, match=r"study=None.*whose corpus has math"):
        scaling.propose(blends.rename({"w_code": "w_math"}), question="exchange", target="prose", flops=3e12)


def test_propose_names_what_it_cannot_do(runs):
    ask = {"flops": 1e13, "bootstrap": 100}
    with pytest.raises(UnknownQuestion, match=r"about 'plato'.*Did you mean 'plateau'\?.*exponent, forecast"):
        scaling.propose(runs, question="plato", **ask)
    with pytest.raises(BudgetTooSmall, match=r"within 1.0 × 10⁸ FLOPs, but the cheapest.*--flops"):
        scaling.propose(runs, question="exponent", flops=1e8)
    with pytest.raises(NoSuchParameter, match=r"interval of R_D, but the free parameters of kaplan are N_c"):
        scaling.propose(runs, question="exponent", parameter="R_D", law=kaplan, **ask)
    with pytest.raises(TooFewRuns, match=r"5 free parameters"):
        scaling.propose(runs.head(4), question="exponent", **ask)
    shuffled = runs.with_columns(pl.col("loss").shuffle(seed=0))
    with pytest.raises(NoLawFits, match=r"misses these runs by .* %, and they scatter by .* scaling check"):
        scaling.propose(shuffled, question="exponent", **ask)
    with pytest.raises(BadOption, match=r"flops=None.*hours="):
        scaling.propose(runs, question="exponent")
    with pytest.raises(BadOption, match=r"hours=1.0.*do not say how many seconds"):
        scaling.propose(runs.drop("seconds"), question="exponent", hours=1.0)
    with pytest.raises(BadOption, match=r"hours=2.*left out, as flops= is given"):
        scaling.propose(runs, question="exponent", flops=1e13, hours=2)
    with pytest.raises(BadOption, match=r"hours=1e\+300.*whose FLOPs can be counted"):
        scaling.propose(runs, question="exponent", hours=1e300)
    with pytest.raises(BadOption, match=r"runs='none'.*one or more; no row fulfils"):
        scaling.propose(runs.clear(), question="exponent", flops=1e13)
    with pytest.raises(BadOption, match=r"C=1.0.*to look ahead to; the smallest run took 1.5e\+11"):
        scaling.propose(runs, question="forecast", C=1.0, flops=1e13)
    with pytest.raises(BadOption, match=r"reading='bits'.*a column of the runs"):
        scaling.propose(runs, question="slope", reading="bits", study="runs/transfer-text", **ask)


def test_the_command_writes_the_same_study_and_refuses_in_a_line(runs, proposal, tmp_path):
    path = tmp_path / "runs.parquet"
    runs.write_parquet(path)
    words = ["propose", str(path), "--flops", "3e13", "--bootstrap", "100", "--question"]
    result = CliRunner().invoke(cli, [*words, "exponent"])
    assert result.exit_code == 0, result.output
    assert result.stdout == proposal.study
    assert "name yours under [corpus]" in result.stdout
    refused = CliRunner().invoke(cli, [*words, "plateaux"])
    assert refused.exit_code == 2
    assert "asked for runs about 'plateaux'. Did you mean 'plateau'?" in refused.stderr
