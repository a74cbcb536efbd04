"""Suggestions made before they are asked for.

For each study that somebody has asked lately, the next suggestions are computed when a trial ends, so that a worker
that asks then finds them ready. A batch is ready for those who would be told the same: its version of the past is
theirs, and what is pending is what was pending then and the first of the batch itself.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from bo_service.application.desks import Batch, Desk, Finding
from bo_service.application.known import Known
from bo_service.application.memory import Memory
from bo_service.application.ports import Errand, Optimizer, Store
from bo_service.core.errors import NotFound
from bo_service.core.evidence import Suggestion

MOST_STUDIES = 1000
PATIENCE_S = 300.0


class Preparations:
    """The suggestions that are ready or being computed, by study, and the studies that wait for preparation."""

    def __init__(self, tell: Callable[[Finding], None] = lambda _: None) -> None:
        self._tell = tell
        self._lock = threading.Condition()
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._closed = False

    def obtain(
        self, optimizer: Optimizer, known: Known, count: int, ahead: int, patience: float
    ) -> list[Suggestion] | None:
        """So many suggestions: those ready, those on their way, or computed now, up to `ahead` at once.

        One thread at a time for each study. None where they aren't there within `patience` seconds.
        """
        deadline = time.monotonic() + patience
        with self._lock:
            desk = self._desk(known.study.study_id)
            desk.count(known.version, count)
            coming = None if desk.ready(known, count) else desk.join(known, count)
        if coming is not None:
            coming.done.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            ready = desk.ready(known, count)
            if ready is not None:
                self._tell(Finding.READY if coming is None else Finding.JOINED)
                return ready
            if coming is not None and not coming.done.is_set():
                self._tell(Finding.TOO_LATE)
                return None
            batch = desk.coming = Batch(known.version, known.pending, max(count, ahead), Errand(is_urgent=True))
            batch.is_used = True
        found = self._compute(optimizer, desk, batch, known, deadline - time.monotonic())
        self.want(known.study.study_id)
        self._tell(Finding.TOO_LATE if found is None else Finding.COMPUTED)
        return None if found is None else found[:count]

    def disturb(self, study_id: str) -> None:
        """Something has happened in a study that its optimizer hears of: others are to be prepared, if any."""
        with self._lock:
            desk = self._desks.get(study_id)
            if desk is None:
                return
            desk.disturb()
        self.want(study_id)

    def handed_out(self, known: Known) -> None:
        """Suggestions were handed out: more are prepared where more are likely to be asked for before a trial ends."""
        with self._lock:
            desk = self._desks.get(known.study.study_id)
            more = desk is not None and desk.demand(known.version) > 0
        if more:
            self.want(known.study.study_id)

    def prepare(self, store: Store, memory: Memory, optimizer: Optimizer, study_id: str) -> None:
        """Computes what is likely to be asked for next, unless it is there."""
        try:
            with memory.reading(store, study_id) as (_, known):
                pass
        except NotFound:
            with self._lock:
                self._desks.pop(study_id, None)
            return
        with self._lock:
            desk = self._desks.get(study_id)
            count = 0 if desk is None else desk.missing(known)
            if desk is None or not count:
                return
            if desk.coming is not None:
                desk.coming.errand.stop()
            batch = desk.coming = Batch(known.version, known.pending, count, Errand(is_urgent=False))
        self._compute(optimizer, desk, batch, known, PATIENCE_S)
        if batch.errand.is_stopped:  # for what is newer, or for somebody who waits
            self.want(study_id)

    def want(self, study_id: str) -> None:
        """Somebody should look whether something is to be prepared."""
        with self._lock:
            self._waiting[study_id] = None
            self._lock.notify()

    def next_study(self) -> str | None:
        """The study that has waited longest; None when closed."""
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.popitem(last=False)[0]

    def studies(self) -> list[str]:
        """Those that are prepared for."""
        with self._lock:
            return list(self._desks)

    def close(self) -> None:
        """Stops what isn't urgent; `next_study` returns None."""
        with self._lock:
            self._closed = True
            coming = [desk.coming for desk in self._desks.values() if desk.coming is not None]
            self._lock.notify_all()
        for batch in coming:
            batch.errand.stop()

    def _compute(
        self, optimizer: Optimizer, desk: Desk, batch: Batch, known: Known, patience: float
    ) -> list[Suggestion] | None:
        found: list[Suggestion] | None = None
        try:
            computed = optimizer.suggest(known.evidence, batch.count, patience, batch.errand)
            found = None if computed is None else computed.suggestions
        finally:
            with self._lock:
                self._land(desk, batch, found)
            batch.done.set()
        return found

    def _land(self, desk: Desk, batch: Batch, found: list[Suggestion] | None) -> None:
        batch.suggestions = found or []
        if desk.coming is not batch:
            return  # another took its place
        desk.coming = None
        if found is not None:
            if desk.batch is not None and not desk.batch.is_used:
                self._tell(Finding.STALE)
            desk.batch = batch
        elif not batch.errand.is_stopped:
            desk.in_vain = batch

    def _desk(self, study_id: str) -> Desk:
        desk = self._desks.setdefault(study_id, Desk(time.monotonic()))
        self._desks.move_to_end(study_id)
        if len(self._desks) > MOST_STUDIES:
            self._waiting.pop(self._desks.popitem(last=False)[0], None)
        return desk
