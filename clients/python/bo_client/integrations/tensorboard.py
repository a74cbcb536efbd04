"""TensorBoard: the trials of a study as runs with scalars, and as sessions of HParams.

    with following(study, TensorBoardLog("logs")):
        study.optimize(objective)

The package `tensorboard` writes the files without TensorFlow.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary as hparams
from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from bo_client.models import Measurement, Trial

ENDED = "ended"
"""The file that marks a complete run."""


class TensorBoardRun:
    """Event files of one trial in a folder."""

    def __init__(self, directory: Path, parameters: Mapping[str, Any]) -> None:
        self._writer = EventFileWriter(str(directory))
        self._add(hparams.session_start_pb(hparams=dict(parameters)))

    def scalars(self, values: Mapping[str, float], step: int, at: datetime | None = None) -> None:
        """Log a point of the curve of each tag."""
        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]), step, at)
        self._writer.flush()

    def end(self, succeeded: bool = True) -> None:
        """End the run."""
        self._add(hparams.session_end_pb(STATUS_SUCCESS if succeeded else STATUS_FAILURE))
        self._writer.close()

    def _add(self, summary: Any, step: int = 0, at: datetime | None = None) -> None:
        own = Summary.FromString(summary.SerializeToString())  # with TensorFlow about, the plugin's is of its class
        self._writer.add_event(Event(wall_time=at.timestamp() if at else time.time(), step=step, summary=own))


class TensorBoardLog:
    """A log with a folder for each trial, `DIRECTORY/STUDY/NUMBER`. Folders of ended trials are left unchanged."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def start(self, trial: Trial) -> "_FollowedTensorBoardRun | None":
        """Start the trial's run again, unless it is complete."""
        folder = self.directory / trial.name.split("/")[1] / str(trial.number)
        if (folder / ENDED).exists():
            return None
        for partial in folder.glob("events.out.tfevents.*"):
            partial.unlink()
        return _FollowedTensorBoardRun(folder, trial)


class _FollowedTensorBoardRun:
    def __init__(self, folder: Path, trial: Trial) -> None:
        self._folder = folder
        self._run = TensorBoardRun(folder, trial.parameters)

    def measured(self, measurement: Measurement) -> None:
        self._run.scalars(measurement.metrics, measurement.step, measurement.receive_time)

    def ended(self, trial: Trial) -> None:
        final = trial.final_measurement
        if final is not None:
            prefix = "stopped" if trial.is_cut_short else "final"  # a rule ended it: its values aren't final
            self._run.scalars({f"{prefix}/{name}": value for name, value in final.metrics.items()}, 0, trial.end_time)
        self._run.end(succeeded=final is not None)
        (self._folder / ENDED).touch()
