"""Waiting: for no longer than a call's deadline, for a turn, fairly where many wait for one, and for a change."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_END: ContextVar[float | None] = ContextVar("deadline", default=None)
"""On the monotonic clock; None where nobody waits."""


def set_deadline(seconds: float | None) -> None:
    """Set how long the caller waits from now on: this thread's context ends with the call."""
    _END.set(None if seconds is None else time.monotonic() + seconds)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let nothing in the block wait longer."""
    token = _END.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _END.reset(token)


def within(seconds: float) -> float:
    """Return so many seconds, or what the call has left where that is less."""
    end = _END.get()
    return seconds if end is None else max(0.0, min(seconds, end - time.monotonic()))


def has_passed() -> bool:
    """Return whether the call has no time left to wait."""
    end = _END.get()
    return end is not None and time.monotonic() >= end


@dataclass
class Turn:
    """A lock for work that takes long: one thread has it at a time, and others wait until their deadlines."""

    waiting: int = 0
    """How many threads have it or wait for it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _count_lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def taken(self, timeout: float) -> Iterator[bool]:
        """Yield whether the turn came within `timeout` seconds, and within the call's deadline."""
        with self._count_lock:
            self.waiting += 1
        is_mine = self._lock.acquire(timeout=within(max(0.0, timeout)))
        try:
            yield is_mine
        finally:
            if is_mine:
                self._lock.release()
            with self._count_lock:
                self.waiting -= 1


class RoundRobinQueues(Generic[T]):
    """Waiting items in one queue per key, served round-robin.

    An item waits one turn per other key, however long their queues are.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, key: str, item: T) -> None:
        """Append an item to the queue of a key."""
        self._queues.setdefault(key, deque()).append(item)

    def remove(self, key: str, item: T) -> bool:
        """Remove an item from its queue, and return whether it was there."""
        queue = self._queues.get(key)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        if not queue:
            del self._queues[key]
        return True

    def __contains__(self, key: str) -> bool:
        return key in self._queues

    def any(self, may_go: Callable[[str], bool]) -> bool:
        """Return whether something waits in one of the lines for whose keys `may_go` is true."""
        return any(map(may_go, self._queues))

    def next(self, may_go: Callable[[str], bool] = lambda _: True) -> T:
        """Take what is first in the line whose turn it is.

        Args:
            may_go: whether a line has turns at present, by its key. A line that has none keeps its place.

        Raises:
            StopIteration: nothing waits in a line that has turns.
        """
        key = next(filter(may_go, self._queues))
        line = self._queues.pop(key)
        item = line.popleft()
        if line:
            self._queues[key] = line  # at the end: a dictionary keeps the order in which its keys came
        return item


class FairLock:
    """A lock that is granted round-robin by key, and first come, first served within a key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_held = False
        self._is_reserved = False
        self._queues: RoundRobinQueues[threading.Lock] = RoundRobinQueues()

    @property
    def num_waiting(self) -> int:
        """Number of waiting threads."""
        with self._guard:
            return len(self._queues)

    def reserve_next(self) -> bool:
        """Return whether a thread waits; if so, one of them is certain to get the lock next.

        The holder calls this as its last step.
        """
        with self._guard:
            self._is_reserved = bool(self._queues)
            return self._is_reserved

    def acquire(self, key: str, timeout: float) -> bool:
        """Wait for the lock, and return whether it was free in time.

        Args:
            key: the queue to wait in.
            timeout: maximum seconds to wait.
        """
        with self._guard:
            if not self._is_held:
                self._is_held = True
                return True
            ticket = threading.Lock()
            ticket.acquire()
            self._queues.add(key, ticket)
        if ticket.acquire(timeout=timeout):  # whoever held the lock releases the ticket
            return True
        with self._guard:
            is_reserved_waiter = self._is_reserved and len(self._queues) == 1
            if not is_reserved_waiter and self._queues.remove(key, ticket):
                return False
        return ticket.acquire()  # it is given at this moment

    def release(self) -> None:
        """Release the lock, and hand it to the next waiting thread."""
        with self._guard:
            self._is_reserved = False
            if self._queues:
                self._queues.next().release()
            else:
                self._is_held = False


class Watchers:
    """The threads that wait for changes of a study, and the revision that was last announced to them."""

    def __init__(self, lock: threading.Lock) -> None:
        """Guard everything with a lock, which whoever announces a change holds."""
        self.num_changes = 0
        """The number of announced changes. Read it before the study, and pass it to `wait`."""
        self.num_watching = 0
        self._changed = threading.Condition(lock)
        self._revision: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count a watcher inside the block."""
        with self._changed:
            self._revision = self._revision if self.num_watching else None
            self.num_watching += 1
        try:
            yield
        finally:
            with self._changed:
                self.num_watching -= 1

    def mark_seen(self, revision: int) -> None:
        """Note that the first watcher has seen this revision, which is then not announced."""
        with self._changed:
            if self._revision is None:
                self._revision = revision

    def wait(self, num_changes: int, timeout: float) -> bool:
        """Wait until more than `num_changes` were announced; return False after `timeout` seconds without."""
        with self._changed:
            return self._changed.wait_for(lambda: self.num_changes > num_changes, timeout)

    def announce(self, revision: int) -> None:
        """Wake all watchers, unless this revision was announced before. The caller holds the lock."""
        if revision != self._revision:
            self.num_changes, self._revision = self.num_changes + 1, revision
            self._changed.notify_all()
