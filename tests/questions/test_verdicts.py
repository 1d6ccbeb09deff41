"""A question is a folder, a file of charts and a notebook; whatever it is asked, a verdict comes back."""

import datetime
import importlib
import math
import pkgutil
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from matrices import PLACEBOS, constant, world
from real_vega import UNITS, drawn_titles
from studies.duplicates import RULED, STORED, duplicated
from studies.locality import world as abilities
from studies.memory import World, simulate
from studies.preference import world as preferred
from studies.reasoning import world as learned
from studies.synthetic import world as written

import scaling.questions
from scaling import fit, questions
from scaling.charts import plot
from scaling.errors import BadOption, ScalingError
from scaling.fitting import compare
from scaling.laws import chinchilla, kaplan
from scaling.verdict import Estimate, Reach, UnknownAnswer, Verdict

ABILITIES = {
    "base": 0,
    "ceiling": 0.9,
    "neither": 0,
    "manuals": 0.3,
    "scripts": 0.6,
    "manuals and scripts": 0.8,
}
ROOM = Path(scaling.questions.__file__).parent


def ladder():
    """Five sizes and budgets, two seeds, each text seen up to eight times."""
    generator = np.random.default_rng(0)
    sizes, budgets = np.geomspace(1e6, 1e8, 5), np.geomspace(1e8, 1e10, 5)
    rows = [
        (N, D, min(D, U), U, 6 * N * D, seed, chinchilla(N, D, E=1.7, A=400, B=400, alpha=0.34, beta=0.28))
        for N in sizes
        for D in budgets
        for U in (D / 8, 1e12)
        for seed in (0, 1)
    ]
    header = ["N", "D", "unique_tokens", "unique_budget", "C", "seed", "loss"]
    runs = pl.DataFrame(rows, schema=header, orient="row")
    noise = np.exp(0.003 * generator.normal(size=len(runs)))
    return runs.with_columns(loss=pl.col("loss") * noise, epochs=pl.col("D") / pl.col("unique_tokens"))


def scores():
    """Twenty models that gain on five benchmarks."""
    day, step = datetime.date(2022, 1, 1), datetime.timedelta(days=50)
    rows = [
        (f"m{m}", day + m * step, f"b{b}", day, 1 / (1 + np.exp(b / 2 - m / 8)))
        for m in range(20)
        for b in range(5)
    ]
    header = ["model", "release_date", "benchmark", "benchmark_release_date", "performance"]
    return pl.DataFrame(rows, schema=header, orient="row")


def decade():
    new = ladder().filter(epochs=1.0)
    return questions.next_decade(fit(chinchilla, new, bootstrap=20), compare([chinchilla, kaplan], new), new)


ASKED = {
    "audit": lambda: questions.audit(ladder().filter(epochs=1.0), others=(), bootstrap=20),
    "index": lambda: questions.index(scores(), anchor="b0"),
    "memory": lambda: questions.memory(*simulate(World(), 0), skill="programs", chance=0.1),
    "next_decade": decade,
    "locality": lambda: questions.locality(*abilities(ABILITIES)),
    "preference": lambda: questions.preference(*preferred(0.5, seeds=2, sizes=(9_000,)), bootstrap=0),
    "plateau": lambda: questions.plateau(ladder().filter(epochs=1.0), worlds=100),
    "reasoning": lambda: questions.reasoning(learned({"source": 2.0}), measure="loss"),
    "repetition": lambda: questions.repetition(ladder(), laws=(chinchilla,), bootstrap=10),
    "replay": lambda: questions.replay(scores(), questions.month_ends(2023, 2023)[5:7], anchor="b0"),
    "silence": lambda: questions.silence(20),
    "duplicates": lambda: questions.duplicates(*duplicated(), stored=STORED, skill=RULED),
    "synthetic": lambda: questions.synthetic(written({"replace": 0.5, "verified": 0.25})),
    "transfer": lambda: questions.transfer(world(constant(0.2), constant(0.1)), placebos=PLACEBOS),
    "trend": lambda: questions.trend(questions.index(scores(), anchor="b0").records),
    "which_law": lambda: questions.which_law(ladder().filter(epochs=1.0), bootstrap=20),
    "wall": lambda: questions.wall("published-2024", draws=100),
}
HELPERS = {
    "chain",
    "fitted_laws",
    "flags_known",
    "influence",
    "interventions",
    "judge",
    "misses",
    "best_epochs",
    "month_ends",
    "read_inputs",
}
HELPERS |= {
    "until_best_epoch",
    "without_interventions",
    "index_as_of",
    "Input",
    "Inputs",
    "Synthetic",
    "Wall",
}


def test_every_public_question_is_asked_here():
    assert set(questions.__all__) == set(ASKED) | HELPERS


