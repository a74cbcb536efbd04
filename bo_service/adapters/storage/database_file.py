"""The file of a SQLite database: held by one process, whatever name it is opened by, and checked to be still there.

The lock is on the file itself (`flock`), beside a lock file for systems without it. Closing any descriptor of a file
drops SQLite's own locks on it in the same process, so the descriptor is kept until the database is closed, and a file
that this process holds is refused before it is opened a second time.
"""

import os
import threading
from pathlib import Path

from filelock import FileLock, Timeout

from bo_service.core.errors import StartupError, StorageUnavailable

try:
    import fcntl
except ImportError:  # Windows, where the lock file has to do
    fcntl = None  # type: ignore[assignment]

MODE = 0o600
FORMER_MODE = 0o644
"""With which earlier versions made files: anybody on the machine could read them."""

Identity = tuple[int, int]
"""Device and inode."""
_held: set[Identity] = set()
_holding = threading.Lock()


class DatabaseFile:
    """A database file that no other process may use while this one has it.

    A file that doesn't exist is created, readable by its owner alone.

    Raises:
        StartupError: another server has the file, or it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.resolve().with_name(f"{path.resolve().name}-wal")
        self._lock = FileLock(f"{path}.lock", mode=MODE)
        self._descriptor = -1
        self._identity: Identity | None = None
        self._wal_identity: Identity | None = None
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise self._in_use() from error
        except OSError as error:
            raise StartupError(f"--storage: {path}.lock can't be written: {error}") from error
        try:
            self._hold()
        except BaseException:
            self._lock.release()
            raise

    def check(self) -> None:
        """Make sure that what is read and written is still what its name leads to.

        Raises:
            StorageUnavailable: the file was deleted, moved or replaced, or its write-ahead log was.
        """
        if _identity_of(self.path) != self._identity:
            raise self._lost(self.path)
        found = _identity_of(self._wal)
        if self._wal_identity is None:
            self._wal_identity = found
        elif found != self._wal_identity:
            raise self._lost(self._wal)

    def close(self) -> None:
        """Give the file back, once the database has been closed."""
        with _holding:
            _held.discard(self._identity or (0, 0))
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        self._lock.release()

    def _hold(self) -> None:
        with _holding:
            if _identity_of(self.path) in _held:
                raise self._in_use()
            try:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, MODE)
            except OSError as error:
                raise StartupError(f"--storage: unable to open {self.path}: {error.strerror}") from error
            found = os.fstat(self._descriptor)
            if fcntl is not None:
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    os.close(self._descriptor)
                    raise self._in_use() from error
                except OSError:  # a file system without such locks, where the lock file has to do
                    pass
            if found.st_mode & 0o777 == FORMER_MODE:
                os.chmod(self.path, MODE)
            self._identity = (found.st_dev, found.st_ino)
            _held.add(self._identity)

    def _in_use(self) -> StartupError:
        return StartupError(
            f"--storage: another server has {self.path}; stop it, or name another file (each file has one server)",
            in_use=str(self.path),
        )

    def _lost(self, path: Path) -> StorageUnavailable:
        return StorageUnavailable(
            f"{path} was deleted, moved or replaced while this server uses it: what was saved since may be lost. "
            "Stop the server, put the database or a backup in its place, and start again"
        )


def _identity_of(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
