"""Keras: a callback that reports each epoch, and ends the training when the service says so.

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
from bo_client.integrations.held import divergence
from bo_client.optimize import EvaluatedTrial, Heart
from bo_client.running import RunningTrial


class BoCallback(keras.callbacks.Callback):
    """Tells the service of a trial's epochs, of which the first is step 1, and gives signs of life between them.

    Completing the trial is left to the program, which knows what its result is.
    """

    def __init__(self, trial: RunningTrial, *, checkpoint_uri: str = "") -> None:
        """
        Args:
            trial: from `Study.suggest`, or what `Study.optimize` gives the objective.
            checkpoint_uri: where another attempt could go on, such as the folder of a BackupAndRestore that comes
                before this callback; kept with the trial from its first epoch on.
        """
        super().__init__()
        self.trial = trial
        self.checkpoint_uri = checkpoint_uri
        self.stop_reason: str | None = None
        """Why the training was ended, by the service or because the loss was NaN or infinite; None where it wasn't."""
        self._heart = None if isinstance(trial, EvaluatedTrial) else Heart(trial)
        self._began = 0.0

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """The first sign of life is due a third of a lease from now."""
        self._began = time.monotonic()
        if self._heart is not None:
            self._heart.__enter__()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002 - the base's shape
        """From now on signs of life are the program's own."""
        if self._heart is not None:
            self._heart.__exit__(None, None, None)
            self._heart = Heart(self.trial)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reports what is finite, and ends the training where the service says so or the loss is NaN or infinite.

        The trial is then DIVERGED once the program completes it with such a value, as `Study.optimize` does with what
        the objective returns.

        Raises:
            InvalidRequest: the study's objective isn't among Keras's metrics.
        """
        measured = {name: float(value) for name, value in (logs or {}).items()}
        self._require_objectives(measured)
        finite = {name: value for name, value in measured.items() if math.isfinite(value)}
        elapsed = time.monotonic() - self._began
        try:
            if finite:
                answer = self.trial.report(finite, epoch + 1, elapsed, self.checkpoint_uri)
            else:
                answer = self.trial.heartbeat()
        except StopTrial as stop:
            self._stop(str(stop))
            return
        diverged = divergence(measured, [m.name for m in self.trial.study.definition.objectives], self._has_rule)
        if answer.should_stop or not answer.lease_valid:
            self._stop(answer.reason)
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
