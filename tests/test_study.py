import dataclasses
import json

import pytest

from scaling.errors import BadValue, StudyError, UnknownKey
from scaling.flops import ladder
from scaling.records import MissingRuns
from scaling.study import Trunk, difference, read_study

GOOD = """
question = "how?"
[corpus]
source = "folder"
path = "text"
blend = { code = 0.75, prose = 0.25 }
[defaults]
budgets = ["64Ki", "128Ki"]
peak_lr = { 16 = 0.02, 32 = 0.01 }
[[grid]]
width = [16, 32]
seed = [0, 1, 2]
[[grid]]
width = 16
unique_budget = "16Ki"
max_epochs = 8
"""


def study(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "study.toml").write_text(text)
    return read_study(folder)


def test_study_multiplies_lists_and_adds_grids(tmp_path):
    asked = study(tmp_path / "mine", GOOD)
    assert asked.name == "mine"
    assert len(asked.trunks) == 2 * 3 + 1
    assert {(t.width, t.peak_lr) for t in asked.trunks} == {(16, 0.02), (32, 0.01)}
    assert all(t.budgets == (65536, 131072) for t in asked.trunks)
    assert asked.trunks[-1].unique_budget == 16384
    assert asked.source.path == str(tmp_path / "mine" / "text")


def test_study_turns_sizes_into_the_ladders_widths_and_depths(tmp_path):
    asked = study(tmp_path / "mine", GOOD.replace("width = [16, 32]", 'N = ["25k", "124M"]\npeak_lr = 0.01'))
    shapes = {(t.width, t.depth) for t in asked.trunks[:6]}
    assert shapes == {(s.width, s.depth) for s in (ladder(25e3), ladder(124e6))}
    wide = study(
        tmp_path / "wide", GOOD.replace("width = [16, 32]", 'N = "1M"\ndepth = 4\nhead_dim = 64\npeak_lr = 1')
    )
    assert (wide.trunks[0].width, wide.trunks[0].depth) == (128, 4)


def test_trunk_recovers_from_json():
    trunk = Trunk(width=32, budgets=(1024, 4096), unique_budget=2048, blend=(("code", 1.0),))
    assert Trunk.from_json(json.loads(json.dumps(dataclasses.asdict(trunk)))) == trunk


