"""Processes that compute are killed, hang, run out of memory: the caller has its answer in time, and they recover."""

import multiprocessing
import os
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from bo_service.application.ports import ComputationHandle
from bo_service.compute import process, processes, tasks
from bo_service.compute.pool import PoolOptimizer
from bo_service.domain.errors import DeadlinePassed, LimitExceeded
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import Observation, OptimizerInput, Suggestion

pytestmark = pytest.mark.xdist_group("pool")  # its processes are started once

SPACE = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)), Parameter("y", FloatDomain(0.0, 1.0))))
linux = pytest.mark.skipif(sys.platform != "linux", reason="they are forked on Linux alone")
INTERRUPTIONS = 40
PATIENCE = 240.0
"""Enough on a busy machine."""


def inputs(observations: int = 5) -> OptimizerInput:
    past = [
        Observation(i + 1, {"x": (i * 37 % 101) / 101, "y": (i * 53 % 97) / 97}, float(i % 7))
        for i in range(observations)
    ]
    return OptimizerInput(SPACE, SuggestionSettings(), 0, tuple(past))


@pytest.fixture(scope="module")
def left() -> Iterator[None]:
    """A process that nobody waits for is left half a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "INTERRUPT_TIMEOUT_S", 0.5)
        yield


@pytest.fixture(scope="module")
def shared(left: None) -> Iterator[PoolOptimizer]:
    pool = PoolOptimizer(1)
    yield pool
    pool.close()


@pytest.fixture
def pool(shared: PoolOptimizer) -> PoolOptimizer:
    """One process, at work."""
    assert recovered(shared)
    return shared


@pytest.fixture
def pair(left: None) -> Iterator[PoolOptimizer]:
    """Two processes, at work."""
    pool = PoolOptimizer(2)
    assert recovered(pool)
    with beside(pool):
        assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    yield pool
    pool.close()


@contextmanager
def beside(pool: PoolOptimizer) -> Iterator[None]:
    """A task that has one of the processes meanwhile."""
    handle = ComputationHandle(is_urgent=True)

    def work() -> None:
        with suppress(processes.ComputationStopped):
            pool._processes.run(PATIENCE, time.sleep, PATIENCE, handle=handle)

    thread = threading.Thread(target=work)
    thread.start()
    while not pool.load().running:
        time.sleep(0.01)
    try:
        yield
    finally:
        handle.cancel()
        thread.join()


def children() -> list[BaseProcess]:
    return multiprocessing.active_children()


def of(pool: PoolOptimizer) -> list[BaseProcess]:
    """The processes of one pool."""
    return [process for one in pool._processes._all for process in one._processes()]


def forking(process: BaseProcess) -> int:
    """The process that it was forked from."""
    return int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_over(pid: int) -> bool:
    """Whether a process has ended, even if nobody has collected its exit status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def signaled(number: signal.Signals) -> None:
    for child in children():
        assert child.pid is not None
        os.kill(child.pid, number)


