"""Adam with a learning rate for the head and one for the backbone, which measures every gradient that it is given.

v: number of trained variables. g: a variable's gradient, ‖g‖² its squared norm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import devices
from bo_objectives.efficientnet.model import HEAD
from bo_objectives.efficientnet.names import COSINE

UNDECAYED = ["bias", "gamma", "beta"]
"""Weight decay pulls kernels alone towards zero (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

FIRST_SCALE = 2.0**12
"""Of the loss in float16. From Keras's own, 2¹⁵, a short training loses its first steps."""


@dataclass(frozen=True)
class Rates:
    """Learning rates over the steps of a stage of training.

    They rise evenly from 0 over the share `warmup` of the steps, and then stay or fall to 0 along a cosine. Where
    `backbone` is None, all that is trained has the head's rate.
    """

    head: float
    backbone: float | None
    steps: int
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    """The largest norm of all gradients together; 0 for any."""


class ProbedOptimizer(keras.optimizers.MultiOptimizer):
    """Clips all gradients by their common norm, passes each on to its own optimizer, and adds up every ‖g‖² (v,)."""

    def __init__(self, routes: keras.optimizers.OptimizerMap, clip_norm: float = 0.0) -> None:
        super().__init__(routes)
        self._clip_norm = clip_norm
        self.squares: keras.Variable | None = None

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.squares = self.add_variable(
            (len(variables),), dtype="float32", aggregation="only_first_replica", name="squares"
        )

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """One step."""
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        if not grads or self.squares is None:
            return
        copies = devices.copies()
        if copies > 1:  # each has the gradients of its part of the batch, and the norm is the whole batch's
            grads = devices.summed(grads)
        squares = keras.ops.stack([_square(g) for g in grads])
        self.squares.assign_add(squares)
        if self._clip_norm > 0:
            norm = keras.ops.sqrt(keras.ops.sum(squares))
            scale = keras.ops.minimum(1.0, self._clip_norm / keras.ops.maximum(norm, 1e-12))
            grads = [None if g is None else g * keras.ops.cast(scale, g.dtype) for g in grads]
        if copies > 1:  # Keras's optimizers add them up once more
            grads = [None if g is None else g / copies for g in grads]
        super().apply(grads, trainable_variables)

    def measured(self) -> tuple[int, NDArray[np.float32]]:
        """How many steps there were, and the sums of ‖g‖² over them (v,)."""
        assert self.squares is not None
        return int(self.iterations.numpy()), np.array(self.squares.numpy())


def make(rates: Rates) -> ProbedOptimizer:
    """Not built yet."""
    head = _adam(rates.head, rates)
    if rates.backbone is None:
        return ProbedOptimizer(keras.optimizers.OptimizerMap(head), rates.clip_norm)
    routes = keras.optimizers.OptimizerMap(_adam(rates.backbone, rates), {f"{HEAD}.*": head})
    return ProbedOptimizer(routes, rates.clip_norm)


def scaled(probed: ProbedOptimizer) -> keras.optimizers.Optimizer:
    """Where layers compute in float16, it scales the loss up, so that small gradients are not zero, and gradients down.

    It leaves out a step with an infinite gradient and halves the scale; such a step isn't measured.
    """
    is_needed = keras.config.dtype_policy().compute_dtype == "float16"
    return keras.optimizers.LossScaleOptimizer(probed, initial_scale=FIRST_SCALE) if is_needed else probed


def schedule(peak: float, rates: Rates) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate by step: a number where it never changes."""
    warmup = round(rates.warmup * rates.steps)
    is_cosine = rates.schedule == COSINE
    if not is_cosine and warmup == 0:
        return peak
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else peak, max(1, rates.steps - warmup), alpha=0.0 if is_cosine else 1.0,
        warmup_target=peak if warmup else None, warmup_steps=warmup,
    )  # fmt: skip


def _adam(peak: float, rates: Rates) -> keras.optimizers.Optimizer:
    adam = keras.optimizers.Adam(schedule(peak, rates), weight_decay=rates.weight_decay or None)
    adam.exclude_from_weight_decay(var_names=UNDECAYED)
    return adam


def _square(gradient: Any) -> Any:
    if gradient is None:
        return keras.ops.zeros((), "float32")
    return keras.ops.sum(keras.ops.square(keras.ops.cast(gradient, "float32")))
