"""Unsent responses: their bytes are limited in total and per client.

gRPC keeps a response until the client reads it, which a client with a closed flow-control window never does.
`ServicerContext.add_callback` runs when a response was sent or can no longer be sent; until then its bytes count. A
message of a stream counts until the next one is requested.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import grpc

from bo_service.domain.errors import LimitExceeded, Overloaded
from bo_service.domain.limits import MAX_ANSWER_BYTES, MAX_CALLER_UNSENT_BYTES, MAX_UNSENT_BYTES

GUARANTEED_BYTES = 2**20
"""Bytes that each client may have unsent, whatever others have."""
SEND_TIMEOUT_S, MIN_BYTES_PER_S = 60.0, 64 * 2**10
"""Seconds within which a response must be sent, plus its size at a minimum rate."""


@dataclass(eq=False)
class _UnsentResponse:
    caller: str
    size: int
    context: grpc.ServicerContext
    deadline: float


class Outbox:
    """The unsent responses of a server."""

    def __init__(self, max_bytes: int = MAX_UNSENT_BYTES, share: int = MAX_CALLER_UNSENT_BYTES) -> None:
        """Create an outbox.

        Args:
            max_bytes: maximum bytes in total.
            share: maximum bytes of one client.
        """
        self._max_bytes = max_bytes
        self._share = share
        self._guard = threading.Lock()
        self._bytes: dict[str, int] = {}
        self._total = 0
        self._responses: set[_UnsentResponse] = set()

    @property
    def unsent(self) -> int:
        """Total unsent bytes."""
        return self._total

    def check(self, caller: str, size: int = 1) -> None:
        """Check that a response may be added.

        Args:
            caller: the client.
            size: bytes of the response; 1 if it is not computed yet.

        Raises:
            Overloaded: the client exceeds its share; or the total exceeds its limit, and the client its guaranteed
                bytes.
        """
        total, own = self._total, self._bytes.get(caller, 0)
        if own + size > self._share or (total + size > self._max_bytes and own + size > GUARANTEED_BYTES):
            raise Overloaded(
                f"{total} bytes of responses are unsent, {own} of them yours, and this has {size} or more; "
                f"the limits are {self._max_bytes} and {self._share}: read the responses to earlier calls, then retry"
            )

    def check_read(self, caller: str, size: int) -> None:
        """Check that the response of a read-only call may be added.

        Raises:
            LimitExceeded: the response is too large.
            Overloaded: as in `check`.
        """
        if size > MAX_ANSWER_BYTES:
            raise LimitExceeded(
                f"the response has {size} bytes; the limit is {MAX_ANSWER_BYTES}: request fewer items, or without "
                "learning curves"
            )
        self.check(caller, size)

    def put(self, caller: str, size: int, context: grpc.ServicerContext) -> None:
        """Count a response until its call has ended."""
        answer = self._add(caller, size, context)
        if not context.add_callback(partial(self._remove, answer)):
            self._remove(answer)

    @contextmanager
    def sending(self, caller: str, size: int, context: grpc.ServicerContext) -> Iterator[None]:
        """Count a message of a stream inside the block."""
        answer = self._add(caller, size, context)
        try:
            yield
        finally:
            self._remove(answer)

    def cancel_stalled(self) -> None:
        """Cancel the calls whose responses are not read in time."""
        now = time.monotonic()
        with self._guard:
            stalled = [answer.context for answer in self._responses if answer.deadline < now]
        for context in stalled:
            context.cancel()

    def _add(self, caller: str, size: int, context: grpc.ServicerContext) -> _UnsentResponse:
        answer = _UnsentResponse(caller, size, context, time.monotonic() + SEND_TIMEOUT_S + size / MIN_BYTES_PER_S)
        with self._guard:
            self._total += size
            self._bytes[caller] = self._bytes.get(caller, 0) + size
            self._responses.add(answer)
        return answer

    def _remove(self, answer: _UnsentResponse) -> None:
        with self._guard:
            self._responses.discard(answer)
            self._total -= answer.size
            self._bytes[answer.caller] -= answer.size
            if not self._bytes[answer.caller]:
                del self._bytes[answer.caller]
