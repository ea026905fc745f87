"""Declaring a provider stays a small thing: lines of code of its declaration and mapping, counted."""

import ast
import io
import tokenize
from pathlib import Path
from statistics import median

import pytest

from calltrack import providers, registry

BUILT_IN = [name for name in registry.names() if registry.module(name).startswith("calltrack.providers.")]
MOST = 150
MEDIAN = 110
#: those that are larger, and how large they may be: to be made smaller, never larger
LARGER = {"convoso": 188, "retreaver": 192, "ringba": 191, "trackdrive": 174}
LARGER_MEDIAN = 190
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(source):
    """Lines with code on them: no blanks, comments and docstrings."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def sizes():
    folder = Path(providers.__path__[0])
    return {name: sum(lines_of_code(path.read_text()) for path in (folder / name).glob("*.py")) for name in BUILT_IN}


def test_what_is_counted():
    source = '"""Doc."""\n\n# why\nX = (\n    1,\n)\n\n\ndef f():\n    """Doc\n    more."""\n    return X  # why\n'
    assert lines_of_code(source) == 5


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_provider_is_small(name):
    assert sizes()[name] <= LARGER.get(name, MOST)


def test_the_median():
    found = sizes()
    print(f"lines of code: {found}, median {median(found.values()):g} (wanted: {MOST}, {MEDIAN})")  # noqa: T201 - pytest -s
    assert median(found.values()) <= LARGER_MEDIAN


def test_none_is_excused_that_needs_no_excuse():
    assert all(sizes()[name] > MOST for name in LARGER)
