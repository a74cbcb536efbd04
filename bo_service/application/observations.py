"""What the optimizer is told of a study: its trials, with metrics turned inward (see `Metric`), and earlier studies."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any, TypeVar

from bo_service.application.ports import TrialSummary
from bo_service.domain.constraints import Configuration
from bo_service.domain.fidelity import Promotion
from bo_service.domain.study import Metric, Study, StudySpec
from bo_service.domain.trial import TrialState, is_short
from bo_service.optimizer.inputs import LearningCurve, Observation, OptimizerInput, Source, TrainingInParts

V = TypeVar("V")


def replaced(values: Mapping[int, V], gone: Iterable[int], new: Mapping[int, V]) -> Mapping[int, V]:
    """Return values by number without those that are gone, and with the new ones; the same object if that is equal."""
    gone = [number for number in gone if number in values]
    if not gone and not new:
        return values
    changed = dict(values)
    for number in gone:
        if number not in new:
            del changed[number]
    changed.update(new)
    return changed


@dataclass(frozen=True, eq=False)
class ObservationHistory:
    """The past trials of a study, by number. Each history is equal to itself alone."""

    by_number: Mapping[int, Observation]
    early_stopped: frozenset[int]
    """Those that a rule cut short: they count for no more than the best of the others."""
    best_full_value: float
    """That best value; inf where there is none."""

    @classmethod
    def of(cls, trials: Sequence[TrialSummary], spec: StudySpec) -> "ObservationHistory":
        """Return the history of all trials of a study."""
        summaries = {trial.number: trial for trial in trials}
        return cls({}, frozenset(), math.inf).with_changes(summaries, list(summaries), spec)

    @cached_property
    def trials(self) -> tuple[Observation, ...]:
        """In the order of their numbers."""
        return tuple(sorted(self.by_number.values(), key=lambda trial: trial.number))

    def with_changes(
        self, summaries: Mapping[int, TrialSummary], changed: Sequence[int], spec: StudySpec
    ) -> "ObservationHistory":
        """Return the history once the trials with these numbers are as in `summaries`, or are gone."""
        there = [summaries[number] for number in changed if number in summaries]
        short = (self.early_stopped - set(changed)) | {trial.number for trial in there if is_cut_short(trial)}
        whole = observations_of([trial for trial in there if trial.number not in short], spec, math.inf)
        found = replaced(self.by_number, changed, whole)
        if not short:
            return ObservationHistory(found, frozenset(), math.inf)
        most = max((t.value for n, t in found.items() if n not in short and t.value is not None), default=math.inf)
        again = short if most != self.best_full_value else short & set(changed)
        cut = observations_of([summaries[number] for number in again], spec, most)
        return ObservationHistory(replaced(found, (), cut), frozenset(short), most)


_versions = count(1)


@dataclass(frozen=True)
class OptimizerBasis:
    """All that the optimizer is given of a study, except what is pending.

    The evidence is made of a basis and of what is pending, and of nothing else. Suggestions that were made ahead are
    therefore valid for as long as the study's basis has the same version.
    """

    study_id: str
    spec: StudySpec
    past: ObservationHistory
    discarded: Mapping[int, Configuration]
    """Configurations of trials that ended without a result, by number."""
    failed: Mapping[int, Configuration]
    """Configurations of trials that failed at every attempt, by number."""
    sources: tuple[Source, ...] = ()
    curves: Mapping[int, LearningCurve] = field(default_factory=dict)
    """Learning curves by number, where they decide which trials go on."""
    version: int = field(init=False, compare=False, default_factory=lambda: next(_versions))
    """Unique to this basis within the process."""

    @classmethod
    def of(cls, study: Study, trials: Sequence[TrialSummary], sources: tuple[Source, ...] = ()) -> "OptimizerBasis":
        """Return the history of all trials of a study."""
        spec = study.spec
        return cls(
            study.study_id,
            spec,
            ObservationHistory.of(trials, spec),
            without_result(trials, is_failed=False),
            without_result(trials, is_failed=True),
            sources,
        )

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
        if study.spec != self.spec:
            return OptimizerBasis.of(study, list(now.values()), self.sources).with_curves(
                replaced(self.curves, touched, curves)
            )
        heard = [number for number in touched if _differs(before.get(number), now.get(number))]
        there = [now[number] for number in touched if number in now]
        return self._unless_equal(
            past=self.past.with_changes(now, heard, self.spec) if heard else self.past,
            discarded=replaced(self.discarded, touched, without_result(there, is_failed=False)),
            failed=replaced(self.failed, touched, without_result(there, is_failed=True)),
            curves=replaced(self.curves, touched, curves),
        )

    def with_sources(self, sources: tuple[Source, ...]) -> "OptimizerBasis":
        """Return the basis with other earlier studies; itself where they say the same."""
        return self._unless_equal(sources=sources)

    def with_curves(self, curves: Mapping[int, LearningCurve]) -> "OptimizerBasis":
        """Return the basis with these learning curves."""
        return self._unless_equal(curves=curves)

    def inputs(self, pending: Iterable[Configuration]) -> OptimizerInput:
        """Return the optimizer's input."""
        settings = self.spec.suggestion
        return OptimizerInput(
            self.spec.space,
            settings,
            seed_of(self.study_id) if settings.seed is None else settings.seed,
            self.past.trials,
            tuple(pending),
            self.sources,
            _in_order(self.discarded),
            _in_order(self.failed),
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


def _differs(before: TrialSummary | None, now: TrialSummary | None) -> bool:
    """Return whether the optimizer is given the trial."""
    return (before if is_informative(before) else None) != (now if is_informative(now) else None)


def _in_order(configurations: Mapping[int, Configuration]) -> tuple[Configuration, ...]:
    return tuple(configurations[number] for number in sorted(configurations))


def without_result(trials: Iterable[TrialSummary], is_failed: bool) -> dict[int, Configuration]:
    """Return the configurations of trials that ended and say nothing about them, by number; those failed, or not."""
    ended = (t for t in trials if t.state.is_ended and (t.state is TrialState.FAILED) is is_failed)
    return {t.number: t.parameters for t in ended if not is_informative(t)}


def is_informative(trial: TrialSummary | None) -> bool:
    """Return whether the trial says something about its parameters; machines' failures don't."""
    if trial is None or not trial.state.is_ended:
        return trial is not None and has_forecast(trial)
    return trial.state is TrialState.INFEASIBLE or trial.final_measurement is not None


def has_forecast(trial: TrialSummary) -> bool:
    """Return whether the trial hasn't ended, and was asked to pause: what is expected of it counts meanwhile."""
    return not trial.state.is_ended and trial.pause is not None and trial.pause.expected is not None


def observations_of(trials: Sequence[TrialSummary], spec: StudySpec, most: float) -> dict[int, Observation]:
    """Return the observations of the trials that count, by number. What was cut short counts for `most` at most."""
    values = full_fidelity_values(trials, spec.objective, most)
    found = {}
    for trial in trials:
        if trial.state is TrialState.INFEASIBLE:
            found[trial.number] = Observation(trial.number, trial.parameters, None)
        elif trial.number in values and trial.final_measurement is not None:
            metrics, (value, std) = trial.final_measurement.metrics, values[trial.number]
            further = tuple(m.to_maximized(metrics[m.name]) for m in spec.objectives[1:])
            margins = tuple(m.to_maximized(metrics[m.name]) for m in spec.constraint_metrics)
            about = value, std, further, margins, trial.seconds, is_cut_short(trial)
            found[trial.number] = Observation(trial.number, trial.parameters, *about)
        elif trial.number in values:  # it hasn't ended; a study with a fidelity has a single modelled metric
            value, std = values[trial.number]
            seconds = trial.seconds if spec.suggestion.per_cost else None
            found[trial.number] = Observation(
                trial.number, trial.parameters, value, std, seconds=seconds, is_short=True
            )
    return found


def seed_of(study_id: str) -> int:
    """Return the seed of a study that has none of its own, from 0 to 2^63 - 1."""
    return int.from_bytes(hashlib.sha256(study_id.encode()).digest()[:8], "big") >> 1


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
    short = {n for n in given if is_cut_short(ended[n])}
    if most is None:
        most = max((v for n, v in given.items() if n not in short), default=math.inf)
    values = {n: _expected(ended[n], metric, v, most) if n in short else (v, 0.0) for n, v in given.items()}
    waiting = {t.number: t.pause.expected for t in trials if has_forecast(t) and t.pause is not None}
    forecasts = {n: e for n, e in waiting.items() if e is not None and e.metric == metric.name}
    return {**values, **{n: (min(sign * e.mean, most), e.std) for n, e in forecasts.items()}}


def is_cut_short(trial: TrialSummary) -> bool:
    """Return whether a rule ended or paused the trial, so that what is known of it is of less than its full length."""
    has_result = trial.state.is_ended and trial.state is not TrialState.INFEASIBLE
    if not has_result and trial.pause is not None:
        return has_forecast(trial)
    return has_result and is_short(trial.state, trial.final_measurement, trial.stop_request, trial.pause)


def _expected(trial: TrialSummary, metric: Metric, given: float, most: float) -> tuple[float, float]:
    requests = (trial.stop_request, trial.pause)
    expected = next((request.expected for request in requests if request and request.expected), None)
    if expected is None or metric.goal is None:
        return min(given, most), 0.0
    return min(metric.goal.sign * expected.mean, most), expected.std
