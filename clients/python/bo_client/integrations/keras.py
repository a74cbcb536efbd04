"""The Keras callback that reports each epoch, and stops training when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial)
history = model.fit(..., callbacks=[callback])
trial.complete({"val_loss": min(history.history["val_loss"])})

With a `checkpoint_dir` a training can pause and resume, and `callback.history` has the epochs of all its parts.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from bo_client.errors import InvalidRequest, PauseTrial, StopTrial
from bo_client.integrations.external_trial import divergence
from bo_client.models import Heartbeat
from bo_client.optimize import ObjectiveTrial
from bo_client.running import RunningTrial
from bo_client.trial_loop import HeartbeatThread

STATE = "history.json"
"""File of a checkpoint with what Keras does not save: the metrics of all epochs, and the seconds that they took."""


class BoCallback(keras.callbacks.Callback):
    """A callback that reports a trial's epochs, counted from step 1, and sends heartbeats between them.

    The program completes the trial, as it knows the result.
    """

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
        super().__init__()
        if trial.until_step is not None and not checkpoint_uri and checkpoint_dir is None:
            what = "is missing, and the trial is trained in parts; give a folder, or leave can_resume out"
            raise InvalidRequest.of("checkpoint_dir", what)
        self.trial = trial
        self.checkpoint_uri = checkpoint_uri
        self.history: dict[str, list[float]] = {}
        """Keras's metrics after each epoch by name, with those of earlier attempts that were restored."""
        self.pause_reason: str | None = None
        """The reason why training was paused; None otherwise. `Study.optimize` is told by PauseTrial from fit."""
        self._pause: PauseTrial | None = None
        self._checkpoints = None if checkpoint_dir is None else _Checkpoints(Path(checkpoint_dir), trial)
        self._elapsed_before = 0.0
        self.stop_reason: str | None = None
        """The reason why training was stopped, by the service or for a NaN or infinite loss; None otherwise."""
        self._heartbeats = None if isinstance(trial, ObjectiveTrial) else HeartbeatThread(trial)
        self._began: float | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Restore the checkpoint, and start the heartbeats; the first is due after a quarter of the lease.

        Raises:
            InvalidRequest: the checkpoint cannot be read.
        """
        if self._began is None:
            self._began = time.monotonic()
            if self._checkpoints is not None:
                self.history, self._elapsed_before = self._checkpoints.restore(self.model)
        if self._heartbeats is not None:
            self._heartbeats.__enter__()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Stop the heartbeats; afterwards the program sends its own.

        Raises:
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        if self._heartbeats is not None:
            self._heartbeats.__exit__(None, None, None)
            self._heartbeats = HeartbeatThread(self.trial)
        if self._pause is not None:
            raise self._pause

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report finite metrics; stop training if the service requests its end or a pause, or the loss is not finite.

        The trial is then DIVERGED once the program completes it with such a value, as `Study.optimize` does with the
        objective's result.

        Raises:
            InvalidRequest: the study's objective is not among Keras's metrics.
        """
        measured = {name: float(value) for name, value in (logs or {}).items()}
        self._require_objectives(measured)
        for name, value in measured.items():
            self.history.setdefault(name, []).append(value)
        finite = {name: value for name, value in measured.items() if math.isfinite(value)}
        try:
            heartbeat = self._report(finite, epoch) if finite else self.trial.heartbeat()
        except PauseTrial as pause:
            self._pause = pause
            self._stop_for_pause(str(pause))
            return
        except StopTrial as stop:
            self._stop(str(stop))
            return
        diverged = divergence(measured, [m.name for m in self.trial.study.definition.objectives], self._has_rule)
        if heartbeat.should_stop or not heartbeat.lease_valid:
            self._stop(heartbeat.reason)
        elif heartbeat.should_pause:
            self._stop_for_pause(heartbeat.reason)
        elif diverged is not None:
            self._stop(f"{diverged} at step {epoch + 1}")

    def _report(self, metrics: Mapping[str, float], epoch: int) -> Heartbeat:
        """Report an epoch with its checkpoint, which is written before."""
        began = time.monotonic() if self._began is None else self._began
        elapsed = self._elapsed_before + time.monotonic() - began
        if self._checkpoints is None:
            return self.trial.report(metrics, epoch + 1, elapsed, self.checkpoint_uri)
        uri = self._checkpoints.save(self.model, epoch, self.history, elapsed)
        try:
            return self.trial.report(metrics, epoch + 1, elapsed, uri)
        finally:
            if self.trial.last_report is not None and self.trial.last_report[1] == epoch + 1:
                self._checkpoints.keep(uri)

    @property
    def _has_rule(self) -> bool:
        return self.trial.study.definition.settings.get("stopping", "none") != "none"

    def _stop(self, why: str) -> None:
        self.stop_reason = why
        self.model.stop_training = True

    def _stop_for_pause(self, why: str) -> None:
        self.pause_reason = why
        self.model.stop_training = True

    def _require_objectives(self, measured: Mapping[str, float]) -> None:
        missing = [m.name for m in self.trial.study.definition.objectives if m.name not in measured]
        if missing:
            what = f"lack {', '.join(missing)}; Keras has {', '.join(measured) or 'none'}"
            fix = "name the study's objective like one of them, and give fit validation_data for those with val_"
            raise InvalidRequest.of("metrics", f"{what}: {fix}")


class _Checkpoints:
    """The checkpoints of one attempt: a folder for each epoch, of which the last one reported is kept.

    A folder is complete before the server learns of it, so a worker that dies while it writes leaves the one before.
    """

    def __init__(self, folder: Path, trial: RunningTrial) -> None:
        self._folder = folder.absolute() / trial.study.id / f"trial-{trial.number}"
        self._attempt = trial.attempt
        self._last = trial.checkpoint_uri

    def restore(self, model: Any) -> tuple[dict[str, list[float]], float]:
        """Restore weights, optimizer and epoch; return the history and the seconds spent before.

        Raises:
            InvalidRequest: the checkpoint cannot be read.
        """
        if not self._last:
            return {}, 0.0
        try:
            state = json.loads((Path(self._last) / STATE).read_text())
        except (OSError, ValueError) as error:
            what = f"is {self._last!r}, which cannot be read: {error}; give all workers the same checkpoint_dir"
            raise InvalidRequest.of("checkpoint_uri", what) from error
        _backup(model, Path(self._last)).on_train_begin()
        return state["history"], state["elapsed"]

    def save(self, model: Any, epoch: int, history: Mapping[str, list[float]], elapsed: float) -> str:
        """Write a checkpoint after an epoch, and return its folder."""
        folder = self._folder / f"attempt-{self._attempt}-epoch-{epoch + 1}"
        _backup(model, folder).on_epoch_end(epoch)
        (folder / STATE).write_text(json.dumps({"history": history, "elapsed": elapsed}))
        return str(folder)

    def keep(self, uri: str) -> None:
        """Delete the checkpoint before this one, which the server has now. Folders elsewhere are not touched."""
        if self._last != uri and Path(self._last).parent == self._folder:
            shutil.rmtree(self._last, ignore_errors=True)
        self._last = uri


def _backup(model: Any, folder: Path) -> Any:
    """Return Keras's own callback for a folder."""
    backup = keras.callbacks.BackupAndRestore(str(folder), delete_checkpoint=False)
    backup.set_model(model)
    return backup
