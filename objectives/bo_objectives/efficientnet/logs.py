"""TrialLogs of a training: a CSV of the epochs, TensorBoard with its HParams plugin, and MLflow."""

import csv
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bo_objectives.efficientnet.history import TrainingHistory
from bo_objectives.errors import SetupError

NEEDS = {"tensorboard": "bo-service[tensorboard]", "mlflow": "bo-service[mlflow]"}
CSV_NAME = "epochs.csv"


class TrialLog(Protocol):
    """The interface of a log."""

    def epoch(self, record: TrainingHistory) -> None:
        """Log the last epoch of the history."""

    def end(self, metrics: Mapping[str, float]) -> None:
        """Log the final metrics."""


class TrialLogs:
    """All requested logs."""

    def __init__(self, kinds: tuple[str, ...], directory: Path, parameters: Mapping[str, Any]) -> None:
        self._logs: list[TrialLog] = [KINDS[kind](directory, parameters) for kind in kinds]

    def epoch(self, record: TrainingHistory) -> None:
        for log in self._logs:
            log.epoch(record)

    def end(self, metrics: Mapping[str, float]) -> None:
        for log in self._logs:
            log.end(metrics)


def check(kinds: tuple[str, ...]) -> None:
    """Check that the packages of the logs are installed.

    Raises:
        SetupError: a package is missing.
    """
    for kind in kinds:
        if kind in NEEDS and importlib.util.find_spec(kind) is None:
            raise SetupError(f"option logs names {kind}, which isn't installed: pip install '{NEEDS[kind]}'")


def scalars(record: TrainingHistory) -> dict[str, float]:
    """Return the values of the last epoch."""
    return {**record.curve[-1], "gradient_norm": record.gradient_norms[-1], "seconds": record.seconds[-1]}


class CsvTrialLog:
    """`epochs.csv`, a row for each epoch, rewritten each time, so that a resumed trial contains each epoch once."""

    def __init__(self, directory: Path, _: Mapping[str, Any]) -> None:
        self._path = directory / CSV_NAME

    def epoch(self, record: TrainingHistory) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *record.curve[0], "gradient_norm", "seconds"])
            for i, point in enumerate(record.curve):
                rows.writerow([i + 1, *point.values(), record.gradient_norms[i], round(record.seconds[i], 3)])

    def end(self, metrics: Mapping[str, float]) -> None:
        """Do nothing, as all rows are written."""


class TensorBoardTrialLog:
    """Event files in the trial's folder: a scalar for each curve and layer, and the trial as a session of HParams."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any]) -> None:
        from bo_client.integrations.tensorboard import TensorBoardRun

        self._run = TensorBoardRun(directory / "tensorboard", parameters)

    def epoch(self, record: TrainingHistory) -> None:
        layers = {f"gradient/{path}": rms for path, rms in record.gradients[-1].items()}
        self._run.scalars({**{f"epoch/{name}": v for name, v in scalars(record).items()}, **layers}, record.epoch)

    def end(self, metrics: Mapping[str, float]) -> None:
        self._run.scalars({f"final/{name}": value for name, value in metrics.items()}, 0)
        self._run.end()


class MlflowTrialLog:
    """A run in MLflow's configured tracking store (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any]) -> None:
        import mlflow
        from bo_client.integrations.mlflow import MlflowRun

        self._mlflow: Any = mlflow
        self._run = MlflowRun(mlflow.start_run(run_name=directory.name, nested=True).info.run_id)
        self._run.parameters(parameters)

    def epoch(self, record: TrainingHistory) -> None:
        self._run.metrics(scalars(record), record.epoch)

    def end(self, metrics: Mapping[str, float]) -> None:
        self._run.metrics({f"final_{name}": value for name, value in metrics.items()})
        self._mlflow.end_run()


KINDS: Mapping[str, Callable[[Path, Mapping[str, Any]], TrialLog]] = {
    "csv": CsvTrialLog,
    "tensorboard": TensorBoardTrialLog,
    "mlflow": MlflowTrialLog,
}
