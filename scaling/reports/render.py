"""A notebook run from top to bottom in a fresh kernel, as one HTML file that asks the network for nothing.

Formulas become MathML, charts carry their own Vega, fonts are the reader's. Files are written when the whole notebook
has run, so a failing one leaves the last report as it was.
"""

from __future__ import annotations

import base64
import datetime
import itertools
import platform
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scaling import laws
from scaling.arguments import checked
from scaling.errors import ReportError, check_installed
from scaling.files import written_whole
from scaling.reports.paper import find_browser, print_page
from scaling.reports.parameters import with_parameters
from scaling.reports.suite import find_notebook, name_of
from scaling.show import plain

TEMPLATES = Path(__file__).parent / "templates"


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


_SHORT = 60
"""Characters of a sentence that says too little alone."""


@dataclass(frozen=True)
class Answered:
    """A question that a notebook answers."""

    name: str
    question: str
    answer: str
    """What it says first and large, in Markdown; empty where it answers nothing."""
    picture: str | None
    """Its first chart, in SVG."""

    @property
    def lead(self) -> str:
        """How the answer begins, as plain text: its first sentence, or more of them where that is short."""
        text = plain(re.sub(r"</?div[^>]*>|\*\*|`", "", self.answer))
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", " ".join(text.split()))
        ends = itertools.accumulate(map(len, sentences))
        return " ".join(sentences[: 1 + sum(end < _SHORT for end in ends)])


@dataclass(frozen=True)
class Page:
    """A notebook that has run."""

    name: str
    html: str
    figures: list[tuple[str, bytes]]
    """For print, SVG and PDF each."""
    said: list[str]
    """What its cells tagged "terminal" show."""
    facts: dict[str, str]
    """Title, date and so on."""
    answers: list[Answered]
    """That of its title first, then those of the cells that name a question in their metadata."""


@checked
def report(
    name: str,
    *,
    notebooks: str | Path | None = None,
    out: str | Path = "reports",
    parameters: Mapping[str, Any] | None = None,
    pdf: bool = False,
) -> Path:
    """Path of the HTML made from the notebook of a name, its print figures beside it.

    The notebook runs in its own folder, with the interpreter that called this, whatever kernels are installed. A
    figure that it shows as SVG and PDF at once (`scaling.charts.print`) is also saved as NAME.svg and NAME.pdf; the
    second such figure as NAME-2, and so on. What cells tagged "terminal" show is printed too, and where the page is.

    Args:
        name: of the notebook, with or without the number before it, or its path.
        notebooks: folder that it is in; None is `notebooks/` here, and then the suite's own.
        out: folder for the report; made if it is missing.
        parameters: other values for what its cell tagged "parameters" sets.
        pdf: print the page too, as NAME-page.pdf.

    Raises:
        MissingNotebook: none of that name; lists those there are.
        UnreadableNotebook: not a notebook.
        NoSuchParameter: its cell of parameters does not set one that is given.
        FailedCell: a cell raised; says which and how.
        MissingPackage: the extra "notebooks" is not installed.
        NoBrowser: a PDF is asked for, and there is no Chromium.
        DiskFull, NotWritten: the report cannot be written there.
    """
    if pdf:
        find_browser()
    source = find_notebook(name, notebooks)
    page = render(source, parameters)
    path = Path(out) / f"{page.name}.html"
    files = {path: page.html.encode()}
    for number, (svg, printed) in enumerate(page.figures, 1):
        stem = path.with_name(page.name if number == 1 else f"{page.name}-{number}")
        files |= {stem.with_suffix(".svg"): svg.encode(), stem.with_suffix(".pdf"): printed}
    write_files(files)
    if pdf:
        print_page(path, path.with_name(f"{page.name}-page.pdf"))
    for words in page.said:
        print(words)
    print(f"report: {path.resolve().as_uri()} ({len(files[path]) / 1e6:.1f} MB, {page.facts['seconds']} s)")
    return path


