"""Keras's backend: selected and seeded before the first use; its out-of-memory errors become failures."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bo_client import FailureReason
from bo_client.failures import failure_of

from bo_objectives.base import TrialFailed
from bo_objectives.errors import SetupError


@contextmanager
def started(backend: str, precision: str = "float32") -> Iterator[None]:
    """Import Keras on a backend, with the precision of new layers.

    Keras's global settings are the trial's inside the block, and are restored afterwards.

    Args:
        backend: name of the backend; empty for Keras's default.
        precision: of new layers.

    Raises:
        SetupError: Keras is already imported on another backend, or Keras or the backend is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    loaded = "keras" in sys.modules
    if backend and not loaded:
        os.environ["KERAS_BACKEND"] = backend
    try:
        import keras
    except ImportError as error:
        raise SetupError(f"Keras can't be loaded ({error}): pip install 'bo-service[tensorflow-cpu]'") from error
    running = keras.backend.backend()
    if backend and running != backend:
        raise SetupError(f"option backend is {backend!r}, but this process already runs Keras on {running}")
    if running == "tensorflow" and not loaded:
        _configure_tensorflow()
    config = keras.config
    before = config.floatx(), config.epsilon(), config.image_data_format(), config.dtype_policy()
    _reset(precision)
    try:
        yield
    finally:
        config.set_floatx(before[0])
        config.set_epsilon(before[1])
        config.set_image_data_format(before[2])
        config.set_dtype_policy(before[3])


def _reset(precision: str) -> None:
    """Set all global state of Keras that a trial depends on, whatever ran before or is in ~/.keras/keras.json."""
    import keras

    keras.utils.clear_session()  # names of layers, the dtype policy, the distribution over devices
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")


def check_steps(steps_per_execution: int) -> None:
    """Check the number of steps per execution.

    Raises:
        SetupError: the backend runs only one step at a time.
    """
    import keras

    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        raise SetupError(
            f"option steps_per_execution is {steps_per_execution}; PyTorch runs 1 step at a time: leave it out"
        )


def check_jit(is_on: bool) -> None:
    """Check that the backend compiles steps by XLA if that is requested.

    Raises:
        SetupError: it does not.
    """
    import keras

    if is_on and keras.backend.backend() == "torch":
        raise SetupError("option jit_compile is 'on'; PyTorch has no XLA here: leave it out")


def _configure_tensorflow() -> None:
    """Disable warnings, and allocate GPU memory as needed, so that parallel workers fit on one GPU."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


@contextmanager
def out_of_memory_as_failure() -> Iterator[None]:
    """Convert a backend's out-of-memory error to TrialFailed with that reason."""
    try:
        yield
    except Exception as error:
        failure = failure_of(error)
        if failure.reason is FailureReason.OUT_OF_MEMORY and not isinstance(error, TrialFailed):
            raise TrialFailed(failure.reason, failure.message.splitlines()[0]) from error
        raise
