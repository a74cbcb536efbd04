"""SQL statements that are compiled once for each dialect and go straight to the driver, for what every call does.

SQLAlchemy's own way to the driver costs several times what SQLite takes to answer. Its knowledge is kept: the SQL of
each dialect, how values are stored, the pool and the exceptions, which `translate_errors` turns into the service's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import methodcaller
from typing import Any

from sqlalchemy import Connection, Executable, SelectBase, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from bo_service.application.waiting import has_passed
from bo_service.domain.errors import StorageUnavailable, TransactionConflict

Conversion = Callable[[Any], Any]
"""Converts a value on its way to the database or from there."""
Insert = Callable[[Table], Any]
"""The dialect's `insert`, which knows ON CONFLICT."""
NO_VALUES: Mapping[str, Any] = {}
CONFLICT_CODES = {"40001", "40P01"}
"""PostgreSQL's codes for a transaction broken off in favor of another: serialization_failure, deadlock_detected."""


class CompiledStatement:
    """A statement without lists that grow; its values are given by the names of its parameters and columns."""

    def __init__(self, statement: Executable, columns: Sequence[str] = ()) -> None:
        """Keep the statement.

        Args:
            statement: What is compiled at its first use with a dialect.
            columns: Columns that an insert or update sets, unless the statement names them.
        """
        self._statement = statement
        self._columns = columns
        self._forms: dict[type[Dialect], _DialectForm] = {}

    def fetch_all(self, connection: Connection, values: Mapping[str, Any] = NO_VALUES) -> list[Any]:
        """Return the rows of a query, as tuples."""
        return self.send(connection, values)()

    def send(self, connection: Connection, values: Mapping[str, Any] = NO_VALUES) -> Callable[[], list[Any]]:
        """Send a query and return what fetches its rows: within a pipeline nothing is waited for until then."""
        cursor, form = self.execute(connection, values), self._forms[type(connection.dialect)]
        return lambda: form.decode(call_driver(connection, lambda _: cursor.fetchall()))

    def fetch_first(self, connection: Connection, values: Mapping[str, Any] = NO_VALUES) -> Any:
        """Return the first row of a query, or None."""
        rows = self.send(connection, values)()
        return rows[0] if rows else None

    def execute(self, connection: Connection, values: Mapping[str, Any] = NO_VALUES) -> Any:
        """Run the statement and return the driver's cursor."""
        form = self._forms.get(type(connection.dialect)) or self._compile(connection.dialect)
        return call_driver(connection, methodcaller("execute", form.sql, form.encode(values)))

    def execute_many(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement that returns no rows with each of these values."""
        form = self._forms.get(type(connection.dialect)) or self._compile(connection.dialect)
        rows = [form.encode(each) for each in values]
        call_driver(connection, lambda driver: driver.cursor().executemany(form.sql, rows))

    def _compile(self, dialect: Dialect) -> "_DialectForm":
        form = self._forms[type(dialect)] = _DialectForm(self._statement, self._columns, dialect)
        return form


class _DialectForm:
    """A statement in one dialect."""

    def __init__(self, statement: Any, columns: Sequence[str], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(columns) or None)
        self.sql = str(compiled)
        bound = {name: parameter for parameter, name in compiled.bind_names.items()}
        encoders = {name: p.type.dialect_impl(dialect).bind_processor(dialect) for name, p in bound.items()}
        self._is_positional = compiled.positiontup is not None
        self._encoders: list[tuple[str, Conversion | None]] = [(n, encoders[n]) for n in compiled.positiontup or bound]
        self._constants = {name: parameter.value for name, parameter in bound.items() if not parameter.required}
        results = statement.selected_columns if isinstance(statement, SelectBase) else ()
        decoders = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in results]
        self._decoders: list[tuple[int, Conversion]] = [(i, d) for i, d in enumerate(decoders) if d is not None]

    def encode(self, values: Mapping[str, Any]) -> Any:
        """Return the values as the driver takes them."""
        every = {**self._constants, **values} if self._constants else values
        if self._is_positional:
            return [every[name] if encode is None else encode(every[name]) for name, encode in self._encoders]
        return {name: every[name] if encode is None else encode(every[name]) for name, encode in self._encoders}

    def decode(self, rows: list[Any]) -> list[Any]:
        """Return the rows with the domain's values."""
        if not self._decoders:
            return rows
        decoded = []
        for row in rows:
            values = list(row)
            for i, decode in self._decoders:
                values[i] = decode(values[i])
            decoded.append(tuple(values))
        return decoded


@lru_cache
def upsert(insert: Insert, table: Table, columns: Sequence[str]) -> CompiledStatement:
    """Return the statement that inserts a row with these columns, or replaces the one with the same primary key."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in columns if name not in keys}
    return CompiledStatement(statement.on_conflict_do_update(index_elements=keys, set_=rest), columns)


@lru_cache
def insert_new(insert: Insert, table: Table) -> CompiledStatement:
    """Return the statement that inserts a row unless there is one with its primary key."""
    return CompiledStatement(insert(table).on_conflict_do_nothing(), table.c.keys())


def call_driver(connection: Connection, act: Callable[[Any], Any]) -> Any:
    """Return what `act` does with the driver's connection. Raises SQLAlchemy's exceptions, as SQLAlchemy does."""
    driver, dialect = connection.connection.driver_connection, connection.dialect
    errors: Any = dialect.loaded_dbapi
    try:
        return act(driver)
    except errors.Error as error:
        is_disconnected = dialect.is_disconnect(error, driver, None) or _ends_session(error)
        if is_disconnected:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, errors.Error, connection_invalidated=is_disconnected, dialect=dialect
        ) from error


def _ends_session(error: BaseException) -> bool:
    """Return whether PostgreSQL says that it closes the connection, which the socket may show later, or never.

    The driver may have raised another error since, as it left the pipeline that the message came in.
    """
    cause: BaseException | None = error
    while cause is not None:
        if getattr(getattr(cause, "diag", None), "severity_nonlocalized", None) in ("FATAL", "PANIC"):
            return True
        cause = cause.__context__
    return False


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn the database's errors into the service's.

    Raises:
        TransactionConflict: The transaction lost against another; done again, it may succeed.
        StorageUnavailable: Anything else.
    """
    try:
        yield
    except SQLAlchemyError as error:
        if _is_conflict(error):
            raise TransactionConflict(
                f"another transaction was in the way ({cause(error)}); nothing was changed"
            ) from error
        raise StorageUnavailable(
            f"the database doesn't answer ({cause(error)}); nothing was changed: try again, and see the server's log"
        ) from error


def no_turn(cause: str) -> StorageUnavailable:
    """Return the error for a transaction that could not begin within its call's deadline, or at all."""
    if has_passed():
        error = StorageUnavailable(
            f"{cause}, and this call's deadline has passed; nothing was changed: try again, with a longer deadline"
        )
    else:
        error = StorageUnavailable(f"{cause}; nothing was changed: try again")
    error.has_begun = False
    return error


def indeterminate_commit(error: Exception) -> StorageUnavailable:
    """Return the error for a connection that broke while the transaction was being committed."""
    return StorageUnavailable(
        f"the database went away while it was saving ({cause(error)}), and may have saved it: "
        "repeat the call with the same request_id, which is safe either way"
    )


def is_refused(error: DBAPIError) -> bool:
    """Return whether PostgreSQL itself said that it has undone the transaction; it may also go away meanwhile."""
    return getattr(getattr(error.orig, "diag", None), "severity_nonlocalized", None) == "ERROR"


def cause(error: BaseException) -> str:
    """Return the database's own words in one line, without statement and parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _is_conflict(error: SQLAlchemyError) -> bool:
    if isinstance(error, IntegrityError):  # two answers to one request id, of different studies
        return True
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) in CONFLICT_CODES
