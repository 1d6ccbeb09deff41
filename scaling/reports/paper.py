"""A page as PDF, by a browser of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from scaling.errors import ReportError
from scaling.files import written_whole

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_DRAWN_MS = 8000
"""Virtual time for the charts to be drawn."""


class NoBrowser(ReportError):
    """Nothing here can print a page."""

    asked: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"asked for a PDF, but none of {', '.join(self.asked)} is installed. Install Chromium, or open the HTML "
            "in any browser and print it."
        )


class NotPrinted(ReportError):
    """A browser that did not print."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"asked to print {self.path}, but the browser failed ({self.reason}). The HTML is whole; open it there."


def find_browser() -> str:
    """Path of a browser that prints without a window.

    Raises:
        NoBrowser: there is none.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise NoBrowser(BROWSERS)


def print_page(page: Path, pdf: Path) -> None:
    """Print a page with its charts drawn; the network is off.

    Raises:
        NoBrowser, NotPrinted: nothing is written.
    """
    with tempfile.TemporaryDirectory() as profile, written_whole(pdf, "a PDF") as scratch:
        command = [
            find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}",
            f"--virtual-time-budget={_DRAWN_MS}", f"--print-to-pdf={scratch.resolve()}", page.resolve().as_uri(),
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if not scratch.is_file():
            said = [line for line in ran.stderr.splitlines() if line.strip()] or [
                f"exit status {ran.returncode}"
            ]
            raise NotPrinted(page, said[-1])
