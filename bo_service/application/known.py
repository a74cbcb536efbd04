"""A study and its trials, as far as use cases and the optimizer need them, and how it follows changes.

A change costs no look at all of the trials.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bo_service.application.gathering import Basis
from bo_service.application.layers import Layers
from bo_service.application.ports import Records, TrialOutline
from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence
from bo_service.core.limits import MAX_TRIALS
from bo_service.core.study import Study
from bo_service.core.trial import TrialState


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
    basis: Basis
    """What the optimizer is given of it, except what is pending."""
    source_versions: tuple[int, ...] = ()
    """Versions of the bases of the studies that it starts from."""

    @classmethod
    def read(cls, records: Records, study: Study) -> "Known":
        """With all of its trials."""
        trials = records.trials.outlines(study.study_id)
        outlines = Layers({trial.number: trial for trial in trials})
        counts = Counter(trial.state for trial in trials)
        return cls(study, outlines, counts, _waiting(trials), _pending(trials), Basis.of(study, trials))

    def after(self, change: "Change") -> "Known":
        """What it is after a change of just this study."""
        changed = change.changed
        touched = [*change.deleted, *(trial.number for trial in changed)]
        outlines = self.outlines.changed(change.deleted, {trial.number: trial for trial in changed})
        return replace(
            self,
            study=change.after,
            outlines=outlines,
            counts=self._counted(touched, changed),
            waiting=self.waiting.difference(touched) | _waiting(changed),
            pending=_in_order(self.pending, touched, _pending(changed)),
            basis=self.basis.after(change.after, self.outlines, outlines, touched),
        )

    def _counted(self, touched: Sequence[int], changed: Sequence[TrialOutline]) -> Mapping[TrialState, int]:
        counts = Counter(self.counts)
        counts.subtract(self.outlines[number].state for number in touched if number in self.outlines)
        counts.update(trial.state for trial in changed)
        return +counts

    @property
    def version(self) -> int:
        """Of the basis: equal only where the evidence is, but for what is pending."""
        return self.basis.version

    @cached_property
    def evidence(self) -> Evidence:
        """What the optimizer may know."""
        return self.basis.evidence(self.pending.values())

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


def _waiting(trials: Sequence[TrialOutline]) -> frozenset[int]:
    return frozenset(trial.number for trial in trials if trial.state is TrialState.QUEUED)


def _pending(trials: Sequence[TrialOutline]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if not trial.state.is_ended}
