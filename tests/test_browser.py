"""The report in a browser without a network: charts draw, sliders move them, nothing is asked of anyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from browsing import asked_for, complaints, faults, visit, wait_for
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

from scaling.charts import live, plot
from scaling.fitting import compare, fit
from scaling.laws import chinchilla, kaplan
from scaling.questions import read_inputs, wall
from scaling.units import power_of_ten

pytestmark = pytest.mark.browser


def readout(browser: webdriver.Chrome) -> str:
    return browser.execute_script(
        "return [...document.querySelectorAll('.scaling-chart')][0].querySelector('svg').textContent"
    )


def band(browser: webdriver.Chrome) -> str:
    """The outline of the frontier's interval."""
    return (
        browser.find_element(By.CSS_SELECTOR, ".scaling-chart svg .mark-area path").get_attribute("d") or ""
    )


def move(browser: webdriver.Chrome, slider: str, value: float) -> None:
    browser.execute_script(
        "const it = document.querySelector(`input[name=${arguments[0]}]`); it.value = arguments[1];"
        "it.dispatchEvent(new Event('input'))",
        slider,
        value,
    )


def test_report_is_invariant_to_the_network_being_off(browser: webdriver.Chrome, made_report: Path) -> None:
    visit(browser, made_report, charts=3)
    assert asked_for(browser) == []
    assert complaints(browser) == []
    assert "live.enable" not in browser.find_element(By.TAG_NAME, "main").text


def test_report_is_open_to_everybody(browser: webdriver.Chrome, made_report: Path) -> None:
    assert faults(browser, made_report) == []
    browser.set_window_size(1280, 1000)


def test_harness_recovers_a_fault_of_every_kind(browser: webdriver.Chrome, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<html><title>x</title><main><img src='https://example.org/a.png'>"
        "<div style='width:3000px'>wide</div></main></html>"
    )
    found = " ".join(faults(browser, page))
    assert all(
        words in found for words in ("asked for https://example", "the page is 3", "image-alt", "ERR_PROXY")
    )
    browser.set_window_size(1280, 1000)


