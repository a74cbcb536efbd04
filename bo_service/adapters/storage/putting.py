"""Rows that are inserted, or replace those that were there."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from bo_service.adapters.storage.prepared import Prepared

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, all with the same columns, or replaces those with the same primary key."""
    statement = _upsert(connection.dialect.name, table, tuple(rows[0]))
    if len(rows) == 1:
        statement.run(connection, rows[0])
    else:
        statement.run_for_each(connection, rows)


@lru_cache
def _upsert(dialect: str, table: Table, columns: Sequence[str]) -> Prepared:
    statement = _DIALECTS[dialect].insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in columns if name not in keys}
    return Prepared(statement.on_conflict_do_update(index_elements=keys, set_=rest), columns)


def put_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts those rows whose primary key isn't there yet."""
    if rows:
        connection.execute(_DIALECTS[connection.dialect.name].insert(table).on_conflict_do_nothing(), list(rows))


def row_of(value: object, names: Sequence[str]) -> dict[str, Any]:
    """Some of its fields, by name."""
    return {name: getattr(value, name) for name in names}