def test_run_id_is_invariant_to_other_budgets_and_changes_with_everything_else():
    trunk = Trunk(width=32, budgets=(1024, 4096))
    assert trunk.run_id("c", 4096) == dataclasses.replace(trunk, budgets=(4096,)).run_id("c", 4096)
    others = [
        dataclasses.replace(trunk, **{key: value}).run_id("c", 4096)
        for key, value in [
            ("width", 16),
            ("seed", 1),
            ("peak_lr", 0.02),
            ("cooldown", 0.3),
            ("unique_budget", 4096),
        ]
    ]
    assert len({trunk.run_id("c", 4096), trunk.run_id("d", 4096), trunk.run_id("c", 1024), *others}) == 8


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (("budgets = [", 'budgest = ["1Ki"]\nbudgets = ['), UnknownKey, "Did you mean 'budgets'?"),
        (("[corpus]", "[corpora]"), UnknownKey, "Did you mean 'corpus'?"),
        (('"64Ki"', "-5"), BadValue, "at least 0, e.g. 4096"),
        (('"64Ki"', '"many"'), BadValue, "a whole number of tokens"),
        (('"64Ki"', "100"), BadValue, "at least one step of tokens_per_step"),
        (("prose = 0.25", "prose = 0.5"), BadValue, "add up to 1"),
        (
            ("width = 16\nuniq", "width = 40\npeak_lr = 0.01\nuniq"),
            BadValue,
            "width = 40, but it must be a multiple of head_dim",
        ),
        (("32 = 0.01", "64 = 0.01"), BadValue, "a table with the width 32"),
        (
            ("seed = [0, 1, 2]\n[[grid]]\nwidth = 16", "seed = []\n[[grid]]\nwidth = []"),
            BadValue,
            "none of its lists may be empty",
        ),
        (("seed = [0, 1, 2]", 'seed = "zero"'), BadValue, "a whole number"),
        (("max_epochs = 8", 'decay_half_life = "0"\nmax_epochs = 8'), BadValue, "above 0"),
        (("max_epochs = 8", 'decay_half_life = "1M"\nweight_decay = 0.1'), BadValue, "or weight_decay be 0"),
        (("max_epochs = 8", "max_epochs = 0.5"), BadValue, "at least 1"),
        (
            ("width = 16\nuniq", "width = 15\nhead_dim = 5\npeak_lr = 1\nuniq"),
            BadValue,
            "head_dim = 5, but it must be even",
        ),
        (("seed = [0, 1, 2]", "depth = 1"), BadValue, "depth = 1, but it must be at least 2"),
        (("width = 16\nuniq", "uniq"), BadValue, "width = None, but it must be given"),
        (("width = 16\nuniq", 'width = 16\nN = "1M"\nuniq'), BadValue, "or N in its place"),
        (
            ("width = 16\nuniq", 'N = "many"\nuniq'),
            BadValue,
            'a whole number of weights, at least 0, e.g. 4096, "124M"',
        ),
        (
            ("width = 16\nuniq", "N = 100\nuniq"),
            BadValue,
            "N = 100, but it must be at least 1,536 at head_dim = 16",
        ),
        (("width = 16\nuniq", 'N = "1M"\ndepth = 0\nuniq'), BadValue, "depth = 0, but it must be at least 2"),
        (
            ("width = 16\nuniq", 'N = "1M"\nhead_dim = 0\nuniq'),
            BadValue,
            "head_dim = 0, but it must be at least 2",
        ),
        (("seed = [0, 1, 2]", "seed = -1"), BadValue, "seed = -1, but it must be at least 0"),
        (("seed = [0, 1, 2]", "seed = inf"), BadValue, "seed = inf, but it must be a whole number"),
        (
            ("width = 16\nuniq", "width = inf\npeak_lr = 1\nuniq"),
            BadValue,
            "width = inf, but it must be a whole number",
        ),
        (("seed = [0, 1, 2]", "weight_decay = nan"), BadValue, "weight_decay = nan, but it must be a number"),
        (
            ('unique_budget = "16Ki"', "unique_budget = inf"),
            BadValue,
            "unique_budget = inf, but it must be a whole number of",
        ),
        (
            ("blend = { code = 0.75, prose = 0.25 }", "blend = 3"),
            BadValue,
            "blend = 3, but it must be a table of shares",
        ),
        (
            ("blend = { code = 0.75, prose = 0.25 }", 'blend = "x"'),
            BadValue,
            "blend = 'x', but it must be a table",
        ),
        (("code = 0.75", 'code = "a"'), BadValue, "'prose': 0.25}, but it must be a table of shares"),
        (("seed = [0, 1, 2]", "blend = [3]"), BadValue, "blend = 3, but it must be a table of shares"),
        (
            ('"128Ki"', "65600"),
            BadValue,
            "budgets = \\[65536, 65600], but it must be at least one step of tokens_per_step = 512",
        ),
        (('path = "text"', ""), BadValue, "given where source = 'folder'"),
        (("[defaults]", "[defaults"), StudyError, "not a TOML file"),
    ],
    ids=lambda value: value[1][:24] if isinstance(value, tuple) else None,
)
def test_study_names_what_it_cannot_do(tmp_path, change, error, words):
    with pytest.raises(error, match=words.replace("?", r"\?").replace("(", r"\(")) as problem:
        study(tmp_path / "mine", GOOD.replace(*change))
    assert "study.toml" in str(problem.value)


@pytest.mark.parametrize("text", ["corpus = 3", "defaults = 3", "grid = 3", "grid = [3]"])
def test_study_names_a_section_that_is_no_table(tmp_path, text):
    with pytest.raises(BadValue, match=rf"{text[0:4]}\w* = \[?3\]?, but it must be (a table|tables)"):
        study(tmp_path / "mine", text)


def test_study_names_a_missing_file(tmp_path):
    with pytest.raises(MissingRuns, match="Name a study file"):
        read_study(tmp_path / "nothing.toml")


def test_difference_shows_only_the_lines_that_differ(tmp_path):
    before = study(tmp_path / "mine", GOOD).asked
    after = study(tmp_path / "mine", GOOD.replace("seed = [0, 1, 2]", "seed = [0, 1]")).asked
    lines = difference(before, after).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("-") and '"seed": 2' in line for line in lines)
