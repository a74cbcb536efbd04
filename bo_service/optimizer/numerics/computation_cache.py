"""What was computed before, under digests of all that it was computed from.

What is found is, to the last bit, what would be computed anew: suggestions don't depend on what is remembered, only
their time does.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

Parts = Sequence[NDArray[Any]]
"""All that something is computed from."""
CACHE_VERSION = b"2"
"""Another one whenever other hyperparameters are learned from the same: those that were stored are then of no use."""
MOST_BYTES = 48 * 2**20
MOST_STUDIES = 1000


class CholeskyCache:
    """The Cholesky factors that one process used last: of each study those of its last request, up to so many bytes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, Array] = OrderedDict()
        self._used: OrderedDict[str, frozenset[str]] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Of all that are kept."""
        return sum(factor.nbytes for factor in self._kept.values())  # not a count, which an interruption would spoil

    def get(self, key: str, make: Callable[[], Array]) -> Array:
        """Return the factor of that key, which nothing may change; make it where it isn't there."""
        found = self._kept.pop(key, None)
        if found is None:
            found = make()
        self._kept[key] = found
        excess = self.nbytes - self._most
        while excess > 0:
            excess -= self._kept.popitem(last=False)[1].nbytes
        return found

    def evict_unused(self, study: str, used: frozenset[str]) -> None:
        """Drop what the study's request before used and this one didn't."""
        for key in self._used.pop(study, used) - used:
            self._kept.pop(key, None)
        self._used[study] = used
        if len(self._used) > MOST_STUDIES:
            self._used.popitem(last=False)


class ComputationCache:
    """What one request may find, and what it found or learned."""

    def __init__(self, learned: Mapping[str, tuple[float, ...]], factors: CholeskyCache) -> None:
        """Start with hyperparameters `learned`, by digests of what they were learned from.

        They are plain values, to be stored.
        """
        self._learned = learned
        self._factors = factors
        self.used: dict[str, tuple[float, ...]] = {}
        """All hyperparameters that were asked for."""
        self.used_factors: set[str] = set()
        """The names of those that were asked for."""

    def theta(self, parts: Parts, learn: Callable[[], Array]) -> Array:
        """Return the hyperparameters that `learn` gives for `parts`."""
        key = _digest(parts)
        found = self._learned.get(key) or self.used.get(key)
        theta = learn() if found is None else np.array(found)
        self.used[key] = tuple(theta.tolist())
        return theta

    def factor(self, parts: Parts, make: Callable[[], Array]) -> Array:
        """Return the Cholesky factor that `make` gives for `parts`, which nothing may change."""
        key = _digest(parts)
        self.used_factors.add(key)
        return self._factors.get(key, make)


def _digest(parts: Parts) -> str:
    found = hashlib.blake2b(CACHE_VERSION, digest_size=16)
    for part in parts:
        values = np.ascontiguousarray(part)
        found.update(f"{values.dtype.str}{values.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()
