"""The comparison with other tools: every claim has a source, and every source is used. No network is needed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "comparison.md").read_text("utf-8")
OURS = "this service"
SOURCE_ID = re.compile(r"\[([A-Z]\d+)\](?!:)")
DEFINITION = re.compile(r"^\[([A-Z]\d+)\]: (\S+)$", re.MULTILINE)
OWN_PAGE = re.compile(r"\]\(([\w/.-]+\.md)(?:#[\w-]+)?\)")
PINNED = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/blob/(?!master/|main/|HEAD/)[\w.-]*\d[\w.-]*/\S+")
"""A file of a repository at a tag or a commit, so that it stays what was read."""
MAX_WORDS = 16


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """The columns and rows of each table that compares tools."""
    blocks = re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)
    split = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()] for block in blocks]
    return [(lines[0], lines[2:]) for lines in split if lines[0][0] == "tool"]


CLAIMS = [
    (row[0], column, cell)
    for columns, rows in tables()
    for row in rows
    for column, cell in zip(columns[1:], row[1:], strict=True)
]
TEXT, _, SOURCES = PAGE.partition("\n## Sources\n")
SECTIONS = dict(re.findall(r"^### (.+)\n\n((?:(?!#).*\n)*)", SOURCES, re.MULTILINE))
PEERS = [row[0] for row in tables()[0][1] if row[0] != OURS] if tables() else []


def test_the_tables_are_about_the_same_tools() -> None:
    assert len(tables()) >= 4
    assert len(PEERS) >= 10
    for columns, rows in tables():
        assert [row[0] for row in rows] == [OURS, *PEERS], columns


@pytest.mark.parametrize(("tool", "column", "cell"), CLAIMS, ids=[f"{tool}-{column}" for tool, column, _ in CLAIMS])
def test_every_claim_has_a_source_and_is_short(tool: str, column: str, cell: str) -> None:
    if tool == OURS:
        pages = OWN_PAGE.findall(cell)
        assert pages
        assert [page for page in pages if not (DOCS / page).exists()] == []
    else:
        cited = SOURCE_ID.findall(cell)
        assert cited
        assert set(cited) <= {source for source, _ in DEFINITION.findall(SECTIONS[tool])}
    words = re.sub(r"\]\([^)]*\)|\[[A-Z]\d+\]", "", cell).split()
    assert len(words) <= MAX_WORDS, f"{len(words)} words"


@pytest.mark.parametrize("tool", PEERS)
def test_every_peer_has_a_version_a_date_and_described_sources(tool: str) -> None:
    section = SECTIONS[tool]
    assert re.search(r"^Version .*\d.*, read on \d+ [A-Z][a-z]+ 20\d\d\.", section)
    defined = [source for source, _ in DEFINITION.findall(section)]
    assert re.findall(r"^- \[(\w+)\] .+: .+$", section, re.MULTILINE) == defined


def test_every_source_is_defined_once_pinned_and_used() -> None:
    definitions = DEFINITION.findall(PAGE)
    assert len(dict(definitions)) == len(definitions)
    assert {source for source, _ in definitions} == set(SOURCE_ID.findall(TEXT))
    for source, url in definitions:
        assert url.startswith("https://"), source
        assert "github.com" not in url or PINNED.fullmatch(url), f"{source}: link a tag or a commit, not a branch"
