"""What a server remembers of studies, so that a call reads only what other servers have changed since.

Only what was committed is remembered: it comes from reads, from this server's own changes once they are durable, or is
looked at on top of what was remembered and let go.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

from bo_service.application.gathering import Past, evidence_from, is_heard, is_spent
from bo_service.application.layers import Layers
from bo_service.application.ports import Records, Store, TrialOutline
from bo_service.application.study_locks import StudyLocks
from bo_service.application.warm_start import sources_from
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Source
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Study, StudySpec
from bo_service.core.trial import TrialState

MOST_TRIALS = 50_000
"""That are remembered of all studies together, unless one alone has more."""
PATIENCE_S = 30.0
Version = tuple[int, ...]

_versions = count(1)


@dataclass(frozen=True)
class Known:
    """A study and its trials at one revision."""

    study: Study
    outlines: Layers[TrialOutline]
    """All trials, by number."""
    waiting: frozenset[int]
    """Numbers of those that are queued."""
    pending: Mapping[int, Configuration]
    """Of those that are queued or running, by number, in its order."""
    spent: Layers[Configuration]
    """Of those that ended without telling anything, by number."""
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
        spent = [self.spent[number] for number in sorted(self.spent)]
        return evidence_from(self.study, self.past.trials, self.pending.values(), spent, self.sources)

    @property
    def running(self) -> int:
        """How many trials workers have."""
        return len(self.pending) - len(self.waiting)

    @property
    def room(self) -> int:
        """How many trials more it may have."""
        limit = self.study.spec.execution.max_trials
        return (MAX_TRIALS if limit is None else limit) - len(self.outlines)

    @property
    def queued(self) -> int:
        """How many trials wait for a worker."""
        return len(self.waiting)


@dataclass(frozen=True)
class Change:
    """What one transaction has made of a study."""

    before: Study
    after: Study
    changed: Sequence[TrialOutline]
    """The trials that were added or changed, as they are now."""
    deleted: Sequence[int]


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
        versions = tuple(source.past_version if source else 0 for _, source in found)
        if versions != known.source_versions:
            trials = {name: list(source.outlines.values()) for name, source in found if source}
            known = replace(known, sources=sources_from(trials, study.spec), source_versions=versions)
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
        if before is None or not _is_same(before.study, study) or before.study.revision > study.revision:
            known = _read(records, study)
        else:
            known = _advanced(before, _change_since(before.study, records, study))
        if keep:
            self._keep(known)
        return known

    def recall(self, study_id: str) -> Known | None:
        """The study as it was after all that was heard of it; None where that isn't known.

        Other servers may have changed it since, and studies that it starts from.
        """
        return None if study_id in self._outdated else self._remembered(study_id)

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
            known = self._ahead[study_id] = _advanced(before, change)
            return known

    def learn(self, change: Change, foreseen: Known | None) -> None:
        """Takes in what was committed by this server; its changes of one study come in their order."""
        study = change.after
        with self._guard:
            if self._ahead.get(study.study_id) is foreseen:
                self._ahead.pop(study.study_id, None)
            before = self._known.get(study.study_id)
            if before is None or (_is_same(before.study, study) and before.study.revision >= study.revision):
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
        if before is not None and _is_same(before.study, study) and before.study.revision >= study.revision:
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
            if before is not None and _is_same(before.study, study) and before.study.revision > study.revision:
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


def _is_same(before: Study, study: Study) -> bool:
    """Whether it isn't another one that has its id."""
    return before.create_time == study.create_time and before.spec.space == study.spec.space


def _read(records: Records, study: Study) -> Known:
    trials = records.trials.outlines(study.study_id)
    outlines, spent = Layers({trial.number: trial for trial in trials}), Layers(_spent(trials))
    past = Past.of(trials, study.spec)
    return Known(study, outlines, _waiting(trials), _pending(trials), spent, past, next(_versions))


def _change_since(before: Study, records: Records, study: Study) -> Change:
    """What has become of a study since then."""
    changed = records.trials.changed_outlines(study.study_id, before.revision)
    return Change(before, study, changed, records.trials.deleted(study.study_id, before.revision, study.revision))


def _advanced(before: Known, change: Change) -> Known:
    """What it is after a change."""
    changed = change.changed
    touched = [*change.deleted, *(trial.number for trial in changed)]
    known = replace(
        before,
        study=change.after,
        outlines=before.outlines.changed(change.deleted, {trial.number: trial for trial in changed}),
        waiting=before.waiting.difference(touched) | _waiting(changed),
        pending=_in_order(before.pending, touched, _pending(changed)),
        spent=before.spent.changed(touched, _spent(changed)),
    )
    return _with_past(known, before, touched)


def _in_order(
    before: Mapping[int, Configuration], touched: Sequence[int], now: Mapping[int, Configuration]
) -> dict[int, Configuration]:
    """What was there before, but for what was touched, and what is there now, in the order of the numbers."""
    gone = set(touched).difference(now)
    found = {number: configuration for number, configuration in before.items() if number not in gone}
    last = next(reversed(found), 0)
    found.update(now)
    return found if all(n in before or n > last for n in now) else dict(sorted(found.items()))


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


def _waiting(trials: Sequence[TrialOutline]) -> frozenset[int]:
    return frozenset(trial.number for trial in trials if trial.state is TrialState.QUEUED)


def _pending(trials: Sequence[TrialOutline]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if not trial.state.is_ended}


def _spent(trials: Sequence[TrialOutline]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if is_spent(trial)}
