"""SQLite: one file, one process, one writer.

WAL with synchronous=FULL: what has been acknowledged survives a power cut. Writes go through one connection, one at a
time and synced together, so that only this process ever checkpoints; reads go through connections that can't write.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool, StaticPool

from bo_service.adapters.storage.database_file import DatabaseFile
from bo_service.adapters.storage.failures import cause, told
from bo_service.adapters.storage.group_commit import GroupCommit
from bo_service.adapters.storage.prepared import Prepared
from bo_service.adapters.storage.records import SqlRecords
from bo_service.adapters.storage.sqlite_safety import warn_of_others
from bo_service.adapters.storage.upgrade import upgrade
from bo_service.core.errors import StartupError

BUSY_TIMEOUT_MS = 10_000
READERS = 16


class SqliteStore:
    """The store over one file, which no other process may open while this one has it.

    Raises:
        StartupError: another server has the file, or it can't be opened, is no database, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise StartupError(f"--storage: there is no folder {path.parent}; create it, or name another file")
        self._file = DatabaseFile(path)
        warn_of_others(path)
        self._writer = _engine(path, "BEGIN IMMEDIATE", ("journal_mode=WAL", "synchronous=FULL"), poolclass=StaticPool)
        self._commits = GroupCommit(self._writer)
        self._reader = _engine(
            path, "BEGIN", ("query_only=ON",), poolclass=QueuePool, pool_size=READERS, max_overflow=0
        )
        try:
            with self._writer.begin() as connection:
                self.migration = upgrade(connection, str(path))
        except (DatabaseError, sqlite3.DatabaseError) as error:
            self.close()
            raise StartupError(f"--storage: {path} can't be opened as a SQLite database: {cause(error)}") from error
        except StartupError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[SqlRecords]:
        self._file.check()
        with told(), self._reader.begin() as connection:
            yield SqlRecords(connection)

    @contextmanager
    def write(self, study_id: str | None = None) -> Iterator[SqlRecords]:  # noqa: ARG002 - there is one writer
        self._file.check()
        with told(), self._commits.transaction() as records:
            yield records
        self._file.check()  # nothing is acknowledged that went to a file without a name

    def close(self) -> None:
        """Gives the file back."""
        self._commits.close()
        self._reader.dispose()
        self._writer.dispose()
        self._file.close()


def _engine(path: Path, begin: str, pragmas: tuple[str, ...], **options: Any) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False}, **options
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says, not at the first write
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    beginning = Prepared(text(begin))

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        beginning.run(connection)

    return engine
