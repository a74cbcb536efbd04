"""SQLite: one file, one process, one writer.

WAL with synchronous=FULL: what has been acknowledged survives a power cut. Writes go through one connection, one at a
time and synced together, so that only this process ever checkpoints; reads go through connections that can't write.
Where the disk is full or read-only when the file is opened, it is read alone, and every write tries to open it again.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from bo_service.application.waiting import within
from bo_service.domain.errors import StartupError, StorageUnavailable
from bo_service.storage.backend import Backend
from bo_service.storage.backup import backup, restore
from bo_service.storage.database_file import DatabaseFile, FileGuard, warn_of_others
from bo_service.storage.group_commit import GroupCommit
from bo_service.storage.statements import CompiledStatement, cause, no_turn, translate_errors
from bo_service.storage.unit_of_work import SqlUnitOfWork
from bo_service.storage.upgrade import Migration, pending, upgrade

logger = logging.getLogger("bo_service.storage")

MAX_READERS = 16
READ_ALONE_TIMEOUT_S = 10.0
"""For those who read one after the other, where the file is read alone."""
BUSY_TIMEOUT_MS = 10_000
TRANSIENT_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
"""Errors of a sound database that can't be written for as long as the disk is full, fails, or is read-only."""
VFS_WITHOUT_LOCKS = "unix-none" if os.name == "posix" else "win32-none"


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        return datetime.now(UTC)


class SqliteStore:
    """The store over one file, which no other process may open while this one has it.

    Raises:
        StartupError: Another server has the file, or it can't be read, is no database of this service, is of a newer
            version, or has to be migrated and can't be written.
    """

    is_shared = False

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise StartupError(f"--storage: there is no folder {path.parent}; create it, or name another file")
        self.clock = SystemClock()
        self._path = path
        self._made: Migration | None = None
        self._file = DatabaseFile(path, self._make)
        self._switching = threading.Lock()
        self._commits: GroupCommit | None = None
        self._writer: Engine | None = None
        self._alone = self._reader = create_engine(
            "sqlite://", creator=partial(_connect_alone, self._file), poolclass=StaticPool, hide_parameters=True
        )
        self._guard: FileGuard | None = None
        try:
            migration = self._inspect()
            self._file.mend_modes()
            warn_of_others(path)
            self._start(migration)
        except BaseException:
            self.close()
            raise
        self.migration = self._made or migration

    @contextmanager
    def read(self) -> Iterator[SqlUnitOfWork]:
        """Open a transaction that reads."""
        (self._guard or self._file).check()
        alone = self._switch() if self._commits is None else nullcontext()
        with translate_errors(), alone, self._reader.begin() as connection:
            yield SqlUnitOfWork(connection)

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[SqlUnitOfWork]:
        """Open a transaction that writes."""
        with translate_errors(), (self._commits or self._reopen()).transaction(study_id) as work:
            yield work

    def close(self) -> None:
        """Give the file back."""
        self._shut()
        self._alone.dispose()
        self._file.close()

    def _inspect(self) -> Migration:
        """Return what is to be done to the file, which isn't touched. Raises StartupError where it is none of ours."""
        if not self._path.stat().st_size:
            raise StartupError(
                f"--storage: {self._path} is empty, as a database never is; put a backup in its place, or remove it "
                "and start anew"
            )
        try:
            with _translate_opening_errors(self._path), self._alone.connect() as connection:
                return pending(connection, str(self._path), is_exclusive=True)
        except StorageUnavailable as error:
            raise StartupError(f"--storage: {error.message}") from error
        finally:
            self._alone.dispose()  # its file must be closed before SQLite opens it: that ends all of its locks

    def _start(self, migration: Migration) -> None:
        try:
            self._open()
        except StorageUnavailable as error:
            if migration.is_needed:
                raise StartupError(
                    f"--storage: {self._path} has schema {migration.before} and has to be migrated to "
                    f"{migration.after}, but {error.message}"
                ) from error
            logger.error("nothing can be saved, and what is stored can be read: %s", error.message)

    def _reopen(self) -> GroupCommit:
        """Open the file anew. Raises StorageUnavailable where it still can't be written."""
        with self._switch():
            if self._commits is None:
                self._file.check()
                self._alone.dispose()
                self._commits = self._open()
                logger.info("%s can be written again", self._path)
            return self._commits

    @contextmanager
    def _switch(self) -> Iterator[None]:
        if not self._switching.acquire(timeout=within(READ_ALONE_TIMEOUT_S)):
            raise no_turn(f"{self._path} can't be written, and too many calls read it at once")
        try:
            yield
        finally:
            self._switching.release()

    def _open(self) -> GroupCommit:
        """Open the file. Raises StorageUnavailable where it can't be written now, StartupError where it never can."""
        self._file.check_writable()
        self._file.forget_companions()
        writer = _engine(self._path, "BEGIN IMMEDIATE", ("journal_mode=WAL", "synchronous=FULL"), poolclass=StaticPool)
        reader = _engine(
            self._path, "BEGIN", ("query_only=ON",), poolclass=QueuePool, pool_size=MAX_READERS, max_overflow=0
        )
        self._writer, self._reader = writer, reader
        try:
            with _translate_opening_errors(self._path), writer.begin() as connection:
                upgrade(connection, str(self._path), is_exclusive=True)
        except BaseException:
            self._shut()
            raise
        self._guard = FileGuard(self._file, reader)
        self._commits = GroupCommit(writer, self._guard)
        return self._commits

    def _shut(self) -> None:
        if self._commits is not None:
            self._commits.close()
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()
        self._reader = self._alone

    def _make(self, partial_file: Path) -> None:
        """Make a whole database, under a name of its own."""
        engine = _engine(partial_file, "BEGIN IMMEDIATE", ("synchronous=FULL",), poolclass=NullPool)
        try:
            with engine.begin() as connection:
                self._made = upgrade(connection, str(self._path), is_exclusive=True)
        except SQLAlchemyError as error:
            raise StartupError(f"--storage: {self._path} can't be made: {cause(error)}") from error
        finally:
            engine.dispose()