def test_harness_recovers_a_request_that_is_made(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """Whatever says that nothing was asked for leans on this."""
    page = tmp_path / "leak.html"
    page.write_text("<script src='https://example.org/vega.js'></script>")
    browser.get(page.as_uri())
    assert asked_for(browser) == ["https://example.org/vega.js"]
    assert any("ERR_PROXY_CONNECTION_FAILED" in message for message in complaints(browser))


def test_compute_slider_names_how_to_spend_its_budget(browser: webdriver.Chrome, made_report: Path) -> None:
    visit(browser, made_report, charts=3)
    slider = browser.find_element(By.CSS_SELECTOR, "input[name=log_compute]")
    before, frontier = readout(browser), band(browser)
    for value in (slider.get_attribute("min"), slider.get_attribute("max")):
        move(browser, "log_compute", float(value or "nan"))
        said = power_of_ten(10 ** float(value or "nan")) + " FLOPs"
        wait_for(browser, f"document.querySelector('.scaling-chart svg').textContent.includes('{said}')")
        assert browser.find_element(By.CSS_SELECTOR, "input[name=log_compute] + span").text == said
        assert readout(browser) != before
        assert band(browser) == frontier, "the frontier does not depend on the budget that is marked"
        before = readout(browser)


def test_unique_tokens_slider_recovers_the_frontier_it_bent(
    browser: webdriver.Chrome, made_report: Path
) -> None:
    visit(browser, made_report, charts=3)
    fresh = band(browser)
    move(browser, "log_unique", 5.5)
    wait_for(browser, "document.querySelector('.scaling-chart svg').textContent.includes('316k unique')")
    assert band(browser) != fresh
    move(browser, "log_unique", 20)  # as far as the slider goes
    wait_for(browser, "document.querySelector('.scaling-chart svg').textContent.includes('none seen twice')")
    before, after = (np.array(re.findall(r"-?[\d.]+", outline), float) for outline in (fresh, band(browser)))
    assert after == pytest.approx(before, abs=0.01)  # of a point on the screen


def test_pointing_at_a_run_names_its_numbers(browser: webdriver.Chrome, made_report: Path) -> None:
    visit(browser, made_report, charts=3)
    points = browser.find_elements(
        By.CSS_SELECTOR, ".scaling-chart svg .mark-symbol path[aria-roledescription]"
    )
    ActionChains(browser).move_to_element(points[0]).perform()
    wait_for(browser, "document.querySelector('#vg-tooltip-element.visible') !== null")
    said = browser.find_element(By.ID, "vg-tooltip-element").text
    assert "parameters" in said and "nats/token" in said and "FLOPs" in said


def test_click_on_a_run_isolates_its_trunk(browser: webdriver.Chrome, made_report: Path) -> None:
    """Five sizes and two seeds: ten trunks of six runs; a click beside them brings all back."""
    visit(browser, made_report, charts=3)
    chart = browser.find_element(By.CSS_SELECTOR, ".scaling-chart svg")
    marks = ".mark-symbol path[aria-roledescription]"

    def alone() -> int:
        drawn = chart.find_elements(By.CSS_SELECTOR, marks)
        return sum(float(mark.get_attribute("opacity") or 1) == 1 for mark in drawn)

    assert alone() >= 60
    top = chart.find_elements(By.CSS_SELECTOR, marks)[10]  # of the two seeds there
    ActionChains(browser).move_to_element(top).click().perform()
    wait_for(
        browser, f"document.querySelectorAll('.scaling-chart svg {marks}[opacity=\"0.07\"]').length == 54"
    )
    ActionChains(browser).move_to_element_with_offset(
        chart, 0, 60 - chart.size["height"] // 2
    ).click().perform()
    wait_for(
        browser, f"document.querySelectorAll('.scaling-chart svg {marks}[opacity=\"0.07\"]').length == 0"
    )


def test_page_recovers_its_code_when_asked(browser: webdriver.Chrome, made_report: Path) -> None:
    visit(browser, made_report, charts=3)
    code = browser.find_element(By.CSS_SELECTOR, "details.code pre")
    assert not code.is_displayed()
    browser.find_element(By.ID, "code").click()
    assert code.is_displayed() and "fit(chinchilla" in code.text


@contextmanager
def screen(browser: webdriver.Chrome, width: int) -> Iterator[None]:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [420, 1280])
def test_page_is_invariant_to_the_width_of_the_screen(
    browser: webdriver.Chrome, made_report: Path, width: int
) -> None:
    """Nothing sticks out: the page never scrolls sideways."""
    visit(browser, made_report, charts=3)
    with screen(browser, width):
        wait_for(
            browser,
            "[...document.querySelectorAll('.scaling-chart svg')].every("
            "svg => Math.abs(svg.clientWidth - svg.closest('.scaling-chart').clientWidth) < 3)",
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_charts_are_invariant_to_where_the_bundle_stands(
    browser: webdriver.Chrome, ladder: pl.DataFrame, tmp_path: Path
) -> None:
    """As in JupyterLab: cells are drawn in any order, and the cell with the bundle may be run again."""
    fitted = fit(chinchilla, ladder, bootstrap=20)
    first = live.embed(plot(fitted, ladder).to_dict())
    second = live.embed(plot(compare([chinchilla, kaplan], ladder)).to_dict())
    bundle = live.Bundle()._repr_html_()
    page = tmp_path / "order.html"
    page.write_text(f"<meta charset=utf-8><body>{first}{bundle}{second}{bundle}")
    visit(browser, page, charts=2)
    assert asked_for(browser) == [] and complaints(browser) == []


def test_wall_sliders_move_the_date_its_density_and_the_loss(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    given = wall(read_inputs("published-2024"), draws=1000)
    page = tmp_path / "wall.html"
    chart = live.embed(plot(given).to_dict())
    page.write_text(f"<meta charset=utf-8><body>{live.Bundle()._repr_html_()}{chart}")
    browser.get_log("browser")
    browser.get(page.as_uri())
    wait_for(browser, "document.querySelector('.scaling-chart svg .mark-area path') !== null")
    areas = "return [...document.querySelectorAll('.scaling-chart svg .mark-area path')].map(p => p.getAttribute('d'))"
    assert f"wall in {given.median:.1f}" in readout(browser)
    drawn = browser.execute_script(areas)
    move(browser, "log2_stock", 3)
    wait_for(
        browser,
        f"!document.querySelector('.scaling-chart svg').textContent.includes('wall in {given.median:.1f}')",
    )
    later = browser.execute_script(areas)
    assert len(later) == len(drawn) == 2 and all(a != b for a, b in zip(later, drawn, strict=True))
    assert asked_for(browser) == [] and complaints(browser) == []
    for width in (420, 1280):
        with screen(browser, width):
            wait_for(browser, f"document.documentElement.scrollWidth <= {width}")
