"""Handlers of a method's calls: of those that are accepted, on the threads of a lane, and of those that are refused.

Errors become statuses, and each call has a log line.

The bytes of unsent responses are limited, in total and per client: gRPC keeps a response until the client reads it,
which a client with a closed flow-control window never does. `ServicerContext.add_callback` runs when a response was
sent or can no longer be sent; until then its bytes count. A message of a stream counts until the next one is requested.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from bo_service import request_context
from bo_service.application.waiting import set_deadline
from bo_service.domain.errors import InvalidArgument, LimitExceeded, Overloaded
from bo_service.domain.limits import MAX_ANSWER_BYTES, MAX_CALLER_UNSENT_BYTES, MAX_UNSENT_BYTES
from bo_service.request_context import RequestContext, time_left
from bo_service.rpc.lanes import Lane
from bo_service.rpc.status import STATUS, to_status

logger, calls = logging.getLogger("bo_service.access"), logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug unless they fail."""
GUARANTEED_BYTES = 2**20
"""Bytes that each client may have unsent, whatever others have."""
SEND_TIMEOUT_S, MIN_BYTES_PER_S = 60.0, 64 * 2**10
"""Seconds within which a response must be sent, plus its size at a minimum rate."""


Studies = Callable[[Any], Sequence[str]]
"""From a request to the ids of the studies that it names. Raises InvalidArgument."""


