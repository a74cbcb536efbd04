"""Handlers of a method's calls: of those that are accepted, on the threads of a lane, and of those that are refused.

Errors become statuses, and each call has a log line.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from bo_service import request_context
from bo_service.application.deadlines import set_deadline
from bo_service.domain.access import Role
from bo_service.domain.errors import InvalidArgument
from bo_service.request_context import RequestContext
from bo_service.rpc.authorization import AccessRule
from bo_service.rpc.lanes import Lane
from bo_service.rpc.outbox import Outbox
from bo_service.rpc.requests import time_left
from bo_service.rpc.status import STATUS, to_status

logger, calls = logging.getLogger("bo_service.access"), logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug unless they fail."""


class CallObserver(Protocol):
    """What observes calls, such as metrics."""

    def call(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[None]:
        """Observe a call, or a whole stream; the context has its status code afterwards."""

    def refused(self, method: str, code: str) -> None:
        """Count a call that was refused from its headers."""


class MethodHandlers:
    """The handlers of one method: `accepting`, and `refusing`."""

    def __init__(
        self,
        name: str,
        handler: Any,
        rule: AccessRule | None,
        lane: Lane,
        refusals: ThreadPoolExecutor,
        outbox: Outbox,
        observer: CallObserver | None,
    ) -> None:
        """Create the handlers.

        Args:
            name: method name without the service.
            handler: gRPC's handler of the method.
            rule: who may call it; None refuses every call.
            lane: runs `accepting`.
            refusals: runs `refusing`.
            outbox: bounds the responses.
            observer: observes each call.
        """
        self.name, self.rule, self.lane = name, rule, lane
        self._inner, self._outbox, self._observer = handler, outbox, observer
        self._behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        self._is_read = rule is not None and rule.role in (None, Role.READER)
        """Whether the method changes nothing, so that its finished response can still be rejected."""
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
        refusal = request_context.required().refusal
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
            self._outbox.put(call.client, size, context)
            return message

    def _stream(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._around(context) as call:
            for message in self._behavior(self._request(messages, call, context), context):
                call.require_authorized()
                size = message.ByteSize()
                self._outbox.check_read(call.client, size)
                with self._outbox.sending(call.client, size, context):
                    yield message
            call.require_authorized()

    @contextmanager
    def _around(self, context: grpc.ServicerContext) -> Iterator[RequestContext]:
        call = request_context.required()
        observed = nullcontext() if self._observer is None else self._observer.call(self.name, context)
        with observed, reported(self.name, context):
            try:
                set_deadline(time_left(context))
                self._outbox.check(call.client)
                yield call
            finally:
                self.lane.leave(call.caller)

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
        studies = self.rule.studies(request) if self.rule is not None else ()
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


@contextmanager
def reported(method: str, context: grpc.ServicerContext) -> Iterator[None]:
    """End a call with the status of its exception, and log its method, status, milliseconds and peer.

    Args:
        method: method name without the service.
        context: the call.
    """
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        refuse(error, context)
    finally:
        code, took = outcome(context), (time.perf_counter() - began) * 1000
        is_frequent = method in FREQUENT and code in ("OK", "CANCELLED")
        level = logging.DEBUG if is_frequent else logging.INFO
        if calls.isEnabledFor(level):
            fields = {"code": code, "duration_ms": round(took, 2), "peer": context.peer(), **_certificate(context)}
            if (call := request_context.current()) is None or not call.caller:  # a stranger, as whoever asks for health
                fields["kind"] = f"{method} {code}"
            calls.log(level, "%s %s %.1f ms", method, code, took, extra=fields)


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
