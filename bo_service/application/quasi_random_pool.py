"""Quasi-random points of one study in reserve: one costs as much as many, and that grows with the study's trials."""

import threading
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import replace
from itertools import islice

from bo_service.application.snapshot import StudySnapshot
from bo_service.domain.constraints import Configuration
from bo_service.optimizer.inputs import OptimizerInput, Suggestion

MIN_POOL, MAX_POOL = 32, 512
"""How many points are made at once: the more, the more trials the study has."""
TRIALS_PER_POINT = 8
"""One point for so many trials."""


class QuasiRandomPool:
    """The next points of a study's sequence, each of which is given to one call alone. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held while points are made: those who need some wait for them."""
        self._sequence: Hashable = None
        """The study and the settings that its sequence depends on."""
        self._last_number = 0
        """The number of the last trial that was compared with the points."""
        self._unused: dict[Hashable, Suggestion] = {}
        self._taken: dict[Hashable, Configuration] = {}
        """Points that were given out, and that no known trial has yet."""

    @property
    def has_points(self) -> bool:
        """Whether points are ready that no call has taken."""
        return bool(self._unused)

    def take(
        self, snapshot: StudySnapshot, count: int, make: Callable[[OptimizerInput, int], list[Suggestion]]
    ) -> list[Suggestion]:
        """Return the next points of the sequence.

        Args:
            snapshot: the study; points that one of its trials has are left out.
            count: how many points; there are fewer only where the space has no more.
            make: makes points from the optimizer's input, where too few are in reserve.
        """
        with self._lock:
            self._sync(snapshot)
            if len(self._unused) < count:
                pending = (*snapshot.inputs.pending, *self._taken.values())
                ahead = max(count, MIN_POOL, min(MAX_POOL, len(snapshot.summaries) // TRIALS_PER_POINT))
                made = make(replace(snapshot.inputs, pending=pending), ahead)
                self._unused = {_key(s.configuration): s for s in made}
                self._last_number = snapshot.study.last_number  # it may be lower than that of an earlier snapshot
            keys = list(islice(self._unused, count))
            suggestions = [self._unused.pop(key) for key in keys]
            self._taken.update((key, s.configuration) for key, s in zip(keys, suggestions, strict=True))
            return suggestions

    def return_unused(
        self, snapshot: StudySnapshot, taken: Sequence[Suggestion], used: Collection[Configuration]
    ) -> None:
        """Put those points back in front that were taken for a snapshot and that no trial has."""
        with self._lock:
            if self._sequence != _sequence_of(snapshot):
                return
            unused = {_key(s.configuration): s for s in taken if s.configuration not in used}
            back = {key: s for key, s in unused.items() if self._taken.pop(key, None) is not None}
            if back:
                self._unused = {**back, **self._unused}

    def clear(self) -> None:
        """Drop all points: which of those taken became trials isn't known."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._last_number, self._unused, self._taken = 0, {}, {}

    def _sync(self, snapshot: StudySnapshot) -> None:
        """Drop the points that trials have which were added since."""
        if self._sequence != _sequence_of(snapshot):
            self._sequence = _sequence_of(snapshot)
            self._clear()
        for number in range(self._last_number + 1, snapshot.study.last_number + 1):
            if number in snapshot.summaries:
                key = _key(snapshot.summaries[number].parameters)
                self._unused.pop(key, None)
                self._taken.pop(key, None)
        self._last_number = max(self._last_number, snapshot.study.last_number)


def _sequence_of(snapshot: StudySnapshot) -> Hashable:
    return snapshot.study.create_time, snapshot.study.spec.suggestion


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
