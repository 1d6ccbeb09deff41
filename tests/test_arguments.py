"""What public functions are given that they cannot take: a named error before any work, whatever its kind."""

import datetime
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import scaling
from scaling import laws, questions, units
from scaling.arguments import checked
from scaling.errors import BadOption, ScalingError
from scaling.laws import chinchilla, kaplan, score_from_loss

WRONG = [
    None, "", "abc", -1, 0, 5, float("nan"), float("inf"), 10**400, 10**5000, 1e-320, True, 1 + 2j, b"x", object(), int,
    [], ["a", "b"], [float("nan")], (1, 2, 3), {}, {"a": 1}, {1: None}, {"a"}, range(3), np.float64("nan"),
    np.int64(-3), np.array(0.5), np.ones((2, 2)), pl.Series("x", [1.0, 2.0]), pl.DataFrame(),
    pl.DataFrame({"N": ["a"], "D": ["b"], "C": ["c"], "loss": ["d"]}), datetime.date(2024, 1, 1), Path("/nowhere"),
    lambda *given, **named: 0,
]  # fmt: skip


class Reached(Exception):
    """The data were asked for, so that every check that needs none of them has been passed."""


class Untouchable(Mapping):
    """A table that may not be read."""

    def __getitem__(self, name):
        raise Reached

    def __iter__(self):
        raise Reached

    def __len__(self):
        return 1


TABLE = Untouchable()
CALLS = {
    scaling.fit: {"law": chinchilla},
    scaling.compare: {"laws": [chinchilla, kaplan]},
    scaling.cross_validate: {"laws": [chinchilla, kaplan]},
    scaling.average: {"laws": [chinchilla, kaplan]},
    scaling.downstream: {"loss_law": chinchilla, "score_law": score_from_loss},
    scaling.pool: {"law": chinchilla},
    scaling.isoflop: {},
    scaling.envelope: {},
    scaling.blend: {"target": "code"},
    scaling.propose: {"question": "exponent", "flops": 1e21},
    scaling.extrapolate: {"D": 1e11},
    scaling.open_runs: {"where": "nowhere"},
    scaling.open_evaluations: {"where": "nowhere"},
    scaling.open_measurements: {"where": "nowhere"},
    scaling.read_runs: {"path": "nowhere"},
    scaling.check_runs: {"path": "nowhere"},
    scaling.read_study: {"path": "nowhere"},
    scaling.sweep: {"study": "nowhere"},
    questions.audit: {},
    questions.duplicates: {"stored": ["a"]},
    questions.fitted_laws: {"source": "a", "target": "b"},
    questions.index: {},
    questions.interventions: {},
    questions.judge: {},
    questions.locality: {},
    questions.memory: {"skill": "a", "chance": 0.0},
    questions.month_ends: {"first_year": 2020, "last_year": 2021},
    questions.plateau: {},
    questions.preference: {},
    questions.reasoning: {},
    questions.repetition: {},
    questions.replay: {"dates": [datetime.date(2024, 1, 31)]},
    questions.synthetic: {},
    questions.transfer: {},
    questions.trend: {},
    questions.which_law: {},
    laws.bnsl: {},
    laws.multi_power: {},
    laws.mixing: {},
    laws.get: {"name": "chinchilla"},
    laws.along: {"law": kaplan, "column": "D"},
    laws.optimum: {"law": laws.HOFFMANN_2022, "C": 1e21},
    laws.annealing_areas: {"step": [1, 2, 3], "rate": [0.3, 0.2, 0.1]},
    laws.falling_columns: {"step": [1, 2, 3], "rate": [0.3, 0.2, 0.1]},
    units.parse_count: {"text": "85M"},
    units.bits_per_byte: {"nats_per_token": 2.0},
    units.nats_per_token: {"bits_per_byte": 1.0},
}
TABLES = ("runs", "curves", "measurements", "measured", "cells", "scores", "records", "table")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.__module__}.{call.__qualname__}")
def test_every_argument_of_a_wrong_kind_is_named_before_any_work(call, tmp_path, monkeypatch):
    """Each argument in turn is replaced by what it cannot be; what is let through gets no farther than the data."""
    monkeypatch.chdir(tmp_path)
    parameters = inspect.signature(call).parameters.values()
    good = {p.name: TABLE for p in parameters if p.name in TABLES and p.default is p.empty} | CALLS[call]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        for wrong in WRONG:
            try:
                call(**good | {parameter.name: wrong})
            except (Reached, ScalingError) as problem:
                assert len(str(problem)) < 2000
            except Exception as problem:
                raise AssertionError(f"{parameter.name}={type(wrong)!s}: {problem!r}") from problem


def test_an_argument_is_checked_by_what_its_annotation_says():
    @checked
    def call(seed: "int" = 0, level: "float" = 0.8, by: "str | None" = None, words: "Sequence[str]" = ()):
        return seed, level, by, words

    assert call(3, by=None, words=["a"]) == (3, 0.8, None, ["a"])
    for name, wrong in (
        ("seed", -1), ("seed", 1.0), ("seed", True), ("level", 80), ("level", "0.8"), ("by", 3), ("words", "ab"),
        ("words", [1]), ("words", {"a": 1}),
    ):  # fmt: skip
        with pytest.raises(BadOption, match=rf"^{name}=.* must be .* Change it in the call\.$"):
            call(**{name: wrong})  # type: ignore[arg-type]
