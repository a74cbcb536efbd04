"""The check of a user's head and compilation, as a program: python -m … OPTIONS_AS_JSON ANSWER_FILE.

It writes an empty answer, or the message of the first error. A head is built for two numbers of classes, saved and
loaded; then one step is trained on random features.
"""

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bo_objectives.efficientnet import data, runtime
from bo_objectives.efficientnet.names import SINGLE_LABEL
from bo_objectives.efficientnet.settings import TrainingSettings
from bo_objectives.efficientnet.space import FALLBACKS
from bo_objectives.efficientnet.user_code import HEAD, UserFunction
from bo_objectives.errors import SetupError

CLASSES = (3, 5)
IMAGES = 4
STEPS = 10


def main() -> None:
    """Check the functions that the options name."""
    options, answer = json.loads(sys.argv[1]), Path(sys.argv[2])
    answer.write_text(message_of(options), "utf-8")


def message_of(options: Mapping[str, str]) -> str:
    """Return the message of the first error, or an empty text."""
    try:
        settings = TrainingSettings.from_options(options)
        functions = {function.option: function for function in settings.user_functions()}
        for function in functions.values():
            function.load()
        with runtime.started(settings.backend, settings.precision):
            check(settings, functions)
    except SetupError as error:
        return str(error)
    return ""


def check(settings: TrainingSettings, functions: Mapping[str, UserFunction]) -> None:
    """Build, save, load and train with the functions, while Keras runs.

    Raises:
        SetupError: one of them fails, or what it returns cannot be used.
    """
    from bo_objectives.efficientnet import backbone

    features = tuple(backbone.architecture(settings.backbone, settings.image_size)[0].output_shape[1:])
    for classes in CLASSES:
        _check_training(settings, functions, features, classes)


def _check_training(
    settings: TrainingSettings, functions: Mapping[str, UserFunction], features: tuple[int, ...], classes: int
) -> None:
    import keras
    import numpy as np

    from bo_objectives.efficientnet import model, optimizer, tasks, training, user_head

    function = functions.get(HEAD)
    if function is not None:
        network = user_head.head_model(function, features, classes, dict(FALLBACKS))
        _check_saving(function, network)
    else:
        head = model.Head("glorot_uniform", "batch", 8, 0.0, settings.head_width, classes)
        network = model.network(features, [], head, seed=0)
    pixels, numbers = np.zeros((2, 1, 1, 3), np.uint8), np.array([[-1.0] * classes, [1.0] * classes])
    targets = None if settings.task == SINGLE_LABEL else numbers
    names = tuple(map(str, range(classes)))
    task = tasks.task_of(data.Images(pixels, np.zeros(2, np.int64), names, task=settings.task, targets=targets))
    compiles = functions.get("compile")
    recorder = (
        optimizer.make(optimizer.Rates(1e-3, None, STEPS))
        if compiles is None
        else user_head.compiled_optimizer(compiles, network, dict(FALLBACKS), STEPS, 0.0, 0.0)
    )
    x = np.random.default_rng(0).normal(0, 1, (IMAGES, *features)).astype(np.float32)
    y = np.eye(classes, dtype=np.float32)[np.arange(IMAGES) % classes]
    culprit = function if compiles is None else compiles
    assert culprit is not None
    try:
        applied = optimizer.scaled(recorder)
        training.compiled(network, applied, 0.0, loss=recorder.loss, task=task).train_on_batch(x, y)
        loss = float(keras.ops.convert_to_numpy(network.get_metrics_result()["loss"]))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise culprit.wrong(f"can't be trained: {type(error).__name__}: {reason}") from error
    if not math.isfinite(loss):
        raise culprit.wrong(f"has the loss {loss} at the first step on random features; it must be finite")


def _check_saving(function: UserFunction, network: "object") -> None:
    """Check that the head can be exported and loaded again."""
    import keras

    with tempfile.TemporaryDirectory(prefix="bo-objectives-") as folder:
        path = Path(folder) / "head.keras"
        try:
            network.save(path)  # type: ignore[attr-defined]
            keras.saving.load_model(path)
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise function.wrong(
                f"returned a head that can't be saved and loaded ({type(error).__name__}: {reason}); register layers "
                "of your own with keras.saving.register_keras_serializable, and use them instead of Lambda"
            ) from error


if __name__ == "__main__":
    main()
