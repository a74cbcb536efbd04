"""What has been tried or is being tried, so that nothing is suggested twice."""

from collections.abc import Hashable, Sequence

import numpy as np

from bo_service.core.constraints import Configuration
from bo_service.core.encoded.encoding import Encoding
from bo_service.core.encoded.rows import Rows
from bo_service.core.numerics.array import Array

CLOSEST = 1e-9
"""Rows closer than this in every coordinate count as the same."""
CROWD = 0.02
"""Rows closer than this in every coordinate tell little more than one of them."""


class Seen:
    """A growing set of configurations, known exactly and as rows Z (n, p); those that are spent have no rows there."""

    def __init__(
        self,
        encoding: Encoding,
        past: Sequence[Configuration] = (),
        pending: Sequence[Configuration] = (),
        spent: Sequence[Configuration] = (),
    ) -> None:
        self.encoding = encoding
        self._tried = Rows(encoding.encode([*past, *pending]))
        self._spent = Rows(encoding.encode(spent))
        self._past = len(past)
        self._keys = {_key(c) for c in (*past, *pending, *spent)}
        self._last: Array | None = None
        self._last_key: Hashable = None

    def __len__(self) -> int:
        return len(self._tried)

    @property
    def Z(self) -> Array:
        """(n, p): the past rows, the pending ones, and those that were added."""
        return self._tried.Z

    def has(self, z: Array) -> bool:
        """Whether the valid row (p,) has been tried, or something that can't be told from it."""
        if self._tried.has_within(z, CLOSEST) or self._spent.has_within(z, CLOSEST):
            return True
        return self._key_of(z) in self._keys

    def crowds(self, z: Array) -> bool:
        """Whether something that is pending is so near that its result should be awaited first."""
        return bool((np.abs(self.Z[self._past :] - z) < CROWD).all(axis=1).any())

    def add(self, z: Array) -> None:
        """Takes in a valid row (p,), which is pending from now on."""
        self._tried.add(z)
        self._keys.add(self._key_of(z))

    def _key_of(self, z: Array) -> Hashable:
        """Of a row (p,), which mostly is asked for twice: before it is added, and then."""
        if z is not self._last:
            self._last, self._last_key = z, _key(self.encoding.decode(z))
        return self._last_key


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
