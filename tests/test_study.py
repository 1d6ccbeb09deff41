import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers, sampled_from

from scaling.corpora.source import CorpusSource
from scaling.errors import BadValue, CorpusError, StudyError, UnknownKey
from scaling.flops import ladder
from scaling.records import MissingRuns
from scaling.study import DataSpec, ModelSpec, OptimSpec, ScheduleSpec, Trunk, read_study
from scaling.study.identity import spell_out
from scaling.study.spec import keys_of

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
    assert {(t.model.width, t.optim.peak_lr) for t in asked.trunks} == {(16, 0.02), (32, 0.01)}
    assert all(t.schedule.budgets == (65536, 131072) for t in asked.trunks)
    assert asked.trunks[-1].data.unique_budget == 16384
    assert asked.source.path == str(tmp_path / "mine" / "text")


def test_study_turns_sizes_into_the_ladders_widths_and_depths(tmp_path):
    asked = study(tmp_path / "mine", GOOD.replace("width = [16, 32]", 'N = ["25k", "124M"]\npeak_lr = 0.01'))
    assert {t.model for t in asked.trunks[:6]} == {ladder(25e3), ladder(124e6)}
    wide = study(
        tmp_path / "wide", GOOD.replace("width = [16, 32]", 'N = "1M"\ndepth = 4\nhead_dim = 64\npeak_lr = 1')
    )
    assert (wide.trunks[0].model.width, wide.trunks[0].model.depth) == (128, 4)


def test_study_takes_a_list_of_blends_and_a_unique_budget_for_each_domain(tmp_path):
    arms = "blend = [{ code = 1 }, { code = 0.2, prose = 0.8 }]\nunique = { prose = '2Ki', code = 4096 }"
    asked = study(tmp_path / "mine", GOOD.replace("seed = [0, 1, 2]", arms))
    first = asked.trunks[:4]
    assert {t.data.blend for t in first} == {(("code", 1),), (("code", 0.2), ("prose", 0.8))}
    assert {t.data.unique for t in first} == {(("code", 4096), ("prose", 2048))}


def test_trunk_recovers_from_json():
    trunk = Trunk.of(
        width=32, budgets=(1024, 4096), unique_budget=2048, unique=(("code", 512),), blend=(("code", 1.0),)
    )
    assert Trunk.of(**json.loads(json.dumps(trunk.flat))) == trunk


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
            ("width = 16\nuniq", "width = 16\nhead_dim = { 8 = 8 }\nuniq"),
            BadValue,
            "a table with the width 16",
        ),
        (("width = 16\nuniq", 'N = "1M"\nhead_dim = { 8 = 8 }\nuniq'), BadValue, "where N chooses the width"),
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
        (
            ("seed = [0, 1, 2]", "unique = { code = -1 }"),
            BadValue,
            "unique.code = -1, but it must be a whole number",
        ),
        (
            ("seed = [0, 1, 2]", "unique = { code = 5 }"),
            BadValue,
            "at least one window of 128 tokens of each domain",
        ),
        (("seed = [0, 1, 2]", "unique = 5"), BadValue, "unique = 5, but it must be a table of token counts"),
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


LITERALS = [
    "0", "-1", "3", "1.5", "-0.0", "nan", "inf", "1e308", "16", "9" * 400, "9" * 5000, "true", "2020-01-01",
    '""', '"x"', '"all"', '"4Mi"', '"1e999"', '"-1"', '"markov"', '"language"', '"jsonl"', '"weights"',
    "[]", "[0, 0, 0]", "[[1]]", '["a", 1]', '["1Ki", "1Mi"]', '["heldout"]', "[{ code = 1 }]",
    "{}", "{ a = 1 }", "{ a = { kind = 3 } }", "{ 16 = 1, 32 = [] }",
]  # fmt: skip
KEYS = sorted({*keys_of(Trunk), *keys_of(CorpusSource), "N", "blend", "question", "keep", "probes"})
FILES = sorted((Path(__file__).parents[1] / "runs").glob("*/*.toml"))


def mutations(line, key, value):
    """The line with another value, another part of its value, another key, another key beside it, torn, and gone."""
    part = re.search(r'"[^"]*"|[\d.]+', line)
    return [
        f"{line.split('=')[0]}= {value}",
        line.replace(part[0], value, 1) if part else line,
        re.sub(r"^\w+ =", f"{key} =", line),
        f"{line}\n{key} = {value}",
        line[: len(line) // 2],
        "",
    ]


@settings(max_examples=400, deadline=None)
@given(data())
def test_a_mutated_study_file_is_a_study_or_names_what_is_wrong(tmp_path_factory, drawn):
    lines = drawn.draw(sampled_from(FILES), "file").read_text().splitlines()
    for _ in range(drawn.draw(integers(1, 3), "changes")):
        at = drawn.draw(integers(0, len(lines) - 1), "line")
        key, value = drawn.draw(sampled_from(KEYS), "key"), drawn.draw(sampled_from(LITERALS), "value")
        lines[at] = drawn.draw(sampled_from(mutations(lines[at], key, value)), "line now")
    file = tmp_path_factory.getbasetemp() / "mutated.toml"
    file.write_text("\n".join(lines))
    try:
        assert read_study(file).trunks
    except (StudyError, CorpusError) as problem:
        assert str(problem)


def test_a_value_is_of_a_study_file_only_where_one_was_read(tmp_path):
    with pytest.raises(BadValue, match="model shape: width = 3, but") as called:
        Trunk.of(width=3, budgets=(1024,))
    assert not isinstance(called.value, StudyError) and "file" not in str(called.value)
    with pytest.raises(BadValue, match="Change it in the study file") as read:
        study(tmp_path / "mine", '[[grid]]\nwidth = 3\nbudgets = "1Mi"')
    assert isinstance(read.value, StudyError)
    assert (read.value.where, read.value.value) == (str(tmp_path / "mine" / "study.toml"), 3)
    with pytest.raises(UnknownKey, match=r"has the key 'widht', which there is not.* 'width'"):
        Trunk.of(widht=16, budgets=(1024,))


def test_what_is_kept_and_measured_is_read_and_changes_no_id(tmp_path):
    plain = study(tmp_path / "mine", GOOD)
    asked = study(tmp_path / "mine", 'keep = "weights"\nprobes = ["position", "heldout:curve"]\n' + GOOD)
    assert (plain.keep, plain.probes) == ("none", ())
    assert (asked.keep, asked.probes) == ("weights", ("position", "heldout:curve"))
    assert asked.trunks == plain.trunks
    assert spell_out(asked) == spell_out(plain)
    for words in ('keep = "all"', 'keep = ["weights"]', 'probes = ["lost"]', 'probes = "position"'):
        with pytest.raises(BadValue, match=f"{words.split()[0]} = .* but it must be"):
            study(tmp_path / "other", f"{words}\n{GOOD}")


def test_a_stage_that_there_is_not_is_refused(tmp_path):
    assert {t.stage for t in study(tmp_path / "mine", GOOD).trunks} == {"pretrain"}
    with pytest.raises(BadValue, match="stage = 'dpo', but it must be pretrain or sft or reward or prefer"):
        study(tmp_path / "other", GOOD.replace("[defaults]", '[defaults]\nstage = "dpo"'))


def test_every_key_is_of_one_spec():
    """So that a study file may give them flat."""
    specs = [DataSpec, ModelSpec, OptimSpec, ScheduleSpec]
    inside = sum(
        (list(keys_of(spec)) for spec in specs),
        ["stage", "parent", "generated", "kl_weight", "seed", "member"],
    )
    assert sorted(inside) == sorted(keys_of(Trunk))
