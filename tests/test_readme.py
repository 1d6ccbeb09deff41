"""What README shows is what the suite does."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from scaling.__main__ import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
OWN_WORDS = re.sub(r"(?s)(<!-- answers:.*?-->).*<!-- end of answers -->", r"\1", README)


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", README, re.DOTALL))
def test_console_blocks_show_what_the_command_prints(block):
    """Numbers within 2 %: the last digits of a bootstrap differ between processors."""
    command, _, shown = block.partition("\n")
    words = re.findall(r'"[^"]*"|\S+', command.removeprefix("$ scaling "))
    printed = CliRunner().invoke(cli, [w.strip('"') for w in words]).output
    number = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
    assert number.sub("#", printed.strip()) == number.sub("#", shown.strip())
    for value, written in zip(number.findall(printed), number.findall(shown), strict=True):
        assert float(value) == pytest.approx(float(written), rel=0.02)


def test_python_block_runs(tmp_path, monkeypatch):
    """All but the line that reads a table of the reader's own."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = [line for line in block.splitlines() if "table.csv" not in line]
    assert len(lines) == len(block.splitlines()) - 1
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec("\n".join(lines), {})
    assert "kaplan fitted to 66 runs" in printed.getvalue()


def test_every_file_and_command_that_readme_names_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"make (\w+)", OWN_WORDS):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(), target
    for name in re.findall(r"`scaling (\w+)", README):
        assert name in cli.commands, name
