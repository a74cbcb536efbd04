"""A study and its trials at one revision, what the optimizer is given of them, and how both follow changes.

Metrics are turned inward: see `Metric`.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any, TypeVar

from bo_service.application.confirmation import num_reserved
from bo_service.application.learning_curves import read_curves
from bo_service.application.ports import TrialSummary, UnitOfWork
from bo_service.domain.constraints import Configuration
from bo_service.domain.fidelity import Promotion
from bo_service.domain.limits import MAX_TRIALS
from bo_service.domain.study import Metric, Study, StudySpec
from bo_service.domain.trial import TrialState
from bo_service.optimizer.inputs import LearningCurve, Observation, OptimizerInput, Source, TrainingInParts

V = TypeVar("V")
_versions = count(1)


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
    basis: "OptimizerBasis"
    """What the optimizer is given of it, except what is pending."""
    source_versions: tuple[int, ...] = ()
    """Versions of the bases of the studies that it starts from."""

    @classmethod
    def read(cls, records: UnitOfWork, study: Study) -> "StudySnapshot":
        """Read the study with all of its trials."""
        trials = records.summarize_trials(study.study_id)
        empty = cls(study, {}, {}, frozenset(), {}, OptimizerBasis(study.study_id, study.spec))
        return empty.after(StudyDelta(study, study, trials, (), curves=read_curves(records, study, trials)))

    def without_paused(self) -> "StudySnapshot":
        """Return the same for a worker that can't resume: without paused trials to choose from."""
        if not any(curve.is_paused for curve in self.basis.curves.values()):
            return self
        curves = {number: replace(curve, is_paused=False) for number, curve in self.basis.curves.items()}
        return replace(self, basis=self.basis.with_curves(curves))

    def after(self, change: "StudyDelta") -> "StudySnapshot":
        """Return the snapshot after a change of just this study."""
        summaries, counts, pending = dict(self.summaries), dict(self.counts), dict(self.pending)
        changed = {trial.number: trial for trial in change.changed}
        touched, last = [*change.deleted, *changed], next(reversed(pending), 0)
        for number in touched:
            if number in summaries:
                counts[summaries[number].state] -= 1
            if number not in changed:
                summaries.pop(number, None)
        for number, trial in changed.items():
            summaries[number] = trial  # in its former place, as others start from the trials in their order
            counts[trial.state] = counts.get(trial.state, 0) + 1
        waiting = {n: t.parameters for n, t in changed.items() if not t.state.is_ended and not t.has_forecast}
        for number in set(touched).difference(waiting):
            pending.pop(number, None)
        is_in_order = all(number in pending or number > last for number in waiting)
        pending.update(waiting)
        return replace(
            self,
            study=change.after,
            summaries=summaries,
            counts={state: count for state, count in counts.items() if count},
            queued_numbers=self.queued_numbers.difference(touched).union(
                number for number, trial in changed.items() if trial.state is TrialState.QUEUED
            ),
            pending=pending if is_in_order else dict(sorted(pending.items())),
            basis=self.basis.after(change.after, self.summaries, summaries, touched, change.curves),
        )

    @cached_property
    def inputs(self) -> OptimizerInput:
        """The input of the optimizer."""
        return self.basis.inputs(self.pending.values())

    @property
    def num_running(self) -> int:
        """The number of running trials."""
        return self.counts.get(TrialState.RUNNING, 0)

    @property
    def remaining_search(self) -> int:
        """The number of further trials that may search, rather than confirm the best one; 0 once a budget is spent."""
        execution = self.study.spec.execution
        if execution.has_budget and execution.reached_limit(0, self.study.spent):
            return 0
        is_reserved = self.study.spec.suggestion.confirming_trials is not None
        reserved = num_reserved(self.study, self.inputs) if is_reserved else 0
        return (MAX_TRIALS if execution.max_trials is None else execution.max_trials) - len(self.summaries) - reserved


@dataclass(frozen=True)
class StudyDelta:
    """The changes that one or several transactions have made to a study."""

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


