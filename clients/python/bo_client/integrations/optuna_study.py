"""An Optuna study as one of the service's: its metrics, its outcomes, and the results that it has already."""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence

from optuna.distributions import BaseDistribution
from optuna.study import Study as OptunaStudy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bo_client.errors import FailedPrecondition, InvalidRequest, LimitExceeded
from bo_client.failures import failure_of
from bo_client.integrations.callers import local_of
from bo_client.integrations.domains import Translation, service_name
from bo_client.study import Study
from bo_client.values import Failure, FailureReason, Metric, StudyInfo

logger = logging.getLogger("bo_client.optuna")

TRIAL_ATTRIBUTE = "bo:trial"
"""Where an Optuna trial keeps the name of the service's trial."""
STUDY_ATTRIBUTE = "bo:study"
"""Where an Optuna trial keeps when that trial's study was created: another of the same name is another study."""
FAILURE_ATTRIBUTE = "bo:failure"
"""Where an Optuna trial that failed keeps the reason."""
LABEL = "optuna-trial"
"""What the service keeps of a trial that was added: the Optuna study's name, the trial's number and its start."""
BLAMING = (FailureReason.OUT_OF_MEMORY, FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)
"""Reasons that teach the surrogate something of the parameters."""


class ServiceStudy:
    """The service's study of one search space and one set of metrics."""

    def __init__(self, study: Study, distributions: Mapping[str, BaseDistribution], translation: Translation) -> None:
        self.study = study
        self.distributions = distributions
        self.translation = translation
        self._created = str(study.definition.create_time)
        self._added = {trial.labels.get(LABEL) for trial in study.trials()}

    def mark(self, study: OptunaStudy, trial: FrozenTrial, name: str) -> None:
        """Writes down that the service has the trial, as the one of that name; or, without a name, that it hasn't."""
        study._storage.set_trial_system_attr(trial._trial_id, TRIAL_ATTRIBUTE, name)
        study._storage.set_trial_system_attr(trial._trial_id, STUDY_ATTRIBUTE, self._created)

    def has(self, trial: FrozenTrial) -> bool:
        """Whether it was run as a trial of this study."""
        is_ours = str(trial.system_attrs.get(TRIAL_ATTRIBUTE, "")).startswith(f"{self.study.name}/")
        return is_ours and trial.system_attrs.get(STUDY_ATTRIBUTE, self._created) == self._created

    def add(self, study: OptunaStudy, trial: FrozenTrial, outcome: Mapping[str, float] | Failure) -> None:
        """Adds what Optuna has and the service lacks, once, whoever adds it. A failure that blames nobody is left out.

        A trial without this study's parameters is left out too: it belongs to another space.
        """
        if isinstance(outcome, Failure) and outcome.reason not in BLAMING:
            return
        try:
            configuration = self.translation.outward(trial.params)
        except InvalidRequest as refusal:
            logger.info("trial %d is not told to the service: %s", trial.number, refusal)
            return
        label = f"{study.study_name[:200]}/{trial.number}/{trial.datetime_start}"
        if label in self._added:
            return
        faults = self.study.definition.space.configuration_faults(configuration)
        if faults:
            what = "; ".join(f"{fault.field}: {fault.description}" for fault in faults)
            logger.info("trial %d is not told to the service: %s", trial.number, what)
            return
        metrics = None if isinstance(outcome, Failure) else outcome
        failure = outcome.reason if isinstance(outcome, Failure) else None
        origin = f"{self.study.name} {label}"  # processes may do so at the same moment
        request_id = f"optuna-{hashlib.sha256(origin.encode()).hexdigest()[:40]}"
        try:
            self.study.add(configuration, metrics, failure, {LABEL: label}, request_id)
        except (InvalidRequest, FailedPrecondition, LimitExceeded) as refusal:
            logger.warning("trial %d is not told to the service: %s", trial.number, refusal)


def metrics_of(study: OptunaStudy, constraints: Iterable[str] = ()) -> list[Metric]:
    """An Optuna study's objectives, then its constraints, which must be at most 0.

    The objectives' names are those of `set_metric_names`, or value, value_1 …; names that the service doesn't take are
    changed into similar ones.
    """
    names = study.metric_names or ["value", *(f"value_{i}" for i in range(1, len(study.directions)))]
    goals = ["maximize" if d is StudyDirection.MAXIMIZE else "minimize" for d in study.directions]
    objectives = [Metric(service_name(n), goal) for n, goal in zip(names, goals, strict=True)]  # type: ignore[arg-type]
    return [*objectives, *(Metric.at_most(constraint_name(key), 0.0) for key in sorted(constraints))]


def constraint_name(key: str) -> str:
    """The metric's name for what `trial.set_constraint` calls `key`; `constraints_func` counts from 0."""
    return service_name(f"constraint_{key}" if key.isdecimal() else key)


def measured(definition: StudyInfo, trial: FrozenTrial, values: Sequence[float]) -> Mapping[str, float] | Failure:
    """A result by the study's metrics; or, where it lacks a constraint or is NaN or infinite, how it has failed."""
    metrics = {metric.name: value for metric, value in zip(definition.objectives, values, strict=False)}
    given = {constraint_name(key): value for key, value in trial.constraints.items()}
    metrics.update({metric.name: given[metric.name] for metric in definition.limits if metric.name in given})
    wild = [f"{name} is {value!r}" for name, value in metrics.items() if not math.isfinite(value)]
    if wild:
        return Failure(FailureReason.DIVERGED, ", ".join(wild))
    missing = [metric.name for metric in definition.steering if metric.name not in metrics]
    if missing:
        what = f"the trial has no {', '.join(missing)}; call trial.set_constraint for each constraint in every trial"
        return Failure(FailureReason.CRASHED, what)
    return metrics


def failure_told(default: FailureReason) -> Failure:
    """Why a trial fails that Optuna is just ending: by the objective's exception, or by the value that it returned."""
    error = local_of("optuna", "_run_trial", "func_err")
    if isinstance(error, BaseException):
        failure = failure_of(error)
        return Failure(default, failure.message) if failure.reason is FailureReason.CRASHED else failure
    told = local_of("optuna", "_tell_with_warning", "value_or_values")
    values = told if isinstance(told, Sequence) and not isinstance(told, str) else [told]
    if any(not _is_finite(value) for value in values):
        return Failure(FailureReason.DIVERGED, f"the objective returned {told!r}")
    what = (
        "the trial was told to have failed" if told is None else f"the objective returned {told!r}, which is no value"
    )
    return Failure(default, what)


def failure_kept(trial: FrozenTrial) -> Failure | None:
    """Why a trial has failed in an earlier process; None where nothing is known."""
    reason = trial.system_attrs.get(FAILURE_ATTRIBUTE)
    if trial.state is not TrialState.FAIL or reason not in FailureReason.__members__:
        return None
    return Failure(FailureReason(reason))


def _is_finite(value: object) -> bool:
    """False for NaN and infinities alone."""
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return True
