"""Hands mkdocs the pages that are made of the code, and asks it for nothing from the network."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files
from pages import assets, law_names, pages
from pictures import table


def on_config(config: Any) -> Any:
    """A page for each law, in the menu too."""
    for entry in config.nav:
        if "Laws" in entry:
            entry["Laws"] = ["laws/index.md", *({name: f"laws/{name}.md"} for name in law_names())]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages; what makes them is not part of the site."""
    for file in list(files):
        if file.src_uri.endswith((".py", ".toml")):
            files.remove(file)
    for place, text in (pages() | assets()).items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The table of answers, where a page asks for it."""
    return markdown.replace("<!-- answers -->", table("pictures", ""))
