"""The sentences say what the numbers say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from scaling.design.allocation import allocate
from scaling.fitting import compare, fit
from scaling.laws import chinchilla, kaplan, power_mean, repeated_data, with_repeats
from scaling.questions import misses, next_decade
from scaling.questions._decade.words import CANNOT_TELL, FALLS
from scaling.questions._repetition.cells import rises, seed_spread
from scaling.questions._repetition.words import rise
from scaling.questions.provenance import origins, what_was_trained
from scaling.records import MissingRuns, append_rows
from scaling.store import open_runs
from scaling.verdict import Estimate, Reach

TRUTH = {"E": 0.9, "A": 14.0, "B": 150.0, "alpha": 0.28, "beta": 0.36}
QUICKSTART = Path(__file__).resolve().parents[2] / "runs" / "quickstart"


@pytest.fixture(scope="module")
def repeating(ladder: pl.DataFrame) -> pl.DataFrame:
    """The ladder, and as many runs that saw 262k tokens again; a repeat is worth 1/e after ten."""
    generator = np.random.default_rng(1)
    U, noise = 262_144, 0.003 * generator.normal(size=len(ladder))
    columns = (ladder[name].to_numpy().astype(float) for name in ("N", "D"))
    again = ladder.with_columns(
        loss=repeated_data(*columns, float(U), **TRUTH, R_D=10.0) * np.exp(noise),
        unique_tokens=pl.lit(U), unique_budget=pl.lit(U), epochs=pl.col("D") / U, trunk_id=pl.col("trunk_id") + "again",
    )  # fmt: skip
    fresh = ladder.with_columns(unique_tokens=pl.col("D"), unique_budget=pl.lit(2**24))
    return pl.concat([fresh, again.select(fresh.columns).cast(dict(fresh.schema))])


def test_verdict_recovers_what_the_world_was_made_of(ladder: pl.DataFrame, repeating: pl.DataFrame) -> None:
    compared = compare([chinchilla, kaplan], ladder, bootstrap=50)
    assert compared.best.name == "chinchilla"
    fitted = fit(with_repeats(compared.best.law), repeating, bootstrap=200)
    verdict = next_decade(fitted, compared, repeating)
    assert verdict.answer == FALLS and verdict.identifiable
    worth = verdict.numbers["repeats until a token is worth 1/e"]
    assert worth.low < 10 < worth.high or worth.value == pytest.approx(10, rel=0.15)
    there = allocate(fitted, repeating, 10 * repeating["C"].max()).loss
    said = verdict.numbers["loss at 10 times that"]
    assert (said.value, said.low, said.high) == pytest.approx((there.median[0], there.low[0], there.high[0]))
    assert f"to {there.median[0]:.2f} nats/token" in verdict.sentence
    assert 'class="answer"' in verdict.lead and "<table>" in verdict._repr_markdown_()
    assert "decades below GPT-2" in str(verdict) and "`kaplan` says" in verdict.doubts


def test_verdict_names_what_cannot_be_told(ladder: pl.DataFrame) -> None:
    """Where a law misses unseen runs by more than the fall it predicts, the fall is not believed."""
    generator = np.random.default_rng(2)
    noisy = ladder.with_columns(loss=3.0 + 0.8 * pl.Series(generator.normal(size=len(ladder))).abs())
    compared = compare([chinchilla], noisy)
    verdict = next_decade(fit(chinchilla, noisy, bootstrap=50), compared, noisy)
    assert verdict.answer == CANNOT_TELL and not verdict.identifiable
    assert "cannot tell" in verdict.sentence
    assert "scaling propose RUNS --question forecast --flops" in verdict.would_tell


@pytest.mark.parametrize("draws", [0, 10])
def test_verdict_names_a_fit_without_draws_enough(
    ladder: pl.DataFrame, repeating: pl.DataFrame, draws: int
) -> None:
    compared = compare([chinchilla], ladder)
    verdict = next_decade(fit(repeated_data, repeating, bootstrap=draws), compared, repeating)
    assert verdict.sentence.count("(no interval)") == 4
    assert verdict.sentence.endswith("There is no interval, as the bootstrap draws are too few.")
    assert str(verdict.numbers["loss at 10 times that"]).endswith("nats/token, no interval")
    assert "nan" not in str(verdict)


def test_misses_names_the_additive_law_where_it_fails() -> None:
    runs = open_runs(QUICKSTART, origin="committed")
    new = runs.filter(pl.col("epochs") == 1)
    compared = compare([chinchilla, kaplan, power_mean], new)
    said = misses(compared, new)
    assert said.startswith("The additive law `chinchilla` misses the runs it was fitted to by **2.6 %** rms")
    assert "do not simply add" in said
    alone = compare([chinchilla], new)
    assert misses(alone, new).startswith("The best of these laws, `chinchilla`")


def test_rises_recovers_where_repeats_harm(repeating: pl.DataFrame) -> None:
    assert rises(repeating).is_empty()
    worst = (pl.col("epochs") == 32) & (pl.col("N") == repeating["N"].max())
    harmed = repeating.with_columns(loss=pl.col("loss") + pl.when(worst).then(0.5).otherwise(0.0))
    (said,) = map(rise, rises(harmed).iter_rows(named=True))
    assert "220k parameters" in said or "221k parameters" in said
    assert rises(repeating.drop("seed")).is_empty()


def test_seed_spread_recovers_the_noise(ladder: pl.DataFrame) -> None:
    """0.3 % was put in; the median over cells of a standard deviation of two is 0.67 of it."""
    assert seed_spread(ladder) == pytest.approx(0.3 * 0.67, rel=0.5)
    assert math.isnan(seed_spread(ladder.filter(pl.col("seed") == 0)))


def test_trained_names_what_the_rows_say() -> None:
    said = what_was_trained(open_runs(QUICKSTART, origin="committed"))
    assert "**90 runs**" in said and "4 sizes" in said and "MB of code" in said
    places = origins(QUICKSTART)
    assert places.table["origin"][0] == "committed" and "<table>" in places._repr_html_()


def test_origins_names_a_study_without_rows(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text((QUICKSTART / "study.toml").read_text())
    with pytest.raises(MissingRuns, match="Run the sweep first"):
        origins(tmp_path)


def test_origins_recover_how_far_two_machines_differ(tmp_path: Path) -> None:
    """The committed rows, and the same again as this machine's own, one of them 2 % higher."""
    study = tmp_path / "runs" / "quickstart"
    study.mkdir(parents=True)
    for name in ("study.toml", "runs.parquet", "evaluations.parquet"):
        (study / name).write_bytes((QUICKSTART / name).read_bytes())
    assert origins(study).pairs == 0 and "nothing to compare" in str(origins(study))
    rows = pl.read_parquet(study / "runs.parquet").to_dicts()
    mine = tmp_path / ".store" / "quickstart" / "rows" / "mine.jsonl"
    mine.parent.mkdir(parents=True)
    append_rows(mine, *({"run": row} for row in rows))
    assert "every loss is the same to the last digit" in str(origins(study))
    rows[0]["loss"] *= 1.02
    append_rows(mine, {"run": rows[0]})
    both = origins(study)
    assert both.pairs == len(rows) and both.same_text
    assert both.largest_percent == pytest.approx(2) and both.rms_percent == pytest.approx(
        2 / len(rows) ** 0.5
    )


def test_estimates_name_their_unit_and_level() -> None:
    assert str(Estimate(1.262, 1.239, 1.275, 0.8, "nats/token")).startswith("1.262 nats/token, 80 % [1.2")
    assert str(Estimate(-0.0624099, -math.inf, -0.0621753, 0.95, "")) == "-0.0624, 95 % [-inf, -0.0622]"
    assert (
        str(Estimate(365642.0, 285364.0, 419467.0, 0.8, "parameters")) == "366k parameters, 80 % [285k, 419k]"
    )
    reach = Reach(14_000, 124_000, 2.1e15)
    assert (reach.decades_to_gpt2, reach.decades_to_frontier) == pytest.approx((3, 10))
