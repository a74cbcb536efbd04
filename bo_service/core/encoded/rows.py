"""A growing set of rows that knows at once whether there is one beside another. n rows of p parameters."""

from bisect import bisect_left, insort

import numpy as np

from bo_service.core.numerics.array import Array


class Rows:
    """Rows Z (n, p), and each one's shadow: its place on one line, where rows that are close are close as well."""

    def __init__(self, Z: Array) -> None:
        self._count, self._kept = len(Z), Z
        self._line = np.linspace(0.5, 1.0, Z.shape[1])  # of unequal parts, so that few rows share a shadow
        self._shadows = sorted(zip((Z @ self._line).tolist(), range(len(Z)), strict=True))

    def __len__(self) -> int:
        return self._count

    @property
    def Z(self) -> Array:
        """The rows in the order in which they came."""
        return self._kept[: self._count]

    def add(self, z: Array) -> None:
        """Takes in a row (p,)."""
        if self._count == len(self._kept):
            self._kept = np.vstack([self._kept, np.empty((max(16, self._count), len(z)))])
        self._kept[self._count] = z
        insort(self._shadows, (float(z @ self._line), self._count))
        self._count += 1

    def has_within(self, z: Array, distance: float) -> bool:
        """Whether a row is closer than this to z (p,) in every coordinate."""
        place, reach = float(z @ self._line), 2.0 * distance * len(z)
        near = self._shadows[
            bisect_left(self._shadows, (place - reach,)) : bisect_left(self._shadows, (place + reach,))
        ]
        return bool(near) and bool((np.abs(self._kept[[i for _, i in near]] - z) < distance).all(axis=1).any())
