"""Fair queues: a thousand waiters of one kind cost another kind's one turn."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager

import pytest

from bo_service.application.waiting import FairLock, RoundRobinQueues


@contextmanager
def held(lock: FairLock, key: str) -> Iterator[None]:
    """Hold the lock in a block."""
    assert lock.acquire(key, 60.0)
    try:
        yield
    finally:
        lock.release()


def test_lines_take_turns_and_keep_their_own_order() -> None:
    lines: RoundRobinQueues[str] = RoundRobinQueues()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        lines.add(item[0], item)
    assert [lines.next() for _ in range(len(lines))] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_nothing_is_next_where_nothing_waits() -> None:
    with pytest.raises(StopIteration):
        RoundRobinQueues().next()


def test_a_line_without_turns_keeps_its_place() -> None:
    lines: RoundRobinQueues[str] = RoundRobinQueues()
    for item in ("a1", "b1", "a2"):
        lines.add(item[0], item)
    assert lines.any("b".__eq__)
    assert lines.next("b".__eq__) == "b1"
    assert not lines.any("b".__eq__)
    with pytest.raises(StopIteration):
        lines.next("b".__eq__)
    lines.add("b", "b2")
    assert [lines.next() for _ in range(3)] == ["a1", "b2", "a2"]


def test_one_who_waits_for_a_lock_is_not_held_up_by_many_of_another_kind() -> None:
    lock, order = FairLock(), []

    def hold(key: str) -> None:
        with held(lock, key):
            order.append(key)

    with ThreadPoolExecutor(21) as pool, held(lock, "greedy"):
        for count, key in enumerate([*["greedy"] * 20, "modest"], 1):
            pool.submit(hold, key)
            while lock.num_waiting < count:
                pass
    assert order.index("modest") == 1
    assert len(order) == 21


def test_a_lock_is_held_by_one_at_a_time() -> None:
    lock, inside, most = FairLock(), 0, 0

    def hold(key: str) -> None:
        nonlocal inside, most
        for _ in range(200):
            with held(lock, key):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=hold, args=(str(i % 3),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside, lock.num_waiting) == (1, 0, 0)


def test_a_lock_is_free_again_after_an_error() -> None:
    lock = FairLock()
    with pytest.raises(KeyError), held(lock, "a"):
        raise KeyError
    with held(lock, "b"):
        pass


def test_whoever_waits_in_vain_leaves_the_line() -> None:
    lock = FairLock()
    with held(lock, "a"):
        assert not lock.acquire("b", 0.01)
        assert lock.num_waiting == 0
        assert not lock.reserve_next()
    with held(lock, "c"):
        pass


def test_whoever_was_promised_the_lock_gets_it_however_late() -> None:
    lock = FairLock()
    with ThreadPoolExecutor(1) as pool:
        with held(lock, "a"):
            waiting = pool.submit(lock.acquire, "b", 0.2)
            while not lock.reserve_next():
                time.sleep(0.001)
            with pytest.raises(FutureTimeout):
                waiting.result(timeout=1.0)  # its time has passed, and it waits on
        assert waiting.result(timeout=60.0)
