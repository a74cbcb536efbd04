"""A growing set of rows that knows at once which are beside another. n rows of p parameters."""

from bisect import bisect_left, insort

import numpy as np

from bo_service.optimizer.numerics.array import Array


class RowIndex:
    """Rows Z (n, p), and each one's shadow: its place on one line, where rows that are close are close as well."""

    def __init__(self, Z: Array) -> None:
        self._count, self._kept = len(Z), Z
        self._direction = np.linspace(0.5, 1.0, Z.shape[1])  # of unequal parts, so that few rows share a projection
        self._projections = sorted(zip((Z @ self._direction).tolist(), range(len(Z)), strict=True))

    def __len__(self) -> int:
        return self._count

    @property
    def Z(self) -> Array:
        """The rows in the order in which they came."""
        return self._kept[: self._count]

    def add(self, z: Array) -> None:
        """Add a row (p,)."""
        if self._count == len(self._kept):
            self._kept = np.vstack([self._kept, np.empty((max(16, self._count), len(z)))])
        self._kept[self._count] = z
        insort(self._projections, (float(z @ self._direction), self._count))
        self._count += 1

    def within(self, z: Array, distances: Array) -> list[int]:
        """Return the rows that are closer to z (p,) than these distances (p,) in every coordinate."""
        place, reach = float(z @ self._direction), 2.0 * float(distances @ self._direction)
        begin, end = bisect_left(self._projections, (place - reach,)), bisect_left(self._projections, (place + reach,))
        near = [i for _, i in self._projections[begin:end]]
        if not near:
            return near
        is_close = np.abs(self._kept[near] - z) < distances
        return [i for i, close in zip(near, is_close, strict=True) if close.all()]
