"""A notebook run from top to bottom in a fresh kernel, as one HTML file that asks the network for nothing.

Formulas become MathML, charts carry their own Vega, fonts are the reader's. The file is written aside and put in place
when it is whole, so a failing notebook leaves the last report as it was.
"""

from __future__ import annotations

import base64
import datetime
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scaling.errors import MissingPackage, ReportError


class MissingNotebook(ReportError):
    """No notebook of that name."""

    name: str
    folder: str | Path
    found: list[str]

    def __str__(self) -> str:
        there = f"there are {', '.join(self.found)}" if self.found else "there is none"
        return (
            f"asked for a report of {self.name!r}, but in {self.folder} {there}. Name one of these, or add "
            f"{self.name}.ipynb."
        )


class UnreadableNotebook(ReportError):
    """A file that is not a notebook."""

    path: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path} cannot be read as a notebook ({self.reason}). Restore it from version control."


class FailedCell(ReportError):
    """A cell of a notebook that raised."""

    path: str | Path
    number: int
    cells: int
    source: str
    error: str

    def __str__(self) -> str:
        first = next((line for line in self.source.splitlines() if line.strip()), "")
        return (
            f"code cell {self.number} of {self.cells} in {self.path}, which begins {first.strip()!r}, failed with "
            f"{self.error}. Run it in JupyterLab to see the whole trace; the last report was left as it is."
        )


_MATH = re.compile(
    r"\$\$(?P<block>.+?)\$\$|(?<![\\$\w])\$(?!\s)(?P<inline>[^$\n]+?)(?<!\s)\$(?!\d)", re.DOTALL
)
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_NUMBER = re.compile(r"[-+−±]?\s*[\d.]+([eE][-+]?\d+)?\s*(%|×|k|M|B|T|s)?(\s*[±×\[].*)?")


def report(name: str, *, notebooks: str | Path = "notebooks", out: str | Path = "reports") -> Path:
    """Path of the HTML made from `notebooks/NAME.ipynb`, its print figures beside it.

    The notebook runs in its own folder, with the interpreter that called this, whatever kernels are installed. A
    figure that it shows as SVG and PDF at once (`scaling.charts.print`) is also saved as NAME.svg and NAME.pdf; the
    second such figure as NAME-2, and so on. What cells tagged "terminal" show is printed too, and where the page is.

    Args:
        name: stem of the notebook.
        notebooks: folder that it is in.
        out: folder for the report; made if it is missing.

    Raises:
        MissingNotebook: none of that name; lists those there are.
        UnreadableNotebook: not a notebook.
        FailedCell: a cell raised; says which and how.
        MissingPackage: the extra "notebooks" is not installed.
    """
    source = _find(name, Path(notebooks))
    notebook = _read(source)
    started = time.perf_counter()
    _run(notebook, source)
    seconds = time.perf_counter() - started
    page = _page(notebook, _Facts.of(name, source, notebook, seconds))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (svg, pdf) in enumerate(_figures(notebook), 1):
        stem = folder / (name if number == 1 else f"{name}-{number}")
        _put(stem.with_suffix(".svg"), svg.encode())
        _put(stem.with_suffix(".pdf"), pdf)
    path = folder / f"{name}.html"
    _put(path, page.encode())
    for words in _for_the_terminal(notebook):
        print(words)
    print(f"report: {path.resolve().as_uri()} ({len(page.encode()) / 1e6:.1f} MB, {seconds:.0f} s)")
    return path


def _for_the_terminal(notebook: Any) -> Iterator[str]:
    """The plain text of what cells tagged "terminal" show."""
    for cell in notebook.cells:
        if "terminal" in cell.metadata.get("tags", ()):
            yield from (o.data["text/plain"] for o in cell.outputs if "text/plain" in o.get("data", ()))


@dataclass(frozen=True)
class _Facts:
    """What the page says about itself."""

    name: str
    title: str
    notebook: str
    seconds: str
    date: str
    version: str
    python: str

    @staticmethod
    def of(name: str, source: Path, notebook: Any, seconds: float) -> _Facts:
        headings = (
            line.removeprefix("# ").strip()
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            for line in cell.source.splitlines()
            if line.startswith("# ")
        )
        today = datetime.datetime.now().astimezone()
        return _Facts(
            name=name,
            title=next(headings, name),
            notebook=f"{source.parent.name}/{source.name}",
            seconds=f"{seconds:.0f}",
            date=f"{today.day} {today:%B %Y}",
            version=version("scaling"),
            python=platform.python_version(),
        )


# --- the notebook ----------------------------------------------------------------------------------


def _find(name: str, folder: Path) -> Path:
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        raise MissingNotebook(name, folder, sorted(p.stem for p in folder.glob("*.ipynb")))
    return path


