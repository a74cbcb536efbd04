"""Trials with their learning curves, cached, so that a figure reads only what has changed since the previous one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bo_client.insight import Analysis
from bo_client.models import StudyInfo, Trial
from bo_client.study import Study

MAX_STUDIES = 8
MAX_TRIALS = 50_000
"""Maximum trials of all cached studies except the most recent one."""

REST_FACTOR = 5.0
"""The next analysis starts after at least this many times the duration of the previous one."""

Key = tuple[str, datetime | None]


@dataclass
class CachedStudy:
    """The cached data of a study."""

    trials: dict[int, Trial] = field(default_factory=dict)
    revision: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    analysis: "TimedAnalysis | None" = None
    analysis_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class TimedAnalysis:
    """An analysis and the time until which it is used."""

    result: Analysis | None
    state: tuple[int, int]
    """Number of ended trials and of all trials when it was made."""
    expiry: float
    """Time until which it is used although more trials have ended: an analysis of a large study takes many seconds."""


class Snapshots:
    """A cache of the trials of several studies. Threads may share it.

    A caller has just read the study with their own token, so no caller sees cached data without access.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cached: OrderedDict[Key, CachedStudy] = OrderedDict()

    def trials(self, study: Study, info: StudyInfo) -> list[Trial]:
        """Return the trials by number, at the revision of `info` or a later one.

        Raises:
            BoClientError: the server rejects a call.
        """
        cached = self._of(info)
        with cached.lock:
            while cached.revision < info.revision:
                self._catch_up(study, info, cached)
            return [cached.trials[number] for number in sorted(cached.trials)]

    def missing(self, info: StudyInfo) -> int:
        """Return the number of trials that are not read yet, at least."""
        return sum(info.counts.values()) - len(self._of(info).trials)

    def analysis(self, info: StudyInfo, analyze: Callable[[], Analysis | None]) -> Analysis | None:
        """Return the analysis of the current results, or a recent one.

        Raises:
            BoClientError: the server rejects a call.
        """
        cached = self._of(info)
        state = (info.ended, sum(info.counts.values()))
        last = cached.analysis
        if not cached.analysis_lock.acquire(blocking=last is None):
            return last.result if last else None  # while another is made, the last one does
        try:
            last, began = cached.analysis, time.monotonic()
            if last is None or (last.state != state and began > last.expiry):
                result, now = analyze(), time.monotonic()
                last = cached.analysis = TimedAnalysis(result, state, now + REST_FACTOR * (now - began))
            return last.result
        finally:
            cached.analysis_lock.release()

    def _catch_up(self, study: Study, info: StudyInfo, cached: CachedStudy) -> None:
        changes = study.watch(after_revision=cached.revision, full=True)
        try:
            for change in changes:
                if change.revision < cached.revision:  # another study has taken the name meanwhile
                    cached.trials.clear()
                cached.trials.update((trial.number, trial) for trial in change.trials)
                for number in change.deleted_trials:
                    cached.trials.pop(number, None)
                cached.revision = change.revision
                if cached.revision >= info.revision:
                    return
        finally:
            changes.close()  # type: ignore[attr-defined]  # a generator

    def _of(self, info: StudyInfo) -> CachedStudy:
        with self._lock:
            key = (info.id, info.create_time)
            cached = self._cached.setdefault(key, CachedStudy())
            self._cached.move_to_end(key)
            while len(self._cached) > 1 and self._is_too_much():
                self._cached.popitem(last=False)
            return cached

    def _is_too_much(self) -> bool:
        return len(self._cached) > MAX_STUDIES or sum(len(k.trials) for k in self._cached.values()) > MAX_TRIALS
