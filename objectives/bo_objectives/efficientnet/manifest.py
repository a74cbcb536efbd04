"""Manifests: tables of images with the columns path and label, and split and group if they are given.

Other columns than label can be named; of several, each is a label of 0 and 1, or a number.

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

import numpy as np

from bo_objectives.efficientnet import tables, targets
from bo_objectives.efficientnet.data import PARTS, TRAIN, Remark
from bo_objectives.efficientnet.folder_layout import lacking_remarks, part_named, similar_remarks
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.efficientnet.tables import Record
from bo_objectives.efficientnet.targets import MISSING, SEPARATOR, USUAL, Targets, TargetSpec, wrong
from bo_objectives.errors import SetupError

PATH, LABEL, SPLIT, GROUP = "path", "label", "split", "group"
MAX_LINES = 5
"""Number of further wrong lines that a refusal names."""


@dataclass(frozen=True)
class Row:
    """An image. `part` is empty without a given split, and `group` without groups.

    The label is the name of the class, or a JSON list of labels or numbers.
    """

    line: int
    file: Path
    label: str
    part: str = ""
    group: str = ""
    target: tuple[Any, ...] = ()
    """The labels or the numbers, of other tasks than single-label."""

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
    spec: TargetSpec = USUAL

    @property
    def labels(self) -> list[str]:
        return [row.label for row in self.rows]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of classes or labels, or the columns of numbers."""
        if self.spec.has_flags or self.spec.task == REGRESSION:
            return self.spec.columns or (LABEL,)
        if self.spec.task == MULTI_LABEL:
            return tuple(sorted({name for row in self.rows for name in row.target}))
        return tuple(sorted(set(self.labels)))

    @property
    def targets(self) -> Targets | None:
        """Labels of 0 and 1, or numbers, (n, k); None for the task single-label."""
        if self.spec.task == SINGLE_LABEL:
            return None
        rows = [row.target for row in self.rows]
        return targets.indicator(rows, self.classes) if self.spec.task == MULTI_LABEL else np.array(rows, np.float64)

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


def read(path: Path, spec: TargetSpec = USUAL) -> Manifest:
    """Read a manifest without opening its images. Relative paths are relative to the manifest's folder.

    Args:
        path: the file.
        spec: what is predicted, and from which columns.

    Raises:
        SetupError: the file cannot be read, or a row is wrong; the message names line, column and value.
    """
    columns = tuple(name.strip().casefold() for name in spec.columns or (LABEL,))
    taken = [name for name in columns if name in (PATH, SPLIT, GROUP)]
    if taken:
        raise SetupError(
            f"option targets names {join_names(taken)}, which a manifest needs for other things; rename it"
        )
    table = tables.read(path, (PATH, *columns), (SPLIT, GROUP))
    if not table.records:
        raise SetupError(f"{printable(str(path))} has no rows; give a row for each image")
    used = {column for column in (SPLIT, GROUP) if _is_used(column, table.records)}
    rows = _each(path, table.records, lambda record: _row(path.parent.absolute(), record, used, spec))
    by_file: dict[Path, Row] = {}
    unique = [row for row in _each(path, rows, lambda row: _first(row, by_file)) if by_file[row.file] is row]
    _each(path, unique, _check_class(unique, spec))
    by_group: dict[str, Row] = {}
    _each(path, unique, lambda row: _check_group(row, by_group))
    root = Path(os.path.commonpath([row.file.parent for row in unique]))
    ordered = sorted(unique, key=lambda row: row.file.relative_to(root).parts)
    ignored = tables.ignored_remark(table)
    return Manifest(tuple(ordered), root, tuple(_remarks(ignored, len(rows) - len(unique), ordered, spec)), spec)


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


def _row(folder: Path, record: Record, used: set[str], spec: TargetSpec) -> Row:
    file = _file(folder, record.values.get(PATH))
    label, target = _target(record, spec)
    part = _part(record.values.get(SPLIT)) if SPLIT in used else ""
    group = _name(GROUP, record.values.get(GROUP)) if GROUP in used else ""
    return Row(record.line, file, label, part, group, target)


def _target(record: Record, spec: TargetSpec) -> tuple[str, tuple[Any, ...]]:
    """Return the text of a row's target, and its labels or numbers."""
    values = {name: record.values.get(name.strip().casefold()) for name in spec.columns or (LABEL,)}
    column, value = next(iter(values.items()))
    target: list[Any]
    if spec.task == SINGLE_LABEL:
        return _name(column, value), ()
    if spec.task == REGRESSION:
        target = [targets.number(name, one) for name, one in values.items()]
    elif spec.has_flags:
        target = [name for name, one in values.items() if targets.flag(name, one)]
    else:
        target = sorted({_name(column, one) for one in targets.label_texts(column, value)})
    return json.dumps(target, ensure_ascii=False), tuple(target)


