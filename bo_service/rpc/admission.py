"""Admission control: which calls get a thread, and how long their messages are awaited.

gRPC would give a call to a thread as soon as its headers arrive, and the thread would wait for the message. A client
that sends only headers would hold the thread as long as its connection lives. Therefore each kind of call has a lane
(see `lanes.py`), and an unauthorized call is answered before its message is awaited. Clients that do not read their
responses get no further ones (see `outbox.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from bo_service import request_context
from bo_service.application.deadlines import set_deadline
from bo_service.domain.access import Role
from bo_service.domain.errors import InvalidArgument, Overloaded
from bo_service.domain.limits import MAX_WATCHES
from bo_service.periodic_task import PeriodicTask
from bo_service.rpc.authorization import RULES
from bo_service.rpc.context_interceptor import HandlerCache, behavior_of
from bo_service.rpc.lanes import Lane
from bo_service.rpc.outbox import Outbox
from bo_service.rpc.requests import time_left

STALL_CHECK_S = 0.1

LANES = {
    "beat": (16, 4096, 4096),
    "health": (4, 4096, 4096),
    "result": (16, 4096, 4096),
    "suggest": (80, 2048, 2048),
    "call": (8, 1024, 1024),
    "read": (4, 512, 128),
    "compute": (8, 64, 16),
    "watch": (MAX_WATCHES + 4, 2 * MAX_WATCHES, MAX_WATCHES * 3 // 4),
    "observe": (16, 16, 16),
    "reflect": (4, 16, 4),
    "refuse": (4, 1 << 30, 1 << 30),
}
"""For each lane: number of threads, maximum calls, and maximum calls of one token."""
LANE_BY_METHOD = {
    "ReportMeasurements": "beat",
    "Check": "health",
    "List": "health",
    "CompleteTrial": "result",
    "SuggestTrials": "suggest",
    "GetStudy": "read",
    "ListStudies": "read",
    "GetTrial": "read",
    "ListTrials": "read",
    "ListArtifacts": "read",
    "GetArtifact": "read",
    "GetBestTrials": "read",
    "AnalyzeStudy": "compute",
    "Predict": "compute",
    "PredictSlice": "compute",
    "WatchStudy": "watch",
    "Watch": "observe",
    "ServerReflectionInfo": "reflect",
}
"""Lane by method name; other methods use the lane `call`."""


class Admission(grpc.ServerInterceptor):
    """An interceptor that assigns each call to a lane, and reads its message there after authorization."""

    def __init__(self) -> None:
        self._lanes = {name: Lane(name, *bounds) for name, bounds in LANES.items()}
        self._outbox = Outbox()
        self._handlers = {name: HandlerCache() for name in self._lanes}
        self._watchdog = PeriodicTask("admission", STALL_CHECK_S, self._cancel_stalled)

    @property
    def is_stalled(self) -> bool:
        """Whether heartbeats wait and none is answered, so that leases cannot be renewed."""
        return self._lanes["beat"].is_stalled

    def stop(self) -> None:
        """Stop the watchdog."""
        self._watchdog.stop()

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None:
            return handler
        lane, rule = self._lane_of(request_context.required()), RULES.get(str(details.method))
        limits = _ResponseLimits(self._outbox, is_read=rule is not None and rule.role in (None, Role.READER))
        return self._handlers[lane.name].get_or_make(
            str(details.method), handler, lambda inner: _with_lane(inner, lane, limits)
        )

    def _lane_of(self, call: request_context.RequestContext) -> Lane:
        if call.refusal is None:
            lane = self._lanes[LANE_BY_METHOD.get(call.method, "call")]
            try:
                lane.admit(call)
                return lane
            except Overloaded as error:
                call.refusal = error
        lane = self._lanes["refuse"]
        lane.admit(call)
        return lane

    def _cancel_stalled(self) -> None:
        for lane in self._lanes.values():
            lane.cancel_stalled()
        self._outbox.cancel_stalled()


@dataclass(frozen=True)
class _ResponseLimits:
    """The limits on the responses of a method."""

    outbox: Outbox
    is_read: bool
    """Whether the method changes nothing, so that its finished response can still be rejected."""

    def answer(self, message: Any, client: str, context: grpc.ServicerContext) -> Any:
        """Return the response of a call, counted until it is sent.

        Raises:
            Overloaded: too many bytes are unsent.
            LimitExceeded: the response is too large.
        """
        size = message.ByteSize()
        if self.is_read:
            self.outbox.check_read(client, size)
        self.outbox.put(client, size, context)
        return message

    def stream(self, messages: Iterator[Any], client: str, context: grpc.ServicerContext) -> Iterator[Any]:
        """Yield the messages of a stream, each counted until it is sent.

        Raises:
            Overloaded: too many bytes are unsent.
            LimitExceeded: a message is too large.
        """
        for message in messages:
            size = message.ByteSize()
            self.outbox.check_read(client, size)
            with self.outbox.sending(client, size, context):
                yield message


def _with_lane(handler: Any, lane: Lane, limits: _ResponseLimits) -> Any:
    """Return a handler that takes a call's raw messages, and decodes them on the lane's threads."""
    behavior = behavior_of(handler)

    def request_of(
        messages: Iterator[bytes], call: request_context.RequestContext, context: grpc.ServicerContext
    ) -> Any:
        if call.refusal is not None:
            return None
        if handler.request_streaming:
            return _decoded_stream(handler, messages, context, lane)
        with suppress(grpc.RpcError):  # the client has disconnected, or was canceled as too slow
            if (data := next(messages, None)) is not None and call.is_authorized():
                return _decoded(handler, data)
        request_context.require_authorized()
        raise InvalidArgument.of("request", "was not sent; send one message and then half-close the call")

    @contextmanager
    def held(context: grpc.ServicerContext) -> Iterator[request_context.RequestContext]:
        call = request_context.required()
        try:
            set_deadline(time_left(context))
            if isinstance(call.refusal, Overloaded):
                raise call.refusal
            if call.refusal is None:
                limits.outbox.check(call.client)
            yield call
        finally:
            lane.leave(call.caller)

    def answer(messages: Iterator[bytes], context: grpc.ServicerContext) -> Any:
        with held(context) as call:
            return limits.answer(behavior(request_of(messages, call, context), context), call.client, context)

    def stream(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with held(context) as call:
            yield from limits.stream(behavior(request_of(messages, call, context), context), call.client, context)

    write = handler.response_serializer
    wrapped: Any
    if handler.response_streaming:
        wrapped = grpc.stream_stream_rpc_method_handler(stream, None, write)
    else:
        wrapped = grpc.stream_unary_rpc_method_handler(answer, None, write)
    behavior_of(wrapped).experimental_thread_pool = lane
    return wrapped


def _decoded_stream(
    handler: Any, messages: Iterator[bytes], context: grpc.ServicerContext, lane: Lane
) -> Iterator[Any]:
    call = request_context.required()
    while (data := _next_message(messages, context, lane)) is not None and call.is_authorized():
        yield _decoded(handler, data)


def _decoded(handler: Any, data: bytes) -> Any:
    """Return the message that a caller has sent.

    Raises:
        InvalidArgument: the bytes are no message. gRPC itself would report an error of the server.
    """
    try:
        return handler.request_deserializer(data)
    except DecodeError:
        if handler.request_streaming:  # reflection answers an empty message in its own way
            return handler.request_deserializer(b"")
        fault = "is not a valid message of this method; encode it as bo_api.v1 defines"
        raise InvalidArgument.of("request", fault) from None


def _next_message(messages: Iterator[bytes], context: grpc.ServicerContext, lane: Lane) -> bytes | None:
    """Return the next message; None if the client ended the stream, disconnected, or was canceled as too slow."""
    with lane.awaiting(request_context.required(), context), suppress(grpc.RpcError):
        return next(messages, None)
    return None
