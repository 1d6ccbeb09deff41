"""The pages of the site that are made of the code itself: every law, every command, every exported name.

`build.py` hands them to mkdocs; the tests read them without it.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert

import scaling
from scaling import charts, corpora, laws, questions, study
from scaling.__main__ import cli
from scaling.charts.formulas import explore
from scaling.charts.offline import STYLE, embed, script
from scaling.charts.typeset import typeset
from scaling.laws.base import Argument, describe
from scaling.study import grid

HERE = Path(__file__).parent
MADE = {  # laws that are made, by the function that makes them: one of each
    "bnsl": "bnsl(breaks=1)",
    "mixing": "mixing(code, prose)",
    "additive_mixing": "additive_mixing(code, prose)",
    "exchange": "exchange(code, prose)",
    "multi_power": "multi_power(falls=1)",
    "with_scale": "additive_mixing(code, prose) with scale N, D",
    "with_repeats": "kaplan with repeats",
    "with_fading": "kaplan with fading",
    "with_overfitting": "chinchilla with overfitting",
    "with_transfer": "kaplan with transfer",
}
FACES = {
    "scaling": (scaling.__all__, "Everything that `import scaling` offers."),
    "scaling.questions": (questions.__all__, inspect.getdoc(questions)),
    "scaling.corpora": (corpora.__all__, inspect.getdoc(corpora)),
    "scaling.study": (study.__all__, inspect.getdoc(study)),
    "scaling.charts": (charts.__all__, inspect.getdoc(charts)),
}
"""Rooms with a public face, apart from the laws, which have a page each."""
KEYS = (
    ("[corpus]", corpora.CorpusSource),
    (
        "[defaults] and [[grid]]",
        study.ModelSpec,
        study.DataSpec,
        study.OptimSpec,
        study.ScheduleSpec,
        study.Trunk,
    ),
)
RECORDS = ("Run", "Evaluation", "Measurement")


def pages() -> dict[str, str]:
    """Markdown by its place in `docs/`."""
    made = {f"laws/{name}.md": law_page(name, law) for name, law in law_names().items()}
    made["laws/index.md"] = _laws(law_names())
    made["reference/commands.md"] = "".join(_commands())
    made |= {f"reference/{room}.md": _face(room) for room in FACES}
    made |= {
        "reference/rows.md": _rows(),
        "reference/study-files.md": _study_files(),
        "measured.md": _measured(),
    }
    return made


def assets() -> dict[str, str]:
    """What those pages load: Vega, and how sliders look."""
    return {"assets/charts.js": script(), "assets/charts.css": STYLE}


def law_names() -> dict[str, str]:
    """What `laws.get` knows each law as, or one example of it, by the name of its page."""
    return {name: name for name in (*laws.LAWS, *laws.IMPLICIT)} | MADE


# --- laws ------------------------------------------------------------------------------------------


def law_page(name: str, made_as: str) -> str:
    """A law's own page: its formula, traced and as its docstring has it, its picture, and how to fit it."""
    law = laws.get(made_as)
    how = f"from scaling.laws import {name}\n\nscaling.fit({name}, runs)"
    shown = ""
    if made_as != name:
        how = f'law = scaling.laws.get("{made_as}")\n\nscaling.fit(law, runs)'
        shown = f"Drawn here: `{made_as}`.\n\n"
    return (
        f"# `{name}`\n\n{_first_line(law)}\n\n{shown}{_formula(law)}{LOADED}"
        f"{embed(picture(law, made_as).to_dict())}\n\n"
        f"{_constants(law)}```python\n{how}\n```\n\n::: scaling.laws.{name}\n"
    )


LOADED = """\
<link rel="stylesheet" href="../assets/charts.css">
<script src="../assets/charts.js"></script>

"""


def _formula(law: Callable[..., Any]) -> str:
    """What the law's body says, as MathML; nothing where that would fill a page."""
    formula = typeset(law)
    opened = '<div class="formula" role="group" tabindex="0" aria-label="formula">'
    return f"{opened}{convert(formula, display='block')}</div>\n\n" if formula else ""


def picture(law: Callable[..., Any], name: str) -> Any:
    """The law under sliders, as `laws.toml` says or, where it says nothing, from the middle of its starts."""
    says = tomllib.loads((HERE / "laws.toml").read_text())
    read = describe(law)
    columns = set(read.column_names)
    across = next((c for c in says["across"] if c in columns), read.column_names[0])
    many = next((c for c in says["lines"] if c in columns - {across}), None)
    known = says["at"] | says["laws"].get(name, {})
    at = {a.name: known.get(a.name, _middle(a)) for a in (*read.columns, *read.parameters)}
    return explore(
        law,
        across=(across, *says["across"].get(across, (1.0, 100.0))),
        at=at,
        lines=(many, says["lines"][many]) if many else None,
        texts={c: text for c, text in says["follow"].items() if c in columns},
        title=_returned(law),
    )


def _middle(argument: Argument) -> float:
    low, high = argument.quantity.start or (0.5, 2.0)
    return math.sqrt(low * high) if low > 0 else 0.4 * low + 0.6 * high