def _file(folder: Path, value: Any) -> Path:
    """Return the absolute path of an image.

    Where there is no such file, backslashes are taken for slashes, and letters with accents for their other Unicode
    form, as tables are written on other systems.
    """
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise wrong(PATH, value, "the path of an image")
    forms = [value, value.replace("\\", "/")]
    forms += [unicodedata.normalize(form, text) for text in forms for form in ("NFC", "NFD")]
    for text in forms:
        file = Path(os.path.normpath(folder / text))
        try:
            if file.is_file():
                return file
        except (OSError, ValueError):  # a name that is too long, or can't be encoded
            pass
    raise wrong(PATH, value, f"a file; relative paths begin at {printable(str(folder))}")


def _name(column: str, value: Any) -> str:
    """Return a name; whole numbers and truth values of JSON become texts."""
    allowed = f"the name of a {column if column in (GROUP, SPLIT) else 'class'}, as a text or a whole number"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if column != GROUP and isinstance(value, list | float):
        other = MULTI_LABEL if isinstance(value, list) else REGRESSION
        raise wrong(column, value, f"{allowed}; for other values, set the option task={other}")
    if not isinstance(value, str) or value.strip().casefold() in MISSING:
        raise wrong(column, value, f"{allowed}; a text that means a missing value is no name")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong(column, value, f"{allowed}, of whole characters") from None
    return unicodedata.normalize("NFC", value)


def _part(value: Any) -> str:
    part = part_named(value) if isinstance(value, str) else ""
    if not part:
        raise wrong(SPLIT, value, f"{', '.join(PARTS)}, and their usual variants, in every row or in none")
    return part


def _first(row: Row, by_file: dict[Path, Row]) -> Row:
    """Return the row, and keep the first row of each file."""
    first = by_file.setdefault(row.file, row)
    for column in (LABEL, SPLIT, GROUP):
        value, before = row.value(column), first.value(column)
        if value != before:
            raise wrong(column, value, f"{before!r}, as in line {first.line}, which has the same path")
    return row


def _check_class(rows: list[Row], spec: TargetSpec) -> Callable[[Row], Row]:
    """Return a check that a row's classes are some of the training part, if there is a given split."""
    trained = {name for row in rows if row.part in ("", TRAIN) for name in _names(row, spec)}
    is_trained = any(row.part in ("", TRAIN) for row in rows)

    def check(row: Row) -> Row:
        if not is_trained:
            raise wrong(SPLIT, row.part, f"{TRAIN}, in some rows")
        for name in _names(row, spec):
            if name not in trained:
                raise wrong(LABEL, name, f"a class of the split {TRAIN}: {join_names(sorted(trained))}")
        return row

    return check


def _names(row: Row, spec: TargetSpec) -> tuple[str, ...]:
    """Return the names of a row's classes or labels; none for numbers."""
    return {SINGLE_LABEL: (row.label,), MULTI_LABEL: row.target}.get(spec.task, ())


def _check_group(row: Row, by_group: dict[str, Row]) -> Row:
    """Return the row, and keep the first row of each group, which must be in the same part."""
    first = by_group.setdefault(row.group, row)
    if row.group and row.part != first.part:
        raise wrong(SPLIT, row.part, f"{first.part}, as in line {first.line}, whose group is {row.group!r}, too")
    return row


def _remarks(ignored: str, repeated: int, rows: list[Row], spec: TargetSpec) -> Iterator[Remark]:
    if ignored:
        yield logging.WARNING, ignored
    if repeated:
        yield logging.WARNING, f"left out {repeated} rows that repeat another one's path and values"
    names = sorted({name for row in rows for name in _names(row, spec)})
    yield from similar_remarks(names)
    if spec.task == SINGLE_LABEL:
        yield from _joined_remarks(names)
    classes = defaultdict[str, set[str]](set)
    for row in rows:
        classes[row.part].update(_names(row, spec))
    yield from lacking_remarks(classes)


def _joined_remarks(classes: list[str]) -> Iterator[Remark]:
    """Yield a remark on classes that look like several others with separators between."""
    joined = [
        name
        for name in classes
        if SEPARATOR in name and {part.strip() for part in name.split(SEPARATOR)} & set(classes)
    ]
    if joined:
        message = f"{len(joined)} classes look like several with {SEPARATOR!r} between, such as {printable(joined[0])}"
        yield logging.WARNING, f"{message}; if these are several labels of an image, set the option task={MULTI_LABEL}"