@dataclass(frozen=True, eq=False)
class ObservationHistory:
    """The past trials of a study, by number. Each history is equal to itself alone."""

    by_number: Mapping[int, Observation] = field(default_factory=dict)
    early_stopped: frozenset[int] = frozenset()
    """Those that a rule cut short: they count for no more than the best of the others."""
    best_full_value: float = math.inf
    """That best value; inf where there is none."""

    @cached_property
    def trials(self) -> tuple[Observation, ...]:
        """The observations in the order of their numbers."""
        return tuple(sorted(self.by_number.values(), key=lambda trial: trial.number))

    def with_changes(
        self, summaries: Mapping[int, TrialSummary], changed: Sequence[int], spec: StudySpec
    ) -> "ObservationHistory":
        """Return the history once the trials with these numbers are as in `summaries`, or are gone."""
        there = {number: summaries[number] for number in changed if number in summaries}
        short = self.early_stopped.difference(changed).union(n for n, trial in there.items() if trial.is_cut_short)
        whole = observations_of([trial for n, trial in there.items() if n not in short], spec, math.inf)
        kept = {**_without(self.by_number, changed), **whole}
        if not short:
            return ObservationHistory(kept)
        most = max((t.value for n, t in kept.items() if n not in short and t.value is not None), default=math.inf)
        again = short if most != self.best_full_value else short.intersection(changed)
        cut = observations_of([summaries[number] for number in again], spec, most)
        return ObservationHistory({**kept, **cut}, short, most)


@dataclass(frozen=True)
class OptimizerBasis:
    """All that the optimizer is given of a study, except what is pending.

    The evidence is made of a basis and of what is pending, and of nothing else. Suggestions that were made ahead are
    therefore valid for as long as the study's basis has the same version.
    """

    study_id: str
    spec: StudySpec
    past: ObservationHistory = field(default_factory=ObservationHistory)
    discarded: Mapping[int, Configuration] = field(default_factory=dict)
    """Configurations of trials that ended without a result, by number."""
    failed: Mapping[int, Configuration] = field(default_factory=dict)
    """Configurations of trials that failed at every attempt, by number."""
    sources: tuple[Source, ...] = ()
    curves: Mapping[int, LearningCurve] = field(default_factory=dict)
    """Learning curves by number, where they decide which trials go on."""
    version: int = field(init=False, compare=False, default_factory=lambda: next(_versions))
    """Unique to this basis within the process."""

    def after(
        self,
        study: Study,
        before: Mapping[int, TrialSummary],
        now: Mapping[int, TrialSummary],
        touched: Sequence[int],
        curves: Mapping[int, LearningCurve],
    ) -> "OptimizerBasis":
        """Return the basis after a change of the study; itself where the optimizer is given the same.

        Args:
            study: as it is now.
            before: all trials by number, as they were.
            now: all trials by number, as they are.
            touched: numbers of the trials that were added, changed or deleted.
            curves: learning curves of those, as they are.
        """
        curves = {**_without(self.curves, touched), **curves}
        if study.spec != self.spec:
            empty = OptimizerBasis(self.study_id, study.spec, sources=self.sources)
            return empty.after(study, {}, now, list(now), curves)
        informative, discarded, failed = [], _without(self.discarded, touched), _without(self.failed, touched)
        for number in touched:
            was, trial = before.get(number), now.get(number)
            if trial is not None and not trial.is_informative:
                if trial.state.is_ended:
                    (failed if trial.state is TrialState.FAILED else discarded)[number] = trial.parameters
                trial = None
            if trial != (was if was is not None and was.is_informative else None):
                informative.append(number)
        past = self.past.with_changes(now, informative, self.spec) if informative else self.past
        return self._unless_equal(past=past, discarded=discarded, failed=failed, curves=curves)

    def with_sources(self, sources: tuple[Source, ...]) -> "OptimizerBasis":
        """Return the basis with other earlier studies; itself where they say the same."""
        return self._unless_equal(sources=sources)

    def with_curves(self, curves: Mapping[int, LearningCurve]) -> "OptimizerBasis":
        """Return the basis with these learning curves."""
        return self._unless_equal(curves=curves)

    def inputs(self, pending: Iterable[Configuration]) -> OptimizerInput:
        """Return the optimizer's input."""
        settings, seed = self.spec.suggestion, self.spec.suggestion.seed
        if seed is None:  # the same for every server and at every start: from 0 to 2^63 - 1
            seed = int.from_bytes(hashlib.sha256(self.study_id.encode()).digest()[:8], "big") >> 1
        return OptimizerInput(
            self.spec.space,
            settings,
            seed,
            self.past.trials,
            tuple(pending),
            self.sources,
            tuple(self.discarded[number] for number in sorted(self.discarded)),
            tuple(self.failed[number] for number in sorted(self.failed)),
            training=None if self.spec.fidelity is None else self._training,
            study=self.study_id,
        )

    @property
    def _training(self) -> TrainingInParts | None:
        fidelity = self.spec.fidelity
        if fidelity is None or fidelity.promotion is not Promotion.FORECAST:
            return None
        return TrainingInParts(fidelity, tuple(self.curves[number] for number in sorted(self.curves)))

    def _unless_equal(self, **changes: Any) -> "OptimizerBasis":
        if all(getattr(self, name) == value for name, value in changes.items()):
            return self
        return replace(self, **changes)


