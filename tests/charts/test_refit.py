"""The live refit: what its reader does is what `scaling.fit` is asked, and the line of Python says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from browsing import complaints, wait_for
from selenium import webdriver
from selenium.webdriver import ActionChains

import scaling
from scaling.charts import live, refitting
from scaling.errors import BadOption
from scaling.laws import UnknownLaw, compute_only
from scaling.laws.base import NotALaw


@pytest.fixture(scope="module")
def widget(ladder: pl.DataFrame) -> refitting.Refit:
    live.enable()
    return scaling.refit(ladder, bootstrap=20)


@pytest.fixture
def refit(widget: refitting.Refit) -> refitting.Refit:
    """As it begins."""
    widget.law, widget.objective, widget.window, widget.left_out = (
        "chinchilla",
        "huber_log",
        widget.page["ends"],
        [],
    )
    return widget


def made_by_hand(line: str, runs: pl.DataFrame) -> scaling.Fit:
    return eval(line, {"scaling": scaling, "pl": pl, "runs": runs})


@pytest.mark.parametrize("named", [False, True])
def test_line_of_python_recovers_the_fit(refit: refitting.Refit, ladder: pl.DataFrame, named: bool) -> None:
    """Whether runs go by their id or by their row."""
    runs = ladder.with_columns(run_id=pl.format("run {}", pl.int_range(pl.len()))) if named else ladder
    moved = scaling.refit(runs, bootstrap=0) if named else refit
    moved.set_state({"left_out": [3, 40], "asked": 1})
    low, high = moved.window
    moved.law, moved.objective, moved.window = "kaplan", "squares_log", (low + 0.4, high - 0.2)
    assert "pl.col" in moved.line and ("run_id" in moved.line) is named
    by_hand = made_by_hand(moved.line, runs)
    assert moved.fitted is not None and moved.fitted.params == by_hand.params
    assert by_hand.name == "kaplan" and 10 < len(moved.runs) < len(runs) - 2
    assert f"{len(moved.runs)} of {len(runs)} runs" in moved.state["said"]
    if not named:
        moved.rest()
        assert moved.fitted.draws["N_c"].tolist() == by_hand.draws["N_c"].tolist()


def test_refit_names_a_window_without_runs_and_goes_on(refit: refitting.Refit) -> None:
    low, high = refit.window
    refit.window = (high, high)
    assert refit.fitted is None and "needs more runs than that" in refit.state["error"]
    refit.window = (low, high)
    assert refit.fitted is not None and "error" not in refit.state


def test_refit_names_what_it_cannot_do(refit: refitting.Refit, ladder: pl.DataFrame) -> None:
    with pytest.raises(UnknownLaw, match="Known: chinchilla, kaplan, power_mean"):
        refit.law = "kaplam"
    with pytest.raises(NotALaw, match="it reads C, and the curves drawn are of N and D"):
        scaling.refit(ladder, law=compute_only)
    with pytest.raises(BadOption, match="objective='huber'"):
        scaling.refit(ladder, objective="huber")


def test_page_without_a_kernel_recovers_charts_numbers_and_line(refit: refitting.Refit) -> None:
    refit.left_out = [7]
    shown, _ = refit._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in shown
    page = shown["text/html"]
    assert page.count('<div class="scaling-chart" ') == 2
    assert refit.fitted is not None and f"{refit.fitted.params['E']:.4g}"[:4] in page and "is_in([7])" in page


PAGE = """<!doctype html><meta charset=utf-8><style>%(css)s</style><body><div id="here"></div>%(bundle)s
<script type="module">
%(esm)s
const traits = %(traits)s, heard = {};
window.asked = [];
const model = {
  get: name => traits[name], send: () => {}, off: () => {}, on: (what, f) => { heard[what] = f; },
  set: changed => Object.assign(traits, changed),
  save_changes: () => asked.push({left_out: traits.left_out, window: traits.window, law: traits.law}),
};
window.answer = state => { Object.assign(traits.state, state); return heard["change:state"](); };
await render({model, el: document.getElementById("here")});
window.ready = true;
</script>"""


@pytest.fixture
def page(browser: webdriver.Chrome, refit: refitting.Refit, tmp_path: Path) -> webdriver.Chrome:
    """The page of the widget, on a model that notes what it is asked."""
    traits: dict[str, Any] = {
        name: getattr(refit, name) for name in ("page", "state", "left_out", "window", "law")
    }
    parts = {"esm": refit._esm, "css": refit._css, "bundle": live.Bundle()._repr_html_()}
    parts["traits"] = json.dumps(traits | {"objective": refit.objective, "asked": 0})
    path = tmp_path / "refit.html"
    path.write_text(PAGE % {name: str(part) for name, part in parts.items()})
    browser.get_log("browser")
    browser.get(path.as_uri())
    wait_for(browser, "window.ready")
    return browser


@pytest.mark.browser
def test_page_asks_for_what_its_reader_marks(page: webdriver.Chrome, ladder: pl.DataFrame) -> None:
    chart = page.find_element("css selector", ".scaling-refit .chart svg")
    points = chart.find_elements("css selector", ".mark-symbol path")
    assert len(points) == len(ladder)
    points[10].click()  # of two seeds the one that lies on top
    wait_for(page, "asked.length == 1")
    assert page.execute_script("return asked[0].left_out") == [10]
    size = chart.size
    drag = ActionChains(page).move_to_element_with_offset(
        chart, 70 - size["width"] // 2, 20 - size["height"] // 2
    )
    drag.click_and_hold().move_by_offset(size["width"] // 4, size["height"] // 2).release().perform()
    wait_for(page, "asked.length > 1")
    left = page.execute_script("return asked.at(-1).left_out")
    assert 10 in left and 3 < len(left) < len(ladder)
    marked = ladder[left]
    assert marked["C"].max() < ladder["C"].max(), "the right of the chart was not marked"
    page.find_element("name", "back").click()
    wait_for(page, "asked.at(-1).left_out.length == 0")
    assert complaints(page) == []


@pytest.mark.browser
def test_page_shows_what_the_kernel_answers(page: webdriver.Chrome, refit: refitting.Refit) -> None:
    refit.left_out = [0, 1]
    page.execute_script("return answer(arguments[0])", dict(refit.state))
    wait_for(page, "document.querySelector('.scaling-refit code').textContent.includes('is_in([0, 1])')")
    assert refit.fitted is not None
    assert "58 of 60 runs" in page.find_element("css selector", ".scaling-refit .said").text
    faint = "[...document.querySelectorAll('.scaling-refit .mark-symbol path')]"
    faint += ".filter(p => p.getAttribute('opacity') < 1).length"
    assert page.execute_script(f"return {faint}") == 4, "two runs, pale in either chart"
    page.execute_script("return answer({error: 'too few runs'})")
    wait_for(page, "document.querySelector('.scaling-refit .said').textContent.includes('too few runs')")
