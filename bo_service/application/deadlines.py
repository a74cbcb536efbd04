"""Waiting: for no longer than a call's deadline, for a turn, and for a change."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

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
    """A right that one thread has at a time, for what takes long."""

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


class Watchers:
    """Those who wait for the changes of something, and the revision that they were last told of."""

    def __init__(self, lock: threading.Lock) -> None:
        """Guard everything with a lock, which whoever announces a change holds."""
        self.num_changes = 0
        """How many changes were announced: look at what is watched after asking this, then wait."""
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
        """Note that the first watcher has seen this revision, and needn't be told of it."""
        with self._changed:
            if self._revision is None:
                self._revision = revision

    def wait(self, num_changes: int, timeout: float) -> bool:
        """Wait until more than `num_changes` were announced; return False after `timeout` seconds without."""
        with self._changed:
            return self._changed.wait_for(lambda: self.num_changes > num_changes, timeout)

    def announce(self, revision: int) -> None:
        """Wake all watchers, unless they were told of this revision. The lock is held."""
        if revision != self._revision:
            self.num_changes, self._revision = self.num_changes + 1, revision
            self._changed.notify_all()
