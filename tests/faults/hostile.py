"""Input that means harm: what reads files and words of strangers, seeds of each, and how a seed is spoiled."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

from scaling.artifacts import read_weights, save_weights
from scaling.corpora.corpus import Corpus
from scaling.corpora.items import ItemSource, read_items
from scaling.flops import Shape
from scaling.intake import read_runs
from scaling.published.access import tidy_path
from scaling.published.sources import SOURCES
from scaling.records import append_rows, read_rows
from scaling.reports.parameters import parameter_value, with_parameters
from scaling.store import open_runs
from scaling.study import read_study

MARKS = (
    b"</script><script>alert(1)</script>", b"<img src=x onerror=alert(1)>", b"../../../../etc/passwd",
    b"__import__('os')", b"\x00", b"\xff\xfe", b"\n", b"1e999", b"-0", b"nan", b"NaN", b"9" * 400, b"[" * 2000,
    b'{"a":' * 1500, b"\xe2\x80\xae", b"=cmd|' /C calc'!A0", b"${7*7}{{7*7}}", b"cos\nsystem\n(S'true'\ntR.",
    b"!!python/object/apply:os.system ['true']", b"%s%n", b"null", b"true", b"1_000", b"0x41", b'"', b"'", b",", b";",
    b"\t", b"\x1b[2J", "\u0663".encode(), b"1.2.3",
)  # fmt: skip
_TABLE = pl.DataFrame(
    {"N": [1e6, 2e6, 4e6], "D": [1e8, 2e8, 4e8], "loss": [3.1, 2.9, 2.7], "name": ["a", "b", "c"]}
)
_TOML = b"""\
question = "why"
keep = "weights"
probes = ["position"]
[corpus]
source = "language"
languages = { markov = { kind = "markov" } }
train_tokens = "1Mi"
heldout_tokens = "64Ki"
[defaults]
budgets = ["64Ki", "128Ki"]
warmup_tokens = "4Ki"
[[grid]]
name = "base"
width = [16, 32]
peak_lr = 0.004
seed = [0, 1]
[[grid]]
parent = "base"
stage = "sft"
budgets = ["8Ki"]
"""


@dataclass(frozen=True)
class Target:
    """Something that reads what a stranger wrote."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    """Of a file with the content."""
    suffix: str = ""


def targets(scratch: Path) -> dict[str, Target]:
    """All of them, by name; seeds are made in a folder."""
    notebook = _notebook()

    def as_parameter(path: Path) -> None:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        value = parameter_value(text)
        made = with_parameters(notebook(), path, {"x": value})
        _only_assigns(made)

    def as_weights(path: Path) -> None:
        read_weights(path.parents[1], path.stem)

    found = [
        Target("study files", (_TOML,), lambda path: list(read_study(path).trunks), ".toml"),
        Target("CSV", (_TABLE.write_csv().encode(), b"params;tokens;loss\n1,5M;2B;3,1\n"), read_runs, ".csv"),
        Target("JSON lines", (_TABLE.write_ndjson().encode(),), read_runs, ".jsonl"),
        Target("JSON", (_TABLE.write_json().encode(),), read_runs, ".json"),
        Target("parquet", (_parquet(),), read_runs, ".parquet"),
        Target("parquet opened", (_parquet(),), open_runs, ".parquet"),
        Target("rows", (_written_rows(scratch),), _rows, ".jsonl"),
        Target("safetensors", (_weights(scratch),), as_weights, ".safetensors"),
        Target("notebook parameters", (b"3", b"'text'", b"[1, {'a': None}]", b"1e5", b"{1, 2}", b"b'x'"), as_parameter),
        *(Target(f"published {n}", (_published(n),), partial(_open_published, n), ".csv") for n in PUBLISHED),
        Target("items", (b'{"prompt": "a", "answer": "b", "choices": ["b", "c"], "group": "g"}\n',), _items, ".jsonl"),
    ]  # fmt: skip
    return {target.name: target for target in found}


def _written_rows(scratch: Path) -> bytes:
    path = scratch / "seed.jsonl"
    append_rows(path, {"run": {"run_id": "a", "loss": 2.5}}, {"run": {"run_id": "b", "blend": {"text": 1.0}}})
    return path.read_bytes() + b'{"run": {"run_id": "old"}}\n'


def _rows(path: Path) -> object:
    return read_rows(path, "run")


def _items(path: Path) -> object:
    corpus = Corpus(folder=path.parent, corpus_hash="c", bytes={"text": 1}, versions={}, files=1, left_out={})
    return read_items(ItemSource(path=path.name), path.parent, corpus, 64)


PUBLISHED = ("chinchilla", "data-constrained", "isoflop", "overtraining")
"""Sources whose tables are spoiled, where they are there."""


def _published(name: str) -> bytes:
    path = tidy_path(SOURCES[name])
    return b"".join(path.read_bytes().splitlines(keepends=True)[:40]) if path else b"N,D,loss\n1,2,3\n"


def _open_published(name: str, path: Path) -> object:
    table = path.parent / SOURCES[name].tidy
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_bytes(path.read_bytes())
    with mock.patch.dict(os.environ, {"SCALING_PUBLISHED": str(path.parent)}):
        return open_runs(f"published:{name}")


def _parquet() -> bytes:
    file = io.BytesIO()
    _TABLE.write_parquet(file)
    return file.getvalue()


def _weights(scratch: Path) -> bytes:
    return save_weights(scratch, "seed", {"head": np.ones((2, 3), np.float32)}, Shape(width=16)).read_bytes()


def _notebook() -> Callable[[], Any]:
    from nbformat.v4 import new_code_cell, new_notebook

    def make() -> Any:
        cell = new_code_cell("x = 1", metadata={"tags": ["parameters"]})
        return new_notebook(
            cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        )

    return make


def _only_assigns(notebook: Any) -> None:
    """Nothing, where the cell that was added sets x to a literal and does no more."""
    import ast

    body = ast.parse(notebook.cells[1].source).body
    assert [type(line) for line in body] == [ast.Assign], notebook.cells[1].source
    value = body[0].value  # type: ignore[attr-defined]
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    assert all(call.func.id == "float" for call in calls), notebook.cells[1].source  # type: ignore[attr-defined]


def spoiled(seeds: tuple[bytes, ...], rng: np.random.Generator) -> bytes:
    """One of the seeds with a few bytes changed, gone, doubled, or marks of harm put in."""
    data = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data) + 1))
        way = rng.integers(6)
        if way == 0 and at < len(data):
            data[at] = int(rng.integers(256))
        elif way == 1:
            del data[at : at + int(rng.integers(1, 20))]
        elif way == 2:
            data[at:at] = data[at : at + int(rng.integers(1, 40))]
        elif way == 3:
            del data[at:]
        else:
            end = min(len(data), at + int(rng.integers(0, 8)))
            data[at:end] = MARKS[rng.integers(len(MARKS))]
    return bytes(data)


_ALARMS = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
}


@contextmanager
def alarms(root: Path) -> Iterator[list[str]]:
    """What happens that reading must not do: a process, a connection, an object of a pickle, a file outside a folder.

    The hook of the interpreter stays, for there is no way to take it off; behind this context it is silent.
    """
    heard: list[str] = []
    _listening.append((root, heard))
    if len(_hooked) == 0:
        _hooked.append(True)
        sys.addaudithook(_hear)
    try:
        yield heard
    finally:
        _listening.clear()


_listening: list[tuple[Path, list[str]]] = []
_hooked: list[bool] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listening:
        return
    root, heard = _listening[0]
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    if writes and isinstance(arguments[0], str | bytes):
        with contextlib.suppress(ValueError):
            writes = not Path(str(arguments[0])).resolve().is_relative_to(root)
    if event in _ALARMS or writes:
        heard.append(f"{event} {arguments[0]!r}")
