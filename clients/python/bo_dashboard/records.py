"""Studies and trials as JSON for the pages, created from messages directly: there may be tens of thousands."""

import math
from typing import Any

from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from bo_client.tags import tags_in
from bo_client.wire.codec import worker_of
from bo_client.wire.codec_settings import settings_from_wire
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Record = dict[str, Any]


def study_record(study: study_pb2.Study) -> Record:
    """Return a study with its progress."""
    counts = study.trial_counts
    execution = study.spec.execution
    return {
        "id": study.name.removeprefix("studies/"),
        "title": study.display_name,
        "state": _enum(study_pb2.StudyState, "STUDY_STATE", study.state),
        "labels": dict(study.labels),
        "counts": {field.name: getattr(counts, field.name) for field in counts.DESCRIPTOR.fields},
        "metrics": [_metric(metric) for metric in study.spec.metrics],
        "parameters": [_parameter(parameter) for parameter in study.spec.space.parameters],
        "maxTrials": execution.max_trials if execution.HasField("max_trials") else None,
        "maxSteps": execution.max_steps if execution.HasField("max_steps") else None,
        "maxSeconds": execution.max_seconds if execution.HasField("max_seconds") else None,
        "spent": {"steps": study.spent.steps, "seconds": study.spent.seconds},
        "reachedLimit": _enum(study_pb2.Limit, "LIMIT", study.reached_limit),
        "leaseSeconds": execution.lease_duration.ToTimedelta().total_seconds(),
        "settings": dict(settings_from_wire(study.spec)),
        "objective": _objective(study),
        "failing": _failing(study),
        "resumable": study.resumable_count,
        "created": _moment(study, "create_time"),
        "changed": _moment(study, "update_time"),
        "revision": study.revision,
    }


def trial_record(trial: trial_pb2.Trial) -> Record:
    """Return a trial without its unset fields."""
    record: Record = {
        "number": int(trial.name.rpartition("/")[2]),
        "state": _enum(trial_pb2.TrialState, "TRIAL_STATE", trial.state),
        "parameters": {name: value_of(value) for name, value in trial.parameters.items()},
        "origin": _enum(trial_pb2.Origin, "ORIGIN", trial.origin),
        "attempt": trial.attempt,
        "created": _moment(trial, "create_time"),
        "started": _moment(trial, "start_time"),
        "ended": _moment(trial, "end_time"),
        "labels": dict(trial.labels),
    }
    for name, key in (("latest_measurement", "latest"), ("final_measurement", "final")):
        if trial.HasField(name):
            record[key] = _measurement(getattr(trial, name))
    if trial.HasField("failure"):
        reason = _enum(trial_pb2.FailureReason, "FAILURE_REASON", trial.failure.reason)
        record["failure"] = {"reason": reason, "message": trial.failure.message}
    if trial.HasField("lease"):
        record["lease"] = {"worker": trial.lease.worker_id, "expires": _moment(trial.lease, "expire_time")}
    if trial.attempts:
        record["attempts"] = [_attempt(attempt) for attempt in trial.attempts]
        record["worker"] = worker_of(trial)
    if trial.HasField("stop_request"):
        rule = _enum(study_pb2.StoppingRule, "STOPPING_RULE", trial.stop_request.rule)
        record["stop"] = {"reason": trial.stop_request.reason, "rule": rule}
        if trial.stop_request.HasField("expected"):
            prediction = trial.stop_request.expected
            record["stop"]["expected"] = {
                "metric": prediction.metric,
                "mean": _finite(prediction.mean),
                "std": _finite(prediction.std),
            }
    if trial.HasField("pause"):
        record["pause"] = {"reason": trial.pause.reason, "step": trial.pause.step}
    if trial.HasField("until_step"):
        record["until"] = trial.until_step
    if trial.HasField("note"):
        written = _moment(trial.note, "update_time")
        record["note"] = {"text": trial.note.text, "author": trial.note.author, "written": written}
        if tags := tags_in(trial.note.text):
            record["note"]["tags"] = list(tags)
    if trial.HasField("explanation"):
        record["why"] = _explanation(trial.explanation)
    if trial.measurements:
        record["curve"] = [_measurement(m) for m in trial.measurements]
    return {name: value for name, value in record.items() if value not in (None, "", {})}


def artifact_record(artifact: trial_pb2.Artifact) -> Record:
    """Return an artifact without its unset fields."""
    record: Record = {
        "id": artifact.name.rpartition("/")[2],
        "type": artifact.media_type,
        "size": artifact.size if artifact.HasField("size") else None,
        "uri": artifact.uri,
        "author": artifact.author,
        "added": _moment(artifact, "create_time"),
    }
    return {name: value for name, value in record.items() if value not in (None, "")}