class CallObserver(Protocol):
    """An observer of calls, such as metrics."""

    def call(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Observe a call, or a whole stream; the context has its status code afterwards."""

    def refused(self, method: str, code: str) -> None:
        """Count a call that was refused from its headers."""


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

    def add(self, caller: str, size: int, context: grpc.ServicerContext) -> Callable[[], None]:
        """Count a response, and return what to call once it was sent or can't be sent any more."""
        response = _UnsentResponse(caller, size, context, time.monotonic() + SEND_TIMEOUT_S + size / MIN_BYTES_PER_S)
        with self._guard:
            self._total += size
            self._bytes[caller] = self._bytes.get(caller, 0) + size
            self._responses.add(response)
        return partial(self._remove, response)

    def cancel_stalled(self) -> None:
        """Cancel the calls whose responses are not read in time."""
        now = time.monotonic()
        with self._guard:
            stalled = [response.context for response in self._responses if response.deadline < now]
        for context in stalled:
            context.cancel()

    def _remove(self, response: _UnsentResponse) -> None:
        with self._guard:
            self._responses.discard(response)
            self._total -= response.size
            self._bytes[response.caller] -= response.size
            if not self._bytes[response.caller]:
                del self._bytes[response.caller]


class MethodHandlers:
    """The handlers of one method: `accepting`, and `refusing`."""

    def __init__(
        self,
        name: str,
        handler: Any,
        studies: Studies,
        is_read: bool,
        lane: Lane,
        refusals: ThreadPoolExecutor,
        outbox: Outbox,
        observer: CallObserver | None,
    ) -> None:
        """Create the handlers.

        Args:
            name: method name without the service.
            handler: gRPC's handler of the method.
            studies: returns the studies that a request names.
            is_read: whether it changes nothing, so that its finished response can still be rejected.
            lane: runs `accepting`.
            refusals: runs `refusing`.
            outbox: bounds the responses.
            observer: observes each call.
        """
        self.name, self.lane = name, lane
        self._inner, self._outbox, self._observer = handler, outbox, observer
        self._studies, self._is_read = studies, is_read
        self._behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        self.accepting = self._handler(self._stream if handler.response_streaming else self._answer, lane)
        self.refusing = self._handler(self._refuse, refusals)

    def _handler(self, answer: Callable[..., Any], executor: ThreadPoolExecutor) -> Any:
        """Return a handler that takes a call's raw messages, and runs on an executor."""
        behavior: Any = partial(answer)  # which takes attributes; a bound method doesn't
        behavior.experimental_thread_pool = executor  # where gRPC looks for it
        if self._inner.response_streaming:
            return grpc.stream_stream_rpc_method_handler(behavior, None, self._inner.response_serializer)
        return grpc.stream_unary_rpc_method_handler(behavior, None, self._inner.response_serializer)

    def _refuse(self, _: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        refusal = request_context.CURRENT.get().refusal
        assert refusal is not None
        if self._observer is not None:
            self._observer.refused(self.name, STATUS[type(refusal)].name)
        peer, cause = context.peer(), refusal.metadata.get("cause", refusal.reason)
        fields = {"peer": peer, "cause": cause, "kind": "refusals"}
        logger.warning("rejected %s from %s: %s", self.name, peer, cause, extra=fields)
        refuse(refusal, context)

    def _answer(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        with self._around(context) as call:
            message = self._behavior(self._request(messages, call, context), context)
            size = message.ByteSize()
            if self._is_read:
                self._outbox.check_read(call.client, size)
            remove = self._outbox.add(call.client, size, context)
            if not context.add_callback(remove):  # the call has ended
                remove()
            return message

    def _stream(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._around(context) as call:
            for message in self._behavior(self._request(messages, call, context), context):
                call.require_authorized()
                size = message.ByteSize()
                self._outbox.check_read(call.client, size)
                remove = self._outbox.add(call.client, size, context)
                try:
                    yield message
                finally:
                    remove()
            call.require_authorized()

    @contextmanager
    def _around(self, context: grpc.ServicerContext) -> Iterator[RequestContext]:
        call = request_context.CURRENT.get()
        with nullcontext() if self._observer is None else self._observer.call(self.name, context):
            began = time.perf_counter()
            try:
                set_deadline(time_left(context))
                self._outbox.check(call.client)
                yield call
            except Exception as error:
                refuse(error, context)
            finally:
                self.lane.leave(call.caller)
                self._log(call, context, time.perf_counter() - began)

    def _log(self, call: RequestContext, context: grpc.ServicerContext, seconds: float) -> None:
        """Log the method, status, milliseconds and peer of a call that has ended."""
        code = outcome(context)
        is_frequent = self.name in FREQUENT and code in ("OK", "CANCELLED")
        level = logging.DEBUG if is_frequent else logging.INFO
        if calls.isEnabledFor(level):
            took = seconds * 1000
            fields = {"code": code, "duration_ms": round(took, 2), "peer": context.peer(), **_certificate(context)}
            if not call.caller:  # a stranger, as whoever asks for health
                fields["kind"] = f"{self.name} {code}"
            calls.log(level, "%s %s %.1f ms", self.name, code, took, extra=fields)

    def _request(self, messages: Iterator[bytes], call: RequestContext, context: grpc.ServicerContext) -> Any:
        """Return the request of a call whose studies the caller may access; or all messages, where a call has many.

        Raises:
            InvalidArgument: there is none, or the bytes are no message.
            PermissionDenied: a study is closed to the caller.
            Unauthenticated: the caller is no longer authorized.
        """
        if self._inner.request_streaming:
            return self._further(messages, call, context)
        data = None
        with suppress(grpc.RpcError):  # the client has disconnected, or was canceled as too slow
            data = next(messages, None)
        call.require_authorized()
        if data is None:
            raise InvalidArgument.of("request", "was not sent; send one message and then half-close the call")
        try:
            request = self._inner.request_deserializer(data)
        except DecodeError:  # gRPC itself would report an error of the server
            fault = "is not a valid message of this method; encode it as bo_api.v1 defines"
            raise InvalidArgument.of("request", fault) from None
        studies = self._studies(request)
        if studies:
            call.study = studies[0]
        for study_id in studies:
            call.principal.require_study(study_id)
        return request

    def _further(self, messages: Iterator[bytes], call: RequestContext, context: grpc.ServicerContext) -> Iterator[Any]:
        """Yield the messages of a call until the client ends it, leaves, or was canceled as too slow."""
        while True:
            data = None
            with self.lane.awaiting(call, context), suppress(grpc.RpcError):
                data = next(messages, None)
            if data is None or not call.is_authorized():
                return
            try:
                yield self._inner.request_deserializer(data)
            except DecodeError:  # reflection answers an empty message in its own way
                yield self._inner.request_deserializer(b"")


def refuse(error: Exception, context: grpc.ServicerContext) -> None:
    """End a call with the status of an error.

    Raises:
        Exception: always, as gRPC ends calls so.
    """
    context.abort_with_status(rpc_status.to_status(to_status(error)))


def outcome(context: grpc.ServicerContext) -> str:
    """Return the name of the status code that a call ends with."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]  # missing in the stubs
    if code is not None:
        return code.name
    return "OK" if context.is_active() else "CANCELLED"


def _certificate(context: grpc.ServicerContext) -> dict[str, str]:
    """Return the common name of the client's certificate, if it sent one."""
    names = context.auth_context().get("x509_common_name", ())
    return {"certificate": bytes(names[0]).decode(errors="replace")} if names else {}
