"""JupyterLab as a person has it: a notebook run, a widget moved, the number on the page that of Python."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import polars as pl
import pytest
from browsing import complaints, notebook_in_lab, wait_for
from nbformat.v4 import new_code_cell, new_notebook
from selenium import webdriver
from selenium.webdriver import ActionChains

import scaling

pytestmark = [pytest.mark.browser, pytest.mark.lab]

CELLS = (
    'import polars as pl, scaling\nruns = pl.read_parquet("ladder.parquet")',
    "scaling.refit(runs, bootstrap=20)",
)
REFIT = "document.querySelector('.scaling-refit')"


def test_refit_in_jupyterlab_shows_the_fit_of_its_line(
    browser: webdriver.Chrome, ladder: pl.DataFrame, tmp_path: Path
) -> None:
    ladder.write_parquet(tmp_path / "ladder.parquet")
    cells = [new_code_cell(cell) for cell in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), tmp_path / "refit.ipynb")
    (own := tmp_path / "own").mkdir()
    browser.get_log("browser")
    with notebook_in_lab(browser, tmp_path / "refit.ipynb", own):
        wait_for(browser, f"{REFIT}?.dataset.draws == '20'")
        chart = browser.find_element("css selector", ".scaling-refit .chart svg")
        browser.execute_script("arguments[0].scrollIntoView()", chart)
        across, down = chart.size["width"], chart.size["height"]
        drag = ActionChains(browser).move_to_element_with_offset(chart, 80 - across // 2, 20 - down // 2)
        drag.click_and_hold().move_by_offset(across // 5, down // 3).release().perform()
        wait_for(browser, f"{REFIT}.querySelector('code').textContent.includes('is_in')")
        slider = f"{REFIT}.querySelector('[name=to]')"
        browser.execute_script(
            f"{slider}.value = {slider}.max - 0.3; {slider}.dispatchEvent(new Event('input'))"
        )
        wait_for(browser, f"{REFIT}.querySelector('code').textContent.includes('<=')")
        wait_for(browser, f"{REFIT}.dataset.draws == '20'")  # at rest
        line, table, said = (
            browser.find_element("css selector", f".scaling-refit {part}").text
            for part in ("code", ".table", ".said")
        )
        by_hand = eval(line, {"scaling": scaling, "pl": pl, "runs": ladder})
        assert by_hand.rows < len(ladder) and f"{by_hand.rows} of {len(ladder)} runs" in said
        printed = re.sub(r"\s+", " ", table)
        for row in re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", by_hand._repr_html_()):
            assert " ".join(row).strip() in printed
        assert not [
            said for said in complaints(browser) if "Uncaught" in said
        ]  # JupyterLab itself warns a lot
