"""The Keras callback that reports each epoch, and stops training when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial)
history = model.fit(..., callbacks=[callback])
trial.complete({"val_loss": min(history.history["val_loss"])})
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from bo_client.errors import InvalidRequest, StopTrial
from bo_client.integrations.external_trial import divergence
from bo_client.optimize import ObjectiveTrial
from bo_client.running import RunningTrial
from bo_client.trial_loop import HeartbeatThread


class BoCallback(keras.callbacks.Callback):
    """A callback that reports a trial's epochs, counted from step 1, and sends heartbeats between them.

    The program completes the trial, as it knows the result.
    """

    def __init__(self, trial: RunningTrial, *, checkpoint_uri: str = "") -> None:
        """Create the callback.

        Args:
            trial: from `Study.suggest`, or the argument that `Study.optimize` passes to the objective.
            checkpoint_uri: where another attempt can resume, such as the folder of a BackupAndRestore that precedes
                this callback; stored with the trial from its first epoch on.
        """
        super().__init__()
        self.trial = trial
        self.checkpoint_uri = checkpoint_uri
        self.stop_reason: str | None = None
        """The reason why training was stopped, by the service or for a NaN or infinite loss; None otherwise."""
        self._heartbeats = None if isinstance(trial, ObjectiveTrial) else HeartbeatThread(trial)
        self._began = 0.0

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Start the heartbeats; the first is due after a quarter of the lease."""
        self._began = time.monotonic()
        if self._heartbeats is not None:
            self._heartbeats.__enter__()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """Stop the heartbeats; afterwards the program sends its own."""
        if self._heartbeats is not None:
            self._heartbeats.__exit__(None, None, None)
            self._heartbeats = HeartbeatThread(self.trial)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report finite metrics, and stop training if the service requests it or the loss is NaN or infinite.

        The trial is then DIVERGED once the program completes it with such a value, as `Study.optimize` does with the
        objective's result.

        Raises:
            InvalidRequest: the study's objective is not among Keras's metrics.
        """
        measured = {name: float(value) for name, value in (logs or {}).items()}
        self._require_objectives(measured)
        finite = {name: value for name, value in measured.items() if math.isfinite(value)}
        elapsed = time.monotonic() - self._began
        try:
            if finite:
                heartbeat = self.trial.report(finite, epoch + 1, elapsed, self.checkpoint_uri)
            else:
                heartbeat = self.trial.heartbeat()
        except StopTrial as stop:
            self._stop(str(stop))
            return
        diverged = divergence(measured, [m.name for m in self.trial.study.definition.objectives], self._has_rule)
        if heartbeat.should_stop or not heartbeat.lease_valid:
            self._stop(heartbeat.reason)
        elif diverged is not None:
            self._stop(f"{diverged} at step {epoch + 1}")

    @property
    def _has_rule(self) -> bool:
        return self.trial.study.definition.settings.get("stopping", "none") != "none"

    def _stop(self, why: str) -> None:
        self.stop_reason = why
        self.model.stop_training = True

    def _require_objectives(self, measured: Mapping[str, float]) -> None:
        missing = [m.name for m in self.trial.study.definition.objectives if m.name not in measured]
        if missing:
            what = f"lack {', '.join(missing)}; Keras has {', '.join(measured) or 'none'}"
            fix = "name the study's objective like one of them, and give fit validation_data for those with val_"
            raise InvalidRequest.of("metrics", f"{what}: {fix}")
