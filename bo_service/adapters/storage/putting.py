"""Rows that are inserted, or replace those that were there."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, or replaces those with the same primary key."""
    connection.execute(_replacing(table, connection.dialect.name, tuple(rows[0])), list(rows))


def put_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows whose primary key isn't there yet."""
    if rows:
        connection.execute(_DIALECTS[connection.dialect.name].insert(table).on_conflict_do_nothing(), list(rows))


@lru_cache  # to build one takes as long as to execute it
def _replacing(table: Table, dialect: str, names: tuple[str, ...]) -> Any:
    statement = _DIALECTS[dialect].insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)
