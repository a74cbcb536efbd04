"""A study and its trials, as far as use cases and the optimizer need them, and how it follows changes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bo_service.application.confirmation import num_reserved
from bo_service.application.learning_curves import read_curves
from bo_service.application.observations import OptimizerBasis, has_forecast, replaced
from bo_service.application.ports import TrialSummary, UnitOfWork
from bo_service.domain.constraints import Configuration
from bo_service.domain.limits import MAX_TRIALS
from bo_service.domain.study import Study
from bo_service.domain.trial import TrialState
from bo_service.optimizer.inputs import LearningCurve, OptimizerInput


@dataclass(frozen=True)
class StudySnapshot:
    """A study and its trials at one revision."""

    study: Study
    summaries: Mapping[int, TrialSummary]
    """All trials, by number."""
    counts: Mapping[TrialState, int]
    """How many of them are in each state, without those that none is in."""
    queued_numbers: frozenset[int]
    """Numbers of those that are queued."""
    pending: Mapping[int, Configuration]
    """Of those that have not ended and that nothing is expected of yet, by number, in its order."""
    basis: OptimizerBasis
    """What the optimizer is given of it, except what is pending."""
    source_versions: tuple[int, ...] = ()
    """Versions of the bases of the studies that it starts from."""

    @classmethod
    def read(cls, records: UnitOfWork, study: Study) -> "StudySnapshot":
        """Read the study with all of its trials."""
        trials = records.summarize_trials(study.study_id)
        summaries = {trial.number: trial for trial in trials}
        counts = Counter(trial.state for trial in trials)
        basis = OptimizerBasis.of(study, trials).with_curves(read_curves(records, study, trials))
        return cls(study, summaries, counts, _waiting(trials), _pending(trials), basis)

    def without_paused(self) -> "StudySnapshot":
        """Return the same for a worker that can't resume: without paused trials to choose from."""
        if not any(curve.is_paused for curve in self.basis.curves.values()):
            return self
        curves = {number: replace(curve, is_paused=False) for number, curve in self.basis.curves.items()}
        return replace(self, basis=self.basis.with_curves(curves))

    def after(self, change: "StudyDelta") -> "StudySnapshot":
        """Return the snapshot after a change of just this study."""
        changed = change.changed
        touched = [*change.deleted, *(trial.number for trial in changed)]
        summaries = replaced(self.summaries, change.deleted, {trial.number: trial for trial in changed})
        return replace(
            self,
            study=change.after,
            summaries=summaries,
            counts=self._counted(touched, changed),
            queued_numbers=self.queued_numbers.difference(touched) | _waiting(changed),
            pending=_in_order(self.pending, touched, _pending(changed)),
            basis=self.basis.after(change.after, self.summaries, summaries, touched, change.curves),
        )

    def _counted(self, touched: Sequence[int], changed: Sequence[TrialSummary]) -> Mapping[TrialState, int]:
        counts = dict(self.counts)
        for number in touched:
            if number in self.summaries:
                counts[self.summaries[number].state] -= 1
        for trial in changed:
            counts[trial.state] = counts.get(trial.state, 0) + 1
        return {state: count for state, count in counts.items() if count}

    @property
    def version(self) -> int:
        """Of the basis: equal only where the evidence is, but for what is pending."""
        return self.basis.version

    @cached_property
    def inputs(self) -> OptimizerInput:
        """What the optimizer may know."""
        return self.basis.inputs(self.pending.values())

    @property
    def num_running(self) -> int:
        """How many trials workers have."""
        return self.counts.get(TrialState.RUNNING, 0)

    @property
    def remaining_trials(self) -> int:
        """How many trials more it may have; none once the budget of training is spent."""
        execution = self.study.spec.execution
        if (execution.max_steps or execution.max_seconds) and execution.reached_limit(0, self.study.spent):
            return 0
        limit = execution.max_trials
        return (MAX_TRIALS if limit is None else limit) - len(self.summaries)

    @property
    def remaining_search(self) -> int:
        """How many trials more it may have that don't repeat the best configuration."""
        is_reserved = self.study.spec.suggestion.confirming_trials is not None
        return self.remaining_trials - (num_reserved(self.study, self.inputs) if is_reserved else 0)

    @property
    def num_queued(self) -> int:
        """How many trials wait for a worker."""
        return len(self.queued_numbers)


@dataclass(frozen=True)
class StudyDelta:
    """What transactions, one or several, have made of a study."""

    before: Study
    after: Study
    changed: Sequence[TrialSummary]
    """The trials that were added or changed, as they are now."""
    deleted: Sequence[int]
    affects_surrogate: bool = True
    """Whether the optimizer's input may differ, beyond trials that were started."""
    curves: Mapping[int, LearningCurve] = field(default_factory=dict)
    """Learning curves of those that were changed; see `read_curves`."""

    @classmethod
    def since(cls, before: Study, records: UnitOfWork, study: Study) -> "StudyDelta":
        """Return all that was done to a study since it was as `before`."""
        changed = records.summarize_trials(study.study_id, before.revision)
        deleted = records.deleted_trials(study.study_id, before.revision, study.revision)
        return cls(before, study, changed, list(deleted), curves=read_curves(records, study, changed))


def is_same_incarnation(before: Study, study: Study) -> bool:
    """Return whether both are one study, and not another one with its id."""
    return before.create_time == study.create_time and before.spec.space == study.spec.space


def _in_order(
    before: Mapping[int, Configuration], touched: Sequence[int], now: Mapping[int, Configuration]
) -> dict[int, Configuration]:
    """Return what was there before, but for what was touched, and what is there now, ordered by number."""
    found = dict(before)
    for number in set(touched).difference(now):
        found.pop(number, None)
    last = next(reversed(found), 0)
    found.update(now)
    return found if all(n in before or n > last for n in now) else dict(sorted(found.items()))


def _waiting(trials: Sequence[TrialSummary]) -> frozenset[int]:
    return frozenset(trial.number for trial in trials if trial.state is TrialState.QUEUED)


def _pending(trials: Sequence[TrialSummary]) -> dict[int, Configuration]:
    return {trial.number: trial.parameters for trial in trials if not trial.state.is_ended and not has_forecast(trial)}
