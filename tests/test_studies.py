"""The committed studies hold what the project says of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import scaling
from scaling.corpora.corpus import Corpus, token_file, token_type
from scaling.fitting.vertex import vertex
from scaling.flops import count_parameters
from scaling.laws import chinchilla, kaplan, power_mean
from scaling.store import Store, select_rows
from scaling.study import Study, read_study
from scaling.study.identity import run_id
from scaling.sweeps.engines.base import Capacity
from scaling.sweeps.plan import plan_sweep
from scaling.train.schedule import cooldown_share

RUNS = Path(__file__).parents[1] / "runs"
STUDIES = sorted(file.parent.name for file in RUNS.glob("*/study.toml"))
"""Each is read by the test of it: to read all takes seconds."""

UNDER_WAY = ()
"""Studies of which only whole blocks are committed yet."""


@pytest.mark.parametrize("name", STUDIES)
def test_committed_rows_are_what_their_study_asks_for(name):
    """Every run of the study file, but for one under way, none beside it, made from this very file."""
    study = read_study(RUNS / name)
    assert study.name == name
    store = Store(study)
    store.check_unchanged()
    rows = store.rows("run", "committed")
    for (corpus_hash,), mine in rows.group_by("corpus_hash"):
        asked = {run_id(t, str(corpus_hash), b) for t in study.trunks for b in t.schedule.budgets}
        asked |= {
            run_id(t, str(corpus_hash), b, "average") for t in study.trunks for b in t.schedule.averages()
        }
        asked |= {
            run_id(which[0], str(corpus_hash), b, "ensemble", size)
            for which in ensembles(study)
            for b in which[0].schedule.budgets
            for size in (2, 4, 8)
            if size <= len(which)
        }
        done = set(mine["run_id"])
        assert done == asked or (done < asked and study.name in UNDER_WAY)
    assert (study.folder / "LOG.md").exists()
    assert sum(f.stat().st_size for f in study.folder.glob("*.parquet")) < 5e6


def ensembles(study):
    """Trunks that differ in nothing but the member, in its order."""
    members = {}
    for trunk in sorted(study.trunks, key=lambda trunk: trunk.member):
        members.setdefault(trunk.ensemble_key, []).append(trunk)
    return members.values()


TUNED = ("learning-rate", "optimizer", "depth")
"""Studies that vary the rate itself."""
WORLDS = (
    "duplicates",
    "learning-to-reason",
    "locality",
    "manuals",
    "memory",
    "preference",
    "skills",
    "synthetic",
    "transfer-programs",
)
"""Studies in windows and vocabularies of their own, most of synthetic documents."""
BEYOND = ("ladder-gpu",)
"""Studies of widths that no CPU tunes: their rate is carried over."""


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in TUNED + WORLDS + BEYOND])
def test_the_best_rate_is_inside_the_grid_and_the_other_studies_use_it(name):
    """At every width and budget the optimum is interior, and the study's rate within ×1.4 of it.

    A width that was not tried, by those on either side of it, and a smaller one than all by the smallest.
    """
    runs = scaling.open_runs(RUNS / "learning-rate", origin="committed")
    tried = sorted(set(runs["width"]))
    used = {
        (beside, t.optim.peak_lr)
        for t in read_study(RUNS / name).trunks
        for beside in (
            max((w for w in tried if w <= t.model.width), default=tried[0]),
            min(w for w in tried if w >= t.model.width),
        )
    }
    for width, rate in used:
        for budget in runs["D"].unique():
            at = runs.filter(pl.col("width") == width, pl.col("D") == budget)
            best = vertex(at["peak_lr"].to_numpy(), at["loss"].to_numpy(), within=2)
            assert best.interior
            assert 1 / 1.4 < best.x / rate < 1.4


@pytest.mark.parametrize("name, varied", [("optimizer", ["optimizer", "width"]), ("depth", ["depth"])])
def test_the_best_rate_is_inside_the_grid_and_serves_what_is_varied(name, varied):
    """Interior for every optimiser, width and depth at the larger budget, and 0.004 within ×1.4 of it."""
    runs = scaling.open_runs(RUNS / name, origin="committed")
    for _, at in runs.filter(pl.col("D") == pl.col("D").max()).group_by(*varied):
        best = vertex(at["peak_lr"].to_numpy(), at["loss"].to_numpy(), within=2)
        assert best.interior
        assert 1 / 1.4 < best.x / 0.004 < 1.4


@pytest.mark.parametrize("language", ["associative", "markov", "nested"])
def test_the_additive_laws_floor_holds_the_known_entropy(language):
    runs = scaling.open_runs(RUNS / "known-entropy", origin="committed")
    mine = runs.filter(pl.col("blend").str.json_path_match(f"$.{language}").cast(pl.Float64) == 1)
    (truth,) = mine["entropy"].unique()
    assert len(mine) == 45
    assert mine["loss"].min() > truth
    draws = scaling.fit(chinchilla, mine, bootstrap=300).draws["E"]
    assert np.quantile(draws, 0.05) < truth < np.quantile(draws, 0.95)


def test_repeats_turn_up_for_two_sizes_and_weight_decay_delays_it():
    runs = scaling.open_runs(RUNS / "repetition", origin="committed").filter(
        pl.col("unique_budget") == 65_536
    )
    means = runs.group_by("N", "weight_decay", "D").agg(pl.col("loss").mean())
    best = {
        (N, decay): at.sort("loss")["D"][0] // 65_536
        for (N, decay), at in means.group_by("N", "weight_decay")
    }
    last = {(N, decay): at["D"].max() // 65_536 for (N, decay), at in means.group_by("N", "weight_decay")}
    turned = {cell for cell in best if best[cell] < last[cell]}
    assert {(24_576, 0.0), (98_304, 0.0)} <= turned
    assert best[98_304, 0.0] < best[98_304, 0.3] < best[98_304, 1.0] == last[98_304, 1.0] == 64
    assert runs.group_by("N", "weight_decay").agg(pl.col("seed").n_unique())["seed"].min() >= 2


def test_ensembles_of_the_study_lower_the_loss_at_most_passes_with_every_doubling():
    together = scaling.open_runs(RUNS / "repetition", kind="ensemble", origin="committed")
    alone = scaling.open_runs(RUNS / "repetition", origin="committed").filter(pl.col("seed") == 2)
    one = alone.group_by("N", "weight_decay", "D").agg(pl.col("loss").mean(), members=pl.lit(1, pl.Int64))
    both = pl.concat([one, together.select(one.columns)])
    assert len(one) == 24
    for (_, _, D), at in both.group_by("N", "weight_decay", "D"):
        loss = at.sort("members")["loss"]
        assert loss[0] > loss[1] > loss[3]
        assert D < 2**20 or loss.is_sorted(descending=True)


def test_the_quickstart_covers_what_a_law_needs():
    runs = scaling.open_runs(RUNS / "quickstart", origin="committed")
    fresh = runs.filter(pl.col("epochs") == 1, pl.col("unique_budget") == pl.col("unique_budget").max())
    assert fresh["N"].max() / fresh["N"].min() >= 16
    assert fresh["D"].max() / fresh["D"].min() >= 16
    assert fresh["N"].n_unique() >= 4
    assert fresh["D"].n_unique() >= 5
    assert fresh.group_by("N", "D").agg(pl.col("seed").n_unique())["seed"].min() >= 2
    assert runs["epochs"].max() == 16


def test_the_quickstarts_law_has_its_minimum_where_starts_agree():
    runs = scaling.open_runs(RUNS / "quickstart", origin="committed").filter(pl.col("epochs") == 1)
    fitted = scaling.fit(chinchilla, runs, bootstrap=0)
    assert fitted.starts.agree >= fitted.starts.total / 2
    assert fitted.rms_percent < 5


@pytest.mark.parametrize(
    "row, where",
    [
        ("width ≤ 64 (96 runs)", "width <= 64"),
        ("width ≥ 64 (72)", "width >= 64"),
        ("width ≥ 48, D ≥ 512Ki (64)", "width >= 48 AND D >= 524288"),
        ("all (144)", "width > 0"),
    ],
)
def test_the_ladders_log_matches_what_compare_gives(row, where):
    """Residual in sample, and on the largest half decade of compute: rms, then bias; rounded as in the table."""
    runs = select_rows(scaling.open_runs(RUNS / "ladder", origin="committed"), where)
    assert f"({len(runs)}" in row
    laws = [chinchilla, power_mean, kaplan]
    columns = ["law", "rms_percent", "held_out_percent", "held_out_bias_percent"]
    scores = {name: rest for name, *rest in scaling.compare(laws, runs).table.select(columns).rows()}
    said = [scores[law.__name__] for law in laws]
    cells = [f"{fit:.1f} %; {rms:.1f} %, {bias:+.1f} %".replace("-", "−") for fit, rms, bias in said]
    lines = (RUNS / "ladder" / "LOG.md").read_text().splitlines()
    (logged,) = (line for line in lines if line.startswith(f"| {row} |"))
    assert [cell.strip() for cell in logged.split("|")[3:-1]] == cells


@pytest.mark.parametrize("file", sorted(RUNS.glob("*/gpu.toml")), ids=lambda file: file.parent.name)
def test_gpu_twins_ask_for_larger_models_than_their_study(file):
    twin, study = read_study(file), read_study(file.parent)
    assert min(t.model.width for t in twin.trunks) > max(t.model.width for t in study.trunks)
    assert {t.optim.weight_decay for t in twin.trunks} == {t.optim.weight_decay for t in study.trunks}


@pytest.mark.parametrize("file", sorted(RUNS.glob("*/gpu.toml")), ids=lambda file: file.parent.name)
def test_gpu_twins_are_planned_to_their_last_budget(file, tmp_path, monkeypatch):
    """On one GPU and text of the size that they ask for; for its words it needs no more than an empty file's."""
    twin = read_study(file)
    source = twin.corpus
    domains = [*source.domains, *source.placebo_of]
    sizes = dict.fromkeys(domains, 200 << 20)  # installed packages have 100 MB and more
    if source.source == "synthetic":
        sizes = dict.fromkeys(domains, source.train_documents * (source.model_context or 0))
    corpus = Corpus(tmp_path, "twin", sizes, {}, 0, {}, vocabulary=source.model_vocabulary)
    for domain, tokens in sizes.items():
        for split, count in (("train", tokens), ("heldout", 1 << 20)):
            with (tmp_path / token_file(domain, split)).open("wb") as hole:
                hole.truncate((count + 1) * token_type(corpus.vocabulary)(0).itemsize)
    monkeypatch.setattr(Study, "build_corpus", lambda *_, **__: corpus)
    monkeypatch.setattr(Study, "read_items", lambda *_: None)  # text without words has no flags to ask about
    gpu = Capacity(device="cuda", device_name="a GPU", memory=80e9)
    plan = plan_sweep(twin, gpu, store=Store(replace(twin, folder=tmp_path / "runs" / "twin")))
    assert plan.done == 0 < plan.runs
    assert plan.memory < gpu.memory
    assert f"{plan.runs} runs, 0 of them done" in str(plan)


