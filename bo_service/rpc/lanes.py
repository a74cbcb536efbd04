"""Lanes: one thread pool for each kind of call, shared fairly among the callers.

A caller's calls wait in a line of their own, and the lines take turns: a thousand calls of one caller cost another
caller's call one turn. A call whose turn has come takes one of the lane's places, of which there are as many as
threads, and gets a thread when its first message has arrived. So that those who send none can't hold a lane, a line has
no turn while half of the lane's places await the first messages of its calls. Where calls wait in such a line, those
that have been silent for too long are cancelled, so that the next ones of the same caller begin. A message may have
arrived and wait for gRPC's serving thread; so a silent call is cancelled after the thread has handled what was queued.

gRPC's synchronous server gives a call a thread that waits for the message. Each wait costs two changes between threads,
and holds the thread. The private names of gRPC that it takes to receive the message before are in this module alone, as
record 0175 says. With a gRPC that lacks them a call's thread waits for its message, as gRPC's own servers do.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import grpc
from grpc import _server

from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.application.waiting import RoundRobinQueues
from bo_service.domain.errors import Overloaded
from bo_service.request_context import RequestContext

T = TypeVar("T")

logger = logging.getLogger("bo_service.grpc")

PRIVATE_NAMES = ("_call", "_state", "_raise_or_start_receive_message", "_look_for_request")
"""What this module uses of gRPC's iterator over the messages of a call."""
STALL_CHECK_S = 0.1
"""Seconds between the checks for silent calls."""
MAX_CHECK_S = 2 * STALL_CHECK_S
"""Seconds that count at most between two checks: a server that stood still heard nothing meanwhile."""
ANONYMOUS_CALLERS = ("", ANONYMOUS_ADMIN.name)
"""Callers without a token; they are distinguished by connection."""
MESSAGE_TIMEOUT_S = 20.0
"""Seconds within which a call must send its message."""
BUSY_MESSAGE_TIMEOUT_S = 0.2
"""The same while other calls wait for it: its lane has no free place, or its caller has no further turn."""
LANE_STALL_S = 1.0
"""Seconds after which a lane counts as stalled if calls may begin and none does."""


def has_private_names() -> bool:
    """Return whether the installed gRPC has the names that receive a message early."""
    try:
        messages = _server._RequestIterator(None, None, None)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        return False
    return all(hasattr(messages, name) for name in PRIVATE_NAMES)


IS_EARLY = has_private_names()
"""Whether first messages are received before their calls have threads."""


@dataclass(eq=False)
class FirstMessage(Iterator[bytes]):
    """The messages of a call, of which the first is received by `receive`."""

    _requests: Any
    """GRPC's iterator over them, which has not begun."""
    _call: Any = None
    _is_received: bool = False

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


class _LaneCall(NamedTuple):
    """A call that has no thread yet."""

    context: RequestContext
    messages: FirstMessage
    run: Callable[[], Any]
    cancel: Callable[[], object]
    ended: Future[Any]


@dataclass
class _Awaited:
    """A call whose message has not arrived."""

    since: float
    """On the watch of the lane."""
    context: RequestContext
    cancel: Callable[[], object]
    messages: FirstMessage | None = None
    """None for a further message of a stream."""
    is_checked: bool = False
    """Whether the call is cancelled unless its message is among the queued events."""


