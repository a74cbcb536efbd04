"""Decision records have one format, and the index lists each of them under its title."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
ENTRY = re.compile(r"^- \[(\d{4}): (.+)\]\((.+)\)$", re.MULTILINE)
MOST_LINES = 14
"""The title, the context, the decision and the consequences together, without empty lines."""


def entries() -> list[tuple[str, str, str]]:
    """Number, title and file of each line of the index."""
    return ENTRY.findall((FOLDER / "README.md").read_text("utf-8"))


def slug(title: str) -> str:
    """The title as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[`'’]", "", title).lower()).strip("-")


def test_the_index_lists_every_record_once() -> None:
    assert sorted(name for _, _, name in entries()) == [path.name for path in RECORDS]


def test_numbers_are_unique() -> None:
    numbers = [path.name[:4] for path in RECORDS]
    assert len(numbers) > 100
    assert len(numbers) == len(set(numbers))


def test_the_index_has_the_titles_of_the_records() -> None:
    titles = {path.name: path.read_text("utf-8").splitlines()[0] for path in RECORDS}
    assert {name: f"# {number}: {title}" for number, title, name in entries()} == titles


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name[:4])
def test_a_record_has_the_format(path: Path) -> None:
    text = path.read_text("utf-8")
    title, *paragraphs = [part for part in text.strip().split("\n\n") if part]
    number, _, words = title.removeprefix("# ").partition(": ")
    assert path.name == f"{number}-{slug(words)}.md"
    heads = [match for part in paragraphs for match in re.findall(r"^\*\*(\w+)\.\*\* ", part)]
    assert heads == ["Context", "Decision", "Consequences"]
    assert len([line for line in text.splitlines() if line]) <= MOST_LINES
    assert max(map(len, text.splitlines())) <= 120
