"""Manifests: tables of images with the columns path and label, and split and group if they are given.

A wrong row is refused with its line, column and value: a row that is left out would change the data silently.
"""

import json
import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bo_objectives.efficientnet import tables
from bo_objectives.efficientnet.data import PARTS, TRAIN, Remark
from bo_objectives.efficientnet.folder_layout import lacking_remarks, part_named, similar_remarks
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.efficientnet.tables import Record
from bo_objectives.errors import SetupError

PATH, LABEL, SPLIT, GROUP = "path", "label", "split", "group"
MISSING = ("", "nan", "none", "nat", "<na>", "n/a", "null")
"""Lower-case texts that mean that a value is missing."""
MAX_LINES = 5
"""Number of further wrong lines that a refusal names."""
MAX_SHOWN = 100
"""Characters of a value that a refusal shows."""


@dataclass(frozen=True)
class Row:
    """An image. `part` is empty without a given split, and `group` without groups."""

    line: int
    file: Path
    label: str
    part: str = ""
    group: str = ""

    def value(self, column: str) -> str:
        """Return the value of a column other than the path."""
        return {LABEL: self.label, SPLIT: self.part, GROUP: self.group}[column]


@dataclass(frozen=True)
class Manifest:
    """The images of a manifest, in an order that does not depend on the order of its lines."""

    rows: tuple[Row, ...]
    root: Path
    """The deepest folder that contains all images."""
    remarks: tuple[Remark, ...] = ()

    @property
    def labels(self) -> list[str]:
        return [row.label for row in self.rows]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.labels)))

    @property
    def given_parts(self) -> tuple[str, ...]:
        """The part of each image; empty without a given split."""
        return tuple(row.part for row in self.rows if row.part)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each image; empty without groups."""
        return tuple(row.group for row in self.rows if row.group)

    def entries(self) -> list[str]:
        """Return a text for each image with all that the manifest says of it, wherever the images are."""
        return [json.dumps([str(row.file.relative_to(self.root)), row.label, row.part, row.group]) for row in self.rows]


_Given = TypeVar("_Given", Record, Row)


def is_manifest(path: Path) -> bool:
    """Return whether a file is a manifest by its extension."""
    return path.suffix.lower() in tables.SUFFIXES


def read(path: Path) -> Manifest:
    """Read a manifest without opening its images. Relative paths are relative to the manifest's folder.

    Raises:
        SetupError: the file cannot be read, or a row is wrong; the message names line, column and value.
    """
    table = tables.read(path, (PATH, LABEL), (SPLIT, GROUP))
    if not table.records:
        raise SetupError(f"{printable(str(path))} has no rows; give a row for each image")
    used = {column for column in (SPLIT, GROUP) if _is_used(column, table.records)}
    rows = _each(path, table.records, lambda record: _row(path.parent.absolute(), record, used))
    by_file: dict[Path, Row] = {}
    unique = [row for row in _each(path, rows, lambda row: _first(row, by_file)) if by_file[row.file] is row]
    _each(path, unique, _check_class(unique))
    by_group: dict[str, Row] = {}
    _each(path, unique, lambda row: _check_group(row, by_group))
    root = Path(os.path.commonpath([row.file.parent for row in unique]))
    ordered = sorted(unique, key=lambda row: row.file.relative_to(root).parts)
    ignored = tables.ignored_remark(table)
    return Manifest(tuple(ordered), root, tuple(_remarks(ignored, len(rows) - len(unique), ordered)))


def _each(path: Path, rows: Iterable[_Given], make: Callable[[_Given], Row]) -> list[Row]:
    """Return what `make` returns for each row.

    Raises:
        SetupError: `make` raised it for some rows; the message is that of the first, with its line.
    """
    made, problems = [], {}
    for row in rows:
        try:
            made.append(make(row))
        except SetupError as problem:
            problems[row.line] = str(problem)
    if problems:
        first, *others = problems
        lines = ", ".join(map(str, others[:MAX_LINES])) + (", …" if len(others) > MAX_LINES else "")
        more = f"; {len(others)} more rows are wrong (lines {lines})" if others else ""
        raise tables.refusal(path, first, problems[first] + more)
    return made


def _is_used(column: str, records: Iterable[Record]) -> bool:
    """Return whether a column is not empty throughout."""
    return any(record.values.get(column) not in (None, "") for record in records)


def _row(folder: Path, record: Record, used: set[str]) -> Row:
    file = _file(folder, record.values.get(PATH))
    label = _name(LABEL, record.values.get(LABEL))
    part = _part(record.values.get(SPLIT)) if SPLIT in used else ""
    return Row(record.line, file, label, part, _name(GROUP, record.values.get(GROUP)) if GROUP in used else "")


def _file(folder: Path, value: Any) -> Path:
    """Return the absolute path of an image.

    Where there is no such file, backslashes are taken for slashes, and letters with accents for their other Unicode
    form, as tables are written on other systems.
    """
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise _wrong(PATH, value, "the path of an image")
    forms = [value, value.replace("\\", "/")]
    forms += [unicodedata.normalize(form, text) for text in forms for form in ("NFC", "NFD")]
    for text in forms:
        file = Path(os.path.normpath(folder / text))
        try:
            if file.is_file():
                return file
        except (OSError, ValueError):  # a name that is too long, or can't be encoded
            pass
    raise _wrong(PATH, value, f"a file; relative paths begin at {printable(str(folder))}")


def _name(column: str, value: Any) -> str:
    """Return a name; whole numbers and truth values of JSON become texts."""
    allowed = f"the name of a {'class' if column == LABEL else column}, as a text or a whole number"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or value.strip().casefold() in MISSING:
        raise _wrong(column, value, f"{allowed}; a text that means a missing value is no name")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(column, value, f"{allowed}, of whole characters") from None
    return unicodedata.normalize("NFC", value)


def _part(value: Any) -> str:
    part = part_named(value) if isinstance(value, str) else ""
    if not part:
        raise _wrong(SPLIT, value, f"{', '.join(PARTS)}, and their usual variants, in every row or in none")
    return part


def _wrong(column: str, value: Any, allowed: str) -> SetupError:
    shown = "missing" if value is None else repr(value)[:MAX_SHOWN]
    return SetupError(f"{column} is {shown}; allowed is {allowed}")


def _first(row: Row, by_file: dict[Path, Row]) -> Row:
    """Return the row, and keep the first row of each file."""
    first = by_file.setdefault(row.file, row)
    for column in (LABEL, SPLIT, GROUP):
        value, before = row.value(column), first.value(column)
        if value != before:
            raise _wrong(column, value, f"{before!r}, as in line {first.line}, which has the same path")
    return row


def _check_class(rows: list[Row]) -> Callable[[Row], Row]:
    """Return a check that a row's class is one of the training part, if there is a given split."""
    trained = {row.label for row in rows if row.part in ("", TRAIN)}

    def check(row: Row) -> Row:
        if not trained:
            raise _wrong(SPLIT, row.part, f"{TRAIN}, in some rows")
        if row.label not in trained:
            raise _wrong(LABEL, row.label, f"a class of the split {TRAIN}: {join_names(sorted(trained))}")
        return row

    return check


def _check_group(row: Row, by_group: dict[str, Row]) -> Row:
    """Return the row, and keep the first row of each group, which must be in the same part."""
    first = by_group.setdefault(row.group, row)
    if row.group and row.part != first.part:
        raise _wrong(SPLIT, row.part, f"{first.part}, as in line {first.line}, whose group is {row.group!r}, too")
    return row


def _remarks(ignored: str, repeated: int, rows: list[Row]) -> Iterator[Remark]:
    if ignored:
        yield logging.WARNING, ignored
    if repeated:
        yield logging.WARNING, f"left out {repeated} rows that repeat another one's path and values"
    yield from similar_remarks(sorted({row.label for row in rows}))
    classes = defaultdict(set)
    for row in rows:
        classes[row.part].add(row.label)
    yield from lacking_remarks(classes)
