"""Batches for Keras, in an order that depends on the seed and the epoch alone, so that it can be taken up again."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Rows

Array = NDArray[Any]
Inputs = Array | Rows
Batch = tuple[Array, ...]


class Batches(keras.utils.PyDataset):
    """Inputs (n, …), which may be a file mapped into memory, and one-hot labels (n, classes), batch by batch.

    As they are, they come in order, for validation. `stream` shuffles them, for training. `weights` (classes,), where
    given, are the loss's by class. With more than one thread, batches are made ahead of time. Every batch has a
    multiple of `share` images, so that as many devices can share it; the few left over at the end are left out. With
    `merges_single`, a single image left over joins the batch before it.
    """

    def __init__(
        self, inputs: Inputs, one_hot: Array, batch_size: int, weights: Array | None = None, threads: int = 1,
        share: int = 1, merges_single: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(workers=threads, use_multiprocessing=False, max_queue_size=2 * threads)
        self._inputs, self._one_hot = inputs, one_hot
        self._count = len(one_hot) // share * share
        self._bounds = bounds(self._count, max(share, batch_size // share * share), merges_single)
        self._weights = None if weights is None else (one_hot @ weights).astype(np.float32)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, index: int) -> Batch:
        """Inputs and labels, and the weight of each where there are weights."""
        return self._taken(self._place(index))

    def stream(self, seed: int, epoch: int) -> "Stream":
        """The batches of this epoch, counted from 0, then those of the next, without end."""
        return Stream(self, seed, epoch)

    def shuffled(self, seed: int, epoch: int, index: int) -> Batch:
        """One batch of an epoch whose order is that of `numpy.random.default_rng([seed, epoch])`."""
        order = _order(seed, epoch, len(self._one_hot))[: self._count]
        return self._taken(order[self._place(index)])

    def _place(self, index: int) -> slice:
        return slice(self._bounds[index], self._bounds[index + 1])

    def _taken(self, rows: Any) -> Batch:
        batch = (np.asarray(self._inputs[rows]), self._one_hot[rows])
        return batch if self._weights is None else (*batch, self._weights[rows])


class Stream(keras.utils.PyDataset):
    """Batches without end, one epoch after another.

    One stream for all epochs, as Keras asks for the next one's first batches before it tells that it has begun. A batch
    depends on its index alone, as Keras may read some and then begin anew: on MirroredStrategy it does.
    """

    def __init__(self, batches: Batches, seed: int, epoch: int) -> None:
        super().__init__()  # with one worker: Keras's own would begin again at each epoch
        self._batches, self._seed, self._epoch = batches, seed, epoch
        self._pool = ThreadPoolExecutor(batches.workers) if batches.workers > 1 else None
        self._ahead: dict[int, Future[Batch]] = {}
        self._lock = Lock()

    @property
    def num_batches(self) -> None:
        """Endless."""

    def __getitem__(self, index: int) -> Batch:
        """Made ahead of time where there are threads for it."""
        if self._pool is None:
            return self._made(index)
        with self._lock:
            for i in range(index, index + self._batches.max_queue_size):
                if i not in self._ahead:
                    self._ahead[i] = self._pool.submit(self._made, i)
            made = self._ahead.pop(index)
        return made.result()

    def _made(self, index: int) -> Batch:
        epoch, place = divmod(index, len(self._batches))
        return self._batches.shuffled(self._seed, self._epoch + epoch, place)


def bounds(count: int, size: int, merges_single: bool) -> list[int]:
    """Return where the batches of `count` images begin, and the end of the last one, at `count`."""
    found = [*range(0, count, size), count]
    if merges_single and size > 1 and len(found) > 2 and count - found[-2] == 1:
        del found[-2]
    return found


@lru_cache(4)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def predicted(model: keras.Model, inputs: Inputs, batch_size: int, share: int = 1) -> Array:
    """What the model makes of every input (n, …), in portions; the last batch is filled up where devices share it."""
    size = max(share, batch_size // share * share)
    made = []
    for start in range(0, len(inputs), PORTION):
        portion = np.asarray(inputs[slice(start, start + PORTION)])
        missing = -len(portion) % share
        filled = np.concatenate([portion, portion[-1:].repeat(missing, 0)]) if missing else portion
        made.append(np.asarray(model.predict(filled, batch_size=size, verbose=0))[: len(portion)])
    return np.concatenate(made)