def _without(values: Mapping[int, V], numbers: Iterable[int]) -> dict[int, V]:
    """Return values by number without those of some numbers."""
    kept = dict(values)
    for number in numbers:
        kept.pop(number, None)
    return kept


def observations_of(trials: Sequence[TrialSummary], spec: StudySpec, most: float) -> dict[int, Observation]:
    """Return the observations of the trials that count, by number. What was cut short counts for `most` at most."""
    values = full_fidelity_values(trials, spec.objective, most)
    observations = {}
    for trial in trials:
        if trial.state is TrialState.INFEASIBLE:
            observations[trial.number] = Observation(trial.number, trial.parameters, None)
        elif trial.number in values and trial.final_measurement is not None:
            metrics, (value, std) = trial.final_measurement.metrics, values[trial.number]
            further = tuple(m.to_maximized(metrics[m.name]) for m in spec.objectives[1:])
            margins = tuple(m.to_maximized(metrics[m.name]) for m in spec.constraint_metrics)
            about = value, std, further, margins, trial.seconds, trial.is_cut_short
            observations[trial.number] = Observation(trial.number, trial.parameters, *about)
        elif trial.number in values:  # it hasn't ended; a study with a fidelity has a single modelled metric
            value, std = values[trial.number]
            seconds = trial.seconds if spec.suggestion.per_cost else None
            observations[trial.number] = Observation(
                trial.number, trial.parameters, value, std, seconds=seconds, is_short=True
            )
    return observations


def full_fidelity_values(
    trials: Sequence[TrialSummary], metric: Metric, most: float | None = None
) -> dict[int, tuple[float, float]]:
    """Return what trials with a final measurement achieved, by number; larger is better.

    Each comes with its standard deviation where it is only expected, else with 0.

    A trial that a rule cut short counts for what it was expected to achieve, else for what it had; in both cases for no
    more than `most`, or the best of the others. So does one that was paused and hasn't ended.
    """
    assert metric.goal is not None
    sign = metric.goal.sign
    ended = {t.number: t for t in trials if t.state.is_ended and t.state is not TrialState.INFEASIBLE}
    given = {n: sign * t.final_measurement.metrics[metric.name] for n, t in ended.items() if t.final_measurement}
    short = {n for n in given if ended[n].is_cut_short}
    if most is None:
        most = max((v for n, v in given.items() if n not in short), default=math.inf)
    values = {n: _expected(ended[n], metric, v, most) if n in short else (v, 0.0) for n, v in given.items()}
    waiting = {t.number: t.pause.expected for t in trials if t.has_forecast and t.pause is not None}
    forecasts = {n: e for n, e in waiting.items() if e is not None and e.metric == metric.name}
    return {**values, **{n: (min(sign * e.mean, most), e.std) for n, e in forecasts.items()}}


def _expected(trial: TrialSummary, metric: Metric, given: float, most: float) -> tuple[float, float]:
    requests = (trial.stop_request, trial.pause)
    expected = next((request.expected for request in requests if request and request.expected), None)
    if expected is None or metric.goal is None:
        return min(given, most), 0.0
    return min(metric.goal.sign * expected.mean, most), expected.std
