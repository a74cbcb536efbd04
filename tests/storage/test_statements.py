"""Statements that go straight to the driver: told, converted and refused as SQLAlchemy does it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from bo_service.domain.access import Role
from bo_service.storage import schema
from bo_service.storage.factory import open_store
from bo_service.storage.statements import CompiledStatement

TABLE = schema.tokens
ADD = CompiledStatement(insert(TABLE), TABLE.c.keys())
ALL = select(TABLE).order_by(TABLE.c.token_id)
BY_ROLE = ALL.where(TABLE.c.role == Role.WORKER, TABLE.c.token_id > bindparam("after")).limit(bindparam("most"))
MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def token(name: str, role: Role = Role.WORKER, **others: object) -> dict[str, Any]:
    """A row with every kind of column that there is."""
    given = {"digest": "%s ? :x \ue000", "studies": ("a", "b"), "description": "", "create_time": MOMENT, **others}
    return {"token_id": name, "role": role, "expire_time": None, "revoke_time": None, "last_use_time": None, **given}


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    make: Callable[[], str] = lambda: f"sqlite:///{tmp_path}/bo.db"  # noqa: E731
    if request.param == "postgresql":
        make = request.getfixturevalue("make_database")
    store = open_store(make())
    with store.write() as records:
        yield records.connection
    store.close()


def test_what_is_written_is_what_both_ways_read(connection) -> None:
    rows = [token("1", Role.ADMIN), token("2", expire_time=MOMENT), token("3", studies=())]
    ADD.execute(connection, rows[0])
    ADD.execute_many(connection, rows[1:])
    found = CompiledStatement(ALL).fetch_all(connection)
    assert [dict(zip(TABLE.c.keys(), row, strict=True)) for row in found] == rows
    assert found == [tuple(row) for row in connection.execute(ALL)]


def test_values_of_the_statement_and_given_ones_go_together(connection) -> None:
    ADD.execute_many(connection, [token(str(i), Role.ADMIN if i == 2 else Role.WORKER) for i in range(6)])
    found = CompiledStatement(BY_ROLE).fetch_all(connection, {"after": "0", "most": 3})
    assert [row[0] for row in found] == ["1", "3", "4"]
    assert CompiledStatement(BY_ROLE).fetch_first(connection, {"after": "9", "most": 3}) is None


def test_only_the_named_columns_are_changed(connection) -> None:
    ADD.execute(connection, token("1"))
    change = CompiledStatement(update(TABLE).where(TABLE.c.token_id == bindparam("id")), ["role"])
    change.execute(connection, {"id": "1", "role": Role.READER})
    assert connection.execute(ALL).mappings().one() == token("1", Role.READER)


def test_what_the_database_refuses_is_refused_as_by_sqlalchemy(connection) -> None:
    ADD.execute(connection, token("1"))
    nested = connection.begin_nested()
    with pytest.raises(IntegrityError):
        ADD.execute(connection, token("1"))
    nested.rollback()
    with pytest.raises((OperationalError, ProgrammingError)):
        CompiledStatement(select(TABLE.c.role).prefix_with("NONSENSE")).fetch_all(connection)
