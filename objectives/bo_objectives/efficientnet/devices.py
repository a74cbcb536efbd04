"""Several devices for one trial. Each batch is shared out, and gradients are added up; Keras does both."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from bo_objectives.errors import SetupError

SINGLE, MIRRORED, DATA_PARALLEL = STRATEGIES = ("none", "mirrored", "data_parallel")
NEEDS = {MIRRORED: "tensorflow", DATA_PARALLEL: "jax"}


@contextmanager
def scope(strategy: str) -> Iterator[None]:
    """Networks that are made here, and everything that is done with them, use all devices that the process sees.

    Raises:
        SetupError: the strategy is another backend's.
    """
    if strategy == SINGLE:
        yield
        return
    import keras

    running = keras.backend.backend()
    if running != NEEDS[strategy]:
        raise SetupError(
            f"option strategy is {strategy!r}, which needs the backend {NEEDS[strategy]}; this process runs {running}"
        )
    if strategy == DATA_PARALLEL:
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(_data_parallel())
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        with _mirrored().scope():
            yield


def replicas(strategy: str) -> int:
    """How many devices share a batch."""
    if strategy == MIRRORED:
        return int(_mirrored().num_replicas_in_sync)
    return int(_data_parallel().device_mesh.devices.size) if strategy == DATA_PARALLEL else 1


def copies() -> int:
    """How many devices each run a step's code on a part of the batch: several on MirroredStrategy alone.

    On JAX the code is of the whole batch, whatever the number of devices.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def summed(tensors: Sequence[Any]) -> list[Any]:
    """Each over all copies, within a step; None stays None."""
    import tensorflow as tf

    given = [t for t in tensors if t is not None]
    sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, given))
    return [None if t is None else next(sums) for t in tensors]


@cache
def _mirrored() -> Any:
    """One for the process: its variables outlive a trial."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


@cache
def _data_parallel() -> Any:
    import keras

    return keras.distribution.DataParallel()
