"""What the live charts put on a page, read from Vega's own scene."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from real_vega import marks, scene, words

from scaling.charts import live, offline, results, theme
from scaling.charts import print as paper
from scaling.charts.series import size_names, tooltips
from scaling.design.allocation import allocate
from scaling.errors import MissingColumns
from scaling.fitting import Fit, compare, fit
from scaling.laws import chinchilla, kaplan
from scaling.units import print_count


@pytest.fixture(scope="module")
def fitted(ladder: pl.DataFrame) -> Fit:
    return fit(chinchilla, ladder, bootstrap=100)


def numbers(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", line)]


def test_library_is_put_together_once_for_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte; and where nothing can be kept, anew."""
    made = iter(["\r\nvega = 'é'\n"])
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda **_: next(made))
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "cache"))
    first, again = (offline.library.__wrapped__() for _ in range(2))
    assert first == again == "\r\nvega = 'é'\n"
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "file"))
    made = iter(["anew"])
    assert offline.library.__wrapped__() == "anew"


def test_readout_matches_the_allocation_in_python(fitted: Fit, ladder: pl.DataFrame) -> None:
    """The slider's own numbers: median and interval of the same draws."""
    said = words(scene(live.loss_against_compute(fitted, ladder), log_compute=13.0))
    best = allocate(fitted, ladder, 1e13)
    headline = next(line for line in said if line.startswith("loss"))
    wanted = [best.loss.median[0], best.loss.low[0], best.loss.high[0]]
    assert numbers(headline) == pytest.approx(wanted, abs=1e-3)
    size = next(line for line in said if line.endswith("parameters"))
    assert size.split()[0] == print_count(best.N.median[0])
    assert "1.0 × 10¹³ FLOPs" in said


def test_frontier_recovers_the_price_of_repeats(fitted: Fit, ladder: pl.DataFrame) -> None:
    """By what the repetition law says: a hundred thousand tokens are soon worth no more."""
    chart = live.loss_against_compute(fitted, ladder)
    before, after = (words(scene(chart, log_unique=log)) for log in (7.0, 5.0))
    loss = [numbers(next(line for line in said if line.startswith("loss")))[0] for said in (before, after)]
    assert loss[1] > loss[0] + 0.05
    assert any("epochs over 100k unique" in line for line in after)


def test_every_run_names_its_numbers(fitted: Fit, ladder: pl.DataFrame) -> None:
    groups = [
        g for g in marks(scene(live.loss_against_compute(fitted, ladder)), "symbol") if len(g) == len(ladder)
    ]
    assert groups, "no group of marks has one mark a run"
    said = tooltips(ladder)
    assert list(said) == [
        "model",
        "data",
        "compute",
        "held-out loss",
        "epochs",
        "seed",
        "trained on",
        "origin",
    ]
    assert [lines[0] for lines in said.values()][:4] == [
        "6.14k parameters", "262k tokens", "2.3 × 10¹⁰ FLOPs", f"{ladder['loss'][0]:.3f} nats/token"
    ]  # fmt: skip
    inside = [0 <= item["x"] <= 800 and 0 <= item["y"] <= live.HEIGHT for item in groups[0]]
    assert all(inside), "a run lies outside the picture"


def test_marks_name_where_a_run_was_trained(fitted: Fit, ladder: pl.DataFrame) -> None:
    both = pl.concat([ladder, ladder.with_columns(origin=pl.lit("local"))])
    groups = list(marks(scene(live.loss_against_compute(fitted, both)), "symbol"))
    fills = {round(item["fillOpacity"], 2) for group in groups for item in group if len(group) == len(both)}
    assert fills == {0.0, 0.85}


def test_chart_names_each_draw_once(fitted: Fit, ladder: pl.DataFrame) -> None:
    text = json.dumps(live.loss_against_compute(fitted, ladder).to_dict(), allow_nan=False)
    first = f"{fitted.draws['alpha'][0]:.7g}"
    assert text.count(first) == 1
    assert len(text) < 200_000


def test_series_are_invariant_to_the_order_of_runs(ladder: pl.DataFrame) -> None:
    assert list(size_names(ladder.reverse()).values()) == list(size_names(ladder).values())
    close = pl.DataFrame({"N": [98_300, 98_304, 120_000]})
    assert len(set(size_names(close).values())) == 3
    assert theme.colour(0) == theme.colour(len(theme.COLOURS))


def test_small_charts_match_their_results(fitted: Fit, ladder: pl.DataFrame) -> None:
    compared = compare([chinchilla, kaplan], ladder)
    said = words(scene(results.comparison(compared)))
    assert f"held out {compared.table['held_out_percent'][0]:.1f} %" in said
    missed = [g for g in marks(scene(results.residuals(fitted, ladder)), "symbol") if len(g) == len(ladder)]
    assert missed and {"E, nats/token", "alpha"} <= set(words(scene(results.parameters(fitted))))
    lines = words(scene(results.allocation(allocate(fitted, ladder, np.logspace(11, 13, 5)))))
    assert {"tokens D", "parameters N", "10¹²"} <= set(lines)


def test_many_sizes_recover_a_scale_instead_of_series(ladder: pl.DataFrame) -> None:
    """As published tables have: a hundred sizes are no series, and names at each would overprint."""
    sizes = pl.concat([ladder.with_columns(N=(pl.col("N") * f).round().cast(int)) for f in (1.0, 1.1, 1.2)])
    runs = sizes.with_columns(C=6.0 * pl.col("N") * pl.col("D"))
    fitted = fit(chinchilla, runs, bootstrap=0)
    said = words(scene(live.loss_against_compute(fitted, runs)))
    assert "parameters N" in said and not any(line.startswith("N = ") for line in said)
    assert "best for its compute" in said, "without a bootstrap there is no interval to name"
    assert not any("[" in line for line in said)
    assert len(list(marks(scene(results.residuals(fitted, runs)), "line"))) == 0
    assert "<svg" in paper.loss_against_compute(fitted, runs).svg


def test_chart_names_the_column_it_lacks(fitted: Fit, ladder: pl.DataFrame) -> None:
    with pytest.raises(MissingColumns, match="column C asked for"):
        live.loss_against_compute(fitted, ladder.drop("C"))
