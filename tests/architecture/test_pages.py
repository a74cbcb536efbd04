"""What the pages name is there: files of the repository, lanes of the server, terms of the glossary."""

import re
from pathlib import Path

import pytest

from bo_service.rpc.admission import LANES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOP = (
    "benchmarks",
    "bo_service",
    "clients",
    "deploy",
    "docs",
    "objectives",
    "proto",
    "requirements",
    "scripts",
    "tests",
)
NAMED = re.compile(rf"`((?:{'|'.join(TOP)})/[\w./-]+)(?:::(\w+))?`")
BANNED = re.compile(
    r"\b(ails?|some(?:body|one)|goes? home|affairs?|stands? for|(?:is|are|was|were) told|what is known)\b",
    re.IGNORECASE,
)
"""Words that leave the subject open, and metaphors."""
TERM = re.compile(r"^### (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    for path, name in NAMED.findall(page.read_text("utf-8")):
        assert (ROOT / path).exists(), path
        assert not name or re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), f"{path}::{name}"


@pytest.mark.parametrize("page", [*PAGES, *RECORDS], ids=lambda path: path.stem[:20])
def test_pages_and_records_have_no_banned_words(page: Path) -> None:
    if page.name != "commands.md":  # it has the help texts
        assert BANNED.findall(page.read_text("utf-8")) == []


def test_the_architecture_has_the_threads_of_every_lane() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    assert [name for name, (threads, _, _) in LANES.items() if f"`{name}` {threads}" not in page] == []


def test_every_term_of_the_glossary_is_short_and_unique() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    terms = TERM.findall(text)
    assert len(terms) > 50
    assert len(terms) == len(set(terms))
    entries = re.split(r"^###? .+$", text, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if len(entry.split()) > 70] == []


def test_every_term_of_the_glossary_is_linked_from_a_page() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    anchors = {re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-") for term in TERM.findall(text)}
    pages = [page.read_text("utf-8") for page in PAGES if page.name != "glossary.md"]
    linked = {anchor for page in pages for anchor in re.findall(r"glossary\.md#([\w-]+)", page)}
    assert anchors == linked