class Lane(ThreadPoolExecutor):
    """The threads for one kind of call."""

    def __init__(self, name: str, threads: int, max_calls: int, share: int) -> None:
        """Create a lane.

        Args:
            name: name of the lane, used in thread names.
            threads: number of calls that are answered at once.
            max_calls: maximum calls, including those that wait for a place.
            share: maximum calls of one caller.
        """
        super().__init__(threads, thread_name_prefix=f"grpc-{name}")
        self.name, self.threads, self.max_calls, self.share = name, threads, max_calls, share
        self._guard = threading.Lock()
        self._callers: dict[str, int] = {}
        self._num_calls = 0
        self._queues: RoundRobinQueues[_LaneCall] = RoundRobinQueues()
        self._num_placed = 0
        """Calls whose first message is awaited, or that have a thread; as many as threads at most."""
        self._entering: dict[str, int] = {}
        """By line: calls that have a place and whose first message has not arrived."""
        self._awaited: dict[object, _Awaited] = {}
        self._idle_since = 0.0
        self._watched_s, self._checked_at = 0.0, time.monotonic()
        """Seconds for which silent calls were watched, and when they were last checked."""
        self._admitted = RequestContext("")

    def admit(self, call: RequestContext) -> None:
        """Admit a call. The same thread submits it next, unless gRPC rejects it; then it is counted.

        Raises:
            Overloaded: the lane is full, or the caller has its share of it.
        """
        with self._guard:
            total, own = self._num_calls, self._callers.get(call.caller, 0)
            share = self.max_calls if call.caller in ANONYMOUS_CALLERS else self.share
            if total >= self.max_calls or own >= share:
                raise Overloaded(
                    f"{total} calls of this kind are in progress, {own} of them with your token; "
                    f"the limits are {self.max_calls} and {share}: retry later"
                )
            self._admitted = call

    def leave(self, caller: str) -> None:
        """Remove a call from the count."""
        with self._guard:
            self._num_calls -= 1
            _count(self._callers, caller, -1)

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run gRPC's work for the last admitted call as `enter` says."""
        _, rpc, _, _, requests, *_ = args  # gRPC's event, and what returns its iterator over the messages
        call, messages = self._admitted, FirstMessage(requests())
        call.client = rpc.call.peer().decode() if call.caller in ANONYMOUS_CALLERS else call.caller
        run = partial(work, *args[:4], lambda: messages, *args[5:], **kwargs)
        return self.enter(call, messages, run, rpc.call.cancel)

    def enter(
        self, call: RequestContext, messages: FirstMessage, run: Callable[[], T], cancel: Callable[[], object]
    ) -> Future[T]:
        """Answer an admitted call when its caller's turn has come and its first message has arrived.

        Args:
            call: the call; calls of the same `client` wait in one line.
            messages: the messages of the call.
            run: answers the call, on a thread of the lane.
            cancel: cancels the call if it is silent for too long.
        """
        ended: Future[T] = Future()
        with self._guard:
            self._num_calls += 1
            _count(self._callers, call.caller, 1)
            if not self._queues.any(self._has_turn):
                self._idle_since = time.monotonic()
            self._queues.add(call.client, _LaneCall(call, messages, run, cancel, ended))
        self._fill()
        return ended

    @property
    def is_stalled(self) -> bool:
        """Whether calls that may begin wait and none has begun for `LANE_STALL_S`.

        Calls that wait for earlier ones of the same caller to send their messages don't count.
        """
        with self._guard:
            return self._queues.any(self._has_turn) and time.monotonic() - self._idle_since > LANE_STALL_S

    @contextmanager
    def awaiting(self, call: RequestContext, context: grpc.ServicerContext) -> Iterator[None]:
        """Wait for a further message of a call, on the thread that answers it."""
        key = object()
        with self._guard:
            self._awaited[key] = _Awaited(self._watched_s, call, context.cancel)
        try:
            yield
        finally:
            with self._guard:
                del self._awaited[key]

    def cancel_stalled(self) -> None:
        """Cancel calls whose message has not arrived in time, or whose caller is no longer authorized."""
        now = time.monotonic()
        with self._guard:
            self._watched_s += min(now - self._checked_at, MAX_CHECK_S)
            self._checked_at, watched_s = now, self._watched_s
            is_full = self._num_placed >= self.threads
            awaited = [(key, one, self._timeout_of(one, is_full)) for key, one in self._awaited.items()]
        for key, one, timeout in awaited:
            if not one.context.is_authorized():
                one.cancel()
            elif watched_s - one.since > timeout and not one.is_checked:
                if one.messages is None:
                    one.cancel()
                else:
                    one.is_checked = one.messages.catch_up(partial(self._cancel_if_awaited, key))

    def _timeout_of(self, one: _Awaited, is_full: bool) -> float:
        return BUSY_MESSAGE_TIMEOUT_S if is_full or self._is_blocked(one.context.client) else MESSAGE_TIMEOUT_S

    def _cancel_if_awaited(self, key: object) -> None:
        with self._guard:
            one = self._awaited.get(key)
        if one is not None:
            one.cancel()

    def _has_turn(self, line: str) -> bool:
        return self._entering.get(line, 0) < max(1, self.threads // 2)

    def _is_blocked(self, line: str) -> bool:
        return line in self._queues and not self._has_turn(line)

    def _fill(self) -> None:
        """Give the free places to the calls whose turn it is, and await their messages."""
        while self._queues:  # whoever adds one looks for a place afterwards
            with self._guard:
                if self._num_placed >= self.threads or not self._queues.any(self._has_turn):
                    return
                call = self._queues.next(self._has_turn)
                self._num_placed += 1
                _count(self._entering, call.context.client, 1)
                self._idle_since = time.monotonic()
                self._awaited[call.ended] = _Awaited(self._watched_s, call.context, call.cancel, call.messages)
            call.messages.receive(partial(self._arrived, call))

    def _arrived(self, call: _LaneCall) -> None:
        """Give a thread to a call whose first message has arrived, or will not."""
        with self._guard:
            del self._awaited[call.ended]
            could_begin = self._queues.any(self._has_turn)
            _count(self._entering, call.context.client, -1)
            if not could_begin:
                self._idle_since = time.monotonic()
        with suppress(RuntimeError):  # the process ends
            super().submit(self._run, call)
        self._fill()

    def _run(self, call: _LaneCall) -> None:
        try:
            call.ended.set_result(call.run())
        except BaseException as error:
            call.ended.set_exception(error)
        with self._guard:
            self._num_placed -= 1
        self._fill()


def _count(counts: dict[str, int], key: str, change: int) -> None:
    """Change a count, of which zeros are left out. `Counter` does so in Python, several times as slowly."""
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        del counts[key]
