"""Memorised or generalised: the verdict on worlds whose capacity and skill are known."""

import math

import numpy as np
import polars as pl
import pytest
from studies.duplicates import RULED, STORED, duplicated
from studies.memory import World, simulate

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.questions import duplicates, memory
from scaling.questions._duplicates.answer import SeenAlike
from scaling.questions._duplicates.words import GROWS, NOTHING
from scaling.questions._memory.cells import NotMeasured, capacities, means, with_memory
from scaling.questions._memory.words import BEFORE, CANNOT, MEMORY, RISES, STALLS
from scaling.questions.seeds import mean_of, share_of, slope_of

SIZES = (12_000, 24_000, 40_000, 60_000, 100_000)


def verdict(world, **asked):
    return memory(*simulate(world, seed=3), skill="programs", chance=0.1, **asked)


@pytest.mark.parametrize(
    "skill, answer",
    [
        ("rises", RISES),
        ("stalls", STALLS),
        ("before", BEFORE),
        ("memory", MEMORY),
    ],
)
def test_memory_recovers_what_skill_does_past_full_memory(skill, answer):
    said = verdict(World(skill=skill))
    assert said.answer == answer
    assert said.identifiable
    assert said.topic == "memory"
    assert str(said).startswith(said.question)


def test_capacity_and_its_slope_are_recovered():
    said = verdict(World(bits=2.5, slope=0.9))
    capacity, slope = (
        said.numbers[name]
        for name in ("memorised at capacity", "slope of capacity against parameters, log-log")
    )
    expected = np.mean([2.5 * (size / SIZES[0]) ** -0.1 for size in SIZES])
    assert capacity.value == pytest.approx(expected, rel=0.08)
    assert slope.low < 0.9 < slope.high
    assert slope.value == pytest.approx(0.9, abs=0.1)
    assert said.evidence["capacity"]["epochs"].to_list() == pytest.approx([200] * 5)


def test_memory_explains_answers_where_little_data_are_seen():
    said = verdict(World(skill="rises"))
    least, most = (
        said.numbers[f"answers that memory explains, {end} data"].value for end in ("least", "most")
    )
    assert least > 80
    assert most < least - 30


def test_memory_explains_answers_against_changed_documents_where_they_were_asked():
    runs, measured = simulate(World(), seed=3)
    none = measured.filter(pl.col("probe") == "seen_exact").with_columns(
        probe=pl.lit("perturbed_exact"), value=0.1
    )
    said = memory(runs, pl.concat([measured, none]), skill="programs", chance=0.1)
    assert said.numbers[
        "answers that memory explains, most data, against changed ones"
    ].value == pytest.approx(100)
    assert "answers that memory explains, most data" in said.numbers
    assert said.answer == verdict(World()).answer


def test_runs_whose_memory_is_never_full_cannot_tell():
    said = verdict(World(amounts=(0.1, 0.2, 0.4)))
    assert (said.answer, said.identifiable) == (CANNOT, False)
    assert "memory was full at 0 sizes" in said.sentence
    assert "would tell: the same cells for 4 times the tokens" in str(said)
    one = verdict(World(seeds=1))
    assert one.answer == CANNOT
    assert "one seed" in one.sentence
    assert "seeds 1 to 9 of every arm" in str(one)


def test_the_most_that_is_held_is_capacity_though_there_was_hardly_more_to_hold():
    """A size that holds nearly all of what fits best, and less of more that it sees too rarely."""
    cells = pl.DataFrame(
        {"params_total": 1000, "unique_tokens": [10, 20, 40], "D": 400.0, "memorised": [400.0, 900.0, 500.0],
         "full": [False, False, True]}
    )  # fmt: skip
    assert capacities(cells).select("bits", "at_least", "epochs").row(0) == (900.0, True, 20.0)
    assert capacities(cells.with_columns(full=False)).is_empty()


def test_a_share_of_right_answers_has_an_interval_of_shares():
    """Two sizes of which one has all right and one none: a mean of a half, and nothing known beside."""
    rows = pl.DataFrame({"params_total": [1, 1, 2, 2], "seed": [0, 1, 0, 1], "right": [0.0, 0.0, 1.0, 1.0]})
    share = share_of(rows, "right", 0.9)
    assert (share.value, share.low, share.high) == (50, 0, 100)


