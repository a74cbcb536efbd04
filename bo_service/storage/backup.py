"""Backups of a SQLite database, whole and consistent, made while a server goes on writing it; and their restoration."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bo_service.domain.errors import StartupError
from bo_service.storage.database_file import DatabaseFile, create_private


def backup(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment into a new file, and check the copy.

    A server may have the database open: its readers and its writer go on.

    Args:
        source: File of the database.
        target: File of the copy, which must not exist.

    Raises:
        StartupError: There is no such database, or the target exists or can't be written.
    """
    if target.exists():
        raise StartupError(f"TARGET: {target} exists; name another file, or remove it")
    _require_database(source, "--storage")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        create_private(partial)
        _copy(source, partial)
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StartupError(f"TARGET: {target} can't be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def restore(source: Path, target: Path, replace: bool) -> None:
    """Make a database what a backup holds, in one transaction. No server may have it open meanwhile.

    Args:
        source: File of the backup.
        target: File of the database.
        replace: Whether to overwrite a database that is there.

    Raises:
        StartupError: The source is no backup, or the target exists and isn't to be replaced, or a server has it.
    """
    _require_database(source, "SOURCE")
    if target.exists() and target.stat().st_size and not replace:
        raise StartupError(f"--storage: {target} exists; name another file, or overwrite it with --replace")
    with _locked(target):
        try:
            _copy(source, target)
        except (sqlite3.Error, OSError) as error:
            raise StartupError(f"--storage: {target} can't be written: {error}") from error


def _copy(source: Path, target: Path) -> None:
    with _opened(source) as whole, closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA synchronous=FULL")
        whole.backup(copy)  # in one step: a reader's snapshot, which waits for nobody
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, which can be moved
        _check(copy)


def _check(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {verdict}")


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading alone: other programs are not disturbed, and no checkpoint is made."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _require_database(file: Path, option: str) -> None:
    if not file.is_file():
        raise StartupError(f"{option}: there is no file {file}")
    if not file.stat().st_size:  # SQLite would delete what is left in its log
        raise StartupError(f"{option}: {file} is no sound database of bo-service: it is empty")
    try:
        with _opened(file) as connection:
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            _check(connection)
    except sqlite3.Error as error:
        raise StartupError(f"{option}: {file} is no sound database of bo-service: {error}") from error


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    if not file.parent.is_dir():
        raise StartupError(f"--storage: there is no folder {file.parent}; create it, or name another file")
    try:
        held = DatabaseFile(file)
    except StartupError as error:
        if "in_use" in error.metadata:
            raise StartupError(f"--storage: a server has {file}; stop it, then restore") from error
        raise
    try:
        yield
    finally:
        held.close()
