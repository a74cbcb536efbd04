"""Statements that are compiled once and go straight to the driver, for what every call does.

SQLAlchemy's own way there costs several times what SQLite takes to answer. What it knows is kept: the SQL of each
dialect, how values are stored, its pool and its exceptions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, SelectBase
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

Change = Callable[[Any], Any]
"""Of a value, on its way to the database or from there."""
NOTHING: Mapping[str, Any] = {}


class Prepared:
    """A statement, without lists that grow: its values are given by the names of its parameters and columns."""

    def __init__(self, statement: Executable, columns: Sequence[str] = ()) -> None:
        """`columns` are those that an insert or update sets, unless the statement says it."""
        self._statement = statement
        self._columns = columns
        self._forms: dict[str, _Form] = {}

    def all(self, connection: Connection, given: Mapping[str, Any] = NOTHING) -> list[Any]:
        """The rows of a query, as tuples."""
        return self.ask(connection, given)()

    def ask(self, connection: Connection, given: Mapping[str, Any] = NOTHING) -> Callable[[], list[Any]]:
        """What returns the rows: within a pipeline nothing is waited for until then."""
        form = self._form(connection.dialect)
        cursor = told_by_driver(connection, lambda driver: driver.execute(form.sql, form.written(given)))
        return lambda: form.read(told_by_driver(connection, lambda _: cursor.fetchall()))

    def first(self, connection: Connection, given: Mapping[str, Any] = NOTHING) -> Any:
        """The first row of a query; None where there is none."""
        rows = self.all(connection, given)
        return rows[0] if rows else None

    def run(self, connection: Connection, given: Mapping[str, Any] = NOTHING) -> None:
        """Changes something."""
        form = self._form(connection.dialect)
        told_by_driver(connection, lambda driver: driver.execute(form.sql, form.written(given)))

    def run_for_each(self, connection: Connection, given: Sequence[Mapping[str, Any]]) -> None:
        """Changes something with each of these values, at once."""
        form = self._form(connection.dialect)
        rows = [form.written(each) for each in given]
        told_by_driver(connection, lambda driver: driver.cursor().executemany(form.sql, rows))

    def _form(self, dialect: Dialect) -> "_Form":
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, self._columns, dialect)
        return form


class _Form:
    """A statement in one dialect."""

    def __init__(self, statement: Any, columns: Sequence[str], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        self.sql = str(compiled)
        named = {name: bound for bound, name in compiled.bind_names.items()}
        writers = {name: bound.type.dialect_impl(dialect).bind_processor(dialect) for name, bound in named.items()}
        self._is_ordered = compiled.positiontup is not None
        self._writers: list[tuple[str, Change | None]] = [(n, writers[n]) for n in compiled.positiontup or named]
        self._fixed = {name: bound.value for name, bound in named.items() if not bound.required}
        results = statement.selected_columns if isinstance(statement, SelectBase) else ()
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in results]
        self._readers: list[tuple[int, Change]] = [(i, read) for i, read in enumerate(readers) if read is not None]

    def written(self, given: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        known = {**self._fixed, **given} if self._fixed else given
        if self._is_ordered:
            return [known[name] if write is None else write(known[name]) for name, write in self._writers]
        return {name: known[name] if write is None else write(known[name]) for name, write in self._writers}

    def read(self, rows: list[Any]) -> list[Any]:
        """The rows as the core knows them."""
        return [self._row(row) for row in rows] if self._readers else rows

    def _row(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        found = list(row)
        for i, read in self._readers:
            found[i] = read(found[i])
        return tuple(found)


def told_by_driver(connection: Connection, act: Callable[[Any], Any]) -> Any:
    """What the driver answers. Raises SQLAlchemy's exceptions, as SQLAlchemy does."""
    driver, dialect = connection.connection.driver_connection, connection.dialect
    errors: Any = dialect.loaded_dbapi
    try:
        return act(driver)
    except errors.Error as error:
        is_gone = dialect.is_disconnect(error, driver, None) or _ends_session(error)
        if is_gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, errors.Error, connection_invalidated=is_gone, dialect=dialect
        ) from error


def _ends_session(error: Exception) -> bool:
    """Whether PostgreSQL says that it closes the connection, which the socket may show later, or never."""
    severity = getattr(getattr(error, "diag", None), "severity_nonlocalized", None)
    return severity in ("FATAL", "PANIC")
