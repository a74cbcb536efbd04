"""A study and its trials, as far as use cases and the optimizer need them, and how it follows changes.

A change costs no look at all of the trials.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count

from bo_service.application.gathering import Past, evidence_from, is_heard, is_spent
from bo_service.application.layers import Layers
from bo_service.application.ports import Records, TrialOutline
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Source
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Study, StudySpec
from bo_service.core.trial import TrialState

Version = tuple[int, ...]

_versions = count(1)


@dataclass(frozen=True)
class Known:
    """A study and its trials at one revision."""

    study: Study
    outlines: Layers[TrialOutline]
    """All trials, by number."""
    counts: Mapping[TrialState, int]
    """How many of them are in each state, without those that none is in."""
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

    @classmethod
    def read(cls, records: Records, study: Study) -> "Known":
        """With all of its trials."""
        trials = records.trials.outlines(study.study_id)
        outlines, spent = Layers({trial.number: trial for trial in trials}), Layers(_spent(trials))
        past = Past.of(trials, study.spec)
        counts = Counter(trial.state for trial in trials)
        return cls(study, outlines, counts, _waiting(trials), _pending(trials), spent, past, next(_versions))

    def after(self, change: "Change") -> "Known":
        """What it is after a change of just this study."""
        changed = change.changed
        touched = [*change.deleted, *(trial.number for trial in changed)]
        known = replace(
            self,
            study=change.after,
            outlines=self.outlines.changed(change.deleted, {trial.number: trial for trial in changed}),
            counts=self._counted(touched, changed),
            waiting=self.waiting.difference(touched) | _waiting(changed),
            pending=_in_order(self.pending, touched, _pending(changed)),
            spent=self.spent.changed(touched, _spent(changed)),
        )
        return _with_past(known, self, touched)

    def _counted(self, touched: Sequence[int], changed: Sequence[TrialOutline]) -> Mapping[TrialState, int]:
        counts = Counter(self.counts)
        counts.subtract(self.outlines[number].state for number in touched if number in self.outlines)
        counts.update(trial.state for trial in changed)
        return +counts

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
    """What transactions, one or several, have made of a study."""

    before: Study
    after: Study
    changed: Sequence[TrialOutline]
    """The trials that were added or changed, as they are now."""
    deleted: Sequence[int]

    @classmethod
    def since(cls, before: Study, records: Records, study: Study) -> "Change":
        """All that has been done to a study since it was as before."""
        changed = records.trials.changed_outlines(study.study_id, before.revision)
        return cls(before, study, changed, records.trials.deleted(study.study_id, before.revision, study.revision))


def is_same(before: Study, study: Study) -> bool:
    """Whether it isn't another one that has its id."""
    return before.create_time == study.create_time and before.spec.space == study.spec.space


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