class SqliteBackend(Backend):
    """Files at `sqlite:///FILE`, relative to the current folder, or `sqlite:////FILE`."""

    def open(self, address: str) -> SqliteStore:
        return SqliteStore(_path(address))

    def label(self, address: str) -> str:
        return str(_path(address))

    def migrate(self, address: str) -> Migration:
        with closing(self.open(address)) as store:
            return store.migration

    def pending_migration(self, address: str) -> Migration:
        path = _path(address)
        if not path.is_file():
            raise StartupError(f"--storage: there is no file {path}; a server makes it when it starts")
        connect = partial(sqlite3.connect, f"{path.as_uri()}?mode=ro", uri=True)
        engine = create_engine("sqlite://", creator=connect)
        try:
            with engine.connect() as connection:
                return pending(connection, str(path), is_exclusive=True)
        except SQLAlchemyError as error:
            raise StartupError(f"--storage: {path} can't be used: {cause(error)}") from error
        finally:
            engine.dispose()

    def backup(self, address: str, target: Path) -> None:
        backup(_path(address), target)

    def restore(self, address: str, source: Path, replace: bool) -> None:
        restore(source, _path(address), replace)


def _path(address: str) -> Path:
    file = address.removeprefix("sqlite:///")
    if file == address or not file.strip("/"):
        raise StartupError("--storage: names no file; give sqlite:///FILE, such as sqlite:///bo.db")
    return Path(file).absolute()


def _engine(path: Path, begin: str, pragmas: tuple[str, ...], **options: Any) -> Engine:
    """Return an engine whose transactions begin with `begin`, and whose connections are set by pragmas."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"check_same_thread": False},
        hide_parameters=True,  # an error in the log would show lease tokens
        **options,
    )
    statement = CompiledStatement(text(begin))

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says, not at the first write
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        statement.execute(connection)

    return engine


def _connect_alone(file: DatabaseFile) -> sqlite3.Connection:
    """Open a database with what its log holds, and write nothing at all: no lock, no shared memory, no log.

    Where the disk is full or read-only, SQLite itself can't open a database in WAL mode: it has to make its
    shared-memory file first. A connection in exclusive mode keeps that in its own memory. The caller holds the file's
    lock.
    """
    how = f"vfs={VFS_WITHOUT_LOCKS}" if file.is_logged() else "immutable=1"
    uri = f"{file.path.resolve().as_uri()}?mode=ro&{how}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.isolation_level = None
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA query_only=ON")
    return connection


@contextmanager
def _translate_opening_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the service's.

    Raises:
        StorageUnavailable: The file can't be used for now.
        StartupError: It is no database, or damaged, or another program has it.
    """
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        if (getattr(getattr(error, "orig", error), "sqlite_errorcode", 0) & 0xFF) in TRANSIENT_CODES:
            raise StorageUnavailable(
                f"{path} can't be written ({cause(error)}); make room on the disk, or let the server write there"
            ) from error
        raise StartupError(f"--storage: {path} can't be opened as a SQLite database: {cause(error)}") from error
