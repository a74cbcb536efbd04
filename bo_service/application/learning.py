"""What surrogates have learned of studies, kept where the next computation finds it.

In memory, for whichever process computes next; and in the store, for the server that comes after this one.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bo_service.application.ports import Errand, Optimizer, Store
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Learned, Predictions, Suggested, Suggestion
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest

MOST_STUDIES = 1000


@dataclass
class LearningOptimizer:
    """An optimizer that is told what was learned before, and whose lessons are kept.

    Of the studies that were asked for last; `save_lessons` puts them into the store, where they are looked for once.
    """

    optimizer: Optimizer
    store: Store
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _learned: "OrderedDict[str, Learned]" = field(default_factory=OrderedDict)
    _unsaved: set[str] = field(default_factory=set)

    def suggest(self, evidence: Evidence, count: int, patience: float, errand: Errand) -> Suggested | None:
        found = self.optimizer.suggest(self._taught(evidence), count, patience, errand)
        if found is not None and found.learned:
            self._keep(evidence.study, found.learned)
        return found

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        return self.optimizer.suggest_blind(evidence, count)

    def predict(self, evidence: Evidence, configurations: Sequence[Configuration], patience: float) -> Predictions:
        return self.optimizer.predict(self._taught(evidence), configurations, patience)

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        return self.optimizer.predict_slice(self._taught(evidence), request, patience)

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        return self.optimizer.analyze(self._taught(evidence), patience)

    def save_lessons(self) -> None:
        """Puts into the store what is new, of those studies that are still there.

        Raises:
            StorageUnavailable: what is left is saved the next time.
        """
        with self._guard:
            unsaved = {study_id: self._learned[study_id] for study_id in sorted(self._unsaved)}
        for study_id, learned in unsaved.items():
            with self.store.write(study_id) as records:
                if records.studies.find(study_id) is not None:
                    records.lessons.save(study_id, learned)
            with self._guard:
                if self._learned.get(study_id, learned) is learned:  # else there is more since
                    self._unsaved.discard(study_id)

    def _taught(self, evidence: Evidence) -> Evidence:
        with self._guard:
            learned = self._learned.get(evidence.study)
        if learned is None:
            with self.store.read() as records:
                learned = records.lessons.of(evidence.study)
        with self._guard:
            learned = self._learned.setdefault(evidence.study, learned)
            self._used(evidence.study)
        return replace(evidence, learned=learned)

    def _keep(self, study_id: str, learned: Learned) -> None:
        with self._guard:
            if self._learned.get(study_id) != learned:
                self._learned[study_id] = learned
                self._unsaved.add(study_id)
                self._used(study_id)

    def _used(self, study_id: str) -> None:
        self._learned.move_to_end(study_id)
        if len(self._learned) > MOST_STUDIES:
            forgotten, _ = self._learned.popitem(last=False)
            self._unsaved.discard(forgotten)