@pytest.mark.parametrize("name", ASKED)
def test_every_question_returns_a_verdict_of_its_folder_and_its_picture_names_what_axes_count(name):
    verdict = ASKED[name]()
    assert isinstance(verdict, Verdict) and verdict.answer in verdict.answers
    folder = ROOM / f"_{verdict.topic}"
    assert {"answer.py", "words.py"} <= {path.name for path in folder.iterdir()}
    assert (ROOM.parent / "charts" / "verdicts" / f"{verdict.topic}.py").exists()
    assert verdict.evidence and all(isinstance(table, pl.DataFrame) for table in verdict.evidence.values())
    assert verdict.question in str(verdict) and verdict.sentence in verdict.lead
    assert 'class="answer"' in verdict._repr_markdown_() and len(verdict.data_hash) >= 16
    if name in (
        "audit",
        "memory",
        "next_decade",
        "plateau",
        "reasoning",
        "repetition",
        "synthetic",
        "transfer",
    ):
        assert verdict.reach is not None and "GPT-2" in verdict.doubts and "GPT-4" in str(verdict)
    titles = drawn_titles(plot(verdict))
    assert titles and all(any(unit in title for unit in UNITS) for title in titles), titles


def test_a_module_of_the_room_is_never_a_function():
    for module in pkgutil.walk_packages(scaling.questions.__path__, "scaling.questions."):
        importlib.import_module(module.name)
        reached = scaling.questions
        for part in module.name.split(".")[2:]:
            reached = getattr(reached, part)
        assert isinstance(reached, ModuleType), module.name


def test_verdict_names_an_answer_that_its_question_does_not_have():
    with pytest.raises(UnknownAnswer, match=r"silence was answered with 'perhaps', but it may be .* 'yes'"):
        Verdict(
            question="?", topic="silence", answers=("yes",), answer="perhaps", sentence="", numbers={}, evidence={},
            would_change=(), data_hash="",
        )  # fmt: skip


def test_estimates_recover_draws_and_shares():
    draws = np.arange(101.0)
    assert (Estimate.of(draws, 0.8, "x").low, Estimate.of(draws, 0.8, "x").high) == pytest.approx((10, 90))
    share = Estimate.of_share(5, 100, 0.8)
    assert share.value == 5 and share.low < 5 < share.high < 10


def test_reach_counts_six_n_d_where_no_compute_is_given():
    runs = pl.DataFrame({"N": [1e6, 2e6], "D": [1e8, 1e8], "loss": [3.0, 2.0]})
    assert Reach.of(runs).compute == 6 * 2e6 * 1e8


@pytest.mark.parametrize(
    "name", ["locality", "memory", "preference", "reasoning", "repetition", "synthetic", "transfer"]
)
def test_a_question_takes_any_frame_and_names_what_is_none(name):
    """Columns are looked for in a frame of pandas as in one of polars; a path is no frame."""
    pandas, ask = pytest.importorskip("pandas"), getattr(questions, name)
    table, about = (
        {"runs": pandas.DataFrame({"a": [1.0, 2.0]})},
        {"skill": "x", "chance": 0.1} if name == "memory" else {},
    )
    second = {"locality": "measured", "memory": "measurements", "preference": "measured"}.get(name)
    table |= {second: table["runs"]} if second else {}
    with pytest.raises(ScalingError):
        ask(**table, **about)
    with pytest.raises(BadOption, match=r"scaling.open_runs\('runs/mine'\)"):
        ask(**(table | {"runs": "runs/mine"}), **about)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: questions.silence("20"),  # type: ignore[arg-type]
        lambda: questions.silence(20, level=80),  # type: ignore[arg-type]
        lambda: questions.silence(20, prior=0.3),  # type: ignore[arg-type]
        lambda: questions.wall("published-2024", by="2030"),  # type: ignore[arg-type]
        lambda: questions.wall("published-2024", draws="many"),  # type: ignore[arg-type]
        lambda: questions.which_law(ladder(), laws=[kaplan]),  # type: ignore[arg-type]
    ],
)
def test_a_question_names_an_argument_of_the_wrong_kind(ask):
    with pytest.raises(BadOption, match="Change it in the call"):
        ask()


@pytest.mark.parametrize("bound", [1, -1])
def test_a_bound_that_is_not_known_is_no_bound_of_zero(bound):
    assert str(Estimate(1.0, math.nan, math.nan, 0.8, "nats", bound)) == "1 nats, no interval"
    assert (
        str(Estimate(1.0, 0.5, 2.0, 0.8, "nats", bound))
        == f"at {'least 0.5' if bound > 0 else 'most 2'} nats, 80 %"
    )
