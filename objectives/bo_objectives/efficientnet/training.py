"""A training in one stage or two: the loss, the history of each epoch, and the weights of the best epoch.

The training loss may be smoothed, weighted, or a user's; every reported loss is the plain one of the task, so that
trials are comparable. With moving averages of the weights, these are what is validated and kept.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from bo_client import FailureReason
from numpy.typing import NDArray

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.batches import Batches, Inputs
from bo_objectives.efficientnet.checkpoint import Checkpoint
from bo_objectives.efficientnet.history import Point, TrainingHistory
from bo_objectives.efficientnet.mixing import MixedTraining
from bo_objectives.efficientnet.optimizer import GradientRecordingOptimizer, scaled
from bo_objectives.efficientnet.tasks import LearningTask, SingleLabel

Array = NDArray[Any]

MAX_SAMPLED = 4096
"""Maximum elements of a kernel whose changes are measured."""


@dataclass(frozen=True)
class Plan:
    """The length of a training, its batches and its loss. Epochs count from 1."""

    epochs: int
    batch_size: int
    label_smoothing: float = 0.0
    seed: int = 0
    patience: int = 0
    """Epochs without a lower validation loss after which training ends; 0 for no limit."""
    class_weights: Array | None = None
    steps_per_execution: int = 1
    threads: int = 1
    share: int = 1
    """Batch sizes are multiples of this number of devices."""
    merges_single: bool = False
    """Whether a last batch of one image joins the previous one: a batch norm of a 1×1 map would make it 0."""
    mixup: float = 0.0
    """Alpha of mixup; 0 for none."""
    jit_compile: str = "auto"
    """Whether XLA compiles the steps: auto, on or off."""
    task: LearningTask = field(default_factory=SingleLabel)


@dataclass(frozen=True)
class TrainingStage:
    """Epochs in which one optimizer trains the same weights."""

    first_epoch: int
    last_epoch: int
    begin: Callable[[], GradientRecordingOptimizer]
    """Makes the stage's weights trainable, and returns its optimizer."""


@dataclass(frozen=True)
class LabeledInputs:
    """Inputs (n, …) and encoded targets (n, outputs), which are one-hot for classes."""

    inputs: Inputs
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.targets)


EpochCallback = Callable[[TrainingHistory], None]
"""Called after each epoch, and again for the last one if training resumes from a checkpoint."""


@dataclass
class TrainingState:
    """The state of a training that has started or resumed."""

    network: keras.Model
    record: TrainingHistory
    best: list[Array] = field(default_factory=list)
    recorder: GradientRecordingOptimizer | None = None
    optimizer: keras.optimizers.Optimizer | None = None
    """The optimizer that applies the steps: `recorder`, or a loss scale around it."""
    stage: TrainingStage | None = None
    """The stage of the optimizer."""
    mixup: keras.layers.MixUp | None = None
    """The layer that mixes images and labels, with a random generator of its own."""

    @classmethod
    def started(cls, network: keras.Model, plan: Plan) -> "TrainingState":
        """Return a training before its first step."""
        mixup = keras.layers.MixUp(plan.mixup, seed=plan.seed + 200, dtype="float32") if plan.mixup > 0 else None
        return cls(network, TrainingHistory(), mixup=mixup)

    @classmethod
    def resumed(
        cls, network: keras.Model, plan: Plan, checkpoint: Checkpoint, stages: Sequence[TrainingStage]
    ) -> "TrainingState":
        """Return the training in the state and the stage of a checkpoint.

        Raises:
            ValueError: the checkpoint does not fit the network, its optimizer or the number of epochs; the network
                keeps its weights.
        """
        epoch = checkpoint.record.epoch
        stage = next((s for s in stages if s.first_epoch < epoch <= s.last_epoch), None)
        if stage is None:
            raise ValueError(f"it is of epoch {epoch}, and the trial has {stages[-1].last_epoch}")
        state = cls.started(network, plan)
        state.record, state.best = checkpoint.record, list(checkpoint.best)
        optimizer = state.enter(stage)
        states = {
            "variables": (state.variables, checkpoint.network),
            "optimizer variables": (optimizer.variables, checkpoint.optimizer),
            "best weights": (network.weights, checkpoint.best),
        }
        for what, (variables, arrays) in states.items():
            if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
                raise ValueError(f"its {len(arrays)} {what} don't fit the {len(variables)} of this network")
        for variables, arrays in (states["variables"], states["optimizer variables"]):
            for variable, value in zip(variables, arrays, strict=True):
                variable.assign(value)
        return state

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables but the optimizer's."""
        return [*self.network.variables, *(self.mixup.variables if self.mixup is not None else [])]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the network its moving averages inside the block, if the optimizer keeps them.

        The averages are those of a started training; before the first step they are 0.
        """
        pairs = [] if self.recorder is None else self.recorder.averages()
        raw = [variable.numpy() for variable, _ in pairs]
        for variable, average in pairs:
            variable.assign(average)
        try:
            yield
        finally:
            for (variable, _), value in zip(pairs, raw, strict=True):
                variable.assign(value)

    def checkpoint(self) -> Checkpoint:
        assert self.optimizer is not None
        network, optimizer = (
            [v.numpy() for v in variables] for variables in (self.variables, self.optimizer.variables)
        )
        return Checkpoint(network, optimizer, self.best, self.record)

    def enter(self, stage: TrainingStage) -> keras.optimizers.Optimizer:
        """Begin a stage, and return its built optimizer."""
        self.stage, self.recorder = stage, stage.begin()
        self.optimizer = scaled(self.recorder)
        self.optimizer.build(self.network.trainable_variables)
        return self.optimizer

    def end(self) -> None:
        """Set the network's weights to those of its best epoch."""
        self.network.set_weights(self.best)


