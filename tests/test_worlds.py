"""Studies of synthetic worlds, from the sweep of their smallest part to the verdict."""

import shutil
from pathlib import Path

import polars as pl

import scaling
from scaling.flops import count_parameters
from scaling.questions import duplicates, memory
from scaling.study import read_study

RUNS = Path(__file__).parents[1] / "runs"


def test_the_smoke_study_of_memory_goes_from_sweep_to_verdict(tmp_path):
    folder = tmp_path / "runs" / "memory"
    folder.mkdir(parents=True)
    shutil.copy(RUNS / "memory" / "smoke.toml", folder / "study.toml")
    scaling.sweep(folder, workers=1, progress=False)
    runs, measured = scaling.open_runs(folder), scaling.open_measurements(folder)
    assert len(runs) == 12
    said = memory(runs, measured, skill="programs", chance=1 / 7)
    cells = said.evidence["cells"]
    least = cells.filter(pl.col("unique_tokens") == pl.col("unique_tokens").min())
    assert (least["memorised"] > 0.5 * least["on_offer"]).all()
    assert (least["seen"] > least["fresh"]).all()
    assert cells.filter(pl.col("unique_tokens") == pl.col("unique_tokens").max())["full"].all()
    assert (said.evidence["capacity"]["bits"] > 0).all()


def test_the_study_of_memory_offers_less_and_more_than_each_size_can_hold():
    """Were a bit and a half for each parameter capacity: the least data fit, and twice as much is on offer."""
    study = read_study(RUNS / "memory")
    assert len({trunk.model.width for trunk in study.trunks}) >= 5
    assert len({trunk.seed for trunk in study.trunks}) >= 3
    bits = {name: writer.bits("train", 50).mean() for name, writer in study.corpus.writers.items()}
    for width in {trunk.model.width for trunk in study.trunks}:
        mine = [trunk for trunk in study.trunks if trunk.model.width == width]
        capacity = 1.5 * count_parameters(mine[0].model).total
        context = mine[0].model.context
        offered = [sum(bits[d] * tokens / context for d, tokens in t.data.unique) for t in mine]
        assert width == 8 or min(offered) < capacity
        assert max(offered) > 2 * capacity


def test_the_smoke_study_of_duplicates_goes_from_sweep_to_verdict(tmp_path):
    """Both arms, every probe; of what is seen 80 times more is kept than of what is seen five times."""
    folder = tmp_path / "runs" / "duplicates"
    folder.mkdir(parents=True)
    shutil.copy(RUNS / "duplicates" / "smoke.toml", folder / "study.toml")
    scaling.sweep(folder, workers=1, device="cpu", progress=False)
    stored, skill = (["strings", "strings 16 times"], ["programs", "programs 16 times"])
    said = duplicates(
        scaling.open_runs(folder),
        scaling.open_measurements(folder),
        stored=stored,
        skill=skill,
        chance=1 / 49,
    )
    cells = said.evidence["cells"].sort("times")
    assert cells["times"].unique().to_list() == [5, 80]
    share = cells.group_by("times", maintain_order=True).agg(pl.col("share").mean())["share"]
    assert share[1] > share[0] + 0.1
    assert len(said.evidence["costs"]) == 2
    assert cells.filter(kind="with a rule")["changed"].null_count() == 0


def test_the_smoke_study_of_programs_measures_answers_of_every_arm(tmp_path):
    folder = tmp_path / "runs" / "programs"
    folder.mkdir(parents=True)
    shutil.copy(RUNS / "transfer-programs" / "smoke.toml", folder / "study.toml")
    scaling.sweep(folder, workers=1, progress=False)
    runs, measured = scaling.open_runs(folder), scaling.open_measurements(folder)
    assert len(runs) == 16
    answers = measured.join(runs.select("run_id", "blend", "unique_tokens"), on="run_id")
    assert set(answers["group"]) == {"english", "code", "random code"}
    counts = answers.group_by("run_id").agg(pl.col("probe").n_unique(), pl.col("group").n_unique())
    assert counts["probe"].unique().to_list() == [2]
    assert counts["group"].unique().to_list() == [3]


def test_the_study_of_programs_matches_steps_and_target_in_every_arm():
    """Each arm of a target has the repeats with as many steps beside it, at its width and seed, on the same text."""
    study = read_study(RUNS / "transfer-programs")
    worlds = study.corpus.writers
    assert len({made.surface for made in worlds.values()}) == 6
    assert len({made.skill for made in worlds.values()}) == 3
    alone = {
        (trunk.data.blend[0][0], trunk.data.unique, trunk.model.width, trunk.seed, budget)
        for trunk in study.trunks
        if len(trunk.data.blend) == 1
        for budget in trunk.schedule.budgets
    }
    assert set(study.corpus.placebo_of) == {"shuffled code", "noise code"}
    assert set(study.corpus.form_placebo_of) == {
        f"{p} code" for p in ("random", "distances", "brackets", "statements")
    }
    assert {*study.corpus.placebo_of.values(), *study.corpus.form_placebo_of.values()} == {"code"}
    assert study.corpus.other_form_of == {"english in other orders": "english"}
    assert read_study(RUNS / "duplicates").corpus.other_form_of == {}  # other pages, told alike
    held = 128 * study.trunks[0].model.context
    additive = [
        t for t in study.trunks if len(t.data.blend) == 2 and dict(t.data.unique).popitem()[1] == held
    ]
    assert len(additive) > 100
    for trunk in additive:
        (target,) = dict(trunk.data.unique)
        assert (target, trunk.data.unique, trunk.model.width, trunk.seed, trunk.schedule.budgets[0]) in alone
