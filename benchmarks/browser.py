"""How long a move takes in the browser: sliders that the page computes, and the live refit in JupyterLab.

    python -m benchmarks.browser            # about a minute
    python -m benchmarks.browser --no-lab   # without JupyterLab

A move lasts from the event to the next frame that shows it. Beside it stands what one core works for it, the page's
main thread and, of a refit, the kernel: on a machine whose cores are shared a move waits for its turn.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import nbformat
import polars as pl
from browsing import notebook_in_lab, open_browser, visit, wait_for
from nbformat.v4 import new_code_cell, new_notebook

import scaling
from scaling.charts import live
from scaling.laws import chinchilla
from scaling.questions import wall
from scaling.show import table

MOVES = 12
DRAWS, BUDGETS = 200, 80
_MOVE = """
const [name, share, done] = arguments, slider = document.querySelector(`input[name=${name}]`);
slider.value = +slider.min + share * (slider.max - slider.min);
const before = performance.now();
slider.dispatchEvent(new Event("input"));
requestAnimationFrame(() => setTimeout(() => done(performance.now() - before)));
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-lab", action="store_true", help="leave JupyterLab out")
    lab = not parser.parse_args().no_lab
    runs = scaling.open_runs("runs/quickstart", origin="committed").filter(pl.col("epochs") == 1)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        browser = open_browser(Path(folder) / "profile")
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        try:
            for what, slider, chart in charts(runs):
                page = Path(folder) / "page.html"
                html = live.Bundle()._repr_html_() + live.embed(chart.to_dict())
                page.write_text(f"<!doctype html><meta charset=utf-8><body>{html}")
                visit(browser, page, charts=1)
                rows.append([what, *moves(browser, lambda i, name=slider: move(browser, name, i)), "100"])
            if lab:
                rows.append(refits(browser, runs, Path(folder)))
        finally:
            browser.quit()
    print(table(["move", "ms, median", "ms, slowest", "ms of one core", "asked, ms"], rows))


def charts(runs: pl.DataFrame) -> list[tuple[str, str, Any]]:
    """What is moved, its slider, and its chart."""
    fitted = scaling.fit(chinchilla, runs, bootstrap=live.DRAWS_MARKED)
    usual = scaling.plot(fitted, runs)
    named = f"{live.DRAWS_BAND} draws × {live.BUDGETS} budgets"
    live.DRAWS_BAND, live.BUDGETS = DRAWS, BUDGETS
    dense = scaling.plot(fitted, runs)
    return [
        (f"unique tokens, frontier of {named}", "log_unique", usual),
        (f"unique tokens, frontier of {DRAWS} draws × {BUDGETS} budgets", "log_unique", dense),
        ("compute, 1,000 draws of one budget", "log_compute", usual),
        ("stock of text, the wall's page", "log2_stock", scaling.plot(wall("published-2024"))),
    ]


def move(browser: Any, slider: str, i: int) -> float:
    return browser.execute_async_script(_MOVE, slider, 0.1 + 0.8 * ((7 * i) % MOVES) / MOVES)


def busy(browser: Any) -> float:
    """Milliseconds that the page's main thread has worked."""
    told = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return 1e3 * next(one["value"] for one in told if one["name"] == "TaskDuration")


def moves(browser: Any, each: Callable[[int], float]) -> list[str]:
    each(0)
    before = busy(browser)
    took = [each(i) for i in range(1, MOVES + 1)]
    return [f"{median(took):.0f}", f"{max(took):.0f}", f"{(busy(browser) - before) / MOVES:.0f}"]


def refits(browser: Any, runs: pl.DataFrame, folder: Path) -> list[str]:
    """A slider of the live refit moved in JupyterLab: to the kernel, fitted, back, and drawn."""
    runs.select("run_id", "N", "D", "C", "loss", "trunk_id").write_parquet(folder / "runs.parquet")
    cells = (
        'import polars as pl, scaling\nruns = pl.read_parquet("runs.parquet")',
        "scaling.refit(runs, bootstrap=20)",
    )
    kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }  # else JupyterLab asks for one
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernelspec}
    )
    nbformat.write(notebook, folder / "refit.ipynb")
    widget = "document.querySelector('.scaling-refit')"
    (own := folder / "own").mkdir()
    with notebook_in_lab(browser, folder / "refit.ipynb", own):
        wait_for(browser, f"{widget}?.dataset.draws == '20'")

        def each(i: int) -> float:
            slider = f"{widget}.querySelector('[name=to]')"
            before = browser.execute_script(f"return {widget}.dataset.asked")
            browser.execute_script(
                f"{slider}.value = {slider}.max - {0.05 * (1 + i % 7)}; {slider}.dispatchEvent(new Event('input'))"
            )
            wait_for(browser, f"{widget}.dataset.asked != '{before}' && {widget}.dataset.draws == '0'")
            return float(browser.execute_script(f"return {widget}.dataset.ms"))

        told = moves(browser, each)
    told[2] = f"{float(told[2]) + kernel(runs):.0f}"
    return [f"refit of {len(runs)} runs in JupyterLab", *told, "200"]


def kernel(runs: pl.DataFrame) -> float:
    """Milliseconds of one core that a refit takes in Python."""
    widget = scaling.refit(runs, bootstrap=20)
    widget.left_out = [0]
    before = time.process_time()
    for i in range(MOVES):
        widget.left_out = [i, i + 1]
    return 1e3 * (time.process_time() - before) / MOVES


if __name__ == "__main__":
    main()