Stepping = Callable[[TrainingState], AbstractContextManager[None]]
"""Gives a training another network and optimizer inside the block, which leave it the values that they reach."""


def own_step(state: TrainingState) -> AbstractContextManager[None]:  # noqa: ARG001
    """Let a training compile its own network."""
    return nullcontext()


class RecordingCallback(keras.callbacks.Callback):
    """A callback that records the history, keeps the best weights, and ends a training that diverges or stagnates."""

    def __init__(
        self, state: TrainingState, task: LearningTask, listener: EpochCallback, is_over: Callable[[], bool]
    ) -> None:  # fmt: skip
        super().__init__()
        self._reported = task.reported
        self._state, self._record = state, state.record
        self._listener = listener
        self._is_over = is_over
        self._began = 0.0
        self._steps, self._squares = 0, np.zeros(0, np.float32)
        self._kernels: dict[str, Array] = {}
        self._averaged: AbstractContextManager[None] = nullcontext()

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        assert self._state.recorder is not None
        self._steps, self._squares = self._state.recorder.measured()
        self._kernels = _excerpts(self._network.trainable_variables)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        _ = self._network  # first, as it fetches what JAX has computed
        self._averaged = self._state.averaged()
        self._averaged.__enter__()

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._averaged.__exit__(None, None, None)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        if self._record.first_gradient_norm is None and self._record.epoch == 0:
            self._record.first_gradients, self._record.first_gradient_norm, _ = self._gradients()
        self._check("training loss", (logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        point = {ours: float((logs or {})[theirs]) for theirs, ours in self._reported.items()}
        self._check("validation loss", point["val_loss"])
        self._add(point)
        self._listener(self._record)
        if self._is_over():
            self.model.stop_training = True

    def _add(self, point: Point) -> None:
        by_kernel, norm, steps = self._gradients()
        self._record.gradients.append(by_kernel)
        self._record.gradient_norms.append(norm)
        kernels = _excerpts(self._network.trainable_variables)
        self._record.updates.append(_changes(self._kernels, kernels))
        self._kernels = kernels
        self._record.steps.append(steps)
        self._record.seconds.append(time.monotonic() - self._began)
        self._record.curve.append(point)
        assert self._state.recorder is not None
        self._steps, self._squares = self._state.recorder.measured()
        if self._record.best_epoch == self._record.epoch:
            with self._state.averaged():
                self._state.best = self._network.get_weights()

    @property
    def _network(self) -> keras.Model:
        """The network, with the variables that the backend has computed by now."""
        _ = self.model  # fetches them on JAX
        return self._state.network

    def _gradients(self) -> tuple[dict[str, float], float, int]:
        """Return the mean gradient of each kernel, the mean norm of all, and the steps of the epoch so far."""
        assert self._state.recorder is not None
        steps, squares = self._state.recorder.measured()
        mean = (squares - self._squares) / max(1, steps - self._steps)
        variables = self._network.trainable_variables
        kernels = [(v.path, m, math.prod(v.shape)) for v, m in zip(variables, mean, strict=True) if len(v.shape) > 1]
        by_kernel = {path: math.sqrt(m / size) for path, m, size in kernels}
        return by_kernel, math.sqrt(float(mean.sum())), steps - self._steps

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            epoch = self._record.diverged = self._record.epoch + 1
            message = f"the {what} became {float(value)} in epoch {epoch}; a lower learning rate may help"
            raise TrialFailed(FailureReason.DIVERGED, message)


def _excerpts(variables: Sequence[keras.Variable]) -> dict[str, Array]:
    """Return at most MAX_SAMPLED evenly spaced elements of each kernel, by path."""
    kernels = {v.path: np.array(v.numpy()).ravel() for v in variables if len(v.shape) > 1}
    return {
        path: kernel[:: math.ceil(len(kernel) / MAX_SAMPLED)].astype(np.float64) for path, kernel in kernels.items()
    }


def _changes(old: Mapping[str, Array], new: Mapping[str, Array]) -> dict[str, float]:
    """Return the root mean square of the change of each kernel, relative to the old kernel; 0 if that was 0."""
    return {path: _rms(new[path] - before) / _rms(before) if before.any() else 0.0 for path, before in old.items()}


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def compiled(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float, steps_per_execution: int = 1,
    jit_compile: str = "auto", loss: Any = None, task: LearningTask | None = None,
) -> keras.Model:  # fmt: skip
    """Return the model compiled for the targets of a task; its metrics are the task's.

    Args:
        model: the model.
        optimizer: the optimizer.
        label_smoothing: of a cross-entropy.
        steps_per_execution: steps that run without returning to Python.
        jit_compile: auto, on or off.
        loss: of outputs and targets, in the place of the task's.
        task: the task; None for one of several classes.
    """
    task = task or SingleLabel()
    model.compile(
        optimizer,
        loss=task.loss(label_smoothing) if loss is None else loss,
        metrics=task.metrics(),
        steps_per_execution=steps_per_execution,
        jit_compile={"auto": "auto", "on": True, "off": False}[jit_compile],
    )
    return model


def train(
    state: TrainingState,
    stages: Sequence[TrainingStage],
    plan: Plan,
    data: tuple[LabeledInputs, LabeledInputs],
    listener: EpochCallback,
    step: Stepping = own_step,
) -> TrainingHistory:
    """Train and validate; afterwards the network has the weights of its best epoch.

    Args:
        state: the training.
        stages: its stages.
        plan: its length, batches and loss.
        data: training and validation data.
        listener: called after each epoch.
        step: gives each stage a network and an optimizer that are compiled already, if it has them.

    Raises:
        TrialFailed: DIVERGED, as a loss became infinite or NaN.
        bo_client.StopTrial: raised by `listener`.
    """
    record = state.record
    if record.epoch:
        listener(record)
    for stage in stages:
        is_over = partial(_is_over, record, stage, plan.patience if stage is stages[-1] else 0)
        if not is_over():
            if state.stage is not stage:
                state.enter(stage)
            with step(state):
                _run(state, stage, plan, data, listener, is_over)
    state.end()
    return record


def _is_over(record: TrainingHistory, stage: TrainingStage, patience: int) -> bool:
    """Return whether the stage has finished its epochs, or has exhausted its patience."""
    epochs_since_best = record.epoch - max(record.best_epoch, stage.first_epoch - 1)
    return record.epoch >= stage.last_epoch or 0 < patience <= epochs_since_best


def steps_together(limit: int, steps: int) -> int:
    """Return how many steps run at once: a divisor of the epoch's steps, so that no batch belongs to the next epoch."""
    return max(d for d in range(1, min(limit, steps) + 1) if steps % d == 0)


def _run(
    state: TrainingState, stage: TrainingStage, plan: Plan, data: tuple[LabeledInputs, LabeledInputs],
    listener: EpochCallback, is_over: Callable[[], bool],
) -> None:  # fmt: skip
    training, validation = data
    shared = (plan.threads, plan.share)
    model, weights = state.network, plan.class_weights
    if state.mixup is not None:
        model, weights = MixedTraining(state.network, state.mixup, weights), None
    batches = Batches(
        training.inputs, training.targets, plan.batch_size, weights, *shared, plan.merges_single,
        feeds_labels=state.mixup is not None,
    )  # fmt: skip
    assert state.optimizer is not None
    assert state.recorder is not None
    first_epoch = state.record.epoch
    together = steps_together(plan.steps_per_execution, len(batches))
    if not (model.compiled and model.optimizer is state.optimizer):
        compiled(
            model, state.optimizer, plan.label_smoothing, together, plan.jit_compile, state.recorder.loss, plan.task
        )
    model.fit(
        batches.stream(plan.seed, first_epoch), steps_per_epoch=len(batches), initial_epoch=first_epoch,
        epochs=stage.last_epoch,
        validation_data=Batches(validation.inputs, validation.targets, max(plan.batch_size, 64), None, *shared),
        callbacks=[RecordingCallback(state, plan.task, listener, is_over)], shuffle=False, verbose=0,
    )  # fmt: skip
