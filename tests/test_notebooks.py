"""Every committed notebook runs from top to bottom, from committed runs alone, into a report."""

import ast
import json
import re
from pathlib import Path

import browsing
import pytest

from scaling.reports import report
from scaling.reports.suite import find_notebook, notebooks

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ASKS_FOR_TRAINING = {"quickstart"}  # its own test trains first


@pytest.mark.parametrize("name", [name for name in notebooks(NOTEBOOKS) if name not in ASKS_FOR_TRAINING])
def test_notebook_makes_its_report(name, tmp_path, monkeypatch, capsys, request):
    """And the page is open to everybody, where there is a browser to tell."""
    monkeypatch.delenv("SCALING_PUBLISHED", raising=False)
    page = report(name, notebooks=NOTEBOOKS, out=tmp_path)
    html = page.read_text()
    assert 'class="answer"' in html
    assert "scaling-chart" in html
    assert html.count("if (!window.vegaEmbed)") == 1  # the bundle is there, once
    assert html.count("<h2") >= 2
    assert not [
        raw for raw in ("shape: (", 'class="dataframe"') if raw in html
    ]  # frames as polars and pandas print them
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html, flags=re.DOTALL)
    assert cells and not [
        c for c in cells if re.search(r'^(null|nan|".*")$|^[a-z]\w*_\w+$', c.strip(), re.IGNORECASE)
    ]
    if not browsing.missing():
        assert browsing.faults(request.getfixturevalue("browser"), page) == []


def cells(name):
    """Kind and source of each cell, and what it printed."""
    return [
        (cell["cell_type"], "".join(cell["source"]), cell.get("outputs", []))
        for cell in json.loads(find_notebook(name, NOTEBOOKS).read_text())["cells"]
    ]


@pytest.mark.parametrize("name", notebooks(NOTEBOOKS))
def test_notebook_asks_defines_nothing_and_ends_with_its_verdict(name):
    """The question is the title; functions and files that are private stay in the suite; nothing is printed yet."""
    every = cells(name)
    assert every[0][0] == "markdown" and every[0][1].startswith("# ") and every[0][1].rstrip().endswith("?")
    codes = [source for kind, source, _ in every if kind == "code"]
    assert not any(outputs for _, _, outputs in every)
    assert (
        codes[-1].strip() == "verdict.grounds" and sum(code.strip() == "verdict.lead" for code in codes) <= 1
    )
    assert sum("verdict.lead" in code for code in codes) == 1
    for code in codes:
        for node in ast.walk(ast.parse(code.replace("%%capture", "#"))):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef)
            if isinstance(node, ast.ImportFrom):
                assert not any(part.startswith("_") for part in (node.module or "").split("."))
