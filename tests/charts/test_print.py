"""Print figures: text stays text, the same data give the same bytes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib import style

from scaling.charts import print as paper
from scaling.charts import theme
from scaling.charts.series import residual_percent
from scaling.errors import BadOption
from scaling.fitting import ComputePath, Fit, fit, forecast
from scaling.laws import chinchilla


@pytest.fixture(scope="module")
def fitted(ladder: pl.DataFrame) -> Fit:
    return fit(chinchilla, ladder, bootstrap=50)


def test_figure_is_invariant_to_when_it_is_drawn(fitted: Fit, ladder: pl.DataFrame, tmp_path: Path) -> None:
    first, second = (paper.loss_against_compute(fitted, ladder) for _ in range(2))
    assert (first.svg, first.pdf) == (second.svg, second.pdf)
    assert "<dc:date>" not in first.svg and b"CreationDate" not in first.pdf
    svg, pdf = first.save(tmp_path / "figure")
    assert svg.read_text() == first.svg and pdf.read_bytes().startswith(b"%PDF")


def test_figure_names_its_axes_in_text(fitted: Fit, ladder: pl.DataFrame) -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", paper.loss_against_compute(fitted, ladder).svg)
    assert {"training compute, FLOPs", "held-out loss, nats/token", "10¹²", "N = 6.1k"} <= set(texts)
    assert f"Missed by {fitted.rms_percent:.1f} % rms" in texts


def test_figure_of_one_column_has_its_width_and_its_fonts(fitted: Fit, ladder: pl.DataFrame) -> None:
    one = paper.loss_against_compute(fitted, ladder, columns=1)
    assert re.search(r'<svg [^>]*width="241.2pt"', one.svg) and "training tokens D" in one.svg
    assert b"/FontFile2" in one.pdf and b"/Type3" not in one.pdf
    with pytest.raises(BadOption, match="columns=3"):
        paper.loss_against_compute(fitted, ladder, columns=3)


def test_residuals_match_the_fit(fitted: Fit, ladder: pl.DataFrame) -> None:
    rms = float(np.sqrt(np.mean(residual_percent(fitted, ladder) ** 2)))
    assert rms == pytest.approx(fitted.rms_percent, rel=1e-6)


def test_loss_by_year_says_where_it_leaves_the_runs(fitted: Fit) -> None:
    leaving = forecast(fitted, ComputePath(start_year=2025, start_flops=1e12))
    figure = paper.loss_by_year(leaving)
    assert f"beyond the runs, {leaving.decades[-1]:.1f} decades at the end" in figure.svg
    assert {"year", "2030", "Loss by year, 80 % interval"} <= set(
        re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    )
    staying = forecast(fitted, ComputePath(start_year=2025, start_flops=1e12, growth=(1, 1)))
    assert "beyond the runs" not in paper.loss_by_year(staying).svg
    assert paper.loss_by_year(leaving).pdf == figure.pdf


def test_colours_match_petroff6() -> None:
    cycle = style.library["petroff6"]["axes.prop_cycle"].by_key()["color"]
    assert tuple(cycle) == theme.COLOURS
    assert len(theme.COLOURS) == len(theme.SHAPES) == len(theme.MARKERS)
