"""Reports: one file, no network, named errors, and the last good one stays."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from scaling.reports import report
from scaling.reports.render import FailedCell, UnreadableNotebook, align_numbers, markdown
from scaling.reports.suite import MissingNotebook, find_notebook


def write(folder: Path, name: str, *cells: str) -> None:
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), folder / f"{name}.ipynb")


def test_page_names_nothing_on_the_network(made_report: Path) -> None:
    """No tag that fetches; addresses inside Vega's own text are never asked for, which the browser test shows."""
    page = re.sub(r"<script>.*?</script>", "", made_report.read_text(), flags=re.DOTALL)
    fetched = re.findall(r"""(?:src|href|data|action)\s*=\s*["']?(?!data:|#)([^"'\s>]+)""", page)
    assert fetched == []
    assert "@import" not in page and not re.search(r"url\((?!#)", page)


def test_page_recovers_title_formulas_tables_and_charts(made_report: Path) -> None:
    page = made_report.read_text()
    assert "<title>What is fitted?</title>" in page
    assert page.count("<math") == 2 and "<mfrac>" in page
    assert page.count('class="scaling-chart"') == 3
    assert page.count("window.vegaEmbed=") == 1, "one bundle for all charts"
    assert "<caption>chinchilla fitted to 60 runs" in page
    assert page.count('<details class="code">') == 6
    assert 1e6 < len(page) < 2e6


def test_report_recovers_the_print_figures_beside_the_page(made_report: Path) -> None:
    svg, pdf = made_report.with_suffix(".svg"), made_report.with_suffix(".pdf")
    assert svg.read_text().rstrip().endswith("</svg>") and pdf.read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in made_report.parent.iterdir()) == ["ladder.html", "ladder.pdf", "ladder.svg"]


def test_report_prints_what_cells_tagged_for_the_terminal_show(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shown = new_code_cell("'the law' + '!'", metadata={"tags": ["terminal"]})
    nbformat.write(new_notebook(cells=[new_code_cell("'hidden'"), shown]), tmp_path / "said.ipynb")
    report("said", notebooks=tmp_path, out=tmp_path)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "'the law!'"
    assert printed[1].startswith("report: file://")


def test_report_names_the_notebooks_there_are(tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    with pytest.raises(MissingNotebook, match=r"asked for a report of 'three', but in .* there are one, two"):
        report("three", notebooks=tmp_path, out=tmp_path)
    assert find_notebook(str(tmp_path / "two.ipynb")) == tmp_path / "two.ipynb", "a path will do"


def test_report_names_the_cell_that_failed_and_keeps_the_last_page(tmp_path: Path) -> None:
    out = tmp_path / "reports"
    write(tmp_path, "broken", "x = 1", "# why\nx / 0", "print('never')")
    out.mkdir()
    (out / "broken.html").write_text("the last good one")
    with pytest.raises(FailedCell) as caught:
        report("broken", notebooks=tmp_path, out=out)
    assert (caught.value.number, caught.value.cells) == (2, 3)
    assert "code cell 2 of 3" in str(caught.value) and "ZeroDivisionError: division by zero" in str(
        caught.value
    )
    assert [p.name for p in out.iterdir()] == ["broken.html"]
    assert (out / "broken.html").read_text() == "the last good one"


def test_report_names_the_error_of_a_cell_whose_output_is_captured(tmp_path: Path) -> None:
    """The kernel goes on behind such a cell, and the next one fails for want of what it should have made."""
    write(tmp_path, "hidden", "%%capture\nx = 1 / 0", "x")
    with pytest.raises(
        FailedCell, match=r"code cell 1 of 2 .* failed with ZeroDivisionError: division by zero\. Run"
    ):
        report("hidden", notebooks=tmp_path, out=tmp_path)


def test_report_names_a_kernel_that_died(tmp_path: Path) -> None:
    write(tmp_path, "dead", "x = 1", "import os\nos._exit(1)")
    with pytest.raises(FailedCell, match=r"code cell 2 of 2 .* failed with the death of its kernel"):
        report("dead", notebooks=tmp_path, out=tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"cells": 1, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}']
)
def test_report_names_a_file_that_is_no_notebook(tmp_path: Path, content: str) -> None:
    (tmp_path / "torn.ipynb").write_text(content)
    with pytest.raises(UnreadableNotebook, match=r"torn.ipynb cannot be read as a notebook \(.+\)"):
        report("torn", notebooks=tmp_path, out=tmp_path)


def test_report_is_invariant_to_installed_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter that asks is the one that runs, also where "python3" names another or nothing."""
    specs = tmp_path / "jupyter" / "kernels" / "python3"
    specs.mkdir(parents=True)
    elsewhere = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "x", "language": "python"}
    (specs / "kernel.json").write_text(json.dumps(elsewhere))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    write(tmp_path, "who", "import os, sys\nprint(sys.executable)\nprint(os.getcwd())")
    page = report("who", notebooks=tmp_path, out=tmp_path / "out").read_text()
    assert sys.executable in page and os.fspath(tmp_path) in page


def test_markdown_recovers_formulas_and_leaves_code_alone() -> None:
    html = markdown("Costs \\$5 to $6; `$x$` and $a_1 * b_2 * c$.\n\n```\n$y$\n```\n\n$$\\frac{1}{2}$$\n")
    assert html.count("<math") == 2 and 'display="block"' in html
    assert "$x$" in html and "$y$" in html and "<em>" not in html


def test_tables_recover_the_side_of_their_numbers() -> None:
    html = (
        "<table><thead><tr><th>law</th><th>rms %</th><th>N</th></tr></thead><tbody>"
        "<tr><td>a</td><td>1.2</td><td>36.1k [31.5k, 41.4k]</td></tr>"
        "<tr><td>b</td><td>-0.3</td><td>1.2e12</td></tr></tbody></table>"
    )
    assert align_numbers(html).count('class="number"') == 6
    assert align_numbers("<p>1.2</p>") == "<p>1.2</p>"


def test_notebooks_name_a_question_and_define_nothing() -> None:
    """A notebook asks; what grows a function moves into the suite. None of its numbers is typed."""
    folder = Path(__file__).resolve().parents[1] / "notebooks"
    for path in folder.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.outputs == [] and cell.execution_count is None for cell in code), path.name
        assert not any(re.search(r"^\s*(def|class) |lambda", cell.source, re.MULTILINE) for cell in code), (
            path.name
        )
        assert notebook.metadata.kernelspec.name == "python3"
        assert notebook.cells[0].source.startswith("# ") and notebook.cells[0].source.splitlines()[
            0
        ].endswith("?")
