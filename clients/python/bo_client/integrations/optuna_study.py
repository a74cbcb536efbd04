"""The connection of an Optuna study with a study of the service: metrics, outcomes and existing results."""

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
from bo_client.models import Failure, FailureReason, Metric, StudyInfo
from bo_client.study import Study

logger = logging.getLogger("bo_client.optuna")

TRIAL_ATTRIBUTE = "bo:trial"
"""Attribute of an Optuna trial with the name of the service's trial."""
STUDY_ATTRIBUTE = "bo:study"
"""Attribute of an Optuna trial with the creation time of the service's study, as names are reused."""
FAILURE_ATTRIBUTE = "bo:failure"
"""Attribute of a failed Optuna trial with the reason."""
LABEL = "optuna-trial"
"""Label of a trial that was added: the Optuna study's name, the trial's number and its start."""
PRUNED = "pruned by Optuna"
"""Why a trial was stopped."""
CAUSED_BY_PARAMETERS = (FailureReason.OUT_OF_MEMORY, FailureReason.DIVERGED, FailureReason.INVALID_CONFIGURATION)
"""Reasons that inform the surrogate about the parameters."""


class ServiceStudy:
    """A study of the service with one search space and one set of metrics."""

    def __init__(self, study: Study, distributions: Mapping[str, BaseDistribution], translation: Translation) -> None:
        self.study = study
        self.distributions = distributions
        self.translation = translation
        self.seen: set[int] = set()
        """Numbers of Optuna's ended trials that have been compared with the service's."""
        self._created = str(study.definition.create_time)
        self._added = {trial.labels.get(LABEL) for trial in study.trials()}

    def mark(self, study: OptunaStudy, trial: FrozenTrial, name: str) -> None:
        """Record the name of the service's trial in Optuna's trial; an empty name if the service has none."""
        study._storage.set_trial_system_attr(trial._trial_id, TRIAL_ATTRIBUTE, name)
        study._storage.set_trial_system_attr(trial._trial_id, STUDY_ATTRIBUTE, self._created)

    def has(self, trial: FrozenTrial) -> bool:
        """Return whether the trial was run as a trial of this study."""
        is_ours = str(trial.system_attrs.get(TRIAL_ATTRIBUTE, "")).startswith(f"{self.study.name}/")
        return is_ours and trial.system_attrs.get(STUDY_ATTRIBUTE, self._created) == self._created

    def add(
        self,
        study: OptunaStudy,
        trial: FrozenTrial,
        outcome: Mapping[str, float] | Failure,
        stop_reason: str | None = None,
    ) -> None:
        """Add a trial that the service lacks, once, whoever adds it; `stop_reason` is why it was ended early.

        Failures that the parameters did not cause, and trials with parameters of another space, are skipped.
        """
        if isinstance(outcome, Failure) and outcome.reason not in CAUSED_BY_PARAMETERS:
            return
        try:
            configuration = self.translation.to_service(trial.params)
        except InvalidRequest as refusal:
            logger.info("trial %d is not added to the service: %s", trial.number, refusal)
            return
        label = f"{study.study_name[:200]}/{trial.number}/{trial.datetime_start}"
        if label in self._added:
            return
        faults = self.study.definition.space.configuration_faults(configuration)
        if faults:
            what = "; ".join(f"{fault.field}: {fault.description}" for fault in faults)
            logger.info("trial %d is not added to the service: %s", trial.number, what)
            return
        metrics = None if isinstance(outcome, Failure) else outcome
        failure = outcome.reason if isinstance(outcome, Failure) else None
        objective = self.study.definition.objective.name
        values = trial.intermediate_values if stop_reason is not None and metrics is not None else {}
        curve = {step: {objective: value} for step, value in values.items() if math.isfinite(value)}
        origin = f"{self.study.name} {label}"  # processes may do so at the same moment
        request_id = f"optuna-{hashlib.sha256(origin.encode()).hexdigest()[:40]}"
        try:
            self.study.add(
                configuration, metrics, failure, {LABEL: label}, request_id, stop_reason=stop_reason, curve=curve
            )
            self._added.add(label)
        except (InvalidRequest, FailedPrecondition, LimitExceeded) as refusal:
            logger.warning("trial %d is not added to the service: %s", trial.number, refusal)


