"""A browser without a network, and what it finds wrong with a page."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 90
"""A page draws in half of one; a busy machine is slower."""

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --window-size=1280,1000 "
    "--proxy-server=http://127.0.0.1:9"  # nobody listens there: whatever asks for the network fails
)


def missing() -> str:
    """What has to be installed for a browser; nothing where all is here."""
    return " and ".join(name for name, path in _programs().items() if not path)


def open_browser(profile: Path) -> webdriver.Chrome:
    """A headless browser that can reach nobody."""
    options, programs = webdriver.ChromeOptions(), _programs()
    options.binary_location = programs["chromium"] or ""
    for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs["chromium-driver"]))
    opened.set_script_timeout(SECONDS)
    return opened


def _programs() -> dict[str, str | None]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    return {"chromium": found, "chromium-driver": shutil.which("chromedriver")}


def wait_for(browser: webdriver.Chrome, script: str) -> None:
    WebDriverWait(browser, SECONDS, poll_frequency=0.05).until(lambda b: b.execute_script(f"return {script}"))


def visit(browser: webdriver.Chrome, page: Path, charts: int) -> None:
    """Open a page and wait until its charts have their marks."""
    browser.get_log("browser")  # forget what other pages said
    browser.get(page.as_uri())
    wait_for(browser, f"document.querySelectorAll('.scaling-chart svg').length == {charts}")


def asked_for(browser: webdriver.Chrome) -> list[str]:
    """Every address that the page asked for, apart from what lies inside it."""
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    return [name for name in names if not name.startswith(("data:", "blob:"))]


def complaints(browser: webdriver.Chrome) -> list[str]:
    return [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]


AXE = Path(__file__).parent / "vendor" / "axe.min.js"
"""axe-core 4.14.1, npm's axe-core, Mozilla Public License 2.0: what a page denies to people who cannot see or point."""
WIDTHS = (390, 820, 1440)
"""Points across of a phone, a tablet and a desk."""


TALL = 4000
"""More points down than any chart needs: a mark lies far outside its axes."""
_CHARTS = """return [...document.querySelectorAll('.scaling-chart svg')].map(
    svg => [svg, svg.closest('.result') ?? svg].map(box => box.getBoundingClientRect().height))"""


def faults(browser: webdriver.Chrome, page: Path) -> list[str]:
    """What is wrong with a page: requests, complaints of the console, serious findings of axe, a page wider than its
    screen, a chart too high or folded; at three widths, each pictured where SCALING_SCREENSHOTS names a folder."""
    browser.set_window_size(WIDTHS[0], 1000)
    visit(browser, page, browser_charts(page))
    wrong = [f"asked for {name}" for name in asked_for(browser)] + complaints(browser)
    browser.execute_script(AXE.read_text())
    script = "const done = arguments[0]; axe.run(document).then(result => done(result.violations))"
    for violation in browser.execute_async_script(script):
        if violation["impact"] in ("serious", "critical"):
            wrong.append(f"{violation['id']} at {violation['nodes'][0]['html'][:200]}")
    for width in WIDTHS:
        browser.set_window_size(width, 1000)
        script = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        browser.execute_async_script(script)
        wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        wrong += [f"{width}: the page is {wide[0]} wide"] if wide[0] > wide[1] else []
        for high, shown in browser.execute_script(_CHARTS):
            if high > TALL or shown < high:
                wrong.append(f"{width}: a chart is {high} high, of which {shown} are shown")
        if folder := os.environ.get("SCALING_SCREENSHOTS"):
            _picture(browser, Path(folder) / f"{page.stem}-{width}.png")
    return wrong


def _picture(browser: webdriver.Chrome, path: Path) -> None:
    """The whole page as it stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = browser.execute_script(
        "const {clientWidth, scrollHeight} = document.documentElement; return [clientWidth, scrollHeight]"
    )
    clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    how = {"captureBeyondViewport": True, "clip": clip, "optimizeForSpeed": True}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", how)
    path.write_bytes(base64.b64decode(taken["data"]))


def browser_charts(page: Path) -> int:
    """Charts that a page will draw."""
    return page.read_text().count('<div class="scaling-chart" ')


@contextmanager
def notebook_in_lab(browser: webdriver.Chrome, path: Path, own: Path) -> Iterator[None]:
    """A notebook in a JupyterLab of its own on loopback, its cells run; settings and kernels go into `own`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"--ip=127.0.0.1 --port={port} --ServerApp.port_retries=0 --no-browser --allow-root --IdentityProvider.token= "
        "--LabApp.expose_app_in_browser=True --LabApp.news_url= "
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"
    )
    places = {f"JUPYTER_{each}_DIR": str(own / each.lower()) for each in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", *options.split(), f"--notebook-dir={path.parent}"]
    with (own / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=log)
    try:
        WebDriverWait(browser, SECONDS).until(lambda _: _listens(port))
        browser.get(f"http://127.0.0.1:{port}/doc/tree/{path.name}")
        kernel = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        wait_for(browser, f"{kernel} == 'idle' && document.querySelector('.jp-Notebook .jp-Cell') !== null")
        browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
        yield
    finally:
        browser.get("about:blank")
        server.terminate()  # and with it its kernels
        server.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
