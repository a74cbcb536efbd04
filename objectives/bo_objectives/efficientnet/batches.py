"""Batches for Keras, in an order that depends only on seed and epoch, so that training can resume."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Rows
from bo_objectives.efficientnet.mixing import IMAGES, LABELS

Array = NDArray[Any]
Inputs = Array | Rows
Batch = tuple[Any, ...]


class Batches(keras.utils.PyDataset):
    """Batches of inputs (n, …), which may be a memory-mapped file, and targets (n, outputs), one-hot for classes.

    Indexing gives them in order, for validation; `stream` shuffles them, for training. `weights` (classes,) weigh the
    loss by class. With several threads, batches are prepared ahead. The size of every batch is a multiple of `share`,
    the number of devices; remaining images are dropped. With `merges_single`, a single remaining image joins the
    previous batch. With `feeds_labels`, the inputs are a mapping that has the labels too, for mixup.
    """

    def __init__(
        self, inputs: Inputs, targets: Array, batch_size: int, weights: Array | None = None, threads: int = 1,
        share: int = 1, merges_single: bool = False, feeds_labels: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(workers=threads, use_multiprocessing=False, max_queue_size=2 * threads)
        self._inputs, self._targets = inputs, targets
        self._count = len(targets) // share * share
        self._bounds = bounds(self._count, max(share, batch_size // share * share), merges_single)
        self._feeds_labels = feeds_labels
        self._weights = None if weights is None else (targets @ weights).astype(np.float32)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> Batch:
        """Return inputs and labels, and the weight of each example if there are weights."""
        return self._select(self._place(index))

    def stream(self, seed: int, epoch: int) -> "Stream":
        """Return an endless sequence of shuffled batches.

        Args:
            seed: determines the order with the epoch.
            epoch: the first epoch, counted from 0.
        """
        return Stream(self, seed, epoch)

    def shuffled(self, seed: int, epoch: int, index: int) -> Batch:
        """Return a batch of an epoch, in the order of `numpy.random.default_rng([seed, epoch])`."""
        order = _order(seed, epoch, len(self._targets))[: self._count]
        return self._select(order[self._place(index)])

    def _place(self, index: int) -> slice:
        return slice(self._bounds[index], self._bounds[index + 1])

    def _select(self, rows: Any) -> Batch:
        inputs, labels = np.asarray(self._inputs[rows]), self._targets[rows]
        batch: Batch = ({IMAGES: inputs, LABELS: labels} if self._feeds_labels else inputs, labels)
        return batch if self._weights is None else (*batch, self._weights[rows])


class Stream(keras.utils.PyDataset):
    """An endless sequence of batches, one epoch after another.

    One stream serves all epochs, as Keras prefetches from the next epoch before it announces its start. A batch depends
    only on its index, as Keras may read some and then restart, as it does with MirroredStrategy.
    """

    def __init__(self, batches: Batches, seed: int, epoch: int) -> None:
        super().__init__()  # with one worker: Keras's own would begin again at each epoch
        self._batches, self._seed, self._epoch = batches, seed, epoch
        self._pool = ThreadPoolExecutor(batches.workers) if batches.workers > 1 else None
        self._prefetched: dict[int, Future[Batch]] = {}
        self._lock = Lock()

    @property
    def num_batches(self) -> None:
        """None, as the sequence is endless."""

    def __getitem__(self, index: int) -> Batch:
        """Return a batch; with several threads it was prepared ahead."""
        if self._pool is None:
            return self._batch(index)
        with self._lock:
            for i in range(index, index + self._batches.max_queue_size):
                if i not in self._prefetched:
                    self._prefetched[i] = self._pool.submit(self._batch, i)
            batch = self._prefetched.pop(index)
        return batch.result()

    def _batch(self, index: int) -> Batch:
        epoch, place = divmod(index, len(self._batches))
        return self._batches.shuffled(self._seed, self._epoch + epoch, place)


def bounds(count: int, size: int, merges_single: bool) -> list[int]:
    """Return the indices at which the batches of `count` images start, followed by `count`."""
    starts = [*range(0, count, size), count]
    if merges_single and size > 1 and len(starts) > 2 and count - starts[-2] == 1:
        del starts[-2]
    return starts


@lru_cache(4)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def predicted(model: keras.Model, inputs: Inputs, batch_size: int, share: int = 1) -> Array:
    """Return the model's outputs for all inputs (n, …), computed in portions.

    The last batch is padded to a multiple of `share`.
    """
    size = max(share, batch_size // share * share)
    outputs = []
    for start in range(0, len(inputs), PORTION):
        portion = np.asarray(inputs[slice(start, start + PORTION)])
        missing = -len(portion) % share
        filled = np.concatenate([portion, portion[-1:].repeat(missing, 0)]) if missing else portion
        outputs.append(np.asarray(model.predict(filled, batch_size=size, verbose=0))[: len(portion)])
    return np.concatenate(outputs)
