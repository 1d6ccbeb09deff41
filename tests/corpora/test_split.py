import ast
import io
import tokenize

import pytest

from scaling.corpora.split import split_python

SOURCE = '''"""Module words."""
import os  # operating system

# a comment alone

class A:
    """Class words."""

    x = "a # inside a string"  # behind a string

    def f(self):
        """Function
        words."""
        return """not a docstring"""
'''


def test_split_takes_docstrings_and_comments_out_of_code():
    code, prose = split_python(SOURCE.encode())
    assert [
        t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT
    ] == []
    assert ast.get_docstring(ast.parse(code)) is None
    assert prose == "Module words.\n\nClass words.\n\nFunction\nwords."
    assert 'x = "a # inside a string"' in code
    assert '"""not a docstring"""' in code


def test_split_loses_nothing_else():
    """What is left parses to the same tree as the source without its docstrings."""
    code, _ = split_python(SOURCE.encode())
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    assert ast.dump(ast.parse(code)) == ast.dump(tree)


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    x = 'ü'; y = 1  # ü after ü\n    return 'ü'  # é\n",
        "x = 1\n\x0c\ndef f():  # after a form feed\n    return x\n",
        "x = 1\r\n# windows\r\ny = 2\r\n",
    ],
)
def test_split_is_invariant_to_encodings_and_line_ends(source):
    code, _ = split_python(source.encode())
    assert "#" not in code
    assert ast.parse(code)


def test_split_takes_a_dictionary_of_documentation_as_prose():
    code, prose = split_python(
        repr({"a": "words " * 80, "b": "more " * 80}).join(["topics = ", "\n"]).encode()
    )
    assert code == ""
    assert prose.count("words") == 80


def test_split_names_what_is_not_python():
    with pytest.raises(SyntaxError, match="print"):
        split_python(b"print 'two'\nfor")
