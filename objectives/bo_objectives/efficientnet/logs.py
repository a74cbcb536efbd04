"""Logs that people already use: a CSV of the epochs, TensorBoard with its HParams plugin, and MLflow."""

import csv
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bo_objectives.efficientnet.record import Record
from bo_objectives.errors import SetupError

NEEDS = {"tensorboard": "bo-service[tensorboard]", "mlflow": "bo-service[mlflow]"}
CSV_NAME = "epochs.csv"


class Log(Protocol):
    """One kind of log."""

    def epoch(self, record: Record) -> None:
        """An epoch is done: the record's last."""

    def end(self, metrics: Mapping[str, float]) -> None:
        """The trial has its result."""


class Logs:
    """All the kinds that are asked for."""

    def __init__(self, kinds: tuple[str, ...], directory: Path, parameters: Mapping[str, Any]) -> None:
        self._logs: list[Log] = [KINDS[kind](directory, parameters) for kind in kinds]

    def epoch(self, record: Record) -> None:
        for log in self._logs:
            log.epoch(record)

    def end(self, metrics: Mapping[str, float]) -> None:
        for log in self._logs:
            log.end(metrics)


def check(kinds: tuple[str, ...]) -> None:
    """Raises SetupError where a kind's package isn't installed."""
    for kind in kinds:
        if kind in NEEDS and importlib.util.find_spec(kind) is None:
            raise SetupError(f"option logs names {kind}, which isn't installed: pip install '{NEEDS[kind]}'")


def scalars(record: Record) -> dict[str, float]:
    """Of the last epoch."""
    return {**record.curve[-1], "gradient_norm": record.gradient_norms[-1], "seconds": record.seconds[-1]}


class CsvLog:
    """`epochs.csv`, a row for each epoch, written anew each time, so that a resumed trial has each once."""

    def __init__(self, directory: Path, _: Mapping[str, Any]) -> None:
        self._path = directory / CSV_NAME

    def epoch(self, record: Record) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *record.curve[0], "gradient_norm", "seconds"])
            for i, point in enumerate(record.curve):
                rows.writerow([i + 1, *point.values(), record.gradient_norms[i], round(record.seconds[i], 3)])

    def end(self, metrics: Mapping[str, float]) -> None:
        """All is written."""


class TensorBoardLog:
    """Event files in the trial's folder: a scalar for each curve and layer, and the trial as a session of HParams."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any]) -> None:
        from bo_client.integrations.tensorboard import TensorBoardRun

        self._run = TensorBoardRun(directory / "tensorboard", parameters)

    def epoch(self, record: Record) -> None:
        layers = {f"gradient/{path}": rms for path, rms in record.gradients[-1].items()}
        self._run.scalars({**{f"epoch/{name}": v for name, v in scalars(record).items()}, **layers}, record.epoch)

    def end(self, metrics: Mapping[str, float]) -> None:
        self._run.scalars({f"final/{name}": value for name, value in metrics.items()}, 0)
        self._run.end()


class MlflowLog:
    """A run in whatever tracking store MLflow is set up for (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME)."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any]) -> None:
        import mlflow
        from bo_client.integrations.mlflow import MlflowRun

        self._mlflow: Any = mlflow
        self._run = MlflowRun(mlflow.start_run(run_name=directory.name, nested=True).info.run_id)
        self._run.parameters(parameters)

    def epoch(self, record: Record) -> None:
        self._run.metrics(scalars(record), record.epoch)

    def end(self, metrics: Mapping[str, float]) -> None:
        self._run.metrics({f"final_{name}": value for name, value in metrics.items()})
        self._mlflow.end_run()


KINDS: Mapping[str, Callable[[Path, Mapping[str, Any]], Log]] = {
    "csv": CsvLog,
    "tensorboard": TensorBoardLog,
    "mlflow": MlflowLog,
}
