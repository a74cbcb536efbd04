"""Fair queues: a thousand waiters of one kind cost another kind's one turn."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from bo_service.fair_lock import FairLock, RoundRobinQueues


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
        with lock.hold(key, 60.0):
            order.append(key)

    with ThreadPoolExecutor(21) as pool, lock.hold("greedy", 60.0):
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
            with lock.hold(key, 60.0):
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
    with pytest.raises(KeyError), lock.hold("a", 60.0):
        raise KeyError
    with lock.hold("b", 60.0):
        pass


def test_whoever_waits_in_vain_leaves_the_line() -> None:
    lock = FairLock()
    with lock.hold("a", 60.0):
        with pytest.raises(TimeoutError), lock.hold("b", 0.01):
            raise AssertionError("it is held")
        assert lock.num_waiting == 0
        assert not lock.reserve_next()
    with lock.hold("c", 60.0):
        pass


def test_whoever_was_promised_the_lock_gets_it_however_late() -> None:
    lock = FairLock()
    with ThreadPoolExecutor(1) as pool:
        with lock.hold("a", 60.0):
            waiting = pool.submit(lambda: lock.hold("b", 0.2).__enter__())
            while not lock.reserve_next():
                time.sleep(0.001)
            with pytest.raises(FutureTimeout):
                waiting.result(timeout=1.0)  # its time has passed, and it waits on
        waiting.result(timeout=60.0)
