"""Wakes those who watch a study when it changes."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

GONE = 0
"""The revision of a study that doesn't exist."""


@dataclass
class _Announced:
    count: int = 0
    revision: int | None = None
    watchers: int = 0


class Changes:
    """Announcements, by study: of this server's own changes at once, of other servers' when they are noticed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._studies: defaultdict[str, _Announced] = defaultdict(_Announced)

    @contextmanager
    def watched(self, study_id: str) -> Iterator[None]:
        """Somebody watches the study inside the block."""
        with self._condition:
            self._studies[study_id].watchers += 1
        try:
            yield
        finally:
            with self._condition:
                self._studies[study_id].watchers -= 1
                if not self._studies[study_id].watchers:
                    del self._studies[study_id]

    def watched_studies(self) -> list[str]:
        """Their ids."""
        with self._condition:
            return list(self._studies)

    def saw(self, study_id: str, revision: int) -> None:
        """Somebody who watches the study has seen this of it, and need not be told."""
        with self._condition:
            found = self._studies[study_id]
            if found.revision is None:
                found.revision = revision

    def announce(self, study_id: str, revision: int) -> None:
        """Wakes everyone who waits for this study, unless it was announced with this revision."""
        self.notice({study_id: revision})

    def notice(self, revisions: Mapping[str, int]) -> None:
        """Announces each of these studies."""
        with self._condition:
            for study_id, revision in revisions.items():
                found = self._studies.get(study_id)
                if found is not None and found.revision != revision:
                    found.count, found.revision = found.count + 1, revision
            self._condition.notify_all()

    def count(self, study_id: str) -> int:
        """How many changes have been announced; look at the study after asking this, then wait."""
        with self._condition:
            return self._studies[study_id].count if study_id in self._studies else 0

    def wait(self, study_id: str, count: int, timeout: float) -> bool:
        """Waits until more than `count` have been announced; False after `timeout` seconds without."""
        with self._condition:
            return self._condition.wait_for(lambda: self._studies[study_id].count > count, timeout)
