"""The handle of a computation that a call may wait for."""

from collections.abc import Callable


class ComputationHandle:
    """A computation's place among others. Whoever computes listens: the place may change while it waits or runs."""

    def __init__(self, is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        """Somebody waits for it. What isn't urgent waits for what is, and may be stopped for it."""
        self.is_cancelled = False
        """Its result is of no use any more."""
        self._on_change: Callable[[], None] = lambda: None

    def subscribe(self, hear: Callable[[], None]) -> None:
        """Call `hear` after each change from now on, instead of an earlier listener."""
        self._on_change = hear

    def raise_priority(self) -> None:
        """Mark the computation as awaited by a call."""
        self.is_urgent = True
        self._on_change()

    def cancel(self) -> None:
        """Ask the computation to end as soon as it can."""
        self.is_cancelled = True
        self._on_change()
