"""What is at hand for a study whose suggestions are prepared."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bo_service.application.known import Known
from bo_service.application.ports import Errand
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Suggestion
from bo_service.core.study import StudyState

LATELY_S = 3600.0
"""After a question, and for as long as a trial runs, a study's suggestions are prepared."""
MOST_AHEAD = 8


class Finding(Enum):
    """How suggestions were come by, or that they were dropped."""

    READY = "ready"
    JOINED = "joined"
    COMPUTED = "computed"
    TOO_LATE = "too_late"
    STALE = "stale"
    """Prepared, and never asked for."""


@dataclass
class Batch:
    """Suggestions for one version of the basis, ready or on their way."""

    version: int
    pending: Mapping[int, Configuration]
    count: int
    errand: Errand
    suggestions: list[Suggestion] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    is_used: bool = False

    def left(self, known: Known) -> list[Suggestion] | None:
        """Those that are still to be handed out; None where they were made for something else."""
        if known.version != self.version:
            return None
        added = [c for number, c in known.pending.items() if number not in self.pending]
        if len(known.pending) - len(added) != len(self.pending):
            return None
        handed = [s.configuration for s in self.suggestions[: len(added)]]
        return self.suggestions[len(added) :] if handed == added else None

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to suggest beyond it."""
        return len(self.suggestions) < self.count

    def is_for(self, known: Known) -> bool:
        """Whether they are made of just this."""
        return self.version == known.version and self.pending == known.pending


@dataclass
class Desk:
    """What is at hand for one study."""

    asked_at: float
    batch: Batch | None = None
    coming: Batch | None = None
    in_vain: Batch | None = None
    """What could not be computed, and is not tried again."""
    version: int = 0
    """Of the basis that was asked about last; 0 where something has happened since."""
    asked: int = 0
    """How many suggestions this version was asked for."""
    bursts: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    """The same of the versions before."""

    def count(self, version: int, asked: int) -> None:
        """Takes note of a question."""
        if version != self.version:
            if self.asked:
                self.bursts.append(self.asked)
            self.version, self.asked = version, 0
        self.asked += asked
        self.asked_at = time.monotonic()

    def disturb(self) -> None:
        """A trial has ended, or the like: what is on its way is stale, unless somebody waits for it."""
        self.version = 0
        if self.coming is not None and not self.coming.errand.is_urgent:
            self.coming.errand.stop()

    def demand(self, version: int) -> int:
        """How many suggestions more are likely to be asked for."""
        usual = max(self.bursts, default=1)
        if version != self.version:
            return min(MOST_AHEAD, max(usual, self.asked))
        going_on = self.asked if self.asked > 1 else 0
        return min(MOST_AHEAD, max(usual - self.asked, going_on))

    def ready(self, known: Known, count: int) -> list[Suggestion] | None:
        """So many that were prepared, or all that an exhausted space has; None where there are fewer."""
        left = self.batch.left(known) if self.batch else None
        if self.batch is None or left is None or (len(left) < count and not self.batch.is_last):
            return None
        self.batch.is_used = True
        return left[:count]

    def join(self, known: Known, count: int) -> Batch | None:
        """What is on its way and would do, which is urgent now; anything else is stopped."""
        coming = self.coming
        if coming is None or (coming.is_for(known) and coming.count >= count and not coming.errand.is_stopped):
            if coming is not None:
                coming.errand.urge()
            return coming
        coming.errand.stop()
        return None

    def missing(self, known: Known) -> int:
        """How many suggestions to prepare."""
        is_wanted = time.monotonic() - self.asked_at < LATELY_S or known.running
        if not is_wanted or known.study.state is not StudyState.ACTIVE or not known.evidence.needs_surrogate(1):
            return 0
        if any(batch and batch.is_for(known) for batch in (self.coming, self.in_vain)):
            return 0
        if self.coming is not None and self.coming.errand.is_urgent:
            return 0  # whoever waits for it will want more
        left = self.batch.left(known) if self.batch else None
        if left or (left is not None and self.batch is not None and self.batch.is_last):
            return 0
        return max(0, min(known.room, self.demand(known.version)))
