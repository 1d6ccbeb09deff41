"""The documentation: every command, option, law and exported name is in it, its links lead somewhere, its code runs."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import browsing
import pytest
from click import Command, Option

import scaling
from scaling import laws
from scaling.__main__ import cli
from scaling.laws.base import describe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
WRITTEN = {str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md"))}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages, pictures = load("pages"), load("pictures")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages that are made of the code."""
    return pages.pages()


COMMANDS = dict(pages.commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str, made: dict[str, str]) -> None:
    """In words, and the command in a page that somebody wrote."""
    command: Command = COMMANDS[name]
    reference = made["reference/commands.md"]
    assert command.help and f"\n## {name}\n" in reference
    assert any(
        re.search(rf"\b{name}\b", text) for text in [*WRITTEN.values(), (ROOT / "README.md").read_text()]
    )
    for option in command.params:
        if isinstance(option, Option):
            assert option.help, f"{name} {option.opts[0]} says nothing of itself"
            assert f"`{', '.join(option.opts)}" in reference and option.help in reference


@pytest.mark.parametrize("room", pages.FACES)
def test_every_exported_name_is_documented(room: str, made: dict[str, str]) -> None:
    names, _ = pages.FACES[room]
    module = importlib.import_module(room)
    for name in names:
        assert f"::: {room}.{name}\n" in made[f"reference/{room}.md"]
        thing = getattr(module, name)
        said = inspect.getdoc(thing) or ""
        assert not (inspect.isclass(thing) or inspect.isfunction(thing)) or len(said) > 20, (
            f"{room}.{name} has no docstring"
        )
        assert not said.startswith(f"{name}("), f"{room}.{name} has only what a dataclass says of itself"


@pytest.mark.parametrize("name", pages.law_names())
def test_every_law_has_a_page_with_its_formula_its_chart_and_its_text(
    name: str, made: dict[str, str]
) -> None:
    page, law = made[f"laws/{name}.md"], describe(laws.get(pages.law_names()[name]))
    assert f"::: scaling.laws.{name}\n" in page and 'class="scaling-chart"' in page
    for slider in law.parameter_names:
        assert f'"name": "{slider}"' in page or f'"name":"{slider}"' in page, f"{slider} has no slider"
    said = inspect.getdoc(law.function) or ""
    assert re.search(r"\n\n    \S.*=", said), f"{name} has no formula in its docstring"


def test_every_public_law_is_on_a_page(made: dict[str, str]) -> None:
    every = "".join(text for place, text in made.items() if place.startswith("laws/"))
    for name, thing in vars(laws).items():
        if inspect.isfunction(thing) and not name.startswith("_"):
            assert f"::: scaling.laws.{name}\n" in every, name


def test_every_link_leads_somewhere(made: dict[str, str]) -> None:
    """From page to page; other sites are not asked."""
    there = {*WRITTEN, *made, *(str(p.relative_to(DOCS)) for p in DOCS.rglob("*") if p.is_file())}
    for place, text in (WRITTEN | made).items():
        plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", plain):
            at = os.path.normpath(Path(place).parent / target)
            assert at in there, f"{place} links to {target}"


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (place, block)
        for place, text in WRITTEN.items()
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


def test_every_command_line_in_the_docs_is_one(made: dict[str, str]) -> None:
    """Parsed as it would be, and not carried out."""
    lines = [line for _, block in blocks("bash") for line in block.splitlines()]
    lines += re.findall(
        r"^scaling .*", made["reference/commands.md"].partition("## scaling sweep")[2], re.MULTILINE
    )
    asked = [part for line in lines for part in re.split(r"&&", line) if part.strip().startswith("scaling ")]
    assert len(asked) > 20
    for line in asked:
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        if "[OPTIONS]" in words:
            continue
        command: Command = cli
        while hasattr(command, "commands") and words and words[0] in command.commands:  # type: ignore[attr-defined]
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        assert command is not cli, line
        command.make_context("scaling", words)


@pytest.mark.parametrize("place", dict.fromkeys(place for place, _ in blocks("python")))
def test_the_code_of_a_page_runs(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = "\n".join(block for page, block in blocks("python") if page == place)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, place, "exec"), {"__name__": place})
    assert printed.getvalue().strip()


def test_study_files_in_the_docs_name_keys_that_there_are(made: dict[str, str]) -> None:
    """Each is read as part of a study, its text from nowhere."""
    reference = made["reference/study-files.md"]
    for key in (
        "budgets",
        "width",
        "peak_lr",
        "unique",
        "max_epochs",
        "source",
        "placebos",
        "parent",
        "cooldown",
    ):
        assert f"| `{key}` |" in reference, key
    for place, block in blocks("toml"):
        keys = re.findall(r"^(\w+) = ", block, re.MULTILINE)
        known = {*re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE), "states", "order", "kind", "flags"}
        assert set(keys) <= known, place


def test_readme_shows_what_the_pictures_say() -> None:
    """The table of answers is what `make pictures` writes, and every picture is small."""
    readme = (ROOT / "README.md").read_text()
    assert pictures.readme(readme) == readme
    assert len(pictures.answers()) >= 8
    for name, notebook, question, answer in pictures.answers():
        assert notebook.exists() and question.endswith("?") and len(answer) > 20
        assert (pictures.PICTURES / f"{name}.svg").stat().st_size < 200_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, where mkdocs is installed (`make docs` does that)."""
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.slow
def test_the_site_builds_and_asks_nobody_for_anything(built: Path) -> None:
    """Everything that a page loads lies beside it."""
    names = list(built.rglob("*.html"))
    assert len(names) > 45
    for page in names:
        loads = re.findall(r"<(?:script|img|source|iframe)[^>]*\ssrc=\"?([^\s\">]+)", page.read_text())
        loads += re.findall(
            r"<link[^>]*rel=\"?(?:stylesheet|icon|preconnect)\"?[^>]*href=\"?([^\s\">]+)", page.read_text()
        )
        assert not [target for target in loads if re.match(r"(https?:)?//", target)], page


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(
    "place", ["index", "how-to/corpus", "laws/kaplan", "reference/commands", "reference/scaling"]
)
def test_the_site_is_open_to_everybody(built: Path, browser: browsing.webdriver.Chrome, place: str) -> None:
    local = [
        name for name in browsing.faults(browser, built / f"{place}.html") if "asked for file:" not in name
    ]
    assert local == []


@pytest.mark.slow
@pytest.mark.browser
def test_the_slider_of_a_law_recovers_what_python_computes(
    built: Path, browser: browsing.webdriver.Chrome
) -> None:
    browsing.visit(browser, built / "laws" / "chinchilla.html", charts=1)
    browser.execute_script(
        "const it = document.querySelector('input[name=at_alpha]');"
        "it.value = 0.4; it.dispatchEvent(new Event('input'))"
    )
    at = pages.says()["at"]
    wanted = scaling.laws.chinchilla(1e9, 1e13, **{k: at[k] for k in ("E", "A", "B", "beta")}, alpha=0.4)
    browsing.wait_for(
        browser, f"document.querySelector('.scaling-chart svg').textContent.includes('{wanted:.4g}')"
    )
