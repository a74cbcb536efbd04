"""One training, in one stage or two: the loss, what is kept of each epoch, and the weights of the best one.

The training loss may be smoothed and weighted; every reported loss is plain cross-entropy in nats, so that trials
compare.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
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
from bo_objectives.efficientnet.optimizer import ProbedOptimizer, scaled
from bo_objectives.efficientnet.record import Point, Record

Array = NDArray[Any]

EXCERPT = 4096
"""Numbers of a kernel whose changes are measured."""

# Keras's name of a metric → ours
REPORTED = {
    "val_cross_entropy": "val_loss",
    "val_accuracy": "val_accuracy",
    "cross_entropy": "train_loss",
    "accuracy": "train_accuracy",
}


@dataclass(frozen=True)
class Plan:
    """How long and in what portions. Epochs count from 1."""

    epochs: int
    batch_size: int
    label_smoothing: float = 0.0
    seed: int = 0
    patience: int = 0
    """Epochs without a lower validation loss after which training ends; 0 for never."""
    class_weights: Array | None = None
    steps_per_execution: int = 1
    threads: int = 1
    share: int = 1
    """Of how many images batches are multiples, for as many devices."""
    merges_single: bool = False
    """Whether a last batch of one image joins the one before it: a batch norm of a 1×1 map would make it 0."""


@dataclass(frozen=True)
class Stage:
    """Epochs with the same weights trained by the same optimizer."""

    first_epoch: int
    last_epoch: int
    begin: Callable[[], ProbedOptimizer]
    """Makes trainable what the stage trains, and gives its optimizer."""


@dataclass(frozen=True)
class Labeled:
    """Inputs (n, …) and one-hot labels (n, classes)."""

    inputs: Inputs
    one_hot: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.one_hot)


Listener = Callable[[Record], None]
"""Is told of each epoch when it is done, and of the last one again where training is taken up from a checkpoint."""


@dataclass
class Course:
    """A training under way, or taken up again."""

    network: keras.Model
    record: Record
    best: list[Array] = field(default_factory=list)
    probed: ProbedOptimizer | None = None
    optimizer: keras.optimizers.Optimizer | None = None
    """What makes the steps: `probed`, or what scales the loss around it."""
    stage: Stage | None = None
    """The one that the optimizer is of."""

    @classmethod
    def resumed(cls, network: keras.Model, found: Checkpoint, stages: Sequence[Stage]) -> "Course":
        """Return the training as it was when the checkpoint was written, in the stage that it was written in.

        Raises:
            ValueError: the checkpoint doesn't fit the network, its optimizer or the number of epochs; the network keeps
                its weights.
        """
        epoch = found.record.epoch
        stage = next((s for s in stages if s.first_epoch < epoch <= s.last_epoch), None)
        if stage is None:
            raise ValueError(f"it is of epoch {epoch}, and the trial has {stages[-1].last_epoch}")
        course = cls(network, found.record, list(found.best))
        optimizer = course.enter(stage)
        states = {
            "variables": (network.variables, found.network),
            "optimizer variables": (optimizer.variables, found.optimizer),
            "best weights": (network.weights, found.best),
        }
        for what, (variables, arrays) in states.items():
            if [tuple(v.shape) for v in variables] != [a.shape for a in arrays]:
                raise ValueError(f"its {len(arrays)} {what} don't fit the {len(variables)} of this network")
        for variables, arrays in (states["variables"], states["optimizer variables"]):
            for variable, value in zip(variables, arrays, strict=True):
                variable.assign(value)
        return course

    def checkpoint(self) -> Checkpoint:
        assert self.optimizer is not None
        network, optimizer = (
            [v.numpy() for v in variables] for variables in (self.network.variables, self.optimizer.variables)
        )
        return Checkpoint(network, optimizer, self.best, self.record)

    def enter(self, stage: Stage) -> keras.optimizers.Optimizer:
        """Begin the stage; return its optimizer, which is built."""
        self.stage, self.probed = stage, stage.begin()
        self.optimizer = scaled(self.probed)
        self.optimizer.build(self.network.trainable_variables)
        return self.optimizer

    def end(self) -> None:
        """Gives the network the weights of its best epoch."""
        self.network.set_weights(self.best)


class Watch(keras.callbacks.Callback):
    """Writes the record epoch by epoch, keeps the best weights, and ends a training that diverges or stands still."""

    def __init__(self, course: Course, listener: Listener, is_over: Callable[[], bool]) -> None:
        super().__init__()
        self._course, self._record = course, course.record
        self._listener = listener
        self._is_over = is_over
        self._began = 0.0
        self._steps, self._squares = 0, np.zeros(0, np.float32)
        self._kernels: dict[str, Array] = {}

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        assert self._course.probed is not None
        self._steps, self._squares = self._course.probed.measured()
        self._kernels = _excerpts(self.model.trainable_variables)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        if self._record.first_gradient_norm is None and self._record.epoch == 0:
            self._record.first_gradients, self._record.first_gradient_norm, _ = self._gradients()
        self._check("training loss", (logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        point = {ours: float((logs or {})[theirs]) for theirs, ours in REPORTED.items()}
        self._check("validation loss", point["val_loss"])
        self._add(point)
        self._listener(self._record)
        if self._is_over():
            self.model.stop_training = True

    def _add(self, point: Point) -> None:
        by_kernel, norm, steps = self._gradients()
        self._record.gradients.append(by_kernel)
        self._record.gradient_norms.append(norm)
        kernels = _excerpts(self.model.trainable_variables)
        self._record.updates.append(_changes(self._kernels, kernels))
        self._kernels = kernels
        self._record.steps.append(steps)
        self._record.seconds.append(time.monotonic() - self._began)
        self._record.curve.append(point)
        assert self._course.probed is not None
        self._steps, self._squares = self._course.probed.measured()
        if self._record.best_epoch == self._record.epoch:
            self._course.best = self.model.get_weights()

    def _gradients(self) -> tuple[dict[str, float], float, int]:
        """Of the epoch so far: the gradient of each kernel, the norm of all, both by step, and the number of steps."""
        assert self._course.probed is not None
        steps, squares = self._course.probed.measured()
        mean = (squares - self._squares) / max(1, steps - self._steps)
        variables = self.model.trainable_variables
        kernels = [(v.path, m, math.prod(v.shape)) for v, m in zip(variables, mean, strict=True) if len(v.shape) > 1]
        by_kernel = {path: math.sqrt(m / size) for path, m, size in kernels}
        return by_kernel, math.sqrt(float(mean.sum())), steps - self._steps

    def _check(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            epoch = self._record.diverged = self._record.epoch + 1
            message = f"the {what} became {float(value)} in epoch {epoch}; a lower learning rate may help"
            raise TrialFailed(FailureReason.DIVERGED, message)


def _excerpts(variables: Sequence[keras.Variable]) -> dict[str, Array]:
    """At most EXCERPT evenly spaced numbers of each kernel, by path."""
    kernels = {v.path: np.array(v.numpy()).ravel() for v in variables if len(v.shape) > 1}
    return {path: kernel[:: math.ceil(len(kernel) / EXCERPT)].astype(np.float64) for path, kernel in kernels.items()}


def _changes(old: Mapping[str, Array], new: Mapping[str, Array]) -> dict[str, float]:
    """Root mean square of the change of each kernel, relative to that of the old one; 0 where that one was 0."""
    return {path: _rms(new[path] - before) / _rms(before) if before.any() else 0.0 for path, before in old.items()}


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def compiled(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, label_smoothing: float, steps_per_execution: int = 1
) -> keras.Model:
    """The model, ready to train on one-hot labels; its metrics are plain cross-entropy and accuracy."""
    model.compile(
        optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=[
            keras.metrics.CategoricalCrossentropy("cross_entropy", from_logits=True),
            keras.metrics.CategoricalAccuracy("accuracy"),
        ],
        steps_per_execution=steps_per_execution,
    )
    return model


def train(
    course: Course, stages: Sequence[Stage], plan: Plan, data: tuple[Labeled, Labeled], listener: Listener
) -> Record:
    """Trains on the first data and validates on the second; the network ends with the weights of its best epoch.

    Raises:
        TrialFailed: DIVERGED where a loss became infinite or no number.
        bo_client.StopTrial: as `listener` raises it.
    """
    record = course.record
    if record.epoch:
        listener(record)
    for stage in stages:
        ending = partial(_is_over, record, stage, plan.patience if stage is stages[-1] else 0)
        if not ending():
            if course.stage is not stage:
                course.enter(stage)
            _run(course, stage, plan, data, listener, ending)
    course.end()
    return record


def _is_over(record: Record, stage: Stage, patience: int) -> bool:
    """Whether the stage has had all of its epochs, or has waited long enough for a better one."""
    waited = record.epoch - max(record.best_epoch, stage.first_epoch - 1)
    return record.epoch >= stage.last_epoch or 0 < patience <= waited


def steps_together(most: int, steps: int) -> int:
    """How many steps run at once: a divisor of an epoch's, or the last ones would take batches of the next epoch."""
    return max(d for d in range(1, min(most, steps) + 1) if steps % d == 0)


def _run(
    course: Course, stage: Stage, plan: Plan, data: tuple[Labeled, Labeled], listener: Listener,
    is_over: Callable[[], bool],
) -> None:  # fmt: skip
    trained, held = data
    shared = (plan.threads, plan.share)
    batches = Batches(trained.inputs, trained.one_hot, plan.batch_size, plan.class_weights, *shared, plan.merges_single)
    assert course.optimizer is not None
    begun = course.record.epoch
    together = steps_together(plan.steps_per_execution, len(batches))
    compiled(course.network, course.optimizer, plan.label_smoothing, together).fit(
        batches.stream(plan.seed, begun), steps_per_epoch=len(batches), initial_epoch=begun, epochs=stage.last_epoch,
        validation_data=Batches(held.inputs, held.one_hot, max(plan.batch_size, 64), None, *shared),
        callbacks=[Watch(course, listener, is_over)], shuffle=False, verbose=0,
    )  # fmt: skip
