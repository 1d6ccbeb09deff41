"""Python source split into two domains: what runs, and what explains it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings

SPLITTER = "1"
"""Raised when the rules below change, so that old caches and new ones are never mixed."""

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_Span = tuple[tuple[int, int], tuple[int, int]]
"""Start and end, each (line from 1, byte in the line from 0)."""


def split_python(source: bytes) -> tuple[str, str]:
    """Code without docstrings and comments, and the docstrings.

    Docstrings are found in the syntax tree and comments among the tokens, so a '#' or a triple quote inside an
    ordinary string stays code. Blank lines are squeezed to one. A file of documentation kept as one dictionary of
    strings (the standard library's `pydoc_data.topics`) is prose as a whole.

    Args:
        source: the bytes of one file, in UTF-8 or with a coding cookie.

    Returns:
        (code, prose), either of which may be empty.

    Raises:
        SyntaxError, ValueError: the file is not Python that this interpreter reads; the caller counts it.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    text = source.decode(encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes are not our business
        tree = ast.parse(text)
    if topics := _dictionary_of_strings(tree):
        return "", "\n\n".join(topics)
    docstrings = list(_docstrings(tree))
    spans = [
        ((d.lineno, d.col_offset), (d.end_lineno or d.lineno, d.end_col_offset or 0)) for d, _ in docstrings
    ]
    code = _squeeze(_without(text, spans + list(_comments(text))))
    prose = "\n\n".join(cleaned for _, cleaned in docstrings)
    return code, _squeeze(prose)


def _docstrings(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            cleaned = ast.get_docstring(node, clean=True)
            if cleaned:
                yield node.body[0], cleaned


def _comments(text: str):
    lines = text.split("\n")  # not splitlines: the tokeniser does not break a line at a form feed
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, start = token.start
            before = lines[line - 1][:start] if line <= len(lines) else ""
            byte = len(before.encode())
            yield (line, byte), (line, byte + len(token.string.encode()))


def _without(text: str, spans: list[_Span]) -> str:
    """The text with the spans cut out."""
    data = text.encode()
    starts = [0]
    for line in io.BytesIO(data):
        starts.append(starts[-1] + len(line))
    kept, position = [], 0
    for start, end in sorted(spans):
        a, b = (starts[min(line, len(starts)) - 1] + byte for line, byte in (start, end))
        kept.append(data[position:a])
        position = max(position, b)
    kept.append(data[position:])
    return b"".join(kept).decode(errors="replace")


def _squeeze(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return _BLANK_LINES.sub("\n\n", lines).strip()


def _dictionary_of_strings(tree: ast.Module) -> list[str]:
    """The texts of a module that is nothing but one literal dictionary of long strings."""
    body = [n for n in tree.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], ast.Assign) or not isinstance(body[0].value, ast.Dict):
        return []
    values = [
        v.value for v in body[0].value.values if isinstance(v, ast.Constant) and isinstance(v.value, str)
    ]
    long = len(values) == len(body[0].value.values) and sum(map(len, values)) > 200 * max(len(values), 1)
    return values if long else []
