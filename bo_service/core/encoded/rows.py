"""A growing set of rows that knows at once which are beside another. n rows of p parameters."""

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

    def within(self, z: Array, distances: Array) -> list[int]:
        """Which rows are closer to z (p,) than these (p,) in every coordinate."""
        place, reach = float(z @ self._line), 2.0 * float(distances @ self._line)
        begin, end = bisect_left(self._shadows, (place - reach,)), bisect_left(self._shadows, (place + reach,))
        near = [i for _, i in self._shadows[begin:end]]
        if not near:
            return near
        is_close = np.abs(self._kept[near] - z) < distances
        return [i for i, close in zip(near, is_close, strict=True) if close.all()]
