"""The real server, started in this process. This module alone of the client imports the server, when one is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from bo_client.client import Client
from bo_client.errors import BoClientError, ServerUnavailable

if TYPE_CHECKING:
    from bo_service.in_process import CallRefused

NAME = "the server in this process"


class InProcessServer:
    """A server with a database of its own, which ends with this object: no socket, no other process, no token.

    It is the transport of its clients. Threads may share it. Suggestions are computed on the thread that asks.
    """

    def __init__(self) -> None:
        """Start the server.

        Raises:
            ImportError: The server's libraries are missing.
        """
        try:
            from bo_service.in_process import InProcessService
        except ImportError as error:
            how = "pip install 'bo-service[server]', or give prepared answers with bo_client.testing.CannedTransport"
            raise ImportError(f"the server's libraries are missing ({error}): {how}") from error
        self.calls: list[tuple[str, Message]] = []
        """The calls so far: each with its method's name and its request."""
        self._service = InProcessService()
        self.is_down = False
        """Whether no call is answered; open streams then end within a second. What was stored stays."""

    def client(self, timeout: float = 30.0, patience: float = 0.0) -> Client:
        """Return a client of this server, which by default doesn't try again. Each acts like a program of its own.

        Args:
            timeout: Not used: calls of this server take the time that they need.
            patience: Seconds for which calls are tried again during an outage.
        """
        return Client(self, timeout, patience)

    def now(self) -> datetime:
        """Return the server's time, in UTC."""
        return self._service.now()

    def advance(self, seconds: float) -> None:
        """Set the server's clock ahead; leases whose time has passed expire."""
        self._service.advance(seconds)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Let no call be answered within the block, as `is_down` says."""
        self.is_down = True
        try:
            yield
        finally:
            self.is_down = False

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        """Return the server's answer, whatever the timeout. Raises BoClientError."""
        self._require_up()
        kept = type(request)()
        kept.CopyFrom(request)
        self.calls.append((method, kept))
        from bo_service.in_process import CallRefused

        try:
            return self._service.call(method, request)
        except CallRefused as refused:
            raise _error(refused, timeout) from None

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the server's answers as they come. Raises BoClientError."""
        from bo_service.in_process import CallRefused

        self._require_up()
        try:
            yield from self._service.stream(method, request, lambda: self.is_down)
        except CallRefused as refused:
            raise _error(refused, None) from None
        self._require_up()

    def close(self) -> None:
        """Do nothing: other clients may go on."""

    def _require_up(self) -> None:
        if self.is_down:
            raise ServerUnavailable(f"no server answers: {NAME} is in outage()")


def _error(refused: "CallRefused", timeout: float | None) -> BoClientError:
    from bo_client.wire.status import error_of_status

    return error_of_status(refused.status, NAME, timeout)
