"""Each promise of the pages on security, limits and faults names a test, and each test that they name is there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("security.md", "limits.md", "faults.md")
COLUMN = "tested by"
NODE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(\[[\w-]+\])?`")
WITHOUT = {
    ("security.md", "| role | may |"): "each method's role is a promise below it",
    ("faults.md", "| run | kills | answered | lost | repeated | restart, median (most) | violations |"): "results",
}
"""Tables that promise nothing, by their page and head."""


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """The head and the rows of each table outside of blocks of code."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", prose, flags=re.MULTILINE):
        head, _, *rows = table.splitlines()
        yield head, rows


@cache
def names_in(path: str) -> set[str]:
    """The tests of a file: functions and methods that begin with `test`, and classes."""
    nodes = ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
    found = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return {name for name in found if name.lower().startswith("test")}


def rows_without_a_test(text: str, name: str) -> list[str]:
    """Rows of tables of promises whose last cell names no test; a table without such a column counts as a row."""
    found = []
    for head, rows in tables(text):
        if (name, head) not in WITHOUT:
            found += [head] if head.strip("| ").split(" | ")[-1] != COLUMN else []
            found += [row for row in rows if not NODE.search(row.rstrip("| ").rpartition(" | ")[2])]
    return found


def missing_tests(text: str) -> list[str]:
    """Tests that a text names and that aren't there."""
    return [
        f"{path}::{name}"
        for path, name, _ in NODE.findall(text)
        if not (ROOT / path).is_file() or name not in names_in(path)
    ]


@pytest.mark.parametrize("name", PAGES)
def test_every_promise_of_a_table_names_a_test(name: str) -> None:
    assert rows_without_a_test(page(name), name) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_is_there(name: str) -> None:
    assert len(NODE.findall(page(name))) >= 10
    assert missing_tests(page(name)) == []


def test_a_promise_without_a_test_is_found() -> None:
    test = "`tests/rpc/test_rules.py::test_health_alone_is_open`"
    head = "| promise | tested by |\n|---|---|\n"
    assert rows_without_a_test(f"{head}| a | {test} |\n| b {test} | by hand |\n", "faults.md") == [
        f"| b {test} | by hand |"
    ]
    assert rows_without_a_test(f"| promise | why |\n|---|---|\n| a | {test} |\n", "faults.md") == ["| promise | why |"]
    assert missing_tests(test) == []
    gone = ("tests/rpc/test_rules.py::test_gone", "tests/rpc/test_gone.py::test_health_alone_is_open")
    assert missing_tests(" ".join(f"`{one}`" for one in gone)) == list(gone)


def test_the_tables_that_promise_nothing_are_there() -> None:
    assert {(name, head) for name in PAGES for head, _ in tables(page(name))} >= set(WITHOUT)
