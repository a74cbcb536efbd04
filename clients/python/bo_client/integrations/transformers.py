"""The callback for Hugging Face's Trainer that reports each evaluation, and stops training on the service's request.

(trial,) = study.suggest()
callback = BoCallback(trial, "eval_loss")
Trainer(model, arguments, train_dataset=…, eval_dataset=…, callbacks=[callback]).train()
trial.complete(callback.history["eval_loss"][-1])
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

from bo_client.errors import InvalidRequest
from bo_client.integrations.training import Metrics, TrainingCallback, existing
from bo_client.running import RunningTrial


class TransformersCallback(TrainingCallback, transformers.TrainerCallback):
    """A callback that reports a trial's evaluations, and sends heartbeats between them.

    The step is the epoch if the trainer evaluates after each epoch, and else its global step. The program completes the
    trial, as it knows the result. Each process trains one trial.
    """

    _tool = "the trainer"
    _advice = "choose one with metric=; compute_metrics adds others"
    _needs_folder = False

    def __init__(self, trial: RunningTrial, metric: Metrics | None = None) -> None:
        """Create the callback for one training.

        Args:
            trial: from `Study.suggest`, or the argument that `Study.optimize` passes to the objective.
            metric: the trainer's name of the study's objective, such as "eval_accuracy", or "accuracy"; by default the
                name in the study. For several metrics, a dictionary of the trainer's names by the study's.

        Raises:
            InvalidRequest: the checkpoint of an earlier attempt cannot be read.
        """
        super().__init__(trial, metric)
        self.checkpoint = existing(trial)
        """The trainer's checkpoint from an earlier attempt, for `train(resume_from_checkpoint=…)`; None to begin
        anew."""
        if self.checkpoint is not None:
            self._recall()
        self._is_training = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - the base's shape
        """Start the heartbeats.

        Raises:
            InvalidRequest: the trainer has several processes, or never evaluates.
        """
        if args.world_size > 1:
            what = f"has {args.world_size} processes; give a trial one device, and run several trials side by side"
            raise InvalidRequest.of("trainer", what)
        if args.eval_strategy == "no":
            raise InvalidRequest.of("eval_strategy", "is 'no', so nothing would be reported; pass 'epoch' or 'steps'")
        self._is_training = True
        self._begin()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **_: Any) -> None:
        """Report finite metrics; stop training if the service requests its end or a pause.

        Raises:
            InvalidRequest: the study's objective is not among the metrics.
        """
        if not self._is_training:
            return
        measured = {n: float(v) for n, v in metrics.items() if isinstance(v, int | float) and n != "epoch"}
        step = round(state.epoch) if args.eval_strategy == "epoch" else state.global_step
        if self._take(measured, step):
            control.should_training_stop = True
            control.should_save = control.should_save or self.pause_reason is not None

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Store where the trainer has saved its checkpoint."""
        folder = Path(args.output_dir).absolute() / f"checkpoint-{state.global_step}"
        heartbeat = self.trial.checkpoint(str(folder))
        if heartbeat.should_stop or not heartbeat.lease_valid:
            self.stop_reason = heartbeat.reason
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - the base's shape
        """Stop the heartbeats; afterwards the program sends its own.

        Raises:
            PauseTrial: the trial should pause, and `Study.optimize` runs it.
        """
        self._is_training = False
        self._finish()

    def _library_name(self, name: str, measured: Mapping[str, float]) -> str:
        return name if name in measured else f"eval_{name}"


BoCallback = TransformersCallback
"""The name that the callbacks of all libraries have in their modules."""