def _read(path: Path) -> Any:
    try:
        import nbformat
    except ImportError:
        raise MissingPackage("nbformat", "notebooks") from None
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as reason:  # nbformat raises whatever json, validation or an attribute raised
        raise UnreadableNotebook(path, str(reason).splitlines()[0]) from None
    return notebook


def _run(notebook: Any, path: Path) -> None:
    """Execute in place, every cell anew."""
    try:
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError
    except ImportError as reason:
        raise MissingPackage(reason.name or "nbclient", "notebooks") from None

    class ThisInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            command = [
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--log-level=ERROR",
            ]
            return KernelSpec(argv=command, display_name="Python 3", language="python")

    class Client(NotebookClient):  # one that makes its own kernel also ends it
        def create_kernel_manager(self) -> AsyncKernelManager:
            self.km = AsyncKernelManager(kernel_spec_manager=ThisInterpreter())
            return self.km

    client = Client(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}})
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    try:
        client.execute()
    except CellExecutionError as reason:
        number, cell = next((i, c) for i, c in enumerate(cells, 1) if _failed(c))
        raise FailedCell(
            path, number, len(cells), cell.source, f"{reason.ename}: {_last_line(reason.evalue)}"
        ) from None
    except DeadKernelError:
        ran = [i for i, c in enumerate(cells, 1) if c.execution_count]
        number = min(max(ran, default=0) + 1, len(cells))
        raise FailedCell(
            path, number, len(cells), cells[number - 1].source, "the death of its kernel"
        ) from None


def _failed(cell: Any) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines()) if line.strip()), text).strip()


def _figures(notebook: Any) -> Iterator[tuple[str, bytes]]:
    """Every output that is SVG and PDF at once."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if {"image/svg+xml", "application/pdf"} <= set(data):
                yield data["image/svg+xml"], base64.b64decode(data["application/pdf"])


# --- the page --------------------------------------------------------------------------------------


def _page(notebook: Any, facts: _Facts) -> str:
    from nbconvert.exporters import TemplateExporter
    from nbconvert.filters.highlight import Highlight2HTML
    from traitlets.config import Config

    class Exporter(TemplateExporter):
        output_mimetype = "text/html"
        file_extension = ".html"

    shown = [
        "text/html",
        "text/markdown",
        "image/svg+xml",
        "text/latex",
        "image/png",
        "image/jpeg",
        "text/plain",
    ]

    templates = Path(__file__).parent / "templates"
    exporter = Exporter(
        template_name="report",
        extra_template_basedirs=[str(templates)],
        config=Config({"NbConvertBase": {"display_data_priority": shown}}),
    )
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python3"))
    exporter.register_filter("markdown2html", markdown)
    exporter.register_filter("align_numbers", align_numbers)
    exporter.register_filter("inline_svg", _inline_svg)
    exporter.environment.globals["report"] = facts
    return exporter.from_notebook_node(notebook)[0]


def markdown(text: str) -> str:
    """HTML of Markdown, its $…$ and $$…$$ as MathML, which browsers draw without a script."""
    import latex2mathml.converter
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        display = "block" if match["block"] else "inline"
        formulas.append(latex2mathml.converter.convert(match["block"] or match["inline"], display=display))
        return f"\ue000{len(formulas) - 1}\ue001"  # private characters, which no Markdown rule touches

    pieces = _CODE.split(text)  # what lies between backticks is left alone
    plain = "".join(piece if i % 2 else _MATH.sub(keep, piece) for i, piece in enumerate(pieces))
    html = markdown2html_mistune(plain)
    return re.sub("\ue000(\\d+)\ue001", lambda found: formulas[int(found[1])], html)


def align_numbers(html: str) -> str:
    """The same HTML with the class "number" on every table column that holds nothing else."""
    if "<table" not in html or "<script" in html:
        return html
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(html, "html.parser")
    for table in soup.find_all("table"):
        rows = [row.find_all(["td", "th"]) for row in table.find_all("tr")]
        body = [row for row in rows if any(cell.name == "td" for cell in row) and row[0].find_parent("tbody")]
        for column in range(max(map(len, body), default=0)):
            texts = [row[column].get_text(strip=True).strip('"') for row in body if column < len(row)]
            filled = [text for text in texts if text]
            if filled and all(_NUMBER.fullmatch(text) for text in filled):
                for row in rows:
                    if column < len(row):
                        row[column]["class"] = "number"
    return str(soup)


def _inline_svg(svg: str) -> str:
    """An SVG inside the page, black drawn in the page's own ink so that a dark page shows it too."""
    start = svg.index("<svg")
    return re.sub(r"#000000|\bblack\b", "currentColor", svg[start:])


def _put(path: Path, content: bytes) -> None:
    """Write aside, then put in place: a reader sees the old file or the new one, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
