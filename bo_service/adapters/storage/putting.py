"""Rows that are inserted, or replace those that were there."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, all with the same columns, or replaces those with the same primary key."""
    connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), list(rows))


@lru_cache  # to build one takes as long as to execute it
def _upsert(dialect: str, table: Table, columns: Sequence[str]) -> Insert:
    statement = _DIALECTS[dialect].insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in columns if name not in keys}
    found: Insert = statement.on_conflict_do_update(index_elements=keys, set_=rest)
    return found


def put_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows whose primary key isn't there yet."""
    if rows:
        connection.execute(_DIALECTS[connection.dialect.name].insert(table).on_conflict_do_nothing(), list(rows))


def row_of(value: object, names: Sequence[str]) -> dict[str, Any]:
    """Some of its fields, by name."""
    return {name: getattr(value, name) for name in names}
