"""The server within this process, over a database file: no server to start, and no port.

This module alone of the client imports the server, when a database is opened.
"""

import atexit
import math
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from google.protobuf.message import Message

from bo_client.client import DEFAULT_PATIENCE_S, Client, connect
from bo_client.errors import BoClientError, DeadlineExceeded, FailedPrecondition, InvalidRequest

if TYPE_CHECKING:
    from bo_service.local_service import CallRefused, LocalService, StartupError

DEFAULT_FILE = "bo.db"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""The beginning of a storage address; a single letter before the colon is a drive of Windows."""


def local(storage: str | Path = DEFAULT_FILE, *, listen: str | None = None) -> "LocalClient":
    """Open a database in this process, and return a client of it: no server has to be started.

    The file is created if it does not exist. `bo-service serve --storage sqlite:///FILE` serves the same file later.
    While it is open here, other programs can use it only through `serve`. Every call in one process with the same file
    shares it; it is closed with its last client: explicitly, by garbage collection, or when the process ends. What was
    completed is kept, however the process ends.

    Args:
        storage: a file, or an address as `bo-service serve --storage` takes it; "memory:" discards everything at the
            end.
        listen: HOST:PORT of this machine at which to serve other programs, as `LocalClient.serve` does.

    Returns:
        The client.

    Raises:
        ImportError: the libraries of the server are missing: `pip install 'bo-service[server]'`.
        FailedPrecondition: another process has the file open (STORAGE_IN_USE).
        InvalidRequest: the file or the address cannot be used.
    """
    client = LocalClient(LocalTransport(_address(storage)))
    if listen is not None:
        client.serve(listen)
    return client


class LocalClient(Client):
    """A client of a database that this process has open. Threads may share it; forked processes may not.

    Calls take the time that they need, also after the process was suspended, unless a method is given a `timeout`.
    """

    transport: "LocalTransport"

    def __init__(self, transport: "LocalTransport") -> None:
        """Create a client; `local` is the usual way."""
        super().__init__(transport, math.inf, DEFAULT_PATIENCE_S)

    def __repr__(self) -> str:
        return f"LocalClient({self.transport.storage!r})"

    def __enter__(self) -> "LocalClient":
        return self

    def __reduce__(self) -> "tuple[partial[Client], tuple[()]]":
        """Pickle the address at which this client serves.

        Raises:
            TypeError: it serves nowhere.
        """
        if self.address is None:
            raise TypeError(
                f"{self!r} belongs to this process; call its serve() first, so that another process can connect to it"
            )
        return partial(connect, self.address), ()

    @property
    def address(self) -> str | None:
        """HOST:PORT at which other programs reach the database; None until `serve`."""
        return self.transport.address

    def serve(self, listen: str = "127.0.0.1:0") -> str:
        """Let other programs on this machine use the database while it is open here, and return HOST:PORT.

        Workers, the command `bo`, and `bo_client.connect` take the address. A second call returns the same.

        Args:
            listen: HOST:PORT of loopback; port 0 selects a free port.

        Raises:
            InvalidRequest: the address is invalid, in use, or reachable from other machines, which need a server with
                tokens and TLS.
        """
        return self.transport.serve(listen)


class LocalTransport:
    """A transport to the server within this process. Threads may share it."""

    def __init__(self, storage: str) -> None:
        """Open the database at a storage address, or share it with the other transports of this process."""
        self.storage = storage
        self._pid = os.getpid()
        self._opened = _open(storage)
        self._closer = finalize(self, _close_later, self._opened)
        self._closer.atexit = False

    @property
    def address(self) -> str | None:
        """HOST:PORT at which the database is served; None if it is not."""
        return self._service().address

    def serve(self, listen: str) -> str:
        """Serve the database to other programs on this machine, and return HOST:PORT. Raises InvalidRequest."""
        from bo_service.local_service import StartupError

        _stop_at_exit()
        try:
            return self._service().serve(listen)
        except StartupError as error:
            field, _, description = error.message.partition(": ")
            raise InvalidRequest.of(field.lstrip("-"), description) from None

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """Return the response to a request. Raises BoClientError."""
        from bo_service.local_service import CallRefused

        try:
            return self._service().call(method, request, timeout if timeout != math.inf else None)
        except CallRefused as refused:
            raise self._error(refused, timeout) from None
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self.storage}: {error}; the call may still have its effect") from None

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the responses of a stream; closing the iterator ends the call. Raises BoClientError."""
        from bo_service.local_service import CallRefused

        try:
            yield from self._service().stream(method, request)
        except CallRefused as refused:
            raise self._error(refused, None) from None

    def close(self) -> None:
        """Close the database, unless another transport uses it."""
        if self._closer.detach() is not None:
            _close(self._opened)

    def _service(self) -> "LocalService":
        if os.getpid() != self._pid:
            raise FailedPrecondition(
                f"{self.storage} is open in process {self._pid}, and this is a forked process, which cannot use it; "
                "call the client's serve() before the fork, and bo_client.connect(ADDRESS) in the forked process",
                "FORKED",
            )
        if not self._closer.alive or self._opened.is_closed:
            raise FailedPrecondition(
                f"this client of {self.storage} is closed; open it again with bo_client.local(…)", "CLOSED"
            )
        return self._opened.service

    def _error(self, refused: "CallRefused", timeout: float | None) -> BoClientError:
        from bo_client.wire.status import error_of_status

        return error_of_status(refused.status, self.storage, timeout)


