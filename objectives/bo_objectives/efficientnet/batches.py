"""Batches for Keras, in an order that depends on the seed and the epoch alone, so that it can be taken up again."""

import math
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Batches(keras.utils.PyDataset):
    """Inputs (n, …), which may be a file mapped into memory, and one-hot labels (n, classes), batch by batch.

    With a seed they are shuffled anew for each epoch, as in `numpy.random.default_rng([seed, epoch])`; without, they
    stay in order. `weights` (classes,), where given, are the loss's by class. With more than one thread, batches are
    made ahead of time.
    """

    def __init__(
        self, inputs: Array, one_hot: Array, batch_size: int, seed: int | None = None, weights: Array | None = None,
        threads: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(workers=threads, use_multiprocessing=False, max_queue_size=2 * threads)
        self._inputs, self._one_hot = inputs, one_hot
        self._size = batch_size
        self._seed = seed
        self._weights = None if weights is None else (one_hot @ weights).astype(np.float32)
        self._order = lru_cache(1)(self._drawn)
        self.epoch = 0
        """Counted from 0; set before each."""

    def __len__(self) -> int:
        return math.ceil(len(self._one_hot) / self._size)

    def __getitem__(self, index: int) -> tuple[Array, ...]:
        """Inputs and labels, and the weight of each where there are weights."""
        rows: Any = slice(index * self._size, (index + 1) * self._size)
        if self._seed is not None:
            rows = self._order(self.epoch)[rows]
        batch = (np.asarray(self._inputs[rows]), self._one_hot[rows])
        return batch if self._weights is None else (*batch, self._weights[rows])

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed or 0, epoch]).permutation(len(self._one_hot))
