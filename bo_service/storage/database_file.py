"""The file of a SQLite database: held by one process under whatever name, and checked to hold what it has written.

The lock is on the file itself (`flock`), beside a lock file for systems without it. Closing any descriptor of a file
drops SQLite's own locks on it in the same process, so the descriptor is kept until the database is closed, and a file
that this process holds is refused before it is opened a second time.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from filelock import FileLock, Timeout
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from bo_service.domain.errors import StartupError, StorageUnavailable
from bo_service.storage.statements import cause

try:
    import fcntl
except ImportError:  # Windows, where the lock file has to do
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("bo_service.storage")

MODE = 0o600
FORMER_MODES = {0o644, 0o664, 0o666}
"""With which earlier versions made files, by the usual umasks: anybody on the machine could read them."""
WRITE_BITS = 0o222
AFFECTED = (3, 7, 0), (3, 51, 2)
"""Versions that can, in a rare race, damage a database in WAL mode when two connections make a checkpoint at once."""
DEAD_MAN_SWITCH = 128
"""The byte of the shared-memory file that every connection in WAL mode holds locked."""

Identity = tuple[int, int]
"""Device and inode."""
_held: set[Identity] = set()
_holding = threading.Lock()
_files: "WeakSet[DatabaseFile]" = WeakSet()


class Signature(NamedTuple):
    """Properties of a database's file that change when a program writes it, or cuts its log."""

    size: int
    written_ns: int
    log_size: int


