"""What a server remembers of studies, so that a call reads only what other servers have changed since.

Only what was committed is remembered: it comes from reads, from this server's own changes once they are durable, or is
looked at on top of what was remembered and let go.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from bo_service.application.known import Change, Known, is_same
from bo_service.application.ports import Records, Store
from bo_service.application.study_locks import StudyLocks
from bo_service.application.warm_start import sources_from
from bo_service.core.study import Study
from bo_service.core.trial import TrialState

MOST_TRIALS = 50_000
"""That are remembered of all studies together, unless one alone has more."""
PATIENCE_S = 30.0


@dataclass
class Memory:
    """The studies that were read last, the least recently read of them first."""

    most_trials: int = MOST_TRIALS
    _known: "OrderedDict[str, Known]" = field(default_factory=OrderedDict)
    _trials: int = 0
    """That are remembered of all studies together."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turns: StudyLocks = field(default_factory=StudyLocks)
    _ahead: dict[str, Known] = field(default_factory=dict)
    """Studies as transactions of this server leave them that are not durable yet."""
    _outdated: set[str] = field(default_factory=set)
    """Studies of which less is remembered than has been heard of."""

    @contextmanager
    def reading(self, store: Store, study_id: str) -> Iterator[tuple[Records, Known]]:
        """A transaction that reads, and the study in it, which is remembered.

        Raises:
            NotFound: no such study.
        """
        with ExitStack() as stack:
            with self._turns.hold(study_id, PATIENCE_S) as is_next:  # each sees at least what the one before saw
                records = stack.enter_context(store.read())
                known = self.look(records, records.studies.get(study_id), keep=is_next)
            yield records, known

    def look(self, records: Records, study: Study, keep: bool = False) -> Known:
        """The study as a transaction sees it; `keep` where that is committed."""
        known = self.glance(records, study, keep)
        named = study.spec.suggestion.warm_start_studies
        if not named and not known.source_versions:
            return known
        found = [(name, self._source(records, name, keep)) for name in named]
        versions = tuple(source.version if source else 0 for _, source in found)
        if versions != known.source_versions:
            trials = {name: list(source.outlines.values()) for name, source in found if source}
            basis = known.basis.with_sources(sources_from(trials, study.spec))
            known = replace(known, basis=basis, source_versions=versions)
            if keep:
                self._keep(known)
        return known

    def glance(self, records: Records, study: Study, keep: bool = False) -> Known:
        """As `look`, but not at the studies that it starts from."""
        ahead, before = self._ahead.get(study.study_id), self._remembered(study.study_id)
        if ahead is not None and ahead.study == study:
            return ahead
        if before is not None and before.study == study:
            return before
        if before is None or not is_same(before.study, study) or before.study.revision > study.revision:
            known = Known.read(records, study)
        else:
            known = before.after(Change.since(before.study, records, study))
        if keep:
            self._keep(known)
        return known

    def recall(self, study_id: str) -> Known | None:
        """The study as it was after all that was heard of it; None where that isn't known.

        Other servers may have changed it since, and studies that it starts from.
        """
        return None if study_id in self._outdated else self._remembered(study_id)

    def counts(self, study: Study) -> Mapping[TrialState, int] | None:
        """How many of its trials are in each state; None where it isn't remembered just as it is."""
        with self._guard:
            known = self._known.get(study.study_id)
        return known.counts if known is not None and known.study == study else None

    def foresee(self, change: Change) -> Known | None:
        """The study as a transaction leaves it, for those after it; `learn` it once that is durable.

        None where too little is known of the study.
        """
        study_id = change.after.study_id
        with self._guard:
            before = self._ahead.pop(study_id, None)
            if before is None or before.study != change.before:
                before = self._known.get(study_id)
            if before is None or before.study != change.before:
                return None
            known = self._ahead[study_id] = before.after(change)
            return known

    def learn(self, change: Change, foreseen: Known | None) -> None:
        """Takes in what was committed by this server; its changes of one study come in their order."""
        study = change.after
        with self._guard:
            if self._ahead.get(study.study_id) is foreseen:
                self._ahead.pop(study.study_id, None)
            before = self._known.get(study.study_id)
            if before is None or (is_same(before.study, study) and before.study.revision >= study.revision):
                return
            if foreseen is None:
                self._outdated.add(study.study_id)
            else:
                self._put(foreseen)

    def doubt(self, study_id: str) -> None:
        """What a transaction has made of a study may be lost."""
        with self._guard:
            self._ahead.pop(study_id, None)

    def revision(self, study_id: str) -> int:
        """Of a study as it is remembered; 0 where it isn't."""
        with self._guard:
            return self._known[study_id].study.revision if study_id in self._known else 0

    def forget(self, study_id: str) -> None:
        """It was deleted."""
        with self._guard:
            self._drop(study_id)
            self._ahead.pop(study_id, None)

    def _source(self, records: Records, study_id: str, keep: bool) -> Known | None:
        study = records.studies.find(study_id)
        if study is None:
            return None
        before = self._remembered(study_id)
        if before is not None and is_same(before.study, study) and before.study.revision >= study.revision:
            return before  # somebody has read it meanwhile
        return self.glance(records, study, keep)

    def _remembered(self, study_id: str) -> Known | None:
        with self._guard:
            found = self._known.get(study_id)
            if found is not None:
                self._known.move_to_end(study_id)
            return found

    def _keep(self, known: Known) -> None:
        study = known.study
        with self._guard:
            before = self._known.get(study.study_id)
            if before is not None and is_same(before.study, study) and before.study.revision > study.revision:
                return  # more was learned since it was read
            self._put(known)

    def _put(self, known: Known) -> None:
        self._drop(known.study.study_id)
        self._known[known.study.study_id] = known
        self._trials += len(known.outlines)
        while self._trials > self.most_trials and len(self._known) > 1:
            self._drop(next(iter(self._known)))

    def _drop(self, study_id: str) -> None:
        found = self._known.pop(study_id, None)
        self._trials -= len(found.outlines) if found else 0
        self._outdated.discard(study_id)