def _returned(law: Callable[..., Any]) -> str:
    """What a law returns, in the words of its docstring."""
    said = re.search(r"Returns:\s+([^,.\n]+)", inspect.getdoc(law) or "")
    words = said[1] if said else ""
    return (
        words.partition(" in nats")[0] + ", nats/token" * (" in nats" in words)
        if words[:5] != "A law"
        else "loss"
    )


def _constants(law: Callable[..., Any]) -> str:
    """The published constants of a law, as the suite keeps them."""
    rows = [
        f"| `{name}` | {', '.join(f'{p} = {value:.6g}' for p, value in kept.keywords.items())} |"
        for name, kept in vars(laws).items()
        if isinstance(kept, functools.partial) and kept.func is law
    ]
    return "\n".join(["| constants | values |", "|---|---|", *rows]) + "\n\n" if rows else ""


def _laws(named: dict[str, str]) -> str:
    lines = [
        "# Laws\n",
        inspect.getdoc(laws) or "",
        "\n| law | what it gives | reads | fits |",
        "|---|---|---|---|",
    ]
    for name, made_as in named.items():
        read = describe(laws.get(made_as))
        reads, fits = (", ".join(f"`{a.name}`" for a in some) for some in (read.columns, read.parameters))
        lines.append(f"| [`{name}`]({name}.md) | {_first_line(read.function)} | {reads} | {fits} |")
    lines.append("\n## Names\n\n::: scaling.laws.get\n\n## Around laws\n")
    others = [name for name in _functions(laws) if name not in named and name != "get"]
    return "\n".join([*lines, *(f"::: scaling.laws.{name}\n" for name in others)])


def _functions(module: Any) -> list[str]:
    return [
        name for name, thing in vars(module).items() if inspect.isfunction(thing) and not name.startswith("_")
    ]


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


# --- commands --------------------------------------------------------------------------------------


def commands(group: click.Group = cli, above: str = "scaling") -> Iterator[tuple[str, click.Command]]:
    """Every command under the words that call it."""
    for name, command in group.commands.items():
        yield f"{above} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")


def _commands() -> Iterator[str]:
    yield f"# Commands\n\n{_help(cli)}\n"
    for name, command in commands():
        usage = " ".join([name, *command.collect_usage_pieces(click.Context(command))])
        yield f"\n## {name}\n\n```\n{usage}\n```\n\n{_help(command)}\n\n"
        options = [p for p in command.params if isinstance(p, click.Option)]
        if options:
            yield "| option | | default |\n|---|---|---|\n"
            yield from map(_option, options)


def _option(option: click.Option) -> str:
    """A row of the table: how it is written, what it does, and what holds without it."""
    value = "" if option.is_flag else " " + option.make_metavar(click.Context(cli)).replace("|", "\\|")
    default = option.get_default(click.Context(cli))
    shown = f"`{default}`" if default not in (None, (), False) else ""
    return f"| `{', '.join(option.opts)}{value}` | {option.help or ''} | {shown} |\n"


def _help(command: click.Command) -> str:
    """Help as Markdown: what stands below \\b is an example."""
    text = inspect.cleandoc(command.help or "")
    said, _, example = text.partition("\b\nExample:\n")
    lines = "\n".join(line.strip() for line in example.splitlines() if line.strip())
    return said.strip() + (f"\n\n```bash\n{lines}\n```" if lines else "")


# --- names -----------------------------------------------------------------------------------------


def _face(room: str) -> str:
    names, said = FACES[room]
    return f"# `{room}`\n\n{said}\n\n" + "\n".join(f"::: {room}.{name}\n" for name in names)


def _rows() -> str:
    said = "What the store keeps: a row for each run, each point of a learning curve, and each reading of a probe."
    return f"# Rows\n\n{said}\n\n" + "\n".join(f"::: scaling.records.{name}\n" for name in RECORDS)


def _study_files() -> str:
    """Every key of a study file: its docstring's example, and the keys that each part of it reads."""
    said, _, example = (inspect.getdoc(grid) or "").partition("\n\n")
    lines = [f"# Study files\n\n{said}\n\n{example}\n"]
    for title, *parts in KEYS:
        lines.append(f"\n## {title}\n\n| key | | default |\n|---|---|---|")
        lines += [
            f"| `{key}` | {words} | {default} |" for part in parts for key, words, default in _keys(part)
        ]
    return "\n".join(lines)


def _keys(part: type) -> Iterator[tuple[str, str, str]]:
    """Name, words and default of each field of a spec; words are the string below it."""
    body = ast.parse(inspect.cleandoc(inspect.getsource(part))).body[0].body  # type: ignore[attr-defined]
    below = {
        one.target.id: " ".join(after.value.value.split())
        for one, after in itertools.pairwise(body)
        if isinstance(one, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    for field in dataclasses.fields(part):
        if dataclasses.is_dataclass(field.default) or field.default is dataclasses.MISSING:
            continue
        yield field.name, below.get(field.name, ""), f"`{field.default!r}`".replace("|", "\\|")


def _measured() -> str:
    """The printed tables of the benchmarks."""
    return (HERE.parent / "benchmarks" / "RESULTS.md").read_text()