def metrics_of(study: OptunaStudy, constraints: Iterable[str] = ()) -> list[Metric]:
    """Return an Optuna study's objectives, then its constraints, which must be at most 0.

    The objectives' names are those of `set_metric_names`, or value, value_1 …; names that the service does not accept
    are changed to similar ones.
    """
    names = study.metric_names or ["value", *(f"value_{i}" for i in range(1, len(study.directions)))]
    goals = ["maximize" if d is StudyDirection.MAXIMIZE else "minimize" for d in study.directions]
    objectives = [Metric(service_name(n), goal) for n, goal in zip(names, goals, strict=True)]  # type: ignore[arg-type]
    return [*objectives, *(Metric.at_most(constraint_name(key), 0.0) for key in sorted(constraints))]


def constraint_name(key: str) -> str:
    """Return the name of a constraint's metric for its `key`; `constraints_func` counts from 0."""
    return service_name(f"constraint_{key}" if key.isdecimal() else key)


def measured(definition: StudyInfo, trial: FrozenTrial, values: Sequence[float]) -> Mapping[str, float] | Failure:
    """Return a result by the study's metrics; a failure if it lacks a constraint or is not finite."""
    metrics = {metric.name: value for metric, value in zip(definition.objectives, values, strict=False)}
    constraint_values = {constraint_name(key): value for key, value in trial.constraints.items()}
    metrics.update(
        {
            metric.name: constraint_values[metric.name]
            for metric in definition.limits
            if metric.name in constraint_values
        }
    )
    non_finite = [f"{name} is {value!r}" for name, value in metrics.items() if not math.isfinite(value)]
    if non_finite:
        return Failure(FailureReason.DIVERGED, ", ".join(non_finite))
    missing = [metric.name for metric in definition.modelled_metrics if metric.name not in metrics]
    if missing:
        what = f"the trial has no {', '.join(missing)}; call trial.set_constraint for each constraint in every trial"
        return Failure(FailureReason.CRASHED, what)
    return metrics


def measured_until_pruned(definition: StudyInfo, trial: FrozenTrial) -> Mapping[str, float] | Failure:
    """Return the last value of a pruned trial; a failure of the parameters if it has none that is finite."""
    last = [] if trial.last_step is None else [trial.intermediate_values[trial.last_step]]
    outcome = measured(definition, trial, last)
    if isinstance(outcome, Failure) and outcome.reason is not FailureReason.DIVERGED:
        return Failure(FailureReason.INVALID_CONFIGURATION, f"{PRUNED}; {outcome.message}")
    return outcome


def failure_of_ending_trial(default: FailureReason) -> Failure:
    """Return the failure of a trial that Optuna is ending, from the objective's exception or returned value."""
    error = local_of("optuna", "_run_trial", "func_err")
    if isinstance(error, BaseException):
        failure = failure_of(error)
        return Failure(default, failure.message) if failure.reason is FailureReason.CRASHED else failure
    returned = local_of("optuna", "_tell_with_warning", "value_or_values")
    values = returned if isinstance(returned, Sequence) and not isinstance(returned, str) else [returned]
    if any(not _is_finite(value) for value in values):
        return Failure(FailureReason.DIVERGED, f"the objective returned {returned!r}")
    what = (
        "the trial was reported as failed"
        if returned is None
        else f"the objective returned {returned!r}, which is no value"
    )
    return Failure(default, what)


def stored_failure(trial: FrozenTrial) -> Failure | None:
    """Return the failure stored by an earlier process; None if there is none."""
    reason = trial.system_attrs.get(FAILURE_ATTRIBUTE)
    if trial.state is not TrialState.FAIL or reason not in FailureReason.__members__:
        return None
    return Failure(FailureReason(reason))


def _is_finite(value: object) -> bool:
    """Return False only for NaN and infinities."""
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return True
