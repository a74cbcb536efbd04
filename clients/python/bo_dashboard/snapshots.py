"""Trials with their learning curves, remembered, so that a figure reads only what has changed since the one before."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bo_client.insight import Analysis
from bo_client.study import Study
from bo_client.values import StudyInfo, Trial

MOST_STUDIES = 8
MOST_TRIALS = 50_000
"""Of all studies that are remembered, but for the last that was asked for."""

REST = 5.0
"""As many times as an analysis takes the server is left alone with it."""

Key = tuple[str, datetime | None]


@dataclass
class Known:
    """What is remembered of a study."""

    trials: dict[int, Trial] = field(default_factory=dict)
    revision: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)
    analysis: "Analyzed | None" = None
    analyzing: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Analyzed:
    """An analysis, and when it is too old."""

    result: Analysis | None
    state: tuple[int, int]
    """How many trials had ended when it was made, and how many there were."""
    good_until: float
    """Until then it does, though more have ended: of a large study it takes the server many seconds."""


class Snapshots:
    """Of several studies. Threads may share it.

    Whoever asks has just read the study with their own token: what is remembered is shown to nobody who may not see it.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[Key, Known] = OrderedDict()

    def trials(self, study: Study, info: StudyInfo) -> list[Trial]:
        """As of the revision in `info` or later, by number. Raises BoClientError."""
        known = self._of(info)
        with known.guard:
            while known.revision < info.revision:
                self._catch_up(study, info, known)
            return [known.trials[number] for number in sorted(known.trials)]

    def analysis(self, info: StudyInfo, analyze: Callable[[], Analysis | None]) -> Analysis | None:
        """That of the results so far, or one that is a few times as old as it takes to make. Raises BoClientError."""
        known = self._of(info)
        state = (info.ended, sum(info.counts.values()))
        last = known.analysis
        if not known.analyzing.acquire(blocking=last is None):
            return last.result if last else None  # while another is made, the last one does
        try:
            last, began = known.analysis, time.monotonic()
            if last is None or (last.state != state and began > last.good_until):
                result, now = analyze(), time.monotonic()
                last = known.analysis = Analyzed(result, state, now + REST * (now - began))
            return last.result
        finally:
            known.analyzing.release()

    def _catch_up(self, study: Study, info: StudyInfo, known: Known) -> None:
        changes = study.watch(after_revision=known.revision, full=True)
        try:
            for change in changes:
                if change.revision < known.revision:  # another study has taken the name meanwhile
                    known.trials.clear()
                known.trials.update((trial.number, trial) for trial in change.trials)
                for number in change.deleted_trials:
                    known.trials.pop(number, None)
                known.revision = change.revision
                if known.revision >= info.revision:
                    return
        finally:
            changes.close()  # type: ignore[attr-defined]  # a generator

    def _of(self, info: StudyInfo) -> Known:
        with self._guard:
            key = (info.id, info.create_time)
            known = self._known.setdefault(key, Known())
            self._known.move_to_end(key)
            while len(self._known) > 1 and self._is_too_much():
                self._known.popitem(last=False)
            return known

    def _is_too_much(self) -> bool:
        return len(self._known) > MOST_STUDIES or sum(len(k.trials) for k in self._known.values()) > MOST_TRIALS
