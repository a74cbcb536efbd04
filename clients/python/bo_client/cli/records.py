"""Studies and trials as plain dicts, lists and strings, for JSON and CSV."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from io import StringIO
from typing import Any

from bo_client.artifacts import Artifact
from bo_client.formatting import duration, in_order
from bo_client.machines import MachineAttempts
from bo_client.models import Attempt, Measurement, Pause, StudyInfo, Trial


def number(value: float) -> float | str:
    """Return a number for JSON: NaN and infinities become strings, as in protobuf's JSON."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def study_record(info: StudyInfo) -> dict[str, Any]:
    """Return all data of a study."""
    return {
        "id": info.id,
        "name": info.name,
        "display_name": info.display_name,
        "state": info.state.value,
        "labels": dict(info.labels),
        "metrics": [_filled(asdict(m)) for m in info.metrics],
        "parameters": [{"type": _kind(p), **_filled(asdict(p))} for p in info.space.parameters],
        "constraints": [{"type": _kind(c), **_filled(asdict(c))} for c in info.space.constraints],
        "settings": dict(info.settings),
        "trial_counts": {state.value: count for state, count in info.counts.items()},
        "objective": asdict(info.objective_spec) if info.objective_spec else None,
        "recent_failures": asdict(info.recent_failures) if info.recent_failures else None,
        "resumable_count": info.resumable_count,
        "spent": asdict(info.spent),
        "reached_limit": info.reached_limit.value if info.reached_limit else None,
        "create_time": _moment(info.create_time),
        "update_time": _moment(info.update_time),
    }


def trial_record(trial: Trial, study: StudyInfo) -> dict[str, Any]:
    """Return all data of a trial, without absent fields."""
    record = {
        "number": trial.number,
        "name": trial.name,
        "state": trial.state.value,
        "parameters": in_order(trial.parameters, study.space),
        "origin": trial.origin.value if trial.origin else None,
        "attempt": trial.attempt,
        "worker_id": trial.worker_id,
        "final_measurement": _measurement(trial.final_measurement),
        "latest_measurement": _measurement(trial.latest_measurement),
        "measurements": [_measurement(m) for m in trial.measurements],
        "failure": asdict(trial.failure) if trial.failure else None,
        "explanation": _filled(asdict(trial.explanation)) if trial.explanation else None,
        "labels": dict(trial.labels),
        "checkpoint_uri": trial.checkpoint_uri,
        "stop_reason": trial.stop_reason,
        "stop_rule": trial.stop_rule,
        "expected": asdict(trial.expected) if trial.expected else None,
        "expected_step": trial.expected_step,
        "pause": _pause(trial.pause) if trial.pause else None,
        "until_step": trial.until_step,
        "attempts": [_attempt(a) for a in trial.attempts],
        "note": {**asdict(trial.note), "update_time": _moment(trial.note.update_time)} if trial.note else None,
        "create_time": _moment(trial.create_time),
        "start_time": _moment(trial.start_time),
        "end_time": _moment(trial.end_time),
    }
    return _filled(record)


def artifact_record(artifact: Artifact) -> dict[str, Any]:
    """Return all data of an artifact, without its bytes and absent fields."""
    return _filled({**asdict(artifact), "create_time": _moment(artifact.create_time)})


def _pause(pause: Pause) -> dict[str, Any]:
    return _filled({**asdict(pause), "create_time": _moment(pause.create_time)})


def as_json(record: object) -> str:
    """Return indented JSON, not restricted to ASCII."""
    return json.dumps(record, indent=2, ensure_ascii=False)


def as_csv(study: StudyInfo, trials: Sequence[Trial]) -> str:
    """Return CSV with a row for each trial: state, parameters, final metrics, times."""
    metrics = _metric_names(study, trials)
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ["trial", "state", "origin", "attempt"]
    ended = ["labels", "start_time", "end_time", "seconds", "worker", "stopped_by"]
    writer.writerow([*about, *study.space.names, *metrics, "failure", *ended])
    for trial in trials:
        final = trial.final_measurement.metrics if trial.final_measurement else {}
        writer.writerow(
            [
                trial.number,
                trial.state.value,
                trial.origin or "",
                trial.attempt,
                *(trial.parameters.get(name, "") for name in study.space.names),
                *(final.get(name, "") for name in metrics),
                trial.failure.reason.value if trial.failure else "",
                " ".join(f"{k}={v}" for k, v in sorted(trial.labels.items())),
                _moment(trial.start_time) or "",
                _moment(trial.end_time) or "",
                "" if (seconds := duration(trial)) is None else round(seconds, 3),
                trial.worker_id,
                trial.stop_rule or ("USER" if trial.stop_reason is not None else ""),
            ]
        )
    return text.getvalue()


def _metric_names(study: StudyInfo, trials: Iterable[Trial]) -> list[str]:
    """Return the declared metrics, then others that were reported."""
    declared = [m.name for m in study.metrics]
    reported = {name for t in trials if t.final_measurement for name in t.final_measurement.metrics}
    return [*declared, *sorted(reported - set(declared))]


def _kind(definition: object) -> str:
    name = type(definition).__name__
    return name.removesuffix("Parameter").removesuffix("Constraint").removesuffix("Combination").lower()


def _measurement(measurement: Measurement | None) -> dict[str, Any] | None:
    if measurement is None:
        return None
    metrics = {name: number(value) for name, value in measurement.metrics.items()}
    return _filled({"step": measurement.step, "metrics": metrics, "elapsed": measurement.elapsed})


def machine_record(machine: MachineAttempts) -> dict[str, Any]:
    """Return the attempts of a machine as JSON values, with each failed one."""
    return {
        "machine": machine.machine,
        "workers": list(machine.workers),
        "attempts": len(machine.attempts),
        "ended": machine.ended,
        "failed": len(machine.failed),
        "running": machine.running,
        "reasons": machine.reasons,
        "failures": [{"trial": trial.number, **_attempt(attempt)} for trial, attempt in machine.failed],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    moments = {"start_time": _moment(attempt.start_time), "end_time": _moment(attempt.end_time)}
    return _filled({**asdict(attempt), **moments})


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def _filled(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without empty fields."""
    return {key: value for key, value in record.items() if value is not None and value not in ("", [], (), {})}
