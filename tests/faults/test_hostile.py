"""Files, words and names of strangers: read, or refused by name; benchmarks/fuzz.py does it by the thousand."""

import html.parser
import json

import numpy as np
import pytest
from hostile import MARKS, alarms, spoiled, targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.artifacts import MissingWeights, load_weights
from scaling.charts import offline
from scaling.errors import ScalingError
from scaling.reports.parameters import parameter_value
from scaling.show import Table

NAMES = [mark.decode("latin-1") for mark in MARKS]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile").resolve()


@pytest.fixture(scope="module")
def readers(scratch):
    return targets(scratch)


@pytest.mark.parametrize(
    "name", ["study files", "CSV", "JSON lines", "parquet", "rows", "safetensors", "items"]
)
def test_spoiled_files_are_read_or_refused_by_name(readers, scratch, name):
    target, rng, came = readers[name], np.random.default_rng(1), []
    path = scratch / "weights" / f"seed{target.suffix}"
    path.write_bytes(target.seeds[0])
    target.read(path)
    with alarms(scratch) as heard:
        for _ in range(25):
            path.write_bytes(spoiled(target.seeds, rng))
            try:
                target.read(path)
                came.append("read")
            except ScalingError as problem:
                came.append(str(problem))
    assert heard == []
    assert len(came) == 25
    assert set(came) != {"read"}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
@pytest.mark.parametrize("name", ["study files", "JSON lines"])
def test_any_text_is_read_or_refused_by_name(readers, scratch, name, text):
    path = scratch / "weights" / f"any{readers[name].suffix}"
    path.write_text(text, errors="surrogatepass")
    try:
        readers[name].read(path)
    except ScalingError as problem:
        assert str(problem)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=200))
def test_a_parameter_recovers_what_was_typed(text):
    """As a literal, where it is one; else as the text itself, however long, deep or odd."""
    value = parameter_value(text)
    assert isinstance(value, str) or repr(value)


@pytest.mark.parametrize("text", ["a" * 5000, "[" * 5000, "-" * 50_000 + "1", "{[]: 1}", "a\0b", "9" * 5000])
def test_a_parameter_that_is_no_literal_is_text(text):
    assert parameter_value(text) == text


class _Tags(html.parser.HTMLParser):
    """Which tags there are in a page, and the attributes that run something."""

    def __init__(self):
        super().__init__()
        self.tags, self.running = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.running += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.parametrize("where", ["cell", "header", "caption"])
def test_no_name_of_a_run_becomes_html_of_a_table(where):
    for name in (*NAMES, '" onmouseover="alert(1)', "a_b<script>alert(1)</script>", "\x1b]0;title\x07"):
        cells = {"cell": "1", "header": "h", "caption": "c", where: name}
        tags = _Tags()
        tags.feed(Table((cells["header"], "x"), [(cells["cell"], "2")], cells["caption"])._repr_html_())
        assert tags.tags <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "code", "sub"}
        assert tags.running == []


def test_no_name_of_a_run_ends_the_script_of_a_chart():
    """A chart's rows are JSON inside a script: nothing in it may look like a tag."""
    for name in (*NAMES, "</script><script>alert(1)</script><!--<script>"):
        text = offline.embed({"data": {"values": [{"name": name}]}})
        plain = offline.embed({"data": {"values": [{"name": "plain"}]}})
        assert text.count("<") == plain.count("<")


def test_no_id_of_a_run_leads_out_of_the_store(tmp_path):
    folder = tmp_path / "runs" / "kept"
    folder.mkdir(parents=True)
    (folder / "study.toml").write_text('[defaults]\nbudgets = ["4Ki"]\n[[grid]]\nwidth = 16\n')
    (tmp_path / "outside.safetensors").write_bytes(b"x")
    for run_id in ("../../../outside", str(tmp_path / "outside"), "..", ""):
        with pytest.raises(MissingWeights):
            load_weights(folder, run_id)


def test_a_line_of_endless_brackets_is_named(scratch, readers):
    path = scratch / "weights" / "deep.jsonl"
    for deep in ("[" * 10**5, json.dumps({"run": {}})[:-1] + ', "x": ' + "[" * 10**5 + "]" * 10**5 + "}"):
        path.write_text(deep + "\n}")
        with pytest.raises(ScalingError):
            readers["rows"].read(path)
