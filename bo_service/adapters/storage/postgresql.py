"""PostgreSQL: one database, any number of servers, all of them alike.

A transaction that changes a study begins with a lock of that study, which all servers share, and then reads what the
last one left (READ COMMITTED). Nothing is locked while suggestions are computed. The database's clock is everybody's.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bo_service.adapters.storage import locks
from bo_service.adapters.storage.address import Address, PostgresAddress
from bo_service.adapters.storage.failures import cause, is_refused, told, unsure
from bo_service.adapters.storage.pipelining import leave_when_needed, pipelined
from bo_service.adapters.storage.prepared import told_by_driver
from bo_service.adapters.storage.records import SqlRecords
from bo_service.adapters.storage.shared_clock import SharedClock
from bo_service.adapters.storage.upgrade import upgrade
from bo_service.application.study_locks import StudyLocks
from bo_service.core.errors import StartupError, StorageUnavailable

T = TypeVar("T")

CONNECTIONS = 20
PATIENCE_S = 10
"""For a connection, for a study's turn, for one statement three times as long."""

# Whoever stalls in the middle of a transaction must not keep a study from everybody else.
SESSION = {
    "lock_timeout": PATIENCE_S * 1000,
    "statement_timeout": 3 * PATIENCE_S * 1000,
    "idle_in_transaction_session_timeout": 3 * PATIENCE_S * 1000,
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 4,
}
CONNECT = {
    "connect_timeout": 5,
    "application_name": "bo-service",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}


class PostgresStore:
    """The store over one database, which any number of servers may share.

    Raises:
        StartupError: it can't be reached, refuses us, or is of a newer version.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.clock = SharedClock()
        self._turns = StudyLocks()
        self._writer = engine_of(address)
        self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        upgrader = self._writer.execution_options(isolation_level="READ COMMITTED")
        try:
            with reaching(address), upgrader.begin() as connection:
                self.migration = upgrade(connection, str(address))
                self.clock.set(locks.now(connection))
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[SqlRecords]:
        with told(), ExitStack() as stack:
            yield self._opened(stack, self._reading)

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[SqlRecords]:
        with told(), self._turn(study_id), ExitStack() as stack:
            records, commit = self._opened(stack, partial(self._writing, study_id))
            yield records
            try:
                commit()
            except DBAPIError as error:
                raise (error if is_refused(error) else unsure(error)) from error
            for act in records.acts:  # while no other of this server changes the study
                act()

    def _opened(self, stack: ExitStack, opening: Callable[[], AbstractContextManager[T]]) -> T:
        """A transaction. Where its connection is found cut it is opened again: nothing was done with it."""
        try:
            return stack.enter_context(opening())
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        self._writer.dispose()  # likely all of them were cut
        return stack.enter_context(opening())

    @contextmanager
    def _reading(self) -> Iterator[SqlRecords]:
        with self._reader.connect() as connection:
            told_by_driver(connection, connection.dialect.do_ping)
            with connection.begin():
                yield SqlRecords(connection)

    @contextmanager
    def _writing(self, study_id: str | None) -> Iterator[tuple[SqlRecords, Callable[[], None]]]:
        """And what commits it."""
        with self._writer.connect() as connection, pipelined(connection) as commit:
            records = SqlRecords(connection)
            if study_id is None:
                self.clock.set(locks.now(connection))
            else:
                turn = locks.ask_for_turn(connection, study_id)
                study = records.studies.ask_for(study_id)  # sent with it, and read when the turn has come
                self.clock.set(turn())
                study()
            yield records, commit

    @contextmanager
    def _turn(self, study_id: str | None) -> Iterator[None]:
        """One of this server's transactions for each study: the others need no connection while they wait."""
        if study_id is None:
            yield
            return
        with self._turns.hold(study_id, PATIENCE_S) as held:
            if not held:
                raise StorageUnavailable(f"studies/{study_id} is busy: too many calls change it at once; try again")
            yield

    def close(self) -> None:
        """Gives the connections back."""
        self._writer.dispose()


def engine_of(address: PostgresAddress) -> Engine:
    """Raises StartupError where the driver is missing."""
    given = dict(address.url.query)
    session = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    options = f"{session} {given.pop('options', '')}".strip()
    try:
        engine = create_engine(
            address.url.set(drivername="postgresql+psycopg", query={}),
            connect_args={**CONNECT, **given, "options": options},
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=PATIENCE_S,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",  # a transaction that writes sends BEGIN and COMMIT on its own
        )
        from bo_service.adapters.storage.bounded_waits import BoundedConnection  # needs the driver

        event.listen(
            engine, "do_connect", lambda _dialect, _record, given, named: BoundedConnection.connect(*given, **named)
        )
        leave_when_needed(engine)
        return engine
    except ImportError as error:
        raise StartupError(
            f'--storage: PostgreSQL needs its driver: pip install "bo-service[postgresql]" ({error})'
        ) from error


@contextmanager
def reaching(address: Address) -> Iterator[None]:
    """Raises StartupError where the database can't be used."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StartupError(f"--storage: {address} can't be used: {cause(error)}") from error
