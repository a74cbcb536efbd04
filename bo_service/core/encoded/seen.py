"""What has been tried or is being tried, so that nothing is suggested twice."""

from collections.abc import Sequence

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
        self._tried = _Known(encoding, [*past, *pending])
        self._spent = _Known(encoding, spent)
        self._past = len(past)

    def __len__(self) -> int:
        return len(self._tried.rows)

    @property
    def Z(self) -> Array:
        """(n, p): the past rows, the pending ones, and those that were added."""
        return self._tried.rows.Z

    def has(self, z: Array) -> bool:
        """Whether the valid row (p,) has been tried, or something that can't be told from it."""
        return self._tried.has(z) or self._spent.has(z)

    def crowds(self, z: Array) -> bool:
        """Whether something that is pending is so near that its result should be awaited first."""
        return bool((np.abs(self.Z[self._past :] - z) < CROWD).all(axis=1).any())

    def add(self, z: Array) -> None:
        """Takes in a valid row (p,), which is pending from now on."""
        self._tried.rows.add(z)


class _Known:
    """Configurations, and their rows, which may be more: those are only decoded where it matters."""

    def __init__(self, encoding: Encoding, configurations: Sequence[Configuration]) -> None:
        self.rows = Rows(encoding.encode(configurations))
        self._encoding = encoding
        self._configurations = configurations

    def has(self, z: Array) -> bool:
        near = self.rows.within(z, self._encoding.blur)
        if not near:
            return False
        if bool((np.abs(self.rows.Z[near] - z) < CLOSEST).all(axis=1).any()):
            return True
        configuration = self._encoding.decode(z)
        return any(self._configuration(i) == configuration for i in near)

    def _configuration(self, i: int) -> Configuration:
        given = self._configurations
        return given[i] if i < len(given) else self._encoding.decode(self.rows.Z[i])
