"""Fair queues: each key has its own queue, and the queues are served in turn."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
        """Give the lock to whose turn it is."""
        with self._guard:
            self._is_reserved = False
            if self._queues:
                self._queues.next().release()
            else:
                self._is_held = False
