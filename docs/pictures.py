"""What the suite answers today, from the reports of `scaling report --all`: their pictures, and README's table of them.

python docs/pictures.py reports
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

from scaling.reports.suite import notebooks

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
BEGIN, END = "<!-- answers: written by make pictures -->", "<!-- end of answers -->"
LEFT_OUT = {"start", "own-runs"}
"""Notebooks that have no answer of their own."""


def answers() -> list[tuple[str, Path, str, str]]:
    """Name, notebook, question and answer of each picture, in the order of the notebooks and of what each answers."""
    said = []
    for title, notebook in notebooks(ROOT / "notebooks").items():
        cells = json.loads(notebook.read_text())["cells"]
        names = [title, *(cell["metadata"]["answers"] for cell in cells if "answers" in cell["metadata"])]
        for name in names:
            if (picture := PICTURES / f"{name}.svg").exists():
                drawn = ElementTree.fromstring(picture.read_text())
                question, answer = (drawn.findtext(f"{{*}}{tag}") or "" for tag in ("title", "desc"))
                said.append((name, notebook, question, answer))
    return said


def table(pictures: str, leads_to: str = "") -> str:
    """HTML of two columns, as Markdown passes it on.

    Args:
        pictures: folder, from where the table stands.
        leads_to: folder that has the notebooks, from there; without it questions lead nowhere.
    """
    cells = []
    for name, notebook, question, answer in answers():
        asked = f"<b>{question}</b>"
        asked = f'<a href="{leads_to}/{notebook.name}">{asked}</a>' if leads_to else asked
        picture = f'<img src="{pictures}/{name}.svg" alt="Picture: {question}" width="100%">'
        cells.append(f'<td width="50%" valign="top">{asked}<br>{picture}<br>{answer}</td>')
    rows = ["\n".join(cells[i : i + 2]) for i in range(0, len(cells), 2)]
    return "<table>\n" + "\n".join(f"<tr>\n{row}\n</tr>" for row in rows) + "\n</table>"


def readme(text: str) -> str:
    """README with the table anew."""
    made = f"{BEGIN}\n{table('docs/pictures', 'notebooks')}\n{END}"
    return re.sub(f"{BEGIN}.*{END}", lambda _: made, text, flags=re.DOTALL)


def main(reports: Path) -> None:
    """Take over the pictures of a folder of reports."""
    PICTURES.mkdir(exist_ok=True)
    for picture in sorted((reports / "pictures").glob("*.svg")):
        if picture.stem not in LEFT_OUT:
            shutil.copy(picture, PICTURES)
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
