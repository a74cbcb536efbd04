"""MLflow: each trial of a study as a run, in MLflow's configured tracking store.

with following(study, MlflowLog()):
    study.optimize(objective)
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.utils.time import get_current_time_millis

from bo_client.models import Measurement, Trial

TRIAL_TAG = "bo.trial"
CREATED_TAG = "bo.created"
PARAMETER_LENGTH = 500
BATCH_SIZE = 100
"""Maximum number of parameters in a call of MLflow."""


class MlflowRun:
    """A run that is written by its id, so that it need not be MLflow's active run."""

    def __init__(self, run_id: str, client: Any = None) -> None:
        self.run_id = run_id
        self._client = client or mlflow.MlflowClient()

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""
        params = [Param(name, str(value)[:PARAMETER_LENGTH]) for name, value in values.items()]
        for first in range(0, len(params), BATCH_SIZE):
            self._client.log_batch(self.run_id, params=params[first : first + BATCH_SIZE])

    def metrics(self, values: Mapping[str, float], step: int = 0, at: datetime | None = None) -> None:
        """Log a point of the curve of each metric."""
        moment = _milliseconds(at)
        self._client.log_batch(self.run_id, [Metric(name, float(v), moment, step) for name, v in values.items()])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(name, text) for name, text in values.items()])

    def end(self, succeeded: bool = True, at: datetime | None = None) -> None:
        """End the run as FINISHED or FAILED."""
        status = RunStatus.to_string(RunStatus.FINISHED if succeeded else RunStatus.FAILED)
        self._client.set_terminated(self.run_id, status, end_time=_milliseconds(at))


class MlflowLog:
    """A log with a run for each trial, in an experiment named after the study.

    Runs of ended trials are left unchanged.
    """

    def __init__(self, experiment: str | None = None, tracking_uri: str | None = None) -> None:
        """Create the log.

        Args:
            experiment: name of the experiment; by default the study's id.
            tracking_uri: address of the tracking store; by default MLFLOW_TRACKING_URI.
        """
        self._experiment = experiment
        self._client = mlflow.MlflowClient(tracking_uri)
        self._experiment_ids: dict[str, str] = {}

    def start(self, trial: Trial) -> "_FollowedMlflowRun | None":
        """Start the trial's run again, unless it is complete."""
        study_id = trial.name.split("/")[1]
        experiment_id = self._experiment_id(self._experiment or study_id)
        marks = {TRIAL_TAG: trial.name, CREATED_TAG: str(trial.create_time)}
        for run in self._existing_runs(experiment_id, marks):
            if run.info.end_time is not None:
                return None
            self._client.delete_run(run.info.run_id)  # a follower that was cut off has left it
        created = self._client.create_run(
            experiment_id,
            start_time=_milliseconds(trial.start_time or trial.create_time),
            tags={**trial.labels, **marks, "bo.origin": str(trial.origin)},
            run_name=f"{study_id}/{trial.number}",
        )
        run = MlflowRun(created.info.run_id, self._client)
        run.parameters(trial.parameters)
        return _FollowedMlflowRun(run)

    def _existing_runs(self, experiment_id: str, marks: Mapping[str, str]) -> list[Any]:
        query = " and ".join(f"tags.`{name}` = '{text}'" for name, text in marks.items())
        return list(self._client.search_runs([experiment_id], query, ViewType.ACTIVE_ONLY))

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiment_ids:
            existing = self._client.get_experiment_by_name(name)
            experiment_id = existing.experiment_id if existing else self._client.create_experiment(name)
            self._experiment_ids[name] = str(experiment_id)
        return self._experiment_ids[name]


class _FollowedMlflowRun:
    def __init__(self, run: MlflowRun) -> None:
        self._run = run

    def measured(self, measurement: Measurement) -> None:
        self._run.metrics(measurement.metrics, measurement.step, measurement.receive_time)

    def ended(self, trial: Trial) -> None:
        final = trial.final_measurement
        if final is not None:
            prefix = "stopped_" if trial.is_cut_short else "final_"  # a rule ended it: its values aren't final
            named = {f"{prefix}{name}": value for name, value in final.metrics.items()}
            self._run.metrics(named, final.step, trial.end_time)
        failure = {"bo.failure": f"{trial.failure.reason}: {trial.failure.message}"} if trial.failure else {}
        self._run.tags({**trial.labels, "bo.state": str(trial.state), **failure})
        self._run.end(final is not None, trial.end_time)


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else int(get_current_time_millis())
