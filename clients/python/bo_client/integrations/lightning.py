"""The callback for PyTorch Lightning that reports each epoch, and stops training when the service requests it.

(trial,) = study.suggest()
callback = BoCallback(trial, "val_loss")
Trainer(max_epochs=10, callbacks=[callback]).fit(model, train_loader, val_loader)
trial.complete(callback.history["val_loss"][-1])

It is of the package `lightning`, or of `pytorch_lightning` if the program uses that.
"""

import os
import sys
from typing import Any

from bo_client.errors import InvalidRequest
from bo_client.integrations.training import Metrics, TrainingCallback, existing
from bo_client.running import RunningTrial

try:
    if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
        raise ImportError
    from lightning.pytorch.callbacks import Callback
except ImportError:
    from pytorch_lightning.callbacks import Callback


class LightningCallback(TrainingCallback, Callback):
    """A callback that reports a trial's epochs, counted from step 1, and sends heartbeats between them.

    The program completes the trial, as it knows the result. Each process trains one trial.
    """

    _tool = "Lightning"
    _advice = "choose one with metric=, and log it by self.log in training_step or validation_step"

    def __init__(
        self,
        trial: RunningTrial,
        metric: Metrics | None = None,
        *,
        checkpoint_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        """Create the callback for one training.

        Args:
            trial: from `Study.suggest`, or the argument that `Study.optimize` passes to the objective.
            metric: the name by which the module logs the study's objective; by default the name in the study. For
                several metrics, a dictionary of the module's names by the study's.
            checkpoint_dir: folder for checkpoints, which all workers of the study can read. One is saved after each
                epoch that is reported.

        Raises:
            InvalidRequest: the trial is trained in parts, and has no checkpoints; the checkpoint of an earlier attempt
                cannot be read.
        """
        super().__init__(trial, metric, checkpoint_dir)
        self.ckpt_path: str | None = None
        """The checkpoint of an earlier attempt, for `Trainer.fit(…, ckpt_path=…)`; None to begin anew."""
        if checkpoint_dir is not None and (file := existing(trial)) is not None:
            self.ckpt_path = file
            self._recall()
        self._trainer: Any = None
        self._has_validated = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 - the base's shape
        """Start the heartbeats.

        Raises:
            InvalidRequest: the trainer has several processes.
        """
        if trainer.world_size > 1:
            what = f"has {trainer.world_size} processes; give a trial one device, and run several trials side by side"
            raise InvalidRequest.of("trainer", what)
        self._trainer = trainer
        self._begin()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 - the base's shape
        """Note that this epoch has metrics of the validation."""
        self._has_validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 - the base's shape
        """Report finite metrics; stop training if the service requests its end or a pause, or the loss is not finite.

        Epochs without validation are not reported if others have one.

        Raises:
            InvalidRequest: the study's objective is not among the metrics that are logged.
        """
        if trainer.enable_validation and not self._has_validated:
            return
        self._has_validated = False
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self._take(measured, trainer.current_epoch + 1):
            trainer.should_stop = True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002 - the base's shape
        """Stop the heartbeats; afterwards the program sends its own.

        Raises:
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        self._finish()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002 - as above
        """Stop the heartbeats; the program ends the trial, or its lease expires."""
        self._finish_heartbeats()

    def _save(self, step: int) -> str:
        if self._folder is None:
            return ""
        file = str(self._folder.of(step, "epoch", ".ckpt"))
        self._trainer.save_checkpoint(file)
        return file


BoCallback = LightningCallback
"""The name that the callbacks of all libraries have in their modules."""
