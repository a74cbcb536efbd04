"""What has been tried or is being tried, so that nothing is suggested twice."""

from collections.abc import Hashable, Iterable

import numpy as np

from bo_service.core.axes import Array
from bo_service.core.constraints import Configuration
from bo_service.core.encoding import Encoding

CLOSEST = 1e-9
"""Rows closer than this in every coordinate count as the same."""


class Seen:
    """A growing set of configurations, known exactly and as rows Z (n, p)."""

    def __init__(self, encoding: Encoding, configurations: Iterable[Configuration] = ()) -> None:
        listed = list(configurations)
        self.encoding = encoding
        self.Z: Array = encoding.encode(listed)
        self._keys = {_key(c) for c in listed}

    def __len__(self) -> int:
        return len(self.Z)

    def has(self, z: Array) -> bool:
        """Whether the valid row (p,) has been tried, or something that can't be told from it."""
        if len(self.Z) and bool((np.abs(self.Z - z) < CLOSEST).all(axis=1).any()):
            return True
        return _key(self.encoding.decode(z)) in self._keys

    def add(self, z: Array) -> None:
        """Takes in a valid row (p,)."""
        self.Z = np.vstack([self.Z, z])
        self._keys.add(_key(self.encoding.decode(z)))


def _key(configuration: Configuration) -> Hashable:
    return frozenset(configuration.items())
