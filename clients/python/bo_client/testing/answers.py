"""What the fake server says of a study and its trials, without changing them."""

import statistics
from collections.abc import Collection, Mapping
from typing import TypeVar

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2, trial_pb2
from google.protobuf.message import Message

from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.ranking import leaders
from bo_client.testing.lives import OPEN, shortened
from bo_client.values import Metric, StudyInfo, TrialState

Trials = Collection[trial_pb2.Trial]
M = TypeVar("M", bound=Message)

FAILED = (trial_pb2.TRIAL_STATE_FAILED, trial_pb2.TRIAL_STATE_INFEASIBLE)
RECENT, LEAST_FAILED = 10, 3
PAGE, MAX_PAGE = 100, 1000
"""Items on a page that names no size, and changed trials in one message."""


def trial_number(name: str) -> int:
    """Of `studies/{study}/trials/{number}`. Raises InvalidRequest."""
    number = name.rpartition("/")[2]
    if not number.isdecimal():
        raise InvalidRequest.of("name", f"is {name!r}; give studies/STUDY/trials/NUMBER")
    return int(number)


def copy_of(message: M) -> M:
    """Another message that says the same."""
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def page_of(items: list[M], size: int, token: str) -> tuple[list[M], str]:
    """One page, and the token of the next. Raises InvalidRequest."""
    if size < 0:
        raise InvalidRequest.of("page_size", f"is {size}; it must be from 1 to {MAX_PAGE}")
    if token and not token.isdecimal():
        raise InvalidRequest.of("page_token", f"is {token!r}; give next_page_token of the page before")
    start = int(token or 0)
    end = start + min(size or PAGE, MAX_PAGE)
    return items[start:end], str(end) if end < len(items) else ""


def counted(study: study_pb2.Study, trials: Trials) -> study_pb2.Study:
    """A copy of the study with its trials counted by state."""
    copied = copy_of(study)
    states: list[int] = [trial.state for trial in trials]
    for state in TrialState:
        setattr(copied.trial_counts, state.lower(), states.count(trial_pb2.TrialState.Value(f"TRIAL_STATE_{state}")))
    _add_failures(copied, trials)
    return copied


def _add_failures(study: study_pb2.Study, trials: Trials) -> None:
    """Says it where most of the recent trials failed."""
    recent = sorted((t for t in trials if t.state not in OPEN), key=lambda t: trial_number(t.name))[-RECENT:]
    failed = [t for t in recent if t.state in FAILED]
    if len(failed) < LEAST_FAILED or 2 * len(failed) <= len(recent):
        return
    failure = failed[0].failure
    reason = trial_pb2.FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")
    said = study.recent_failures
    said.failed_count, said.trial_count, said.first_trial = len(failed), len(recent), failed[0].name
    said.first_failure = f"{reason}: {shortened(failure.message)}" if failure.message else reason


def shown(trial: trial_pb2.Trial, view: pb.TrialView) -> trial_pb2.Trial:
    """A copy of the trial, without its learning curve unless asked for."""
    copied = copy_of(trial)
    if view != pb.TRIAL_VIEW_FULL:
        copied.ClearField("measurements")
    return copied


def best_trials(study: StudyInfo, trials: Trials, count: int) -> list[trial_pb2.Trial]:
    """Of those that keep to every bound: with one objective the best first, the earlier one where two are equal, then
    those that a rule stopped; with several the whole Pareto set."""
    done = sorted((t for t in trials if t.HasField("final_measurement")), key=lambda t: trial_number(t.name))
    if len(study.objectives) > 1:
        return [done[i] for i in leaders(study, [t.final_measurement.metrics for t in done])]
    return _ordered([t for t in done if study.admits(t.final_measurement.metrics)], study.objective)[:count]


def contenders(study: StudyInfo, trials: Trials, metric: Metric) -> list[trial_pb2.Trial]:
    """By one objective alone: those that keep to every bound, or all where none does."""
    done = sorted((t for t in trials if t.HasField("final_measurement")), key=lambda t: trial_number(t.name))
    return _ordered([t for t in done if study.admits(t.final_measurement.metrics)] or done, metric)


def _ordered(done: list[trial_pb2.Trial], metric: Metric) -> list[trial_pb2.Trial]:
    return sorted(done, key=lambda t: (is_cut(t), -metric.sign * t.final_measurement.metrics[metric.name]))


def is_cut(trial: trial_pb2.Trial) -> bool:
    """Whether a rule stopped it, with a result."""
    is_stopped = trial.state == trial_pb2.TRIAL_STATE_STOPPED and trial.HasField("final_measurement")
    return is_stopped and trial.stop_request.rule != study_pb2.STOPPING_RULE_UNSPECIFIED


def prediction(study: StudyInfo, trials: Trials, count: int) -> pb.PredictResponse:
    """The same for `count` configurations. Raises FailedPrecondition with fewer than two results."""
    told = expected(study, trials)
    if not told:
        raise FailedPrecondition("a prediction needs at least two results", "NOT_ENOUGH_DATA")
    seen = sum(t.HasField("final_measurement") and not is_cut(t) for t in trials)
    each = pb.ConfigurationPrediction(predictions=told)
    return pb.PredictResponse(predictions=[each] * count, acquisition=acquisition(study), observation_count=seen)


def expected(study: StudyInfo, trials: Trials) -> list[trial_pb2.Prediction]:
    """Of each metric that steers, the mean and spread of the results; nothing of fewer than two."""
    seen = [t.final_measurement.metrics for t in trials if t.HasField("final_measurement")]
    if len(seen) < 2:
        return []
    columns = {metric.name: [metrics[metric.name] for metrics in seen] for metric in study.steering}
    return [
        trial_pb2.Prediction(metric=name, mean=statistics.fmean(column), std=statistics.stdev(column))
        for name, column in columns.items()
    ]


def acquisition(study: StudyInfo) -> str:
    """What the real server would have chosen by."""
    if len(study.objectives) > 1:
        return "log_ehvi"
    chosen = study.settings.get("acquisition", "log_ei")
    return "log_ei" if chosen == "portfolio" else chosen


def changes(
    study: study_pb2.Study, trials: Trials, deleted: Mapping[int, int], seen: int, view: pb.TrialView
) -> pb.WatchStudyResponse:
    """What came after revision `seen`; `deleted` holds the revision at which each deleted trial went."""
    changed = sorted((t for t in trials if t.revision > seen), key=lambda t: t.revision)
    revision = study.revision if len(changed) <= PAGE else changed[PAGE - 1].revision
    return pb.WatchStudyResponse(
        study=study,
        trials=[shown(t, view) for t in changed[:PAGE]],
        deleted_trials=[number for number, gone in deleted.items() if 0 < seen < gone <= revision],
        revision=revision,
    )
