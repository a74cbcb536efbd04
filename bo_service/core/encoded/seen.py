"""What has been tried or is being tried, so that nothing is suggested twice."""

from collections.abc import Hashable, Sequence

import numpy as np

from bo_service.core.constraints import Configuration
from bo_service.core.encoded.encoding import Encoding
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
        self.Z: Array = encoding.encode([*past, *pending])
        self._past = len(past)
        self._spent = encoding.encode(spent)
        self._keys = {_key(c) for c in (*past, *pending, *spent)}

    def __len__(self) -> int:
        return len(self.Z)

    def has(self, z: Array) -> bool:
        """Whether the valid row (p,) has been tried, or something that can't be told from it."""
        if any(len(Z) and bool((np.abs(Z - z) < CLOSEST).all(axis=1).any()) for Z in (self.Z, self._spent)):
            return True
        return _key(self.encoding.decode(z)) in self._keys

    def crowds(self, z: Array) -> bool:
        """Whether something that is pending is so near that its result should be awaited first."""
        return bool((np.abs(self.Z[self._past :] - z) < CROWD).all(axis=1).any())

    def add(self, z: Array) -> None:
        """Takes in a valid row (p,), which is pending from now on."""
        self.Z = np.vstack([self.Z, z])
        self._keys.add(_key(self.encoding.decode(z)))


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
