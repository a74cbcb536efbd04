"""PostgreSQL: one database, any number of servers, all of them alike.

A transaction that changes a study begins with a lock of that study, which all servers share, and then reads what the
last one left (READ COMMITTED). Nothing is locked while suggestions are computed. The database's clock is everybody's.

A transaction takes the lock of all studies shared and that of one study exclusively; whoever moves every lease takes
the first exclusively. Locks are taken in this order, so a deadlock is impossible.

The statements of a writing transaction go out in libpq's pipeline mode: it waits for the network where it reads and
where it ends, and learns then what went wrong with a write.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, BigInteger, Connection, Engine, bindparam, create_engine, event, func, make_url, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from bo_service.application.waiting import within
from bo_service.domain.errors import StartupError
from bo_service.domain.study import Study
from bo_service.storage.backend import Backend
from bo_service.storage.columns import EPOCH, UtcTimestamp
from bo_service.storage.statements import (
    CompiledStatement,
    call_driver,
    cause,
    indeterminate_commit,
    is_refused,
    no_turn,
    translate_errors,
)
from bo_service.storage.study_locks import StudyLocks
from bo_service.storage.unit_of_work import STUDY, SqlUnitOfWork
from bo_service.storage.upgrade import Migration, pending, upgrade

T = TypeVar("T")

MAX_CONNECTIONS = 20
WAIT_TIMEOUT_S = 10
"""For a connection, for a study's lock; for one statement three times as long."""