class _Opened:
    """An open database, and the number of transports that use it."""

    def __init__(self, key: str, service: "LocalService") -> None:
        self.key = key
        self.service = service
        self.users = 0
        self.is_closed = False

    def close(self) -> None:
        """Close the database for good."""
        self.is_closed = True
        self.service.close()


_lock = threading.Lock()
_all: dict[str, _Opened] = {}


def _open(storage: str) -> _Opened:
    try:
        from bo_service.local_service import LocalService, StartupError
    except ImportError as error:
        how = "pip install 'bo-service[server]', or use a server with bo_client.connect(HOST:PORT)"
        raise ImportError(f"bo_client.local needs the server's libraries ({error}): {how}") from error
    key = _key(storage)
    with _lock:
        if key not in _all:
            try:
                _all[key] = _Opened(key, LocalService(storage, _has_ended))
            except StartupError as error:
                raise _refusal(error, storage) from None
        _all[key].users += 1
        return _all[key]


def _close(opened: _Opened) -> None:
    with _lock:
        opened.users -= 1
        if opened.users == 0 and _all.get(opened.key) is opened:
            del _all[opened.key]
            opened.close()


def _close_later(opened: _Opened) -> None:
    """Close on a thread of its own: garbage is collected anywhere, also within the service's own locks."""
    if _all.get(opened.key) is opened:  # not in a forked process
        with suppress(RuntimeError):  # at the end of the interpreter no thread starts, and _close_all follows
            threading.Thread(target=_close, args=(opened,), name="bo-local-close").start()


def _stop_serving() -> None:
    """Stop to listen when the main thread ends: gRPC can't stop once Python has ended the threads of its pools.

    Threads of the program that still run keep the database.
    """
    with _lock:
        for opened in _all.values():
            opened.service.stop_serving()


@cache
def _stop_at_exit() -> None:
    threading._register_atexit(_stop_serving)  # type: ignore[attr-defined]  # no public hook comes that early


def _close_all() -> None:
    """Close every database at the end of the process."""
    with _lock:
        while _all:
            _all.popitem()[1].close()


def _forget_all() -> None:
    """Leave to the parent, in a forked process, what it has open."""
    global _lock
    _lock = threading.Lock()  # another thread may have held it at the fork
    _all.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _address(storage: str | Path) -> str:
    """Return the storage address of a file or an address."""
    if isinstance(storage, str) and SCHEME.match(storage):
        return storage
    if not isinstance(storage, str | Path) or not str(storage):
        raise InvalidRequest.of("storage", f"is {storage!r}; give a file, such as 'bo.db', or a storage address")
    if storage == ":memory:":
        return "memory:"
    path = Path(storage).expanduser()
    if path.is_dir():
        raise InvalidRequest.of("storage", f"{path} is a folder; give a file, such as {str(path / DEFAULT_FILE)!r}")
    return f"sqlite:///{os.path.abspath(path)}"


def _key(storage: str) -> str:
    """Return what databases are compared by: a file's real path; a database in memory equals no other."""
    if storage.startswith("sqlite:///"):
        return f"sqlite:///{os.path.realpath(storage.removeprefix('sqlite:///'))}"
    return f"{storage} {os.urandom(8).hex()}" if storage == "memory:" else storage


def _refusal(error: "StartupError", storage: str) -> BoClientError:
    if "in_use" in error.metadata:
        file = error.metadata["in_use"]
        return FailedPrecondition(
            f"{file} is in use by another process; close it there, or share it: call the client's serve() in that "
            "process, and bo_client.connect(ADDRESS) in this one; or run "
            f"`bo-service serve --storage {storage}` and connect every process to that",
            "STORAGE_IN_USE",
        )
    return InvalidRequest.of("storage", error.message.removeprefix("--storage: "))


def _has_ended(worker_id: str) -> bool:
    """Return whether a worker was a process of this machine that has ended, or this one before it opened the database.

    Only ids of the form HOST:PID, the default, tell.
    """
    host, _, pid = worker_id.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