def _attempt(attempt: trial_pb2.TrialAttempt) -> Record:
    record: Record = {
        "attempt": attempt.attempt,
        "worker": attempt.worker_id,
        "started": _moment(attempt, "start_time"),
        "ended": _moment(attempt, "end_time"),
        "outcome": _enum(trial_pb2.AttemptOutcome, "ATTEMPT_OUTCOME", attempt.outcome),
    }
    if attempt.HasField("failure"):
        reason = _enum(trial_pb2.FailureReason, "FAILURE_REASON", attempt.failure.reason)
        record["failure"] = {"reason": reason, "message": attempt.failure.message}
    return {name: value for name, value in record.items() if value not in (None, "")}


def _objective(study: study_pb2.Study) -> Record | None:
    if not study.HasField("objective"):
        return None
    return {"name": study.objective.name, "options": dict(sorted(study.objective.options.items()))}


def _failing(study: study_pb2.Study) -> Record | None:
    """Return the summary of recent failures; None without one."""
    if not study.HasField("recent_failures"):
        return None
    failures = study.recent_failures
    first = int(failures.first_trial.rpartition("/")[2])
    return {
        "failed": failures.failed_count,
        "trials": failures.trial_count,
        "first": first,
        "why": failures.first_failure,
    }


def value_of(value: space_pb2.ParameterValue) -> object:
    """Return a value as JSON. Integers that JavaScript cannot represent do not occur."""
    kind = value.WhichOneof("value")
    return None if kind is None else _finite(getattr(value, kind))


def _measurement(measurement: trial_pb2.Measurement) -> Record:
    record: Record = {
        "step": measurement.step,
        "metrics": {name: _finite(value) for name, value in measurement.metrics.items()},
    }
    if measurement.HasField("elapsed"):
        record["elapsed"] = measurement.elapsed.ToTimedelta().total_seconds()
    if measurement.HasField("receive_time"):
        record["received"] = _moment(measurement, "receive_time")
    return record


def _explanation(why: trial_pb2.Explanation) -> Record:
    record: Record = {
        "summary": why.summary,
        "predictions": [{"metric": p.metric, "mean": _finite(p.mean), "std": _finite(p.std)} for p in why.predictions],
        "acquisition": why.acquisition,
        "intent": _enum(trial_pb2.Intent, "INTENT", why.intent),
        "nearest": int(why.nearest_trial.rpartition("/")[2]) if why.nearest_trial else None,
    }
    if why.HasField("acquisition_value"):
        record["acquisitionValue"] = _finite(why.acquisition_value)
    if why.HasField("nearest_distance"):
        record["distance"] = _finite(why.nearest_distance)
    return {name: value for name, value in record.items() if value not in (None, "", [])}


def _metric(metric: study_pb2.Metric) -> Record:
    role = metric.role or study_pb2.METRIC_ROLE_OBJECTIVE
    return {
        "name": metric.name,
        "goal": _enum(study_pb2.Goal, "GOAL", metric.goal),
        "role": _enum(study_pb2.MetricRole, "METRIC_ROLE", role),
        "bound": metric.bound if metric.HasField("bound") else None,
        "unit": metric.unit,
    }


def _parameter(parameter: space_pb2.Parameter) -> Record:
    kind = parameter.WhichOneof("kind") or ""
    domain = getattr(parameter, kind)
    record: Record = {"name": parameter.name, "kind": kind.removesuffix("_parameter"), "unit": parameter.unit}
    record["description"] = parameter.description
    if "values" in domain.DESCRIPTOR.fields_by_name:
        record["values"] = [value_of(value) for value in domain.values]
        record["type"] = (domain.values[0].WhichOneof("value") or "").removesuffix("_value")
    else:
        record |= {"low": domain.low, "high": domain.high, "type": record["kind"]}
    if "scale" in domain.DESCRIPTOR.fields_by_name and domain.scale == space_pb2.SCALE_LOG:
        record["log"] = True
    if parameter.HasField("default_value"):
        record["default"] = value_of(parameter.default_value)
    if parameter.HasField("activation"):
        values = [value_of(value) for value in parameter.activation.values]
        record["when"] = {"parameter": parameter.activation.parameter, "values": values}
    return record


def _finite(value: Any) -> Any:
    """Return a value, with NaN and infinities as text, because JSON has none."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _enum(enum: Any, prefix: str, number: int) -> str:
    """Return the name of an enum value without its prefix; empty if it is unspecified."""
    if number == 0:
        return ""
    descriptor = enum.DESCRIPTOR.values_by_number.get(number)
    return descriptor.name.removeprefix(f"{prefix}_") if descriptor else str(number)


def _moment(owner: Message, field: str) -> float | None:
    """Return a time in milliseconds since 1970, as in JavaScript; None if it is unset."""
    at: Timestamp = getattr(owner, field)
    return at.ToMilliseconds() if owner.HasField(field) else None
