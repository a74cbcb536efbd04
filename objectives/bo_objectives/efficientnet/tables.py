"""Tables in CSV or JSON lines: records with their line numbers.

Column names are compared without case and surrounding spaces.
"""

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.errors import SetupError

JSON_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = (".csv", ".tsv", *JSON_SUFFIXES)
SEPARATORS = ",;\t|"
ALIASES = {"file_name": "path"}
"""Other names of columns: that of Hugging Face's ImageFolder."""


@dataclass(frozen=True)
class Record:
    """A row. `values` lacks the columns that the row does not have."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ManifestTable:
    """The rows of a file."""

    records: tuple[Record, ...]
    ignored: tuple[str, ...]
    """Names of other columns."""


def refusal(path: Path, line: int, problem: str) -> SetupError:
    """Return the error for a line, which counts from 1."""
    return SetupError(f"{printable(str(path))}, line {line}: {problem}")


def read(path: Path, required: Sequence[str], optional: Sequence[str]) -> ManifestTable:
    """Read the columns of a table; texts from CSV, any JSON value from JSON lines.

    Args:
        path: the file; its extension, one of SUFFIXES, tells its format.
        required: lower-case names of columns that the header of a CSV file must have.
        optional: lower-case names of further columns.

    Raises:
        SetupError: the file cannot be read; the message names the line.
    """
    columns = (*required, *optional)
    ignored: dict[str, None] = {}
    is_json = path.suffix.lower() in JSON_SUFFIXES
    rows = _json_rows(path) if is_json else _csv_rows(path, required)
    records = []
    for line, row in rows:
        values: dict[str, Any] = {}
        for name, value in row:
            column = _column(name)
            if column not in columns:
                ignored.update({name: None} if column else {})  # separators at the ends of lines make empty columns
            elif column in values:
                raise refusal(path, line, f"the column {column} is there twice; keep one")
            else:
                values[column] = value
        records.append(Record(line, values))
    return ManifestTable(tuple(records), tuple(ignored))


def _column(name: str) -> str:
    column = name.strip().casefold()
    return ALIASES.get(column, column)


def _text(path: Path) -> str:
    """Return the file's text: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SetupError(f"{printable(str(path))} can't be read ({error.strerror}); repair it") from error
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"the byte 0x{content[error.start]:02x} can't be decoded; save the file as UTF-8"
        raise refusal(path, line, problem) from error


def _csv_rows(path: Path, required: Sequence[str]) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Yield the line at which each row starts, and its names and values."""
    text = _text(path)
    lines = _csv_lines(path, text, _separator(path, text, required))
    _, header = next(lines)
    for line, row in lines:
        if len(row) != len(header):
            problem = f"it has {len(row)} values, and the header has {len(header)} columns; quote values that hold the"
            raise refusal(path, line, f"{problem} separator or a line break")
        yield line, list(zip(header, row, strict=True))


def _csv_lines(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    line = 1
    try:
        for row in reader:
            if any(row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise refusal(path, line, f"it isn't CSV ({error}); quote values, and double the quotes inside") from error


def _separator(path: Path, text: str, required: Sequence[str]) -> str:
    """Return the separator with which the header has the required columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    for separator in SEPARATORS:
        names = next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
        if set(required) <= set(map(_column, names)):
            return separator
    raise SetupError(
        f"{printable(str(path))} begins with {header[:200]!r}; its first line must name the columns, among "
        f"them {' and '.join(required)}, separated by a comma, semicolon, tab or |"
    )


def _json_rows(path: Path) -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """Yield the line of each object, and its names and values."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=_JsonObject)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
            raise refusal(path, number, f"it isn't JSON ({why}); give an object in each line") from error
        if not isinstance(pairs, _JsonObject):
            raise refusal(path, number, f"it is {line.strip()[:100]!r}; give a JSON object in each line")
        yield number, pairs


class _JsonObject(list[tuple[str, Any]]):
    """The names and values of a JSON object, which may repeat names."""


def ignored_remark(table: ManifestTable) -> str:
    """Return a text about columns that are not read; empty if there are none."""
    return f"ignored the columns {join_names(table.ignored)}" if table.ignored else ""