def test_the_decay_goes_on_from_a_rate_that_has_not_fallen():
    """What is kept of the first grid is cooled for one step, which is at the full rate; the rest is the decay alone."""
    for trunk in read_study(RUNS / "decay").trunks:
        schedule = trunk.schedule
        for budget in schedule.budgets:
            start, end = schedule.branch_step(budget), schedule.steps(budget)
            last = cooldown_share(start, start, end, schedule.cooldown_shape)
            assert (last, end - start) == (1, end if trunk.parent else 1)


@pytest.mark.parametrize("name", ["locality", "preference", "synthetic"])
def test_gpu_twins_of_post_training_reach_350_million_weights(name):
    sizes = {count_parameters(t.model).matrices for t in read_study(RUNS / name / "gpu.toml").trunks}
    assert {30e6, 350e6} <= {min((30e6, 124e6, 350e6), key=lambda n: abs(n - size)) for size in sizes}


def test_the_ladders_gpu_twin_spans_what_it_says():
    """Six sizes from 1 to 124 million weights, a third off at the most for whole heads, and 32 times the tokens."""
    twin = read_study(RUNS / "ladder" / "gpu.toml")
    sizes = sorted({count_parameters(t.model).matrices for t in twin.trunks})
    assert sizes == pytest.approx([1.33e6, 3.1e6, 8.8e6, 22e6, 49e6, 116e6], rel=0.02)
    budgets = twin.trunks[0].schedule.budgets
    assert (min(budgets), max(budgets)) == (2**25, 2**30)
    assert all(t.schedule.tokens_per_step == 2**14 for t in twin.trunks)
    words = (RUNS / "ladder" / "gpu.toml").read_text()
    assert "needs a GPU and has not been run" in words
