"""Early stopping: asking the study's rule about a trial that has reported."""

import math
from collections.abc import Callable, Collection, Sequence

from bo_service.application.context import StudyTransaction
from bo_service.application.ports import TrialSummary
from bo_service.domain.early_stopping import StoppingRule
from bo_service.domain.study import Metric
from bo_service.domain.trial import Measurement, Origin, Prediction, StopRequest, Trial, TrialState
from bo_service.optimizer.early_stopping.curves import Curve, OtherTrial
from bo_service.optimizer.early_stopping.decision import StopDecision, should_stop, step_to_judge
from bo_service.optimizer.early_stopping.rules import StoppingContext

MAX_COMPARED = 1000
"""A trial is compared with others among so many that were made last: more would tell little, and take long."""


def apply_stopping_rule(
    transaction: StudyTransaction, before: Trial, trial: Trial, received: Sequence[Measurement]
) -> Trial:
    """Return the trial, asked to stop where the study's rule says so of the measurements just received.

    Args:
        transaction: of the study; the measurements are stored.
        before: the trial as it was before these measurements.
        trial: the trial as it is now.
        received: the measurements.
    """
    settings, metric = transaction.study.spec.stopping, transaction.study.spec.objective
    if settings.rule is StoppingRule.NONE or trial.stop_request:
        return trial
    wild = not_finite(received, metric)
    if wild:
        return request_stop(transaction, trial, wild)
    steps = [m.step for m in received if math.isfinite(m.metrics.get(metric.name, math.nan))]
    if trial.origin is Origin.DEFAULT or not steps:
        return trial
    trials = transaction.snapshot.summaries.values()
    last_step = settings.max_step or _length(trials)
    seen = before.latest_measurement.step if before.latest_measurement else -1
    step = step_to_judge(settings, seen, max(steps), last_step)
    if step is None:
        return trial
    verdict = should_stop(_case(transaction, trial, trials, max(steps), step, last_step))
    return trial if verdict is None else trial.stop(_request(transaction, metric, verdict, last_step))


def request_stop(transaction: StudyTransaction, trial: Trial, reason: str) -> Trial:
    """Return the trial, asked to stop in the name of the study's rule."""
    return trial.stop(StopRequest(reason, transaction.at, transaction.study.spec.stopping.rule))


def not_finite(received: Sequence[Measurement], metric: Metric) -> str:
    """Return why to stop where the last value of the objective isn't finite; empty where it is."""
    measured = [m for m in received if metric.name in m.metrics]
    last = max(measured, key=lambda m: m.step, default=None)
    if last is None or math.isfinite(last.metrics[metric.name]):
        return ""
    value = last.metrics[metric.name]
    return f"Not finite: at step {last.step} {metric.name} is {value}; end the trial with failure DIVERGED."


def _length(trials: Collection[TrialSummary]) -> int | None:
    """Return the largest step at which a trial has SUCCEEDED; None where none is above 0."""
    return max((t.final_measurement.step for t in trials if _is_whole(t) and t.final_measurement), default=0) or None


def _is_whole(trial: TrialSummary) -> bool:
    return trial.state is TrialState.SUCCEEDED


def _case(
    transaction: StudyTransaction,
    trial: Trial,
    trials: Collection[TrialSummary],
    now: int,
    step: int,
    last_step: int | None,
) -> StoppingContext:
    records, metric = transaction.records, transaction.study.spec.objective
    assert metric.goal is not None
    sign = metric.goal.sign
    finals = {
        t.number: sign * t.final_measurement.metrics[metric.name]
        for t in trials
        if _is_whole(t) and t.final_measurement
    }
    peers = tuple(
        OtherTrial(sign * r.value, r.number in finals or r.last_step >= step, finals.get(r.number))
        for r in records.values_at(trial.study_id, metric.name, step, transaction.study.last_number - MAX_COMPARED)
        if r.number != trial.number
    )
    points = records.get_measurements(trial.study_id, [trial.number])[trial.number]
    curve = Curve.of((m.step, sign * m.metrics[metric.name]) for m in points if metric.name in m.metrics).until(now)
    return StoppingContext(
        transaction.study.spec.stopping,
        metric.name,
        step,
        curve,
        peers,
        tuple(finals.values()),
        last_step,
        in_words(metric),
    )


def in_words(metric: Metric) -> Callable[[float], str]:
    """Return an optimizer's value in the user's direction and unit."""
    assert metric.goal is not None
    sign, unit = metric.goal.sign, f" {metric.unit}" if metric.unit else ""
    return lambda value: f"{sign * value:.4g}{unit}"


def _request(
    transaction: StudyTransaction, metric: Metric, verdict: StopDecision, last_step: int | None
) -> StopRequest:
    assert metric.goal is not None
    forecast, expected = verdict.expected, None
    if forecast is not None and math.isfinite(forecast.mean) and math.isfinite(forecast.std):
        expected = Prediction(metric.name, metric.goal.sign * forecast.mean, forecast.std)
    rule = transaction.study.spec.stopping.rule
    return StopRequest(verdict.reason, transaction.at, rule, expected, last_step if expected else None)
