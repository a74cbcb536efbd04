"""Admission: which calls get a thread, and for how long they may hold it before their message has arrived.

gRPC hands a call to a thread as soon as its headers are there, and the thread then waits for the message. A caller that
sends headers alone would hold it for as long as its connection lives. So each kind of call has a lane, a thread pool of
its own with a bound on the calls in it; a caller that isn't let in is answered before its message is awaited; and where
a lane has no free thread, the calls that have waited longest for their message are cancelled.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc

from bo_service.adapters import calls
from bo_service.adapters.grpc.surrounding import Made, behavior_of, is_non_blocking
from bo_service.adapters.ticker import Ticker
from bo_service.application.door import EVERYBODY
from bo_service.core.errors import InvalidArgument, Overloaded
from bo_service.core.limits import MAX_WATCHES

STALL_S = 20.0
"""Seconds that a call may take to send its message."""
CROWDED_STALL_S = 0.2
"""The same where its lane has no free thread for others."""
CHECK_S = 0.1


@dataclass(eq=False)
class Lane:
    """A thread pool for one kind of call."""

    name: str
    threads: int
    most: int
    """Calls at once, those that wait for a thread included."""
    share: int
    """The same for one token."""
    pool: ThreadPoolExecutor = field(init=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)
    _callers: "Counter[str]" = field(default_factory=Counter, init=False)
    _working: int = field(default=0, init=False)
    _awaiting: dict[object, tuple[float, grpc.ServicerContext]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix=f"grpc-{self.name}")

    def enter(self, caller: str) -> None:
        """Count a call in.

        Raises:
            Overloaded: the lane is full, or this caller has its share of it.
        """
        with self._guard:
            total, own = self._callers.total(), self._callers[caller]
            share = self.most if caller == EVERYBODY.name else self.share
            if total >= self.most or own >= share:
                raise Overloaded(
                    f"{total} calls of this kind are in progress, {own} of them with your token; "
                    f"the most are {self.most} and {share}: try again in a moment"
                )
            self._callers[caller] += 1

    def leave(self, caller: str) -> None:
        """Count a call out."""
        with self._guard:
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold one of the threads."""
        with self._guard:
            self._working += 1
        try:
            yield
        finally:
            with self._guard:
                self._working -= 1

    @contextmanager
    def awaiting(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Wait for the message of a call."""
        key = object()
        with self._guard:
            self._awaiting[key] = (time.monotonic(), context)
        try:
            yield
        finally:
            with self._guard:
                del self._awaiting[key]

    def cancel_stalled(self) -> None:
        """Cancel calls whose message has not arrived in time."""
        now = time.monotonic()
        with self._guard:
            patience = CROWDED_STALL_S if self._working >= self.threads else STALL_S
            stalled = [context for since, context in self._awaiting.values() if now - since > patience]
        for context in stalled:
            context.cancel()


def lanes() -> dict[str, Lane]:
    """The lanes by name."""
    found = (
        Lane("vital", 16, 4096, 4096),
        Lane("suggest", 80, 2048, 2048),
        Lane("call", 16, 1024, 1024),
        Lane("compute", 8, 64, 16),
        Lane("watch", MAX_WATCHES + 4, 2 * MAX_WATCHES, MAX_WATCHES * 3 // 4),
        Lane("reflect", 4, 16, 4),
        Lane("refuse", 4, 1 << 30, 1 << 30),
    )
    return {lane.name: lane for lane in found}


LANE_OF = {
    "Check": "vital",
    "List": "vital",
    "ReportMeasurements": "vital",
    "CompleteTrial": "vital",
    "SuggestTrials": "suggest",
    "AnalyzeStudy": "compute",
    "Predict": "compute",
    "PredictSlice": "compute",
    "WatchStudy": "watch",
    "ServerReflectionInfo": "reflect",
}
"""By the method's bare name; the others are in the lane `call`."""


class Admission(grpc.ServerInterceptor):
    """Gives each call its lane, and reads its message there: once, after the caller was let in."""

    def __init__(self) -> None:
        self._lanes = lanes()
        self._made = {name: Made() for name in self._lanes}
        self._watchdog = Ticker("admission", CHECK_S, self._cancel_stalled)

    def stop(self) -> None:
        """End the watchdog."""
        self._watchdog.stop()

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or is_non_blocking(handler):
            return handler
        lane = self._lane_of(calls.required())
        return self._made[lane.name].of(str(details.method), handler, lambda inner: _in_lane(inner, lane))

    def _lane_of(self, call: calls.Call) -> Lane:
        if call.refusal is None:
            lane = self._lanes[LANE_OF.get(call.method, "call")]
            try:
                lane.enter(call.caller)
                return lane
            except Overloaded as error:
                call.refusal = error
        lane = self._lanes["refuse"]
        lane.enter(call.caller)
        return lane

    def _cancel_stalled(self) -> None:
        for lane in self._lanes.values():
            lane.cancel_stalled()


def _in_lane(handler: Any, lane: Lane) -> Any:
    """The handler as one that is called before its message has arrived, on the lane's threads."""
    behavior = behavior_of(handler)

    def request_of(messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        if calls.required().refusal is not None:
            return None
        if handler.request_streaming:
            return _awaited(messages, context, lane)
        message = _next(messages, context, lane)
        if message is None:
            raise InvalidArgument.of("request", "has not been sent; send one message and then half-close the call")
        return message

    @contextmanager
    def held() -> Iterator[None]:
        call = calls.required()
        try:
            with lane.working():
                if isinstance(call.refusal, Overloaded):
                    raise call.refusal
                yield
        finally:
            lane.leave(call.caller)

    def answer(messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        with held():
            return behavior(request_of(messages, context), context)

    def stream(messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        with held():
            yield from behavior(request_of(messages, context), context)

    coding = (handler.request_deserializer, handler.response_serializer)
    if handler.response_streaming:
        made = grpc.stream_stream_rpc_method_handler(stream, *coding)
    else:
        made = grpc.stream_unary_rpc_method_handler(answer, *coding)
    behavior_of(made).experimental_thread_pool = lane.pool
    return made


def _awaited(messages: Iterator[Any], context: grpc.ServicerContext, lane: Lane) -> Iterator[Any]:
    """The messages of a stream of requests, each of which has to arrive in time."""
    while (message := _next(messages, context, lane)) is not None:
        yield message


def _next(messages: Iterator[Any], context: grpc.ServicerContext, lane: Lane) -> Any:
    """The next message; None where the caller has ended the stream, or has gone, or was cancelled as too slow."""
    with lane.awaiting(context), suppress(grpc.RpcError):
        return next(messages, None)
    return None