def render(source: Path, parameters: Mapping[str, Any] | None = None) -> Page:
    """Run a notebook and make its page; raises what `report` raises, and writes nothing."""
    check_installed(
        "notebooks", "nbformat", "nbclient", "nbconvert", "ipykernel", "latex2mathml", "bs4", "traitlets"
    )
    notebook = _read(source)
    if parameters:
        notebook = with_parameters(notebook, source, parameters)
    started = time.perf_counter()
    _run(notebook, source)
    facts = _facts(source, notebook) | {"seconds": f"{time.perf_counter() - started:.0f}"}
    given = (f"-p {shlex.quote(f'{key}={value}')}" for key, value in (parameters or {}).items())
    facts["command"] = " ".join(("scaling report", facts["name"], *given))
    return Page(
        name=facts["name"],
        html=_page(notebook, facts),
        figures=list(_figures(notebook)),
        said=list(_for_the_terminal(notebook)),
        facts=facts,
        answers=list(_answers(notebook, facts)),
    )


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write each whole or not at all."""
    for file, content in files.items():
        with written_whole(file, "a report") as scratch:
            scratch.write_bytes(content)


def write_notebook(path: str | Path, title: str, *cells: str) -> None:
    """Write a notebook of a title and cells of code, which `report` can run.

    Raises:
        MissingPackage: the extra "notebooks" is not installed.
        DiskFull, NotWritten: the notebook cannot be written there.
    """
    check_installed("notebooks", "nbformat")
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    notebook = new_notebook(cells=[new_markdown_cell(title), *map(new_code_cell, cells)])
    with written_whole(path, "a notebook") as scratch:
        scratch.write_text(nbformat.writes(notebook))


# --- the notebook ----------------------------------------------------------------------------------


def _read(path: Path) -> Any:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as problem:  # nbformat raises whatever json, validation or an attribute raised
        raise UnreadableNotebook(path, str(problem).splitlines()[0]) from None
    return notebook


def _run(notebook: Any, path: Path) -> None:
    """Execute in place, every cell anew."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    kernel = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]

    class ThisInterpreter(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(argv=kernel, display_name="Python 3", language="python")

    class Client(NotebookClient):  # one that makes its own kernel also ends it
        def create_kernel_manager(self) -> AsyncKernelManager:
            self.km = AsyncKernelManager(kernel_spec_manager=ThisInterpreter())
            return self.km

    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def failed(number: int, error: str) -> FailedCell:
        return FailedCell(path, number, len(cells), cells[number - 1].source, error)

    try:
        Client(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}}).execute()
    except CellExecutionError:
        raised = [[o for o in cell.outputs if o.output_type == "error"] for cell in cells]
        first = next(
            number for number, errors in enumerate(raised) if errors
        )  # a captured cell goes on after its own
        error = raised[first][0]
        said = [line.strip() for line in error.evalue.splitlines() if line.strip()] or [""]
        raise failed(first + 1, f"{error.ename}: {said[-1].rstrip('.')}") from None
    except DeadKernelError:
        ran = [number for number, cell in enumerate(cells, 1) if cell.execution_count]
        raise failed(min(max(ran, default=0) + 1, len(cells)), "the death of its kernel") from None


def _figures(notebook: Any) -> Iterator[tuple[str, bytes]]:
    """Every output that is SVG and PDF at once."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if {"image/svg+xml", "application/pdf"} <= set(data):
                yield data["image/svg+xml"], base64.b64decode(data["application/pdf"])


def _answers(notebook: Any, facts: dict[str, str]) -> Iterator[Answered]:
    """What stands below the title, and below each cell with the metadata `"answers": NAME`, asked by its heading."""
    from scaling.charts.offline import picture  # here, because altair is slow to import

    cells, name, question, begun = notebook.cells, facts["name"], facts["title"], 0
    named = [i for i, cell in enumerate(cells) if "answers" in cell.metadata]
    for end in (*named, len(cells)):
        below = cells[begun:end]
        said = (text for text in _shown(below, "text/markdown") if 'class="answer"' in text)
        drawn = filter(None, map(picture, _shown(below, "text/html")))
        yield Answered(name, question, next(said, ""), next(drawn, None))
        if end < len(cells):
            headings = (re.findall(r"^##? (.*)", cell.source, re.MULTILINE) for cell in cells[:end])
            name, question, begun = cells[end].metadata["answers"], [*itertools.chain(*headings)][-1], end


def _shown(cells: Any, form: str) -> Iterator[str]:
    """Every output of a form."""
    for cell in cells:
        yield from (o.data[form] for o in cell.get("outputs", ()) if form in o.get("data", ()))


def _for_the_terminal(notebook: Any) -> Iterator[str]:
    """The plain text of what cells tagged "terminal" show."""
    for cell in notebook.cells:
        if "terminal" in cell.metadata.get("tags", ()):
            yield from (o.data["text/plain"] for o in cell.outputs if "text/plain" in o.get("data", ()))


# --- the page --------------------------------------------------------------------------------------


def _facts(source: Path, notebook: Any) -> dict[str, str]:
    """What the page says about itself."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.*)", prose, re.MULTILINE)
    today = datetime.datetime.now().astimezone()
    return {
        "name": name_of(source),
        "title": heading[1].strip() if heading else name_of(source),
        "notebook": f"{source.parent.name}/{source.name}",
        "date": f"{today.day} {today:%B %Y}",
        "versions": ", ".join(
            f"{name} {number}"
            for name, number in (
                ("scaling", version("scaling")),
                ("Python", platform.python_version()),
                *((name, version(name)) for name in _PACKAGES),
            )
        ),
    }


