"""Batches for Keras, in an order that depends on the seed and the epoch alone, so that it can be taken up again."""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
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
    multiple of `share` images, so that as many devices can share it; the few left over at the end are left out.
    """

    def __init__(
        self, inputs: Inputs, one_hot: Array, batch_size: int, weights: Array | None = None, threads: int = 1,
        share: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(workers=threads, use_multiprocessing=False, max_queue_size=2 * threads)
        self._inputs, self._one_hot = inputs, one_hot
        self._size = max(share, batch_size // share * share)
        self._count = len(one_hot) // share * share
        self._weights = None if weights is None else (one_hot @ weights).astype(np.float32)

    def __len__(self) -> int:
        return math.ceil(self._count / self._size)

    def __getitem__(self, index: int) -> Batch:
        """Inputs and labels, and the weight of each where there are weights."""
        return self._taken(slice(index * self._size, min((index + 1) * self._size, self._count)))

    def stream(self, seed: int, epoch: int) -> Iterator[Batch]:
        """The batches of this epoch, counted from 0, then those of the next, without end.

        Each epoch's order is that of `numpy.random.default_rng([seed, epoch])`. One stream for all, as Keras asks for
        the next epoch's first batches before it tells that the epoch has begun.
        """

        @lru_cache(2)
        def order(e: int) -> NDArray[np.int64]:
            return np.random.default_rng([seed, e]).permutation(len(self._one_hot))[: self._count]

        def made(e: int, i: int) -> Batch:
            return self._taken(order(e)[i * self._size : (i + 1) * self._size])

        places = ((e, i) for e in itertools.count(epoch) for i in range(len(self)))
        if self.workers == 1:
            yield from itertools.starmap(made, places)
        pool = ThreadPoolExecutor(self.workers)
        try:
            ahead = deque(pool.submit(made, *next(places)) for _ in range(self.max_queue_size))
            while True:
                ahead.append(pool.submit(made, *next(places)))
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _taken(self, rows: Any) -> Batch:
        batch = (np.asarray(self._inputs[rows]), self._one_hot[rows])
        return batch if self._weights is None else (*batch, self._weights[rows])


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
