"""Early stopping: asking the study's rule about a trial that has reported."""

import math
from collections.abc import Callable, Collection, Sequence

from bo_service.application.ports import TrialOutline
from bo_service.application.services import Ledger, Services
from bo_service.core.stopping.curves import Curve, Peer
from bo_service.core.stopping.judge import Verdict, judge, step_to_judge
from bo_service.core.stopping.rules import Case
from bo_service.core.stopping.settings import StoppingRule
from bo_service.core.study import Metric
from bo_service.core.trial import Measurement, Origin, Prediction, StopRequest, Trial, TrialState

AMONG = 1000
"""A trial is compared with others among so many that were made last: more would tell little, and take long."""


def judged(services: Services, ledger: Ledger, before: Trial, trial: Trial, received: Sequence[Measurement]) -> Trial:
    """The trial, asked to stop where the study's rule says so of the measurements that it has just received.

    Args:
        services: which remember the other trials.
        ledger: of the study; the measurements are stored.
        before: the trial as it was before these measurements.
        trial: the trial as it is now.
        received: the measurements.
    """
    settings, metric = ledger.study.spec.stopping, ledger.study.spec.objective
    if settings.rule is StoppingRule.NONE or trial.stop_request:
        return trial
    wild = _not_finite(received, metric)
    if wild:
        return trial.stop(StopRequest(wild, ledger.at, settings.rule))
    known = [m.step for m in received if math.isfinite(m.metrics.get(metric.name, math.nan))]
    if trial.origin is Origin.DEFAULT or not known:
        return trial
    trials = services.memory.look(ledger.records, ledger.study).outlines.values()
    last_step = settings.max_step or _length(trials)
    seen = before.latest_measurement.step if before.latest_measurement else -1
    step = step_to_judge(settings, seen, max(known), last_step)
    if step is None:
        return trial
    verdict = judge(_case(ledger, trial, trials, max(known), step, last_step))
    return trial if verdict is None else trial.stop(_request(ledger, metric, verdict, last_step))


def _not_finite(received: Sequence[Measurement], metric: Metric) -> str:
    """Why to stop where the last value of the objective isn't finite; empty where it is."""
    measured = [m for m in received if metric.name in m.metrics]
    last = max(measured, key=lambda m: m.step, default=None)
    if last is None or math.isfinite(last.metrics[metric.name]):
        return ""
    value = last.metrics[metric.name]
    return f"Not finite: at step {last.step} {metric.name} is {value}; end the trial with failure DIVERGED."


def _length(trials: Collection[TrialOutline]) -> int | None:
    """The largest step at which a trial has SUCCEEDED; None where that is none above 0."""
    return max((t.final_measurement.step for t in trials if _is_whole(t) and t.final_measurement), default=0) or None


def _is_whole(trial: TrialOutline) -> bool:
    return trial.state is TrialState.SUCCEEDED


def _case(
    ledger: Ledger, trial: Trial, trials: Collection[TrialOutline], now: int, step: int, last_step: int | None
) -> Case:
    records, metric = ledger.records, ledger.study.spec.objective
    assert metric.goal is not None
    sign = metric.goal.sign
    finals = {
        t.number: sign * t.final_measurement.metrics[metric.name]
        for t in trials
        if _is_whole(t) and t.final_measurement
    }
    peers = tuple(
        Peer(sign * r.value, r.number in finals or r.last_step >= step, finals.get(r.number))
        for r in records.measurements.values_at(trial.study_id, metric.name, step, ledger.study.last_number - AMONG)
        if r.number != trial.number
    )
    points = records.measurements.of(trial.study_id, [trial.number])[trial.number]
    curve = Curve.of((m.step, sign * m.metrics[metric.name]) for m in points if metric.name in m.metrics).until(now)
    return Case(
        ledger.study.spec.stopping, metric.name, step, curve, peers, tuple(finals.values()), last_step, _say(metric)
    )


def _say(metric: Metric) -> Callable[[float], str]:
    """A core's value in the user's direction and unit."""
    assert metric.goal is not None
    sign, unit = metric.goal.sign, f" {metric.unit}" if metric.unit else ""
    return lambda value: f"{sign * value:.4g}{unit}"


def _request(ledger: Ledger, metric: Metric, verdict: Verdict, last_step: int | None) -> StopRequest:
    assert metric.goal is not None
    forecast, expected = verdict.expected, None
    if forecast is not None and math.isfinite(forecast.mean) and math.isfinite(forecast.std):
        expected = Prediction(metric.name, metric.goal.sign * forecast.mean, forecast.std)
    rule = ledger.study.spec.stopping.rule
    return StopRequest(verdict.reason, ledger.at, rule, expected, last_step if expected else None)
