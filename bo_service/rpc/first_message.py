"""A call's first message, which gRPC receives before the call has a thread.

gRPC's synchronous server gives a call a thread that waits for the message. Each wait costs two changes between threads,
and holds the thread. The private names of gRPC that this takes are in this module alone, as record 0175 says. With a
gRPC that lacks them a call's thread waits for its message, as gRPC's own servers do.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from grpc import _server

logger = logging.getLogger("bo_service.grpc")

PRIVATE_NAMES = ("_call", "_state", "_raise_or_start_receive_message", "_look_for_request")
"""What this module uses of gRPC's iterator over the messages of a call."""


def has_private_names() -> bool:
    """Return whether the installed gRPC has the names that receive a message early."""
    try:
        messages = _server._RequestIterator(None, None, None)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        return False
    return all(hasattr(messages, name) for name in PRIVATE_NAMES)


IS_EARLY = has_private_names()
"""Whether first messages are received before their calls have threads."""


class FirstMessage(Iterator[bytes]):
    """The messages of a call, of which the first is received by `receive`."""

    def __init__(self, requests: Any) -> None:
        """Take the messages of a call.

        Args:
            requests: gRPC's iterator over them, which has not begun.
        """
        self._requests = requests
        self._call: Any = None
        self._is_received = False

    def receive(self, then: Callable[[], None]) -> None:
        """Begin to receive the first message, without waiting for it.

        Args:
            then: called once when the message has arrived, or when none will; on gRPC's thread, or on this one.
        """
        if not IS_EARLY:
            then()
            return
        requests = self._requests
        with requests._state.condition:
            self._is_received, self._call = True, requests._call
            requests._call = _NotifyingCall(self._call, then)
            try:
                requests._raise_or_start_receive_message()
            except Exception:  # the call has been cancelled: `__next__` says so
                then()
            finally:
                requests._call = self._call

    def catch_up(self, then: Callable[[], None]) -> bool:
        """Call a function once gRPC's serving thread has handled all events that are queued now.

        On a busy server a message that arrived long ago may be one of them.

        Args:
            then: called once, on gRPC's serving thread.

        Returns:
            False without an effect, as the first message is not being received yet.
        """
        if not IS_EARLY:
            return False

        def handled(_: Any) -> tuple[None, tuple[()]]:
            then()
            return None, ()

        with self._requests._state.condition:
            if not self._is_received:
                return False
            self._call.start_server_batch((), handled)  # no operations: they end at once
            return True

    def __next__(self) -> bytes:
        """Return the next message; the first one without waiting, after `receive`.

        Raises:
            StopIteration: there is none.
            RpcError: the call was cancelled.
        """
        if not self._is_received:
            return bytes(next(self._requests))
        self._is_received = False
        with self._requests._state.condition:
            return bytes(self._requests._look_for_request())


class _NotifyingCall(NamedTuple):
    """A call of gRPC that says when a batch of its operations has ended."""

    call: Any
    then: Callable[[], None]

    def start_server_batch(self, operations: Any, tag: Callable[[Any], Any]) -> None:
        self.call.start_server_batch(operations, partial(self._ended, tag))

    def _ended(self, tag: Callable[[Any], Any], event: Any) -> Any:
        result = tag(event)
        try:
            self.then()
        except Exception:  # it would end gRPC's serving thread, and with it the server
            logger.exception("a call has lost its turn")
        return result
