"""The fake server's early stopping: the median rule, whichever rule was chosen."""

import math
import statistics
from collections.abc import Iterable, Iterator

from bo_api.v1 import study_pb2, trial_pb2

from bo_client.errors import Violation
from bo_client.values import StudyInfo

DEFAULT_MIN_TRIALS, EARLIEST = 5, 10


def stopping_faults(settings: study_pb2.StoppingSettings) -> Iterator[Violation]:
    """What is wrong beside whole numbers out of their bounds."""
    if settings.HasField("reduction_factor") and not 1 < settings.reduction_factor <= 100:
        given = settings.reduction_factor
        yield Violation("stopping.reduction_factor", f"is {given}; it must be above 1 and at most 100")
    if settings.HasField("confidence") and not 0.5 <= settings.confidence < 1:
        yield Violation("stopping.confidence", f"is {settings.confidence}; it must be at least 0.5 and below 1")
    both = settings.HasField("min_step") and settings.HasField("max_step")
    if both and settings.min_step >= settings.max_step > 0:
        given = settings.max_step
        yield Violation("stopping.min_step", f"is {settings.min_step}; it must be below max_step, which is {given}")


def why_stop(study: StudyInfo, trials: Iterable[trial_pb2.Trial], trial: trial_pb2.Trial) -> str:
    """Why the trial should stop at its last step; empty where it should go on."""
    settings = study.settings
    if settings.get("stopping", "none") == "none":
        return ""
    metric, step = study.objective, trial.latest_measurement.step
    last = trial.latest_measurement.metrics.get(metric.name, 0.0)
    if not math.isfinite(last):
        return f"not finite: at step {step} {metric.name} is {last}; end the trial with failure DIVERGED"
    if trial.origin == trial_pb2.ORIGIN_DEFAULT:
        return ""
    sign = 1.0 if metric.goal == "maximize" else -1.0
    others = [t for t in trials if t.name != trial.name]
    whole = [t.final_measurement for t in others if t.state == trial_pb2.TRIAL_STATE_SUCCEEDED]
    last = settings.get("stopping_max_step") or max((m.step for m in whole), default=0) or math.inf
    if not settings.get("stopping_min_step", last / EARLIEST) <= step < last:
        return ""
    mine = max(_values(trial, metric.name, sign, step), default=math.inf)
    reached = [values[-1] for t in others if _has_reached(t, step) and (values := _values(t, metric.name, sign, step))]
    is_best = mine >= max((sign * m.metrics[metric.name] for m in whole), default=math.inf)
    few = not reached or len(whole) < settings.get("stopping_min_trials", DEFAULT_MIN_TRIALS)
    if is_best or few or mine >= statistics.median(reached):
        return ""
    best, middle = f"{sign * mine:.4g}", f"{sign * statistics.median(reached):.4g}"
    return f"median rule: at step {step} the best {metric.name} was {best}, worse than {middle}, the others' median"


def _has_reached(trial: trial_pb2.Trial, step: int) -> bool:
    is_whole = trial.state == trial_pb2.TRIAL_STATE_SUCCEEDED
    return is_whole or any(m.step >= step for m in trial.measurements)


def _values(trial: trial_pb2.Trial, metric: str, sign: float, step: int) -> list[float]:
    """Those up to a step that are finite, larger being better."""
    given = (m.metrics[metric] for m in trial.measurements if m.step <= step and metric in m.metrics)
    return [sign * value for value in given if math.isfinite(value)]
