"""What a server remembers of studies, so that a call reads only what has changed since the last one read.

Only what was committed is remembered: it comes from reads, or is looked at on top of what was remembered and let go.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

from bo_service.application.gathering import Past, evidence_from, is_heard, is_spent
from bo_service.application.ports import Records, Store, TrialOutline
from bo_service.application.study_locks import StudyLocks
from bo_service.application.warm_start import sources_from
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Source
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Study, StudySpec

MOST_TRIALS = 50_000
"""That are remembered of all studies together, unless one alone has more."""
PATIENCE_S = 30.0
Version = tuple[int, ...]

_versions = count(1)


@dataclass(frozen=True)
class Known:
    """A study and its trials at one revision."""

    study: Study
    outlines: Mapping[int, TrialOutline]
    """All trials, by number."""
    pending: Mapping[int, Configuration]
    """Of those that are queued or running, by number, in its order."""
    spent: Mapping[int, Configuration]
    """Of those that ended without telling anything, by number, in its order."""
    past: Past
    past_version: int
    """Another one, never used before, whenever the past is another or is to be seen otherwise."""
    sources: tuple[Source, ...] = ()
    source_versions: Version = ()

    @property
    def version(self) -> Version:
        """Equal only where the evidence is, but for what is pending."""
        return (self.past_version, *self.source_versions)

    @cached_property
    def evidence(self) -> Evidence:
        """What the optimizer may know."""
        return evidence_from(self.study, self.past.trials, self.pending.values(), self.spent.values(), self.sources)

    @property
    def running(self) -> int:
        """How many trials workers have."""
        return sum(self.outlines[number].is_running for number in self.pending)

    @property
    def room(self) -> int:
        """How many trials more it may have."""
        limit = self.study.spec.execution.max_trials
        return (MAX_TRIALS if limit is None else limit) - len(self.outlines)

    @property
    def queued(self) -> int:
        """How many trials wait for a worker."""
        return len(self.pending) - self.running


@dataclass
class Memory:
    """The studies that were read last, the least recently read of them first."""

    most_trials: int = MOST_TRIALS
    _known: "OrderedDict[str, Known]" = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turns: StudyLocks = field(default_factory=StudyLocks)

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
        known = self._own(records, study, keep)
        named = study.spec.suggestion.warm_start_studies
        if not named and not known.source_versions:
            return known
        found = [(name, self._source(records, name, keep)) for name in named]
        versions = tuple(source.past_version if source else 0 for _, source in found)
        if versions != known.source_versions:
            trials = {name: list(source.outlines.values()) for name, source in found if source}
            known = replace(known, sources=sources_from(trials, study.spec), source_versions=versions)
            if keep:
                self._keep(known)
        return known

    def revision(self, study_id: str) -> int:
        """Of a study as it is remembered; 0 where it isn't."""
        with self._guard:
            return self._known[study_id].study.revision if study_id in self._known else 0

    def forget(self, study_id: str) -> None:
        """It was deleted."""
        with self._guard:
            self._known.pop(study_id, None)

    def _source(self, records: Records, study_id: str, keep: bool) -> Known | None:
        study = records.studies.find(study_id)
        if study is None:
            return None
        before = self._remembered(study_id)
        if before is not None and _is_same(before.study, study) and before.study.revision >= study.revision:
            return before  # somebody has read it meanwhile
        return self._own(records, study, keep)

    def _own(self, records: Records, study: Study, keep: bool) -> Known:
        before = self._remembered(study.study_id)
        if before is not None and before.study == study:
            return before
        if before is None or not _is_same(before.study, study) or before.study.revision > study.revision:
            known = _read(records, study)
        else:
            known = _advanced(before, records, study)
        if keep:
            self._keep(known)
        return known

    def _remembered(self, study_id: str) -> Known | None:
        with self._guard:
            found = self._known.get(study_id)
            if found is not None:
                self._known.move_to_end(study_id)
            return found

    def _keep(self, known: Known) -> None:
        with self._guard:
            self._known[known.study.study_id] = known
            self._known.move_to_end(known.study.study_id)
            total = sum(len(k.outlines) for k in self._known.values())
            while total > self.most_trials and len(self._known) > 1:
                total -= len(self._known.popitem(last=False)[1].outlines)


def _is_same(before: Study, study: Study) -> bool:
    """Whether it isn't another one that has its id."""
    return before.create_time == study.create_time and before.spec.space == study.spec.space


def _read(records: Records, study: Study) -> Known:
    trials = records.trials.outlines(study.study_id)
    outlines = {trial.number: trial for trial in trials}
    past = Past.of(trials, study.spec)
    return Known(study, outlines, _pending(trials), _spent(trials), past, next(_versions))


def _advanced(before: Known, records: Records, study: Study) -> Known:
    """What it is after the changes since."""
    after = before.study.revision
    changed = records.trials.changed_outlines(study.study_id, after)
    deleted = records.trials.deleted(study.study_id, after, study.revision)
    touched = [*deleted, *(trial.number for trial in changed)]
    outlines, pending, spent = dict(before.outlines), dict(before.pending), dict(before.spent)
    for number in touched:
        outlines.pop(number, None)
        pending.pop(number, None)
        spent.pop(number, None)
    outlines.update((trial.number, trial) for trial in changed)
    pending.update(_pending(changed))
    spent.update(_spent(changed))
    known = replace(
        before,
        study=study,
        outlines=outlines,
        pending=dict(sorted(pending.items())),
        spent=dict(sorted(spent.items())),
    )
    return _with_past(known, before, touched)


def _with_past(known: Known, before: Known, touched: Sequence[int]) -> Known:
    spec = known.study.spec
    if _steering(spec) != _steering(before.study.spec):
        past = Past.of(list(known.outlines.values()), spec)
    else:
        heard = [number for number in touched if _differs(before.outlines.get(number), known.outlines.get(number))]
        if not heard:
            return known
        past = before.past.with_changes(known.outlines, heard, spec)
    return replace(known, past=past, past_version=next(_versions))


def _differs(before: TrialOutline | None, after: TrialOutline | None) -> bool:
    """Whether the optimizer would hear of it."""
    return (before if is_heard(before) else None) != (after if is_heard(after) else None)


def _steering(spec: StudySpec) -> tuple[object, ...]:
    return spec.metrics, spec.suggestion


def _pending(trials: Sequence[TrialOutline]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if not trial.state.is_ended}


def _spent(trials: Sequence[TrialOutline]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if is_spent(trial)}