def test_memory_is_invariant_to_the_order_of_rows_and_to_shorter_runs_of_a_cell():
    runs, measured = simulate(World(), seed=1)
    said = memory(runs, measured, skill="programs", chance=0.1)
    other = memory(
        runs.reverse(), measured.sample(fraction=1, shuffle=True, seed=0), skill="programs", chance=0.1
    )
    assert other.numbers == said.numbers
    assert other.data_hash == said.data_hash
    short = runs.with_columns(pl.col("D") // 2, pl.col("run_id") + " short")
    more = pl.concat([runs, short])
    both = pl.concat([measured, measured.with_columns(pl.col("run_id") + " short", pl.col("value") / 2)])
    assert memory(more, both, skill="programs", chance=0.1).numbers == said.numbers


def test_cells_add_up_the_bits_of_all_domains():
    runs, measured = simulate(World(), seed=0)
    table = with_memory(runs, measured, "programs")
    row = table.row(0, named=True)
    mine = measured.filter(pl.col("probe") == "memorised", pl.col("group") == "strings")
    run = runs.filter(pl.col("seed") == row["seed"]).sort("params_total", "unique_tokens").row(0, named=True)
    strings = mine.filter(pl.col("run_id") == run["run_id"])["value"].item()
    assert row["memorised"] >= strings * row["params_total"] * 0.999
    full = means(table, 0.1).filter("full")
    assert (full["memorised"] <= 0.7 * full["on_offer"]).all()
    assert capacities(full)["bits"][0] == full.filter(params_total=SIZES[0])["memorised"].max()


def test_mean_of_alike_neighbours_is_as_unsure_as_they_are_few():
    """Values that all sizes share know no more than the seeds do: their t interval is that of three numbers."""
    rows = pl.DataFrame({"params_total": [s for s in SIZES for _ in range(3)], "seed": [0, 1, 2] * 5})
    rows = rows.with_columns(x=pl.col("seed").replace_strict({0: 0.0, 1: 1.0, 2: 5.0}))
    said = mean_of(rows, "x", 0.9, "")
    half = 2.919986 * math.sqrt(np.var([0, 1, 5], ddof=1) / 3)
    assert said.high - said.value == pytest.approx(half, rel=1e-5)
    assert math.isnan(mean_of(rows.filter(seed=0), "x", 0.9, "").high)


def test_slope_matches_what_scipy_gives():
    from scipy.stats import linregress, t

    x, y = np.array([1.0, 2, 4, 9]), np.array([1.1, 1.9, 4.4, 8.0])
    said, theirs = slope_of(x, y, 0.9), linregress(np.log(x), np.log(y))
    assert said.value == pytest.approx(theirs.slope)
    assert said.high - said.value == pytest.approx(t.ppf(0.95, 2) * theirs.stderr)


def test_what_was_not_measured_is_named():
    runs, measured = simulate(World(), seed=0)
    with pytest.raises(
        NotMeasured, match=r"whether 'sums' was learned, but the runs have no measurement 'seen_exact'"
    ):
        memory(runs, measured, skill="sums", chance=0.1)
    bare = measured.filter(pl.col("probe") != "memorised")
    with pytest.raises(NotMeasured, match="no measurement 'memorised'"):
        memory(runs, bare, skill="programs", chance=0.1)
    with pytest.raises(MissingColumns, match="params_total"):
        memory(runs.drop("params_total"), measured, skill="programs", chance=0.1)
    with pytest.raises(BadOption, match=r"chance=1\.5"):
        memory(runs, measured, skill="programs", chance=1.5)


def test_the_verdict_is_drawn():
    spec = scaling.plot(verdict(World())).to_dict()
    assert "bits" in str(spec)


@pytest.mark.parametrize(
    "true, answer",
    [({}, GROWS), ({"steep": 0.0, "middle": 0.0}, CANNOT), ({"steep": 0.1, "middle": 60.0}, NOTHING)],
)
def test_duplicates_recovers_whether_what_is_seen_more_often_is_kept_more(true, answer):
    said = duplicates(*duplicated(**true, seed=2), stored=STORED, skill=RULED, chance=0.04)
    assert (said.answer, said.topic) == (answer, "duplicates")
    scaling.plot(said).to_dict()


def test_duplicates_recovers_shares_what_memory_explains_and_what_they_cost():
    """Nothing is drawn: the share is the logistic of log2(times); of answers known, exactly what a copy brings."""
    quiet = {"spread": 0.0, "shared": 0.0, "loss_spread": 0.0}
    said = duplicates(*duplicated(**quiet), stored=STORED, skill=RULED, chance=0.04)
    share = {t: 1 / (1 + math.exp(-0.8 * (math.log2(t) - 5))) for t in (8, 500)}
    loss = 1.1
    for times, kept in share.items():
        assert said.numbers[f"memorised of what was seen {times} times"].value == pytest.approx(100 * kept)
        fresh = math.exp(-loss)
        seen = fresh + (1 - fresh) * kept
        for other, right in (("fresh", fresh), ("changed", fresh * (1 - kept))):
            name = f"answers that memory explains, seen {times} times, against {other} ones"
            assert said.numbers[name].value == pytest.approx(100 * (seen - right) / (seen - 0.04))
    assert said.numbers["loss on fresh answers, over that without duplicates"].value == pytest.approx(0.1)
    x, y = (
        np.log2([8, 31, 125, 500]),
        [1 / (1 + math.exp(-0.8 * (math.log2(t) - 5))) for t in (8, 31, 125, 500)],
    )
    assert said.numbers["rise of the share memorised"].value == pytest.approx(100 * np.polyfit(x, y, 1)[0])


def test_duplicates_names_what_is_missing():
    runs, measured = duplicated()
    plain = runs.filter(pl.col("run_id").str.ends_with("plain"))
    with pytest.raises(SeenAlike, match=r"no run saw the documents of 'once', .* more and less often"):
        duplicates(plain, measured, stored=STORED)
    with pytest.raises(NotMeasured, match="no measurement 'memorised'"):
        duplicates(runs, measured, stored=["poems"])
    with pytest.raises(MissingColumns, match="domain_epochs"):
        duplicates(runs.drop("domain_epochs"), measured, stored=STORED)
    with pytest.raises(BadOption, match=r"chance=1"):
        duplicates(runs, measured, stored=STORED, chance=1)
