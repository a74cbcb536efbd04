"""Training in parts: asking a trial that reaches a rung to pause, or to go on."""

import math
from collections.abc import Mapping, Sequence

from bo_service.application.context import StudyTransaction
from bo_service.application.early_stopping import in_words, not_finite, request_stop
from bo_service.application.promotion import values_at_rung
from bo_service.domain.budget import Limit
from bo_service.domain.fidelity import FidelitySettings, Promotion, best_third
from bo_service.domain.study import Metric
from bo_service.domain.trial import Measurement, Pause, Prediction, Trial, TrialState
from bo_service.optimizer.early_stopping.curves import Curve


def apply_fidelity(transaction: StudyTransaction, trial: Trial, received: Sequence[Measurement]) -> Trial:
    """Return the trial after a report: at a rung it is asked to pause, or told how far to go on.

    Args:
        transaction: of the study; the measurements are stored.
        trial: the trial as it is now.
        received: the measurements.
    """
    fidelity, metric = transaction.study.spec.fidelity, transaction.study.spec.objective
    if fidelity is None or trial.stop_request:
        return trial
    wild = not_finite(received, metric)
    if wild:
        return request_stop(transaction, trial, wild)
    step = trial.latest_measurement.step if trial.latest_measurement else 0
    if fidelity.promotion is Promotion.FORECAST and fidelity.last_stop(step) == step:
        transaction.note_longer_curve()
    if trial.until_step is None or step < trial.until_step or trial.is_pause_requested:
        return trial
    rung = fidelity.last_rung(step)
    if fidelity.promotion is Promotion.FORECAST and rung is not None and step < fidelity.max_step:
        last = next((m.metrics[metric.name] for m in reversed(received) if metric.name in m.metrics), None)
        if last is None:
            return trial  # the rung's value comes with another report
        return trial.request_pause(_wait_for_forecast(transaction, trial, fidelity, rung, last))
    if step >= fidelity.max_step or rung is None:
        return trial.run_until(fidelity.max_step)
    summaries = transaction.snapshot.summaries
    values = values_at_rung(transaction.records, transaction.study, summaries, rung)
    if trial.number not in values:
        return trial  # the rung's value comes with another report
    best = best_third(values)
    if trial.number not in best:
        return trial.request_pause(_pause(transaction, trial, values, rung, _place(values, trial, len(best))))
    if limit := _spent_limit(transaction, trial):
        return trial.request_pause(_pause(transaction, trial, values, rung, f"the study's {limit.value} is spent"))
    return trial.run_until(fidelity.next_stop(step))


def _spent_limit(transaction: StudyTransaction, trial: Trial) -> Limit | None:
    """Return the limit of training that is reached where the running trials come to their next rungs."""
    execution = transaction.study.spec.execution
    return execution.reached_limit(0, transaction.committed(trial)) if execution.has_budget else None


def _wait_for_forecast(
    transaction: StudyTransaction, trial: Trial, fidelity: FidelitySettings, rung: int, last: float
) -> Pause:
    metric = transaction.study.spec.objective
    value = in_words(metric)(metric.to_maximized(last))
    reason = (
        f"Forecast: at {fidelity.step_name} {rung} {metric.name} was {value}; "
        "goes on once its forecast is among the best third."
    )
    expected = _forecast(transaction, trial, {}, metric, fidelity.max_step)
    rate = trial.spent.seconds_per_step
    return Pause(reason, transaction.at, rung, trial.attempt, expected, fidelity.max_step, rate)


def _place(values: Mapping[int, float], trial: Trial, places: int) -> str:
    place = best_third(values, len(values)).index(trial.number) + 1
    named = f"the best {places} go on" if places > 1 else "the best goes on" if places else "none goes on yet"
    return f"in place {place} of {len(values)}; {named}"


def _pause(transaction: StudyTransaction, trial: Trial, values: Mapping[int, float], rung: int, why: str) -> Pause:
    fidelity, metric = transaction.study.spec.fidelity, transaction.study.spec.objective
    assert fidelity is not None
    value, say = values[trial.number], in_words(metric)
    reason = f"Successive halving: at {fidelity.step_name} {rung} {metric.name} was {say(value)}, {why}."
    expected = _forecast(transaction, trial, values, metric, fidelity.max_step)
    rate = trial.spent.seconds_per_step
    return Pause(reason, transaction.at, rung, trial.attempt, expected, fidelity.max_step, rate)


def _forecast(
    transaction: StudyTransaction, trial: Trial, values: Mapping[int, float], metric: Metric, max_step: int
) -> Prediction | None:
    """Return what the trial is expected to achieve at its full length, in the metric's direction."""
    from bo_service.optimizer.early_stopping.extrapolation import extrapolate  # loads numpy

    assert metric.goal is not None
    sign = metric.goal.sign
    points = transaction.records.get_measurements(trial.study_id, [trial.number])[trial.number]
    curve = Curve.of((m.step, sign * m.metrics[metric.name]) for m in points if metric.name in m.metrics)
    finals = {
        number: summary.final_measurement
        for number, summary in transaction.snapshot.summaries.items()
        if summary.state is TrialState.SUCCEEDED and summary.final_measurement
    }
    pairs = [(value, sign * finals[n].metrics[metric.name]) for n, value in values.items() if n in finals]
    forecast = extrapolate(curve, max_step, pairs)
    if not (math.isfinite(forecast.mean) and math.isfinite(forecast.std)):
        return None
    return Prediction(metric.name, sign * forecast.mean, forecast.std)
