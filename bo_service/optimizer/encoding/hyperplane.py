"""The equalities at a row, as the acquisition's maximizer steps along them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.encoding.polytope import Polytope
from bo_service.optimizer.numerics.array import Array


@dataclass(frozen=True)
class Plane:
    """The equalities at a row, for steps that keep to them: numbers of `free` columns decide on those of `basic` ones.

    u of basic = u0 - T (u of free - its u0), as in `polytope.py`.
    """

    polytope: Polytope
    u: Array
    """(q,): the row itself."""
    basic: NDArray[np.intp]
    """Positions among the polytope's columns."""
    free: NDArray[np.intp]
    T: Array

    def moved(self, free: Array) -> Array:
        """Return u (q,) with other values of the free ones; it may be outside of the box."""
        u = self.u.copy()
        u[self.free] = free
        u[self.basic] = self.u[self.basic] - self.T @ (free - self.u[self.free])
        return u
