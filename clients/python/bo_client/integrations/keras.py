"""The Keras callback that reports each epoch, and stops training when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial)
history = model.fit(..., callbacks=[callback])
trial.complete({"val_loss": min(history.history["val_loss"])})

With a `checkpoint_dir` a training can pause and resume, and `callback.history` has the epochs of all its parts.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bo_client.integrations.callers import local_of
from bo_client.integrations.training import TrainingCallback, unreadable
from bo_client.running import RunningTrial

STATE = "history.json"
"""File of a checkpoint with what Keras does not save: the metrics of all epochs, and the seconds that they took."""


class BoCallback(TrainingCallback, keras.callbacks.Callback):
    """A callback that reports a trial's epochs, counted from step 1, and sends heartbeats between them.

    The program completes the trial, as it knows the result.
    """

    _tool = "Keras"
    _advice = "name the study's objective like one of them, and give fit validation_data for those with val_"

    def __init__(
        self,
        trial: RunningTrial,
        *,
        checkpoint_uri: str = "",
        checkpoint_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Create the callback.

        Args:
            trial: from `Study.suggest`, or the argument that `Study.optimize` passes to the objective.
            checkpoint_uri: where another attempt can resume, if the program writes checkpoints itself; stored with the
                trial from its first epoch on.
            checkpoint_dir: folder for checkpoints, which all workers of the study can read. Weights, optimizer and
                epoch are saved after each epoch, and restored if an earlier attempt has saved them.

        Raises:
            InvalidRequest: the trial is trained in parts, and has no checkpoints.
        """
        super().__init__(trial, None, checkpoint_dir, checkpoint_uri)
        self._has_begun = False

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Restore the checkpoint, and start the heartbeats; the first is due after a quarter of the lease.

        Raises:
            InvalidRequest: the checkpoint cannot be read.
        """
        if not self._has_begun:
            self._has_begun, self._began = True, time.monotonic()
            if self._folder is not None:
                self.history, before = _restore(self.model, self._folder.last)
                self._elapsed_before = max(before, self.trial.elapsed_before)
        self._begin()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Stop the heartbeats; afterwards the program sends its own.

        Raises:
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        self._finish()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report finite metrics; stop training if the service requests its end or a pause, or the loss is not finite.

        The trial is then DIVERGED once the program completes it with such a value, as `Study.optimize` does with the
        objective's result. Epochs that fit's `validation_freq` leaves without validation are not reported.

        Raises:
            InvalidRequest: the study's objective is not among Keras's metrics.
        """
        measured = {name: float(value) for name, value in (logs or {}).items()}
        if _is_between_validations(measured):
            return
        if self._take(measured, epoch + 1):
            self.model.stop_training = True

    def _save(self, step: int) -> str:
        if self._folder is None:
            return self.checkpoint_uri
        folder = self._folder.of(step, "epoch")
        _backup(self.model, folder).on_epoch_end(step - 1)
        (folder / STATE).write_text(json.dumps({"history": self.history, "elapsed": self._elapsed}))
        return str(folder)


def _is_between_validations(measured: Mapping[str, float]) -> bool:
    """Return whether fit validates other epochs, and not this one."""
    frequency = local_of("keras", "fit", "validation_freq")
    has_validation = local_of("keras", "fit", "validation_data") is not None
    return has_validation and frequency not in (None, 1) and not any(name.startswith("val_") for name in measured)


def _restore(model: Any, uri: str) -> tuple[dict[str, list[float]], float]:
    """Restore weights, optimizer and epoch; return the history and the seconds spent before.

    Raises:
        InvalidRequest: the checkpoint cannot be read.
    """
    if not uri:
        return {}, 0.0
    try:
        state = json.loads((Path(uri) / STATE).read_text())
    except (OSError, ValueError) as error:
        raise unreadable(uri, error) from error
    _backup(model, Path(uri)).on_train_begin()
    return state["history"], state["elapsed"]


def _backup(model: Any, folder: Path) -> Any:
    """Return Keras's own callback for a folder."""
    backup = keras.callbacks.BackupAndRestore(str(folder), delete_checkpoint=False)
    backup.set_model(model)
    return backup
