"""What the fake server says of a study and its trials, without changing them."""

import statistics
from collections.abc import Iterable, Mapping

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import study_pb2, trial_pb2

from bo_client.errors import FailedPrecondition, InvalidRequest
from bo_client.values import StudyInfo, TrialState

Trials = Iterable[trial_pb2.Trial]


def trial_number(name: str) -> int:
    """Of `studies/{study}/trials/{number}`. Raises InvalidRequest."""
    number = name.rpartition("/")[2]
    if not number.isdecimal():
        raise InvalidRequest.of("name", f"is {name!r}; give studies/STUDY/trials/NUMBER")
    return int(number)


def counted(study: study_pb2.Study, trials: Trials) -> study_pb2.Study:
    """A copy of the study with its trials counted by state."""
    copied = study_pb2.Study()
    copied.CopyFrom(study)
    states: list[int] = [trial.state for trial in trials]
    for state in TrialState:
        setattr(copied.trial_counts, state.lower(), states.count(trial_pb2.TrialState.Value(f"TRIAL_STATE_{state}")))
    return copied


def shown(trial: trial_pb2.Trial, view: pb.TrialView) -> trial_pb2.Trial:
    """A copy of the trial, without its learning curve unless asked for."""
    copied = trial_pb2.Trial()
    copied.CopyFrom(trial)
    if view != pb.TRIAL_VIEW_FULL:
        copied.ClearField("measurements")
    return copied


def best_trials(study: StudyInfo, trials: Trials, count: int) -> list[trial_pb2.Trial]:
    """The best first; the earlier one where two are equal."""
    metric = study.objective
    sign = -1.0 if metric.goal == "maximize" else 1.0
    done = [t for t in trials if t.HasField("final_measurement")]
    return sorted(done, key=lambda t: (sign * t.final_measurement.metrics[metric.name], trial_number(t.name)))[:count]


def prediction(study: StudyInfo, trials: Trials, count: int) -> pb.PredictResponse:
    """The same for `count` configurations. Raises FailedPrecondition with fewer than two results."""
    metric = study.objective.name
    seen = [t.final_measurement.metrics[metric] for t in trials if t.HasField("final_measurement")]
    if len(seen) < 2:
        raise FailedPrecondition(f"a prediction needs at least two results; there are {len(seen)}", "NOT_ENOUGH_DATA")
    told = trial_pb2.Prediction(metric=metric, mean=statistics.fmean(seen), std=statistics.stdev(seen))
    each = pb.ConfigurationPrediction(predictions=[told])
    return pb.PredictResponse(predictions=[each] * count, acquisition="log_ei", observation_count=len(seen))


def changes(
    study: study_pb2.Study, trials: Trials, deleted: Mapping[int, int], seen: int, view: pb.TrialView
) -> pb.WatchStudyResponse:
    """What came after revision `seen`; `deleted` holds the revision at which each deleted trial went."""
    changed = sorted((t for t in trials if t.revision > seen), key=lambda t: t.revision)
    return pb.WatchStudyResponse(
        study=study,
        trials=[shown(t, view) for t in changed],
        deleted_trials=[number for number, revision in deleted.items() if revision > seen],
        revision=study.revision,
    )
