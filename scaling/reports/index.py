"""All reports together: an index with the answer of each, its picture and its date."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from scaling.reports.render import TEMPLATES, Answered, FailedCell, Page, markdown, render, write_files
from scaling.reports.suite import notebooks as known_notebooks


def site(*, notebooks: str | Path | None = None, out: str | Path = "reports") -> Path:
    """Path of an index of every report, each made anew beside it, and the picture of each answer in `pictures/`.

    A notebook that fails is named on the index, and raised when all others are done.

    Args:
        notebooks: folder that they are in; None is `notebooks/` here, and the suite's own.
        out: folder for the reports; made if it is missing.

    Raises:
        FailedCell: a cell of a notebook raised.
        UnreadableNotebook, MissingPackage: as for `report`.
        DiskFull, NotWritten: a report cannot be written there.
    """
    pages: list[Page] = []
    failed: list[FailedCell] = []
    for path in known_notebooks(notebooks).values():
        try:
            page = render(path)
        except FailedCell as problem:
            failed.append(problem)
            continue
        files = {Path(out) / f"{page.name}.html": page.html.encode()}
        for answered in page.answers:
            if answered.picture:
                files[Path(out) / "pictures" / f"{answered.name}.svg"] = entitled(answered).encode()
        write_files(files)
        pages.append(page)
        print(f"{page.name}: {page.facts['seconds']} s", flush=True)
    index = Path(out) / "index.html"
    write_files({index: _index(pages, failed).encode()})
    print(f"site: {index.resolve().as_uri()}, {len(pages)} reports")
    for problem in failed:
        raise problem
    return index


def entitled(answered: Answered) -> str:
    """A picture on paper of its own, with its question as title and its answer as description."""
    said = "".join(
        f"<{tag}>{escape(text)}</{tag}>"
        for tag, text in (("title", answered.question), ("desc", answered.lead))
    )
    tag, close, drawn = (answered.picture or "").partition(">")
    return f'{tag} style="background:#fff"{close}{said}{drawn}\n'


def _index(pages: list[Page], failed: list[FailedCell]) -> str:
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES / "site", TEMPLATES / "report"]),
        autoescape=lambda name: name != "style.css",
    )
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode()
    environment.filters["markdown"] = markdown
    return environment.get_template("index.html.j2").render(pages=pages, failed=map(str, failed))