def recovered(pool: PoolOptimizer) -> list[Suggestion]:
    """What it suggests once it does again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = pool.suggest(inputs(), 1, 5.0, ComputationHandle(is_urgent=True))
        if found:
            return found
    raise AssertionError("the pool doesn't recover")


def test_a_process_killed_at_work_is_replaced_and_asked_again(pool: PoolOptimizer) -> None:
    (killed,) = children()
    killer = threading.Timer(0.3, killed.kill)
    killer.start()
    found = pool.analyze(inputs(60), PATIENCE)
    killer.join()
    assert found.observation_count == 60
    assert not killed.is_alive()


def test_a_process_killed_while_idle_is_replaced(pool: PoolOptimizer) -> None:
    (killed,) = children()
    killed.kill()
    killed.join(120)
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    assert pool.predict(inputs(), [{"x": 0.5, "y": 0.5}], PATIENCE).observation_count == 5


@linux
def test_processes_are_forked_from_one_that_does_nothing_else(pair: PoolOptimizer) -> None:
    """Never from this one, whose gRPC threads a fork would lose; pandas would cost each server 0.4 s and its memory."""
    (parent,) = {forking(process) for process in of(pair)}
    assert parent != os.getpid()
    loaded = Path(f"/proc/{parent}/maps").read_text()
    assert "grpc" not in loaded
    assert "/pandas/" not in loaded
    assert "sklearn" in loaded


@linux
def test_the_process_that_others_are_forked_from_is_replaced(pool: PoolOptimizer) -> None:
    before = of(pool)
    parent = forking(before[0])
    os.kill(parent, signal.SIGKILL)
    assert pool.analyze(inputs(), PATIENCE).observation_count == 5
    assert recovered(pool)
    assert {forking(process) for process in of(pool)} != {parent}
    deadline = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{process.pid}").exists() for process in before):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@linux
def test_the_process_that_others_are_forked_from_hangs(pool: PoolOptimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = forking(of(pool)[0])
    os.kill(hanging, signal.SIGSTOP)
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    with monkeypatch.context() as patched:
        patched.setattr(process, "START_TIMEOUT_S", 2.0)
        patched.setattr(process, "KILL_TIMEOUT_S", 1.0)
        of(pool)[0].kill()
        assert pool.suggest(inputs(), 1, 0.1, ComputationHandle(is_urgent=True)) is None
        until(lambda: is_over(hanging))  # the next has the usual time to start, however slow the machine is
    assert recovered(pool)


@linux
def test_it_closes_while_the_process_that_others_are_forked_from_hangs(
    pool: PoolOptimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "KILL_TIMEOUT_S", 1.0)
    other = PoolOptimizer(1)
    assert recovered(other)
    gone = of(other)
    os.kill(forking(gone[0]), signal.SIGSTOP)
    other.close()
    deadline = time.monotonic() + PATIENCE
    while any(process.is_alive() for process in gone):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@linux
def test_it_closes_while_a_process_waits_to_be_forked(pool: PoolOptimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_TIMEOUT_S", 3600.0)
    os.kill(forking(of(pool)[0]), signal.SIGSTOP)
    other = PoolOptimizer(1)
    time.sleep(0.5)  # until it waits
    other.close()


def test_a_start_that_fails_in_whatever_way_is_tried_again(left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "RESTART_INTERVAL_S", 0.1)
    start, failures = process.Process.start, [MemoryError(), ValueError(), EOFError()]

    def fail(one: process.Process) -> None:
        if failures:
            raise failures.pop()
        start(one)

    monkeypatch.setattr(process.Process, "start", fail)
    pool = PoolOptimizer(1)
    assert recovered(pool)
    pool.close()


def test_another_is_started_where_two_tasks_wait_for_the_first(left: None) -> None:
    pool = PoolOptimizer(2)
    errands = [ComputationHandle(is_urgent=False) for _ in range(2)]
    ways = [begun(pool, PATIENCE, handle) for handle in errands]
    until(lambda: pool.load().running == 2)
    for handle, (thread, ended) in zip(errands, ways, strict=True):
        handle.cancel()
        thread.join(PATIENCE)
        assert ended == ["stopped"]
    pool.close()


def test_a_task_that_kills_its_process_each_time_is_given_up(pool: PoolOptimizer) -> None:
    with pytest.raises(DeadlinePassed, match="killed"):
        pool._processes.run(PATIENCE, os.abort)
    assert recovered(pool)


def test_a_process_that_hangs_costs_one_caller_its_surrogate_and_is_replaced(pool: PoolOptimizer) -> None:
    hung = children()
    signaled(signal.SIGSTOP)
    assert pool.suggest(inputs(), 1, 0.5, ComputationHandle(is_urgent=True)) is None
    assert recovered(pool)
    assert not any(process.is_alive() for process in hung)


def test_who_waits_for_a_hung_process_is_told_in_time(pool: PoolOptimizer) -> None:
    signaled(signal.SIGSTOP)
    with pytest.raises(DeadlinePassed):
        pool.predict(inputs(), [{"x": 0.5, "y": 0.5}], 0.2)
    with pytest.raises(DeadlinePassed):
        pool.analyze(inputs(), 0.2)
    assert recovered(pool)


def test_another_is_started_once_a_task_has_to_wait(left: None) -> None:
    before = len(children())
    pool = PoolOptimizer(2)
    try:
        assert recovered(pool)
        assert len(children()) == before + 1
        with beside(pool):
            assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
            assert len(children()) == before + 2
        assert recovered(pool)
    finally:
        pool.close()


def test_one_that_hangs_is_no_burden_to_the_other(pair: PoolOptimizer) -> None:
    began = time.monotonic()
    assert pair.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    took = time.monotonic() - began
    hung = of(pair)[-1]
    assert hung.pid is not None
    os.kill(hung.pid, signal.SIGSTOP)
    found = [pair.suggest(inputs(), 1, 1.0 + 20 * took, ComputationHandle(is_urgent=True)) for _ in range(3)]
    assert sum(f is None for f in found) <= 1
    assert recovered(pair)


def test_a_subject_comes_back_to_the_process_that_remembers_it(pair: PoolOptimizer) -> None:
    def process_of(subject: str) -> int:
        found: int = pair._processes.run(PATIENCE, os.getpid, affinity_key=subject)
        return found

    with beside(pair):
        other = process_of("a")
    places = {subject: process_of(subject) for subject in "bcde"}
    assert len({other, *places.values()}) == 2
    assert process_of("a") == other
    assert {subject: process_of(subject) for subject in "cbed"} == places
    assert recovered(pair)


def test_statistics_that_suggestions_do_without_are_loaded_by_their_first_call(pool: PoolOptimizer) -> None:
    def in_process(expression: str) -> object:
        return pool._processes.run(PATIENCE, eval, expression)

    is_loaded = "'scipy.stats' in __import__('sys').modules"
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    assert in_process(is_loaded) is False
    assert in_process("__import__('sklearn.metrics', fromlist='_')._ranking.rankdata([3, 1, 1]).tolist()") == [
        3,
        1.5,
        1.5,
    ]
    assert in_process(is_loaded) is True


def test_what_was_learned_comes_back(pool: PoolOptimizer) -> None:
    found = pool.suggest(inputs(70), 1, PATIENCE, ComputationHandle(is_urgent=True))
    assert found is not None
    assert found.hyperparameters
    again = pool.suggest(
        replace(inputs(70), hyperparameters=found.hyperparameters), 1, PATIENCE, ComputationHandle(is_urgent=True)
    )
    assert again == found


def test_out_of_memory_costs_one_answer(pool: PoolOptimizer) -> None:
    (starved,) = children()
    assert starved.pid is not None
    size = int(Path(f"/proc/{starved.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(starved.pid, resource.RLIMIT_AS, (size + 2**20, size + 2**20))
    with suppress(LimitExceeded, DeadlinePassed):
        pool.analyze(inputs(800), 20.0)
        assert not starved.is_alive()  # it was killed, and its successor has answered
    assert recovered(pool)


def test_a_process_that_needs_more_memory_than_it_may_take_costs_one_answer(left: None) -> None:
    pool = PoolOptimizer(1, memory=512 * 2**20)
    assert recovered(pool)
    (process,) = of(pool)
    with pytest.raises(MemoryError):
        pool._processes.run(PATIENCE, bytearray, 2**29)
    assert recovered(pool)
    assert not process.is_alive()
    assert pool.load().restarts == 1
    pool.close()


def test_a_task_that_takes_long_is_left_to_end(pool: PoolOptimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "INTERRUPT_TIMEOUT_S", PATIENCE)
    (busy,) = children()
    with pytest.raises(DeadlinePassed):
        pool._processes.run(0.1, time.sleep, 1.0)
    assert recovered(pool)
    assert busy.is_alive()


def begun(pool: PoolOptimizer, seconds: float, handle: ComputationHandle) -> tuple[threading.Thread, list[str]]:
    """A task that takes so long, in its process, and how it ended once it has."""
    ended: list[str] = []

    def run() -> None:
        try:
            pool._processes.run(PATIENCE, time.sleep, seconds, handle=handle)
            ended.append("done")
        except processes.ComputationStopped:
            ended.append("stopped")

    thread = threading.Thread(target=run)
    before = pool.load()
    thread.start()
    while (pool.load().running, pool.load().waiting) == (before.running, before.waiting):
        time.sleep(0.01)
    time.sleep(0.3)  # until it is at the process, too
    return thread, ended


def test_a_task_that_is_stopped_leaves_its_process_to_the_next(pool: PoolOptimizer) -> None:
    (process,) = children()
    handle = ComputationHandle(is_urgent=False)
    thread, ended = begun(pool, PATIENCE, handle)
    handle.cancel()
    thread.join(PATIENCE / 2)
    assert ended == ["stopped"]
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    assert children() == [process]
    assert process.is_alive()


def test_an_interruption_is_one_at_every_instant(pool: PoolOptimizer) -> None:
    """Also within C code that makes another exception of it."""
    rng = random.Random(0)
    known, outcomes = inputs(60), Counter[str]()
    for _ in range(INTERRUPTIONS):
        handle = ComputationHandle(is_urgent=False)
        stopper = threading.Timer(rng.random() * 0.3, handle.cancel)
        stopper.start()
        try:
            pool._processes.run(PATIENCE, tasks.suggest, known, 1, handle=handle)
            outcomes["done"] += 1
        except processes.ComputationStopped:
            outcomes["stopped"] += 1
        stopper.join()
    assert outcomes["stopped"]
    assert pool.load().failures == 0
    assert recovered(pool)


def test_what_is_urgent_stops_what_is_not_and_goes_before_it(pool: PoolOptimizer) -> None:
    running, stopped = begun(pool, PATIENCE, ComputationHandle(is_urgent=False))
    waiting, left = begun(pool, 0.0, ComputationHandle(is_urgent=False))
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    running.join(PATIENCE / 2)
    waiting.join(PATIENCE / 2)
    assert (stopped, left) == (["stopped"], ["done"])


def test_what_has_become_urgent_is_not_stopped(pool: PoolOptimizer) -> None:
    handle = ComputationHandle(is_urgent=False)
    running, ended = begun(pool, 1.5, handle)
    handle.raise_priority()
    assert pool.suggest(inputs(), 1, PATIENCE, ComputationHandle(is_urgent=True))
    running.join(PATIENCE / 2)
    assert ended == ["done"]


def test_what_is_stopped_while_it_waits_never_runs(pool: PoolOptimizer) -> None:
    running, _ = begun(pool, 1.5, ComputationHandle(is_urgent=True))
    handle = ComputationHandle(is_urgent=False)
    waiting, ended = begun(pool, PATIENCE, handle)
    handle.cancel()
    waiting.join(PATIENCE / 2)
    assert ended == ["stopped"]
    running.join(PATIENCE / 2)
    assert recovered(pool)


def test_it_closes_while_a_process_hangs(pool: PoolOptimizer) -> None:
    signaled(signal.SIGSTOP)
    assert pool.suggest(inputs(), 1, 0.1, ComputationHandle(is_urgent=True)) is None
    pool.close()
    time.sleep(0.7)  # whoever watched the hung one starts no other
    assert not children()


def test_who_waits_for_a_process_is_told_when_the_pool_closes(left: None) -> None:
    """Else a server that is told to end would wait for the deadlines of those that wait."""
    pool = PoolOptimizer(1)
    assert recovered(pool)
    ended: list[str] = []

    def wait() -> None:
        try:
            pool._processes.run(PATIENCE * 10, time.sleep, PATIENCE * 10)
        except DeadlinePassed as error:
            ended.append(error.message)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: (pool.load().waiting, pool.load().running) == (2, 1))
    pool.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(ended) == 3


def test_who_waits_for_a_task_that_has_not_begun_is_told_when_the_pool_closes(
    left: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor cancels what it has not passed to its process yet."""
    pool = PoolOptimizer(1)
    assert recovered(pool)
    pending: Future[None] = Future()
    monkeypatch.setattr(process.Process, "submit", lambda *_: pending)
    ended: list[str] = []

    def wait() -> None:
        try:
            pool._processes.run(PATIENCE * 10, time.sleep, 0.0)
        except DeadlinePassed as error:
            ended.append(error.message)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: pool.load().running == 1)
    pool.close()
    pending.cancel()
    thread.join(PATIENCE)
    assert ended == ["the server is shutting down; try again"]
