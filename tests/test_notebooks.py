"""Every committed notebook runs from top to bottom, from committed runs alone, into a report."""

from pathlib import Path

import pytest

from scaling.reports import report

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
ASKS_FOR_TRAINING = {"quickstart"}  # its own test trains first


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in NOTEBOOKS.glob("*.ipynb") if p.stem not in ASKS_FOR_TRAINING)
)
def test_notebook_makes_its_report(name, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SCALING_PUBLISHED", raising=False)
    page = report(name, notebooks=NOTEBOOKS, out=tmp_path)
    html = page.read_text()
    assert 'class="answer"' in html
    assert "scaling-chart" in html
    assert html.count("if (!window.vegaEmbed)") == 1  # the bundle is there, once
    assert html.count("<h2") >= 2
