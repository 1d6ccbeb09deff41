"""What one domain does for another, in worlds where that is known."""

import json
import os
import re

import numpy as np
import polars as pl
import pytest
from matrices import PLACEBOS, SIZES, T, constant, rising, world

import scaling
from scaling.errors import BadOption, MissingColumns
from scaling.questions import fitted_laws, transfer
from scaling.questions._transfer.answer import NoSuchPair, NothingAdded
from scaling.questions._transfer.matrix import PlaceboWithoutRuns
from scaling.questions._transfer.words import ANSWERS, CANNOT, FORM, HELPS, HURTS, NONE, OPEN, WORDS
from scaling.questions.measured import NoValues
from scaling.study import read_study
from scaling.verdict import Estimate


def asked(runs, **keys):
    return transfer(runs, source="code", target="prose", placebos=PLACEBOS, **keys)


def test_transfer_recovers_exchange_rates_and_their_slope():
    """Of source and placebo within their intervals; the slope per decade of N, of which sizes are 0.6 apart."""
    verdict = asked(world(rising(0.20, 0.06), constant(0.1)), level=0.99)
    assert verdict.answer == HELPS
    cells = verdict.evidence["cells"].filter(dose=4.0).sort("N")
    truth = np.array([0.20, 0.26, 0.32, 0.38])
    for name, true in {"worth": truth, "placebo_worth": 0.1, "adjusted": truth - 0.1}.items():
        assert cells[name].to_numpy() == pytest.approx(true * np.ones(4), abs=0.03)
        low, high = (cells[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
        assert (low < true).all() and (true < high).all()
    (slope,) = [number for name, number in verdict.numbers.items() if name.startswith("slope")]
    assert slope.low < 0.06 / np.log10(4) < slope.high and slope.low > 0
    assert "2.3 decades of N above the largest" in str(verdict.doubts)


@pytest.mark.parametrize(
    ("code", "placebo", "answer"),
    [
        (constant(0.2), constant(0.1), HELPS),
        (constant(-0.06), constant(-0.06), HURTS),
        (constant(0.15), constant(0.15), WORDS),
        (constant(0.0), constant(0.0), NONE),
        (rising(0.3, -0.13), constant(0.0), OPEN),
        (rising(0.35, -0.1), constant(0.0), OPEN),
    ],
)
def test_transfer_calls_a_world_by_its_name(code, placebo, answer):
    verdict = asked(world(code, placebo))
    assert verdict.answer == answer and set(verdict.answers) == set(ANSWERS)
    assert verdict.identifiable and verdict.next_runs
    assert answer.split()[0] in verdict.sentence.lower()


def test_transfer_is_invariant_to_row_order_and_to_the_sign_of_what_is_measured():
    runs = world(constant(0.2), constant(0.1))
    verdict = asked(runs)
    assert str(asked(runs.sample(fraction=1.0, shuffle=True, seed=1))) == str(verdict)
    flipped = runs.with_columns(-pl.col("loss_prose", "loss_code", "loss_shuffled code"))
    other = asked(flipped, higher_is_better=True)
    assert other.sentence == verdict.sentence


def test_pairs_are_judged_at_the_dose_that_is_asked():
    """Where one dose helps and four are too many."""
    runs = world(lambda size, dose: 0.2 if dose == 1 else -0.05, constant(0.0))
    assert asked(runs).answer == HURTS
    verdict = asked(runs, dose=1.0)
    assert verdict.answer == HELPS and verdict.evidence["pairs"]["dose"].to_list() == [1.0]
    best = verdict.evidence["best_doses"]
    assert best["dose"].to_list() == [1.0] * 4 and best["high"].to_list() == [1.0] * 4
    with pytest.raises(BadOption, match="dose=2 was asked for, but it must be one of 1, 4"):
        asked(runs, dose=2)


def test_an_effect_beyond_the_targets_curve_is_a_bound():
    verdict = asked(world(constant(0.9), constant(0.1), curve=(0.5, 1, 2)))
    cells = verdict.evidence["cells"].filter(dose=4.0)
    assert cells["worth_high"].is_infinite().all() and cells["adjusted_high"].is_infinite().all()
    assert cells["worth"].to_list() == pytest.approx([1 / 4] * 4, abs=1e-6)
    assert verdict.answer == HELPS
    assert "only a bound" in str(verdict.doubts)
    assert "a token of code is worth at least 0.25 tokens of prose (95 % bound)" in verdict.sentence
    assert (
        str(verdict.numbers["worth of a token of code, N = 6,144"]) == "at least 0.25 tokens of prose, 95 %"
    )


def test_what_is_worth_less_than_all_that_was_measured_is_not_measurable():
    """All seeds stop at the end of the curve and so differ in nothing, which is no precision."""
    verdict = asked(world(constant(-0.9), constant(-0.9), doses=(0.5,), curve=(1, 2, 3)))
    assert verdict.answer == HURTS and "worth at most 0 tokens of prose" in verdict.sentence
    bound = Estimate(-0.2, -0.4, np.inf, 0.95, "tokens", bound=1)
    assert str(bound) == "none measurable, at least -0.4 tokens, 95 %"


def test_without_a_curve_gains_are_judged_and_nothing_is_priced():
    verdict = asked(world(constant(0.2), constant(0.1), curve=(1,)))
    assert verdict.answer == HELPS
    assert not any("worth" in name for name in verdict.numbers)


def test_a_source_that_was_not_learned_decides_nothing():
    runs = world(constant(0.2), constant(0.1)).with_columns(pl.lit(3.0).alias("loss_code"))
    verdict = asked(runs)
    assert verdict.answer == CANNOT and not verdict.identifiable
    assert "the source was not learned" in verdict.sentence
    assert "scaling propose RUNS --question transfer" in verdict.would_tell
    few = world(constant(0.2), constant(0.1)).with_columns(
        loss_code=pl.when(pl.col("N") == SIZES[0]).then(3.0).otherwise("loss_code")
    )
    cells = asked(few).evidence["cells"]
    assert cells.filter(~pl.col("learned"))["N"].unique().to_list() == [SIZES[0]]
    assert cells["learned"].sum() == 6
    assert asked(world(constant(0.2), constant(0.1)), learned=2.1).answer == HELPS
    assert asked(world(constant(0.2), constant(0.1)), learned=1.9).answer == CANNOT


def test_a_placebo_of_form_that_is_easier_than_its_source_leaves_the_source_learned():
    runs = world(constant(0.2), constant(0.1)).with_columns(pl.lit(0.0).alias("loss_shuffled code"))
    assert asked(runs).answer == CANNOT
    form = transfer(runs, source="code", target="prose", form_placebos=PLACEBOS)
    assert form.answer == HELPS


def test_a_target_that_was_only_seen_again_stands_beside_one_with_a_curve():
    runs = world(constant(0.2), constant(0.1))
    again = world(constant(0.2), constant(0.1), curve=(1,)).rename({"loss_prose": "loss_fable"}).with_columns(
        pl.col("blend").str.replace("prose", "fable"), "again " + pl.col("run_id"), domain_epochs=pl.lit('{"fable": 8}')
    )  # fmt: skip
    said = asked(pl.concat([again, runs], how="diagonal"))
    assert set(said.evidence["curves"]["target"]) == {"prose"}
    assert set(said.evidence["pairs"]["target"]) == {"prose", "fable"}


def test_sizes_that_are_not_finished_are_left_to_those_that_are():
    runs = world(constant(0.2), constant(0.1))
    partial = runs.filter((pl.col("N") < SIZES[-1]) | (pl.col("seed") == 0))
    verdict = asked(partial)
    assert verdict.answer == HELPS
    assert verdict.evidence["pairs"]["largest"].to_list() == [SIZES[-2]]


def used_up(code, again):
    """A quarter of the prose four times, then as many steps of code, of shuffled code, or of the same again."""
    runs, rows = world(constant(0.2), constant(0.1)), []
    rng = np.random.default_rng(9)
    arms = [({"prose": 1.0}, T, 2.3, 4.0), ({"prose": 1.0}, 2 * T, 2.3 - again, 8.0)]
    arms += [
        ({"prose": 0.5, name: 0.5}, 2 * T, 2.3 - gain, 4.0)
        for name, gain in {"code": code, "shuffled code": 0.0}.items()
    ]
    for N in SIZES:
        for blend, D, value, epochs in arms:
            for seed in range(5):
                row = {"run_id": f"u{len(rows)}", "N": N, "D": D, "seed": seed, "blend": json.dumps(blend)}
                row |= {
                    "loss_prose": value + 0.003 * rng.normal(),
                    "loss_code": 2.0,
                    "loss_shuffled code": 3.0,
                }
                rows.append(row | {"domain_epochs": json.dumps({"prose": epochs})})
    return pl.concat([runs.with_columns(pl.lit(None, pl.String).alias("domain_epochs")), pl.DataFrame(rows)])


def test_an_effect_must_survive_when_the_target_is_used_up():
    """There a repeat of it is a placebo of steps: it is not new to the model."""
    helps = asked(used_up(0.10, 0.02))
    assert helps.answer == HELPS and ", but" not in helps.sentence
    verdict = asked(used_up(0.05, 0.20))
    assert verdict.answer == WORDS
    assert ", but does no more than these on 65.5k tokens of prose seen 4 times." in verdict.sentence
    alone = used_up(0.05, 0.20).filter(pl.col("domain_epochs").is_not_null())
    assert "262k tokens of code beside 262k tokens of prose (65.5k distinct)" in asked(alone).sentence
    assert (
        "not seen to do more for prose than equally many steps on prose,** over which it raises the loss by"
        in asked(alone).sentence
    )
    assert "When prose is used up" in str(verdict.doubts)


def programs(other):
    """Exact answers to English with code, and to English in another order, as a probe measured them."""
    rng, runs, measured = np.random.default_rng(3), [], []
    for N in SIZES:
        for skill, level in {"english": 0.95, "english reordered": other}.items():
            arms = {"": 0.3, "code": level, "shuffled code": 0.3, "random answers": 0.33}
            for name, mean in arms.items():
                for seed in range(5):
                    run = {"run_id": f"{len(runs)}", "N": N, "D": 2**20 if name else 2**19, "seed": seed}
                    blend = {skill: 0.5, name: 0.5} if name else {skill: 1.0}
                    runs.append(run | {"blend": json.dumps(blend)})
                    value = rng.beta(8 * mean, 8 * (1 - mean))
                    own = {"code": 0.97, "shuffled code": 0.0, "random answers": 0.1}.get(name)
                    for group, seen in {skill: value, name: own}.items():
                        probe = {
                            "run_id": run["run_id"],
                            "probe": "answer_exact",
                            "group": group,
                            "value": seen,
                        }
                        measured += [probe | {"step": step} for step in (1, 9)] if seen is not None else []
    frame = pl.DataFrame(measured).with_columns(
        value=pl.when(pl.col("step") == 9).then("value").otherwise(0.5)
    )
    return pl.DataFrame(runs), frame


@pytest.mark.parametrize(("other", "answer"), [(0.38, FORM), (0.9, HELPS)])
def test_a_skill_must_be_there_in_another_form_of_the_target(other, answer):
    runs, measurements = programs(other)
    verdict = transfer(
        runs, measurements=measurements, measure="answer_exact", placebos=PLACEBOS,
        form_placebos={"random answers": "code"}, other_forms={"english reordered": "english"}, learned=0.9,
    )  # fmt: skip
    assert verdict.answer == answer
    assert ("but less than half of that in another form of English" in verdict.sentence) == (answer == FORM)
    assert verdict.question.startswith("Does code help English,")


def test_transfer_names_what_it_cannot_be_asked():
    runs = world(constant(0.2), constant(0.1), sizes=SIZES[:2])
    with pytest.raises(PlaceboWithoutRuns, match=r"no run adds 'shufled code'.*Did you mean 'shuffled code'"):
        transfer(runs, placebos={"shufled code": "code"})
    with pytest.raises(
        PlaceboWithoutRuns, match="judge by the placebo 'shuffled code', but no run adds 'java'"
    ):
        transfer(runs, placebos={"shuffled code": "java"})
    with pytest.raises(NoSuchPair, match="tables → prose, but the runs have code → prose"):
        asked_of = {"source": "tables", "target": "prose", "placebos": PLACEBOS}
        transfer(runs, **asked_of)
    with pytest.raises(NothingAdded, match="none of these 60 runs"):
        transfer(runs.filter(pl.col("blend") == '{"prose": 1.0}'))
    with pytest.raises(NoValues, match="'answer_exact' of each domain, but these runs have loss"):
        transfer(runs, measure="answer_exact")
    with pytest.raises(MissingColumns, match="blend"):
        transfer(runs.drop("blend"))
    with pytest.raises(BadOption, match="level"):
        transfer(runs, level=95)


STUDY = """
[corpus]
source = "folder"
path = "library"
placebos = { "shuffled code" = { of = "code", kind = "shuffled" } }
[defaults]
width = [8, 16, 24]
head_dim = 8
context = 32
tokens_per_step = 256
warmup_tokens = "1Ki"
seed = [0, 1]
[[grid]]
blend = { prose = 1.0 }
unique = { prose = "32Ki" }
budgets = ["4Ki", "8Ki", "16Ki", "32Ki"]
[[grid]]
blend = [{ prose = 0.5, code = 0.5 }, { prose = 0.5, "shuffled code" = 0.5 }]
unique = { prose = "32Ki" }
budgets = ["16Ki"]
"""


def test_a_small_study_goes_from_its_sweep_to_a_verdict_within_a_minute(tmp_path, library):
    """Of one core, its worker's and this process's, however many others wait for it."""
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text(STUDY.replace('"library"', f'"{library}"'))
    started = sum(os.times()[:4])
    runs = scaling.sweep(folder, progress=False, workers=1)
    verdict = transfer(runs, placebos=read_study(folder).corpus.placebo_of)
    assert len(runs) == 36
    assert verdict.answer in ANSWERS and "code" in verdict.question
    assert len(verdict.evidence["cells"]) == 3
    assert sum(os.times()[:4]) - started < 60


def test_fitted_laws_recover_effective_data_and_exchange_rates_or_say_why_not():
    """Cells that follow Hernandez' law, and a world in which a token of code is worth .3 of prose at every dose."""
    sizes, amounts = (6e3, 2.5e4, 1e5, 4e5), (6e4, 2.5e5, 1e6)
    rows = [(N, D, 30 * D**0.3 * N**0.4 / (4 * D)) for N in sizes for D in amounts]
    cells = pl.DataFrame(rows, ["N", "unique", "worth"], orient="row").with_columns(
        source=pl.lit("code"), target=pl.lit("prose"), epochs=1.0, dose=4.0
    )
    runs = world(lambda *_: 0.3, lambda *_: 0.1, doses=(0.25, 0.5, 1, 2, 4, 8), noise=0.001).with_columns(
        epochs=1.0
    )
    asked = {"source": "code", "target": "prose", "placebos": PLACEBOS, "bootstrap": 20}
    said = {row[0]: row[2] for row in fitted_laws(runs, cells, **asked).rows}
    numbers = dict(
        part.split(" [")[0].split() for part in said["effective data transferred"].split(", ") if " [" in part
    )
    assert {name: float(value) for name, value in numbers.items()} == {"k": 30, "alpha": 0.3, "beta": 0.4}
    (tau,) = re.findall(r"tau_code ([\d.]+)", said["exchange"])
    assert float(tau) == pytest.approx(0.3, abs=0.05)
    one = fitted_laws(runs, cells.filter(pl.col("unique") == 6e4, pl.col("N") < 1e5), **asked).rows
    assert one[0][2].startswith("not fitted: transferred_data has 2 free parameters")
    few = fitted_laws(runs.filter(pl.col("D") < 6e5), cells, **asked).rows
    assert "blends, and" in few[1][2]
