"""Adam with separate learning rates for head and backbone, which records the gradients.

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
"""Variables without weight decay, which applies to kernels only (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

INITIAL_LOSS_SCALE = 2.0**12
"""Initial scale of the loss in float16. With Keras's default, 2¹⁵, a short training loses its first steps."""


@dataclass(frozen=True)
class Rates:
    """Learning rates over the steps of a stage of training.

    They rise linearly from 0 over the share `warmup` of the steps, and then stay constant or fall to 0 along a cosine.
    If `backbone` is None, all variables have the head's rate.
    """

    head: float
    backbone: float | None
    steps: int
    schedule: str = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    """Maximum norm of all gradients together; 0 for no limit."""
    ema_momentum: float = 0.0
    """Share of a weight's average that stays at each step; 0 for no averages."""


class GradientRecordingOptimizer(keras.optimizers.MultiOptimizer):
    """An optimizer that clips gradients by their common norm, delegates to one per variable, and sums ‖g‖² (v,).

    With `ema_momentum`, its optimizers keep moving averages of the weights, a ← m·a + (1 − m)·w after each step, and
    a = w after the first (Polyak & Juditsky 1992).
    """

    def __init__(
        self, routes: keras.optimizers.OptimizerMap, clip_norm: float = 0.0, ema_momentum: float = 0.0
    ) -> None:
        super().__init__(routes)
        self._clip_norm = clip_norm
        self.squares: keras.Variable | None = None
        self.loss: Any = None
        """The loss to minimize; None for cross-entropy."""
        if ema_momentum > 0:
            for each in self.optimizers:
                each.use_ema, each.ema_momentum, each.ema_overwrite_frequency = True, ema_momentum, None

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.squares = self.add_variable(
            (len(variables),), dtype="float32", aggregation="only_first_replica", name="squares"
        )

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None) -> None:
        """Apply one step."""
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        if not grads or self.squares is None:
            return
        copies = devices.replicas_in_context()
        if copies > 1:  # each has the gradients of its part of the batch, and the norm is the whole batch's
            grads = devices.sum_over_replicas(grads)
        squares = keras.ops.stack([_square(g) for g in grads])
        self.squares.assign_add(squares)
        if self._clip_norm > 0:
            norm = keras.ops.sqrt(keras.ops.sum(squares))
            scale = keras.ops.minimum(1.0, self._clip_norm / keras.ops.maximum(norm, 1e-12))
            grads = [None if g is None else g * keras.ops.cast(scale, g.dtype) for g in grads]
        if copies > 1:  # Keras's optimizers add them up once more
            grads = [None if g is None else g / copies for g in grads]
        super().apply(grads, trainable_variables)

    def averages(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """Return the weights that have moving averages, each with its average."""
        averaged = [each for each in self.optimizers if each.use_ema and each.built]
        return [
            pair
            for each in averaged
            for pair in zip(each._trainable_variables, each._model_variables_moving_average, strict=True)
        ]

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        """Keep the weights as they are; Keras would replace them by their averages at the end of a stage."""

    def measured(self) -> tuple[int, NDArray[np.float32]]:
        """Return the number of steps, and the sums of ‖g‖² over them (v,)."""
        assert self.squares is not None
        return int(self.iterations.numpy()), np.array(self.squares.numpy())


def make(rates: Rates) -> GradientRecordingOptimizer:
    """Return the optimizer, not built yet."""
    head = _adam(rates.head, rates)
    if rates.backbone is None:
        return GradientRecordingOptimizer(keras.optimizers.OptimizerMap(head), rates.clip_norm, rates.ema_momentum)
    routes = keras.optimizers.OptimizerMap(_adam(rates.backbone, rates), {f"{HEAD}.*": head})
    return GradientRecordingOptimizer(routes, rates.clip_norm, rates.ema_momentum)


def scaled(recorder: GradientRecordingOptimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer with a loss scale if layers compute in float16, so that small gradients do not become zero.

    It skips a step with an infinite gradient and halves the scale; such a step is not recorded.
    """
    is_needed = keras.config.dtype_policy().compute_dtype == "float16"
    return keras.optimizers.LossScaleOptimizer(recorder, initial_scale=INITIAL_LOSS_SCALE) if is_needed else recorder


def schedule(peak: float, rates: Rates) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the rate by step; a number if it is constant."""
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
