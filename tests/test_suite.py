"""What comes with the suite: notebooks by name and with parameters, folders to begin with, the index of all reports."""

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import scaling
from scaling.reports import report, site, start
from scaling.reports.paper import BROWSERS, NoBrowser, find_browser
from scaling.reports.parameters import NoSuchParameter, parameter_value
from scaling.reports.render import FailedCell
from scaling.reports.suite import STARTS, FolderTaken, MissingNotebook, UnknownStart, find_notebook, notebooks
from scaling.study import read_study

ROOT = Path(__file__).parents[1]
ANSWER = "from scaling.verdict import Prose\nProse(f'<div class=\"answer\">\\n\\n**{x}** it is.\\n\\n</div>')"


def write(path, *cells, more=()):
    made = [
        new_markdown_cell(f"# What is {path.stem}?"),
        new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
    ]
    nbformat.write(new_notebook(cells=[*made, *map(new_code_cell, cells), *more]), path)


def test_a_notebook_goes_by_its_name_with_or_without_the_number_before_it(tmp_path):
    write(tmp_path / "02-second.ipynb")
    write(tmp_path / "01-first.ipynb")
    assert list(notebooks(tmp_path)) == ["first", "second"]
    assert (
        find_notebook("second", tmp_path)
        == find_notebook("02-second", tmp_path)
        == tmp_path / "02-second.ipynb"
    )
    with pytest.raises(MissingNotebook, match=r"there are first, second\. Did you mean 'second'"):
        find_notebook("secnd", tmp_path)


def test_the_suites_own_notebooks_are_there_from_anywhere_and_ones_own_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = find_notebook("quickstart")
    assert own.parent == ROOT / "notebooks"
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks" / "quickstart.ipynb")
    assert find_notebook("quickstart") == Path("notebooks/quickstart.ipynb")
    assert set(notebooks()) == {*notebooks(ROOT / "notebooks")}


def test_a_parameter_takes_the_place_of_the_notebooks_own(tmp_path):
    write(tmp_path / "asked.ipynb", "print('x is', repr(x))")
    page = report("asked", notebooks=tmp_path, out=tmp_path, parameters={"x": "seven"}).read_text()
    assert "x is &#39;seven&#39;" in page or "x is 'seven'" in page
    with pytest.raises(NoSuchParameter, match=r"the parameter 'y', but it has x\."):
        report("asked", notebooks=tmp_path, out=tmp_path, parameters={"y": 1})


def test_values_on_the_command_line_are_literals_places_or_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").touch()
    assert parameter_value("{'params': 'N'}") == {"params": "N"}
    assert parameter_value("0.5") == 0.5
    assert parameter_value("published-2024") == "published-2024"
    assert parameter_value("runs.csv") == str(tmp_path / "runs.csv")


@pytest.mark.parametrize(
    "like", [k for k in STARTS if k != "transfer" or "transfer" in notebooks(ROOT / "notebooks")]
)
def test_a_new_folder_has_a_study_that_reads_and_a_notebook_that_reads_it(tmp_path, like):
    files = {str(path.relative_to(tmp_path / "mine")) for path in start(tmp_path / "mine", like)}
    assert "notebooks/mine.ipynb" in files
    notebook = json.loads((tmp_path / "mine/notebooks/mine.ipynb").read_text())
    (parameters,) = (
        "".join(c["source"]) for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", ())
    )
    if like == "table":
        assert 'table = "../runs.csv"' in parameters
        assert scaling.read_runs(tmp_path / "mine/runs.csv").height > 20
    else:
        study = read_study(tmp_path / "mine/runs/mine")
        assert 'study = "../runs/mine"' in parameters and study.notebook == "mine" and study.trunks
        if like == "text":
            assert Path(study.source.paths[0]).resolve() == (tmp_path / "mine/text").resolve()
            assert {t.data.blend for t in study.trunks} == {(("text", 1.0),)}


def test_a_new_folder_takes_nothing_that_is_there(tmp_path):
    with pytest.raises(UnknownStart, match="Did you mean 'table'"):
        start(tmp_path / "mine", "tabel")
    start(tmp_path / "mine", "table")
    with pytest.raises(FolderTaken, match="there is something of that name"):
        start(tmp_path / "mine", "table")


def test_the_site_has_every_answer_and_names_what_failed(tmp_path, capsys):
    chart = "alt.Chart(pl.DataFrame({'x': [1, 2]})).mark_point().encode(x='x:Q')"
    enable = f"import altair as alt, polars as pl\nfrom scaling.charts import live\nlive.enable()\n{chart}"
    second = [
        new_markdown_cell("## And what else?"),
        new_code_cell(ANSWER, metadata={"answers": "other"}),
        new_code_cell(chart),
    ]
    write(tmp_path / "01-right.ipynb", ANSWER, enable, more=second)
    write(tmp_path / "02-broken.ipynb", "1 / 0")
    with pytest.raises(FailedCell, match="ZeroDivisionError"):
        site(notebooks=tmp_path, out=tmp_path / "out")
    index = (tmp_path / "out" / "index.html").read_text()
    assert '<a href="right.html">What is 01-right?</a>' in index
    assert "<strong>1</strong> it is." in index
    assert 'alt="The first chart of: What is 01-right?" src="data:image/svg+xml;base64,' in index
    assert "<strong>Not made:</strong> code cell 2 of 2" in index
    picture = (tmp_path / "out" / "pictures" / "right.svg").read_text()
    assert "<title>What is 01-right?</title><desc>1 it is.</desc>" in picture
    assert "aria-" not in picture and not re.search(r"\d\.\d{3}", re.sub(r">[^<]*<", "><", picture))
    other = (tmp_path / "out" / "pictures" / "other.svg").read_text()
    assert "<title>And what else?</title>" in other and "<h3>And what else?</h3>" in index
    assert "1 reports" in capsys.readouterr().out
    assert not (tmp_path / "out" / "broken.html").exists()


def test_a_page_is_printed_or_the_want_of_a_browser_is_named(tmp_path, monkeypatch):
    write(tmp_path / "asked.ipynb", "print(x)")
    with monkeypatch.context() as context:
        context.setenv("PATH", str(tmp_path))
        with pytest.raises(NoBrowser, match="Install Chromium"):
            report("asked", notebooks=tmp_path, out=tmp_path / "out", pdf=True)
        assert not (tmp_path / "out").exists()
    try:
        find_browser()
    except NoBrowser:
        pytest.skip(f"none of {', '.join(BROWSERS)} is here")
    report("asked", notebooks=tmp_path, out=tmp_path / "out", pdf=True)
    assert (tmp_path / "out" / "asked-page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_a_wheel_carries_the_notebooks_and_the_committed_rows(tmp_path):
    tree = tmp_path / "tree"
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("scaling", "notebooks", "runs"):
        shutil.copytree(ROOT / name, tree / name, ignore=leave)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = f"import setuptools.build_meta as b; print(b.build_wheel({str(tmp_path)!r}))"
    ran = subprocess.run([sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, check=True)
    wheel = tmp_path / ran.stdout.split()[-1]
    assert wheel.stat().st_size < 6e6
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        rows = pl.read_parquet(io.BytesIO(packed.read("scaling/suite/runs/quickstart/runs.parquet")))
    assert rows.height > 20
    assert {f"scaling/suite/notebooks/{p.name}" for p in (ROOT / "notebooks").glob("*.ipynb")} <= names
    assert not any("/.store" in name or "evaluations" in name for name in names)
    assert not any("open_evaluations" in p.read_text() for p in (ROOT / "notebooks").glob("*.ipynb"))
