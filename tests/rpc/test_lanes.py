"""A lane's threads are shared by callers in turn, and no caller holds them by being silent."""

import threading
from collections.abc import Callable

import pytest

from bo_service.domain.errors import Overloaded
from bo_service.request_context import RequestContext
from bo_service.rpc import lanes
from bo_service.rpc.lanes import Lane


class Call:
    """A call of a lane whose first message arrives when the test says so."""

    def __init__(self, lane: Lane, caller: str) -> None:
        self.context = RequestContext("m", caller=caller, client=caller)
        self.is_cancelled, self.is_begun = False, False
        self.is_serving = True
        """Whether the serving thread has nothing queued."""
        self.is_answered, self.may_end = threading.Event(), threading.Event()
        lane.admit(self.context)
        self.ended = lane.enter(self.context, self, self._run, self._cancel)

    def receive(self, then: Callable[[], None]) -> None:
        self.is_begun, self.arrive = True, then

    def catch_up(self, then: Callable[[], None]) -> bool:
        if self.is_serving:
            then()
        else:
            self.serve = then
        return True

    def _run(self) -> None:
        self.is_answered.set()
        assert self.may_end.wait(60)

    def _cancel(self) -> None:
        self.is_cancelled = True


class Arrived:
    """A message that is there."""

    def receive(self, then: Callable[[], None]) -> None:
        then()

    def catch_up(self, then: Callable[[], None]) -> bool:
        then()
        return True


def begin(lane: Lane, caller: str, work):
    """Begin a call whose message is there."""
    context = RequestContext("m", caller=caller, client=caller)
    lane.admit(context)
    return lane.enter(context, Arrived(), work, lambda: None)


def end(lane: Lane, calls: list[Call]) -> None:
    """End every call, each when its turn has come."""
    waiting = list(calls)
    while waiting:
        call = next(one for one in waiting if one.is_begun)
        waiting.remove(call)
        call.may_end.set()
        if not call.is_answered.is_set():
            call.arrive()
        call.ended.result(120)
    lane.shutdown()


def test_a_thousand_calls_of_one_caller_cost_another_one_turn() -> None:
    lane, go_on, order = Lane("test", 1, 4096, 4096), threading.Event(), []
    first = begin(lane, "x", go_on.wait)
    done = [begin(lane, "a", lambda: order.append("greedy")) for _ in range(1000)]
    done.append(begin(lane, "b", lambda: order.append("modest")))
    go_on.set()
    assert first.result(120)
    for one in done:
        one.result(120)
    assert order.index("modest") == 1
    lane.shutdown()


def test_a_lane_is_bounded_in_all_and_for_each_caller() -> None:
    lane, go_on = Lane("test", 1, 4, 2), threading.Event()
    for caller in ("a", "a", "b"):
        begin(lane, caller, go_on.wait)
    with pytest.raises(Overloaded, match="2 of them with your token"):
        lane.admit(RequestContext("m", caller="a"))
    begin(lane, "b", go_on.wait)
    with pytest.raises(Overloaded, match="4 calls of this kind"):
        lane.admit(RequestContext("m", caller="c"))
    lane.leave("a")
    lane.admit(RequestContext("m", caller="c"))
    go_on.set()
    lane.shutdown()


def test_a_call_that_was_admitted_and_not_submitted_counts_for_nothing() -> None:
    """As where gRPC has too many calls."""
    lane = Lane("test", 1, 1, 1)
    for _ in range(3):
        lane.admit(RequestContext("m", caller="a"))
    lane.shutdown()