_PACKAGES = ("numpy", "scipy", "polars", "altair")
"""Whose versions a page names beside the suite's own."""

_SHOWN = (
    "text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain",
)  # fmt: skip
"""Of an output's forms the first of these is on the page."""


def _page(notebook: Any, facts: dict[str, str]) -> str:
    from nbconvert.exporters import TemplateExporter
    from nbconvert.filters.highlight import Highlight2HTML
    from traitlets.config import Config

    class Exporter(TemplateExporter):
        output_mimetype = "text/html"
        file_extension = ".html"

    exporter = Exporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        config=Config({"NbConvertBase": {"display_data_priority": list(_SHOWN)}}),
    )
    exporter.register_filter("highlight_code", Highlight2HTML(pygments_lexer="python3"))
    exporter.register_filter("markdown2html", markdown)
    exporter.register_filter("align_numbers", align_numbers)
    exporter.register_filter("inline_svg", _inline_svg)
    exporter.environment.globals["report"] = facts
    return _with_contents(exporter.from_notebook_node(notebook)[0])


_HEADING = re.compile(r'<h2 id="([^"]*)">(.*?)(?:<a class="anchor-link"|</h2>)', re.DOTALL)
_CONTENTS = 3  # headings from which a page has a list of them


def _with_contents(html: str) -> str:
    """The same with a list of its parts, folded up, below the answer that it begins with."""
    parts = _HEADING.findall(html)
    begun, answer, rest = html.partition('<div class="answer">')
    before, end, after = rest.partition("</section>")
    if len(parts) < _CONTENTS or not end:
        return html
    links = "".join(f'<li><a href="#{mark}">{words}</a></li>' for mark, words in parts)
    contents = (
        f'<nav aria-label="contents"><details><summary>Contents</summary><ol>{links}</ol></details></nav>'
    )
    return "".join((begun, answer, before, end, contents, after))


_MATH = re.compile(
    r"\$\$(?P<block>.+?)\$\$|(?<![\\$\w])\$(?!\s)(?P<inline>[^$\n]+?)(?<!\s)\$(?!\d)", re.DOTALL
)
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_NUMBER = re.compile(r"[-+−±]?\s*[\d.]+([eE][-+]?\d+)?\s*(%|×|k|M|B|T|s)?(\s*[±×\[].*)?")


def markdown(text: str) -> str:
    """HTML of Markdown, its $…$ and $$…$$ as MathML, which browsers draw without a script."""
    import latex2mathml.converter
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    formulas: list[str] = []

    def keep(match: re.Match[str]) -> str:
        display = "block" if match["block"] else "inline"
        formulas.append(latex2mathml.converter.convert(match["block"] or match["inline"], display=display))
        return f"\ue000{len(formulas) - 1}\ue001"  # private characters, which no Markdown rule touches

    pieces = _CODE.split(text)  # what lies between backticks is left alone, unless it names a law
    kept = "".join(_law(piece) if i % 2 else plain(_MATH.sub(keep, piece)) for i, piece in enumerate(pieces))
    html = markdown2html_mistune(kept)
    drawn = re.sub("\ue000(\\d+)\ue001", lambda kept: formulas[int(kept[1])], html)
    alone = r'<p>(?=<math[^>]*display="block")'  # may be wider than a page, and then scrolls
    return re.sub(alone, '<p role="group" tabindex="0" aria-label="formula">', drawn)


def _law(code: str) -> str:
    """A piece of code, or where it is the name of a law its words."""
    first, *_ = code.strip("`").split(" with ")
    return plain(code.strip("`")) if hasattr(laws, first) else code


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