# Whoever stalls in the middle of a transaction must not keep a study from everybody else.
SESSION = {
    "lock_timeout": WAIT_TIMEOUT_S * 1000,
    "statement_timeout": 3 * WAIT_TIMEOUT_S * 1000,
    "idle_in_transaction_session_timeout": 3 * WAIT_TIMEOUT_S * 1000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
CONNECT = {
    "connect_timeout": 5,
    "application_name": "bo-service",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
PIPELINE = "pipeline"
"""Key of a connection's open pipeline in its `info`."""


def _lock_key(name: str) -> int:
    """Return the number of an advisory lock, from -2^63 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(f"bo-service {name}".encode()).digest()[:8], "big", signed=True)


ALL_STUDIES, SCHEMA = _lock_key("studies"), _lock_key("schema")
# within a transaction, this time goes on
_CLOCK = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
_NOW = text(f"SELECT {_CLOCK} AS now").columns(now=UtcTimestamp)
# the time is asked for when the locks have been got: a sub-select comes first
_LOCKED = "WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(:studies), pg_advisory_xact_lock(:study))"
_LOCK_STUDY = CompiledStatement(
    text(f"{_LOCKED} SELECT {_CLOCK} AS now FROM locked")  # noqa: S608 - constants of ours
    .bindparams(bindparam("studies", ALL_STUDIES, BigInteger), bindparam("study", type_=BigInteger))
    .columns(now=UtcTimestamp)
)
_LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(bindparam("key", type_=BigInteger))
_BEGIN = CompiledStatement(text("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"))
_COMMIT = CompiledStatement(text("COMMIT"))


class DatabaseClock:
    """The database's time as it was last set, counted on from there: every transaction that writes sets it anew."""

    def __init__(self) -> None:
        self._set = (EPOCH, time.monotonic())

    def set(self, now: datetime) -> None:
        """Take over the database's time, just received."""
        self._set = (now, time.monotonic())

    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        moment, since = self._set
        return moment + timedelta(seconds=time.monotonic() - since)


class PostgresUnitOfWork(SqlUnitOfWork):
    """Everything stored, as one transaction of PostgreSQL sees it."""

    dialect_insert = staticmethod(postgresql.insert)
    position = staticmethod(func.strpos)

    def lock_studies(self) -> None:
        self.connection.execute(_LOCK, {"key": ALL_STUDIES})


class PostgresStore:
    """The store over one database, which any number of servers may share.

    Raises:
        StartupError: It can't be reached, refuses us, or is of a newer version.
    """

    is_shared = True

    def __init__(self, url: URL) -> None:
        self.clock = DatabaseClock()
        self._study_locks = StudyLocks()
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._writer = _engine(url)
        self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        upgrader = self._writer.execution_options(isolation_level="READ COMMITTED")
        try:
            with _reaching(url), upgrader.begin() as connection:
                self.migration = upgrade(connection, _label(url), is_exclusive=False, lock=_lock_schema)
                self.clock.set(_now(connection))
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[PostgresUnitOfWork]:
        """Open a transaction that reads."""
        with translate_errors(), self._connection(), ExitStack() as stack:
            yield self._opened(stack, self._reading)

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[PostgresUnitOfWork]:
        """Open a transaction that writes."""
        with translate_errors(), self._study_lock(study_id), self._connection(), ExitStack() as stack:
            work, commit = self._opened(stack, partial(self._writing, study_id))
            yield work
            try:
                commit()
            except DBAPIError as error:
                raise (error if is_refused(error) else indeterminate_commit(error)) from error
            for act in work.on_commit:  # while no other of this server changes the study
                act()

    def _opened(self, stack: ExitStack, opening: Callable[[], AbstractContextManager[T]]) -> T:
        """Return a transaction. Where its connection turns out to be cut it is opened again: nothing was done yet."""
        try:
            return stack.enter_context(opening())
        except DBAPIError as error:
            if not error.connection_invalidated or within(1.0) == 0.0:
                raise
        self._writer.dispose()  # likely all of them were cut
        return stack.enter_context(opening())

    @contextmanager
    def _reading(self) -> Iterator[PostgresUnitOfWork]:
        with self._reader.connect() as connection:
            call_driver(connection, connection.dialect.do_ping)
            with connection.begin():
                yield PostgresUnitOfWork(connection)

    @contextmanager
    def _writing(self, study_id: str | None) -> Iterator[tuple[PostgresUnitOfWork, Callable[[], None]]]:
        """Yield the unit of work, and what commits it."""
        with self._writer.connect() as connection, _pipelined(connection) as commit:
            work = PostgresUnitOfWork(connection)
            if study_id is None:
                self.clock.set(_now(connection))
            else:
                lock = _LOCK_STUDY.send(connection, {"study": _lock_key(f"study {study_id}")})
                rows = STUDY.send(connection, {"study": study_id})  # sent with it, and read when the lock is held
                ((now,),) = lock()
                self.clock.set(now)
                work.stored.studies.update((study_id, Study(*row)) for row in rows())
            yield work, commit

    @contextmanager
    def _study_lock(self, study_id: str | None) -> Iterator[None]:
        """Let one of this server's transactions for each study begin: the others need no connection while they wait."""
        if study_id is None:
            yield
            return
        with self._study_locks.hold(study_id, WAIT_TIMEOUT_S) as is_held:
            if not is_held:
                raise no_turn(f"studies/{study_id} is busy: too many calls change it at once")
            yield

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Take one of the pool's connections, which is waited for no longer than the call waits."""
        if not self._connections.acquire(timeout=within(WAIT_TIMEOUT_S)):
            raise no_turn(f"all {MAX_CONNECTIONS} connections to the database are in use")
        try:
            yield
        finally:
            self._connections.release()

    def close(self) -> None:
        """Give the connections back."""
        self._writer.dispose()


class PostgresBackend(Backend):
    """Databases at `postgresql://USER@HOST/DATABASE`; libpq takes what is missing from its environment."""

    def open(self, address: str) -> PostgresStore:
        return PostgresStore(_url(address))

    def label(self, address: str) -> str:
        return _label(_url(address))

    def migrate(self, address: str) -> Migration:
        with closing(self.open(address)) as store:
            return store.migration

    def pending_migration(self, address: str) -> Migration:
        url = _url(address)
        engine = _engine(url)
        try:
            with _reaching(url), engine.connect() as connection:
                return pending(connection, _label(url), is_exclusive=False)
        finally:
            engine.dispose()

    def backup(self, address: str, target: Path) -> None:  # noqa: ARG002
        raise self._unsupported(
            address, "is PostgreSQL, which has its own means: pg_dump --format=custom --file=TARGET"
        )

    def restore(self, address: str, source: Path, replace: bool) -> None:  # noqa: ARG002
        raise self._unsupported(
            address, "is PostgreSQL, which has its own means: pg_restore --clean --if-exists --dbname=DATABASE SOURCE"
        )


def _url(address: str) -> URL:
    try:
        url = make_url("postgresql://" + address.partition("://")[2])
    except (ArgumentError, ValueError):  # their messages may hold the password
        raise StartupError(
            "--storage: is no PostgreSQL address; give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with '@', "
            "':', '/' and '%' in a password written as %40, %3A, %2F and %25"
        ) from None
    if not url.database:
        raise StartupError(f"--storage: {_label(url)} names no database; add it, as in …HOST:PORT/bo")
    return url


def _label(url: URL) -> str:
    """Return the address without secrets: neither the password nor what follows the database's name."""
    return url.set(query={}).render_as_string(hide_password=True)


def _engine(url: URL) -> Engine:
    """Make an engine. Raises StartupError where the driver is missing."""
    parameters = dict(url.query)
    session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    options = f"{session} {parameters.pop('options', '')}".strip()
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg", query={}),
            connect_args={**CONNECT, **parameters, "options": options},
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_timeout=WAIT_TIMEOUT_S,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",  # a transaction that writes sends BEGIN and COMMIT on its own
        )
        from bo_service.storage.bounded_waits import BoundedConnection  # needs the driver
    except ImportError as error:
        raise StartupError(
            f'--storage: PostgreSQL needs its driver: pip install "bo-service[postgresql]" ({error})'
        ) from error
    event.listen(engine, "do_connect", lambda _dialect, _record, args, named: BoundedConnection.connect(*args, **named))
    # SQLAlchemy's own statements need their answers at once, and so end a pipeline
    event.listen(engine, "before_cursor_execute", lambda connection, *_: _leave_pipeline(connection))
    return engine


@contextmanager
def _reaching(url: URL) -> Iterator[None]:
    """Raise StartupError where the database can't be used."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StartupError(f"--storage: {_label(url)} can't be used: {cause(error)}") from error


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(_NOW).scalar_one()
    return moment


def _lock_schema(connection: Connection) -> None:
    """Wait until no other server changes the tables, however long that takes."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(_LOCK, {"key": SCHEMA})


@contextmanager
def _pipelined(connection: Connection) -> Iterator[Callable[[], None]]:
    """Open a transaction whose statements go straight to the driver, at best; yield what commits it.

    The connection is in autocommit mode: BEGIN and COMMIT are statements like others, and needn't be waited for.
    """
    pipeline = connection.info[PIPELINE] = ExitStack()
    sent = call_driver(connection, lambda driver: pipeline.enter_context(driver.pipeline()))

    def commit() -> None:
        _COMMIT.execute(connection)
        _leave_pipeline(connection)

    with pipeline:
        try:
            _BEGIN.execute(connection)
            yield commit
        except BaseException:
            _roll_back(connection, sent.sync)
            raise
        finally:
            if not connection.invalidated:
                connection.info.pop(PIPELINE, None)


def _roll_back(connection: Connection, sync: Callable[[], None]) -> None:
    if not connection.invalidated:
        with suppress(DBAPIError):  # the caller already has the error
            call_driver(connection, lambda _: sync())
    if not connection.invalidated:
        try:
            call_driver(connection, lambda driver: driver.rollback())
        except DBAPIError as error:
            connection.invalidate(error)


def _leave_pipeline(connection: Connection) -> None:
    pipeline = connection.info.pop(PIPELINE, None)
    if pipeline is not None:
        call_driver(connection, lambda _: pipeline.close())