@pytest.mark.parametrize("threads", [2, 4, 16])
def test_silent_calls_of_one_caller_take_half_of_the_threads(threads: int) -> None:
    lane = Lane("test", threads, 100, 100)
    silent = [Call(lane, "a") for _ in range(3 * threads)]
    for one in [begin(lane, "b", lambda: None) for _ in range(3 * threads)]:
        one.result(120)
    assert [call.is_begun for call in silent] == [True] * (threads // 2) + [False] * (3 * threads - threads // 2)
    end(lane, silent)


def test_silent_calls_of_all_callers_take_no_more_places_than_there_are() -> None:
    """So that the messages of no more calls are held in memory."""
    lane = Lane("test", 4, 100, 100)
    silent = [Call(lane, caller) for caller in "abcdef"]
    assert [call.is_begun for call in silent] == [True] * 4 + [False] * 2
    end(lane, silent)


def test_silent_calls_hold_no_thread() -> None:
    lane = Lane("silent", 4, 100, 100)
    silent = [Call(lane, caller) for caller in "abcd"]
    assert all(call.is_begun for call in silent)
    assert not any(thread.name.startswith("grpc-silent") for thread in threading.enumerate())
    end(lane, silent)


def test_a_lane_of_one_thread_takes_silent_calls_one_at_a_time() -> None:
    lane = Lane("test", 1, 100, 100)
    silent = [Call(lane, "a") for _ in range(3)]
    assert [call.is_begun for call in silent] == [True, False, False]
    end(lane, silent)


def test_the_next_call_of_a_caller_begins_when_a_message_has_arrived() -> None:
    """Though the call whose message it is goes on."""
    lane = Lane("test", 4, 100, 100)
    silent = [Call(lane, "a") for _ in range(5)]
    for i in range(2):
        assert [call.is_begun for call in silent] == [True] * (2 + i) + [False] * (3 - i)
        silent[i].arrive()
        assert silent[i].is_answered.wait(120)
    assert [call.is_begun for call in silent] == [True] * 4 + [False]
    end(lane, silent)


def test_calls_that_fail_make_room() -> None:
    def fail() -> None:
        raise ConnectionError

    lane = Lane("test", 4, 1000, 1000)
    for one in [begin(lane, "a", fail) for _ in range(100)]:
        assert isinstance(one.exception(10), ConnectionError)
    lane.shutdown()


def test_silent_calls_are_cancelled_soon_where_their_caller_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", -1.0)
    lane = Lane("test", 16, 100, 100)
    silent = [Call(lane, "b") for _ in range(2)] + [Call(lane, "a") for _ in range(8)]
    lane.cancel_stalled()
    assert not any(call.is_cancelled for call in silent)  # nobody waits
    silent += [Call(lane, "a") for _ in range(8)]
    lane.cancel_stalled()
    assert [call.is_cancelled for call in silent] == [False] * 2 + [True] * 8 + [False] * 8
    end(lane, silent)


def test_silent_calls_are_cancelled_soon_where_all_places_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", -1.0)
    lane = Lane("test", 2, 100, 100)
    silent = [Call(lane, "a")]
    lane.cancel_stalled()
    assert not silent[0].is_cancelled
    silent.append(Call(lane, "b"))
    lane.cancel_stalled()
    assert all(call.is_cancelled for call in silent)
    end(lane, silent)


def test_a_message_that_waits_for_the_serving_thread_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", -1.0)
    lane = Lane("test", 2, 100, 100)
    calls = [Call(lane, caller) for caller in "ab"]
    for call in calls:
        call.is_serving = False
    for _ in range(3):
        lane.cancel_stalled()
    assert not any(call.is_cancelled for call in calls)
    calls[0].arrive()
    for call in calls:
        call.serve()
    assert [call.is_cancelled for call in calls] == [False, True]
    end(lane, calls)


def test_a_server_that_stood_still_has_heard_nothing_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", 1.0)
    now = [1000.0]
    monkeypatch.setattr(lanes.time, "monotonic", lambda: now[0])
    lane = Lane("test", 1, 100, 100)
    call = Call(lane, "a")
    now[0] += 3600.0
    lane.cancel_stalled()
    assert not call.is_cancelled
    for _ in range(20):
        now[0] += lanes.STALL_CHECK_S
        lane.cancel_stalled()
    assert call.is_cancelled
    monkeypatch.undo()
    end(lane, [call])


def test_a_call_is_cancelled_when_its_caller_is_no_longer_let_in() -> None:
    lane = Lane("test", 4, 100, 100)
    call = Call(lane, "a")
    lane.cancel_stalled()
    assert not call.is_cancelled
    call.context.is_authorized = lambda: False
    lane.cancel_stalled()
    assert call.is_cancelled
    end(lane, [call])


def test_a_lane_stalls_where_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LANE_STALL_S", -1.0)
    lane, go_on = Lane("test", 1, 100, 100), threading.Event()
    first = begin(lane, "a", go_on.wait)
    assert not lane.is_stalled
    second = begin(lane, "b", go_on.wait)
    assert lane.is_stalled
    go_on.set()
    assert (first.result(120), second.result(10)) == (True, True)
    assert not lane.is_stalled
    lane.shutdown()


def test_a_caller_who_waits_for_its_own_messages_stalls_no_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LANE_STALL_S", -1.0)
    lane, go_on = Lane("test", 4, 100, 100), threading.Event()
    silent = [Call(lane, "a") for _ in range(4)]
    assert [call.is_begun for call in silent] == [True, True, False, False]
    assert not lane.is_stalled
    busy = [begin(lane, caller, go_on.wait) for caller in ("b", "c", "d")]
    assert lane.is_stalled  # the last one waits for a place
    go_on.set()
    for one in busy:
        one.result(120)
    assert not lane.is_stalled
    end(lane, silent)