class DatabaseFile:
    """A database file that no other process may use while this one has it.

    A file that doesn't exist is made, readable by its owner alone: `make` fills it under another name, and it gets its
    own name when it is whole.

    Raises:
        StartupError: another server has the file, or it can't be opened or made.
    """

    def __init__(self, path: Path, make: Callable[[Path], None] = lambda _: None) -> None:
        self.path = path
        self._real = Path(os.path.realpath(path))
        self._name, self._folder = str(path), str(self._real.parent)
        self._log, self._shared = (f"{self._real}-{end}" for end in ("wal", "shm"))
        self._lock = FileLock(f"{self._real}.lock", mode=MODE)
        self._descriptor = -1
        self._identity: Identity | None = None
        self._companions: dict[str, Identity] = {}
        self._take_lock_file()
        try:
            if not self._real.exists():
                self._make(make)
            self._hold()
        except BaseException:
            self._lock.release()
            raise
        _files.add(self)

    def check(self) -> Signature:
        """Make sure that what is read and written is still what its name leads to, and return how it looks now.

        Raises:
            StorageUnavailable: the file was deleted, moved or replaced, or one of those that SQLite keeps beside it.
        """
        file, log, shared = map(_status_of, (self._name, self._log, self._shared))
        if file is None or (file.st_dev, file.st_ino) != self._identity:
            raise self._lost(self._name)
        for name, status in ((self._log, log), (self._shared, shared)):
            identity, expected = status and (status.st_dev, status.st_ino), self._companions.get(name)
            if expected is None and identity is not None:
                self._companions[name] = identity
            elif identity != expected:
                raise self._lost(name)
        return Signature(file.st_size, file.st_mtime_ns, log.st_size if log else 0)

    def forget_companions(self) -> None:
        """Take whatever SQLite keeps beside the file next for the right one: it is about to be opened."""
        self._companions.clear()

    def check_writable(self) -> None:
        """Make sure that the file may still be written, also by whoever opens it next.

        Raises:
            StorageUnavailable: the file, its folder or its file system was made read-only.
        """
        for one, mode in ((self._name, os.W_OK), (self._folder, os.W_OK | os.X_OK)):
            try:
                is_writable = os.stat(one).st_mode & WRITE_BITS and os.access(one, mode)
            except OSError:
                raise self._lost(self._name) from None
            if not is_writable:
                raise StorageUnavailable(
                    f"{one} is read-only; nothing was changed, and what is stored can be read. "
                    "Let the server write there again (chmod u+w, or mount its file system for writing)"
                )

    def is_logged(self) -> bool:
        """Return whether there is a write-ahead log that holds anything."""
        return self.signature().log_size > 0

    def signature(self) -> Signature:
        """Return how the file and its log look now, wherever its name leads."""
        file, log = os.fstat(self._descriptor), _status_of(self._log)
        return Signature(file.st_size, file.st_mtime_ns, log.st_size if log else 0)

    def mend_modes(self) -> None:
        """Take files that an earlier version has left readable by everybody from the others."""
        for one in (self._real, self._log, self._shared):
            try:
                if os.stat(one).st_mode & 0o777 in FORMER_MODES:
                    os.chmod(one, MODE)
                    logger.warning("%s could be read by others; it is for its owner alone now (mode 0600)", one)
            except FileNotFoundError:
                pass
            except OSError as error:
                logger.warning("%s can be read by others, and that can't be changed: %s", one, error.strerror)
        if os.fstat(self._descriptor).st_nlink > 1:
            logger.warning("%s has a second name (a hard link); always open it by the same one", self._real)

    def abandon(self) -> None:
        """Close, in a forked process, the descriptors that carry the parent's locks, which are not released.

        Otherwise the forked process would hold the file after its parent has ended.
        """
        lock_file = _identity_of(f"{self._real}.lock")
        for name in os.listdir("/dev/fd"):
            with suppress(OSError, ValueError):
                status = os.fstat(int(name))
                if int(name) == self._descriptor or (status.st_dev, status.st_ino) == lock_file:
                    os.close(int(name))

    def close(self) -> None:
        """Give the file back, once the database has been closed."""
        with _holding:
            _held.discard(self._identity or (0, 0))
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        self._lock.release()

    def _take_lock_file(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise self._in_use() from error
        except OSError as error:
            if fcntl is None:
                raise StartupError(f"--storage: {self._real}.lock can't be written: {error}") from error

    def _make(self, make: Callable[[Path], None]) -> None:
        partial = self._real.with_name(f"{self._real.name}.new")
        leftover = (partial, partial.with_name(f"{partial.name}-journal"))
        try:
            for one in leftover:
                one.unlink(missing_ok=True)
            create_private(partial)
            make(partial)
            partial.rename(self._real)
            _sync(self._real.parent)
        except OSError as error:
            raise StartupError(f"--storage: {self.path} can't be made: {error.strerror}") from error
        finally:
            for one in leftover:
                with suppress(OSError):  # where nothing can be written, nothing was left
                    one.unlink(missing_ok=True)

    def _hold(self) -> None:
        with _holding:
            if _identity_of(self._name) in _held:
                raise self._in_use()
            try:
                self._descriptor = _opened(self.path)
            except OSError as error:
                raise StartupError(f"--storage: unable to open {self.path}: {error.strerror}") from error
            if fcntl is not None:
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    os.close(self._descriptor)
                    raise self._in_use() from error
                except OSError:  # a file system without such locks, where the lock file has to do
                    pass
            status = os.fstat(self._descriptor)
            self._identity = (status.st_dev, status.st_ino)
            _held.add(self._identity)

    def _in_use(self) -> StartupError:
        return StartupError(
            f"--storage: another server has {self.path}; stop it, or name another file (each file has one server)",
            in_use=str(self.path),
        )

    def _lost(self, path: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"{path} was deleted, moved or replaced while this server uses it: what was saved since may be lost. "
            "Move it back, and the server goes on; or stop the server, put a backup in its place, and start again"
        )


class FileGuard:
    """A guard that notices when another program has written or cut the file: only this process makes checkpoints.

    SQLite doesn't notice: it would go on with the pages that it remembers. A file that was changed is used again once
    it is proven sound, by connections that remember nothing.
    """

    def __init__(self, file: DatabaseFile, reader: Engine) -> None:
        self._file = file
        self._reader = reader
        self._last_written = file.signature()
        self._damaged: tuple[Signature, str] | None = None

    def check(self) -> None:
        """Make sure that what is read is not known to be damaged.

        Raises:
            StorageUnavailable: it is, the file is shorter than it was, or it is lost.
        """
        signature, before = self._file.check(), self._last_written
        if self._damaged is not None:
            raise self._refusal(self._damaged[1])
        if signature.size < before.size or signature.log_size < before.log_size:
            raise self._refusal("it is shorter than it was")

    def before(self) -> bool:
        """Return whether somebody else has written the file, which is sound.

        Raises:
            StorageUnavailable: It is damaged, lost or read-only.
        """
        signature, before = self._file.check(), self._last_written
        self._file.check_writable()
        is_same = signature[:2] == before[:2] and signature.log_size >= before.log_size  # others may add to the log
        if is_same and self._damaged is None:
            return False
        if self._damaged is None or self._damaged[0] != signature:
            self._damaged = None
            fault = self._fault()
            if fault:
                self._damaged = (signature, fault)
        if self._damaged is not None:
            raise self._refusal(self._damaged[1])
        self._last_written = signature
        return True

    def after(self) -> None:
        """Remember the file as it is, wherever its name leads: this process has written it."""
        self._last_written = self._file.signature()

    def check_written(self) -> None:
        """Make sure that what was written is in the file that its name leads to, and remember it as it is.

        Raises:
            StorageUnavailable: the file was deleted, moved or replaced.
        """
        self._last_written = self._file.check()

    def _refusal(self, fault: str) -> StorageUnavailable:
        """Return the error while the file is damaged."""
        return StorageUnavailable(
            f"{self._file.path} was overwritten or cut short by another program while this server uses it ({fault}); "
            "stop the server, put a backup in its place, and start again"
        )

    def _fault(self) -> str:
        if not self._file.signature().size:
            return "it is empty"  # SQLite would delete the log of an empty database as it opens it
        self._reader.dispose()
        try:
            with self._reader.connect() as connection:
                verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        except DatabaseError as error:
            return cause(error)
        return "" if verdict == "ok" else verdict


def create_private(path: Path) -> None:
    """Create an empty file that its owner alone may read and write, whatever the umask."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, MODE)
    finally:
        os.close(descriptor)


def warn_of_others(file: Path) -> bool:
    """Log a warning where another program has the file open and the library is affected; return whether it did.

    Call it before this process opens the file. The server alone is safe: one connection makes all checkpoints.
    """
    first, last = AFFECTED
    if not first <= sqlite3.sqlite_version_info <= last or not _is_open_elsewhere(file):
        return False
    logger.warning(
        "another program has %s open, and SQLite %s can damage a database that two programs write: close the other one "
        "(reading is safe), or give Python a SQLite later than %s",
        file,
        sqlite3.sqlite_version,
        ".".join(map(str, last)),
    )
    return True


def _is_open_elsewhere(file: Path) -> bool:
    shared = file.with_name(f"{file.name}-shm")
    try:
        import fcntl  # not on Windows

        with shared.open("r+b") as memory:
            try:
                fcntl.lockf(memory, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, DEAD_MAN_SWITCH)
            except BlockingIOError:
                return True
    except (ImportError, OSError):  # nobody has it open
        return False
    return False


def _opened(path: Path) -> int:
    """Return a descriptor, for reading alone where the file can't be written."""
    try:
        return os.open(path, os.O_RDWR)
    except IsADirectoryError:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY)


def _sync(folder: Path) -> None:
    """Make a new name durable; not every system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _status_of(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _identity_of(path: str) -> Identity | None:
    status = _status_of(path)
    return status and (status.st_dev, status.st_ino)


def _abandon_all() -> None:
    """Give up, in a forked process, every file that its parent holds; `_held` still refuses to open them here."""
    global _holding
    _holding = threading.Lock()  # another thread may have held it at the fork
    for file in list(_files):
        with suppress(OSError):
            file.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
