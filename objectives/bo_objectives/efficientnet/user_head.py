"""A head and a compilation by a user's functions: what they return, checked and made part of a trial's network."""

from collections.abc import Mapping
from typing import Any

import keras
from bo_client import Value

from bo_objectives.efficientnet.model import HEAD
from bo_objectives.efficientnet.optimizer import GradientRecordingOptimizer
from bo_objectives.efficientnet.user_code import UserFunction

NAME = f"{HEAD}custom"
"""Name of the head as a layer, and first part of the paths of its variables, which get the head's learning rate."""
COMPILED = ("optimizer", "loss")
UNSUPPORTED = (keras.optimizers.MultiOptimizer, keras.optimizers.LossScaleOptimizer)


def head_model(
    function: UserFunction, features: tuple[int, ...], classes: int, parameters: Mapping[str, Value]
) -> keras.Model:
    """Return the user's head from features (B, h, w, C) to float32 logits (B, classes).

    Raises:
        SetupError: the function fails, or does not return logits of its features.
    """
    inputs = keras.Input(features)
    with keras.name_scope(NAME):
        logits = function.call(inputs, classes, parameters)
    if not isinstance(logits, keras.KerasTensor):
        raise function.wrong(f"returned {type(logits).__name__}; it must return logits, a tensor (batch, {classes})")
    if tuple(logits.shape) != (None, classes):
        raise function.wrong(f"returned the shape {tuple(logits.shape)}; it must be (None, {classes}), as classes says")
    if logits.dtype != "float32":
        logits = keras.layers.Identity(dtype="float32", name="logits")(logits)
    try:
        return keras.Model(inputs, logits, name=NAME)
    except ValueError as error:
        raise function.wrong(f"returned logits that do not depend on the features alone: {error}") from error


def compiled_optimizer(
    function: UserFunction, model: keras.Model, parameters: Mapping[str, Value], steps: int, clip_norm: float,
    ema_momentum: float,
) -> GradientRecordingOptimizer:  # fmt: skip
    """Return the user's optimizer, not built yet, with the user's loss.

    Raises:
        SetupError: the function fails, or returns no optimizer.
    """
    returned = function.call(model, parameters, steps)
    if not isinstance(returned, Mapping) or "optimizer" not in returned or not set(returned) <= set(COMPILED):
        what = f"keys {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else type(returned).__name__
        raise function.wrong(f"returned {what}; it must return a mapping with optimizer, and loss if it is another")
    recorder = GradientRecordingOptimizer(_routes(function, returned["optimizer"]), clip_norm, ema_momentum)
    recorder.loss = returned.get("loss")
    return recorder


def _routes(function: UserFunction, optimizer: Any) -> keras.optimizers.OptimizerMap:
    """Return the optimizers by variable."""
    is_map = isinstance(optimizer, keras.optimizers.OptimizerMap)
    used = [optimizer.default_optimizer, *optimizer.values()] if is_map else [optimizer]
    for one in used:
        if not isinstance(one, keras.optimizers.Optimizer) or isinstance(one, UNSUPPORTED):
            raise function.wrong(
                f"returned the optimizer {type(one).__name__}; it must be a keras.optimizers.Optimizer, or an "
                "OptimizerMap of them for different variables; the loss scale of float16 is added to it"
            )
    return optimizer if is_map else keras.optimizers.OptimizerMap(optimizer)
