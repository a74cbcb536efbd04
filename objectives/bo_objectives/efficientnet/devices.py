"""Training of one trial on several devices. Keras distributes each batch and sums the gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from bo_objectives.errors import SetupError

SINGLE, MIRRORED, DATA_PARALLEL = STRATEGIES = ("none", "mirrored", "data_parallel")
NEEDS = {MIRRORED: "tensorflow", DATA_PARALLEL: "jax"}


@contextmanager
def scope(strategy: str) -> Iterator[None]:
    """Use all visible devices for networks that are created and used inside the block.

    Args:
        strategy: one of STRATEGIES.

    Raises:
        SetupError: the strategy belongs to another backend.
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
    """Return how many devices share a batch."""
    if strategy == MIRRORED:
        return int(_mirrored().num_replicas_in_sync)
    return int(_data_parallel().device_mesh.devices.size) if strategy == DATA_PARALLEL else 1


def replicas_in_context() -> int:
    """Return how many devices run a step's code on their part of a batch: several only with MirroredStrategy.

    With JAX, the code processes the whole batch on any number of devices.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def sum_over_replicas(tensors: Sequence[Any]) -> list[Any]:
    """Return the sum of each tensor over all replicas, within a step; None stays None."""
    import tensorflow as tf

    present = [t for t in tensors if t is not None]
    sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, present))
    return [None if t is None else next(sums) for t in tensors]


@cache
def _mirrored() -> Any:
    """Return the strategy of this process, as its variables outlive a trial."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy()


@cache
def _data_parallel() -> Any:
    import keras

    return keras.distribution.DataParallel()
