"""What has been tried or is being tried, so that nothing is suggested twice."""

from collections.abc import Sequence

import numpy as np

from bo_service.domain.constraints import Configuration
from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.row_index import RowIndex
from bo_service.optimizer.numerics.array import Array

CLOSEST = 1e-9
"""Rows closer than this in every coordinate count as the same."""
NEAR_DISTANCE = 0.02
"""Rows closer than this in every coordinate tell little more than one of them."""


class EvaluatedSet:
    """A growing set of configurations, known exactly and as rows Z (n, p); those that are spent have no rows there."""

    def __init__(
        self,
        encoding: Encoding,
        past: Sequence[Configuration] = (),
        pending: Sequence[Configuration] = (),
        spent: Sequence[Configuration] = (),
    ) -> None:
        self._tried = _ConfigurationSet(encoding, [*past, *pending])
        self._spent = _ConfigurationSet(encoding, spent)
        self._past = len(past)

    def __len__(self) -> int:
        return len(self._tried.rows)

    @property
    def Z(self) -> Array:
        """The rows (n, p): the past ones, the pending ones, and those that were added."""
        return self._tried.rows.Z

    def has(self, z: Array) -> bool:
        """Return whether the valid row (p,) has been tried, or one that can't be distinguished from it."""
        return self._tried.has(z) or self._spent.has(z)

    def is_near_pending(self, z: Array) -> bool:
        """Return whether a pending row is so near that its result should be awaited first."""
        return bool((np.abs(self.Z[self._past :] - z) < NEAR_DISTANCE).all(axis=1).any())

    def add(self, z: Array) -> None:
        """Add a valid row (p,), which is pending from now on."""
        self._tried.rows.add(z)


class _ConfigurationSet:
    """Configurations, and their rows, which may be more: those are only decoded where it matters."""

    def __init__(self, encoding: Encoding, configurations: Sequence[Configuration]) -> None:
        self.rows = RowIndex(encoding.encode(configurations))
        self._encoding = encoding
        self._configurations = configurations

    def has(self, z: Array) -> bool:
        near = self.rows.within(z, self._encoding.tolerance)
        if not near:
            return False
        if bool((np.abs(self.rows.Z[near] - z) < CLOSEST).all(axis=1).any()):
            return True
        configuration = self._encoding.decode(z)
        return any(self._configuration(i) == configuration for i in near)

    def _configuration(self, i: int) -> Configuration:
        given = self._configurations
        return given[i] if i < len(given) else self._encoding.decode(self.rows.Z[i])
