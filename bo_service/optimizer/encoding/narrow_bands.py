"""Walks of several rows at a time, each in its polytope.

m rows Z (m, p), as in `encoding.py`, and their numbers X (m, p).
"""

from collections.abc import Sequence

import numpy as np

from bo_service.optimizer.encoding.polytope import Polytope
from bo_service.optimizer.numerics.array import Array


def walked(Z: Array, X: Array, polytopes: Sequence[Polytope | None], rng: np.random.Generator) -> Array:
    """Return where walks across the polytopes end.

    Rows of the same polytope share the lines of their walks, which cost more than the walks themselves.

    Args:
        Z: the rows (m, p).
        X: their numbers (m, p).
        polytopes: the polytope of each row; None for rows that stay.
        rng: the random generator.
    """
    moved = Z.copy()
    for polytope in {id(each): each for each in polytopes if each is not None}.values():
        rows = np.array([i for i, each in enumerate(polytopes) if each is polytope])
        U = polytope.walk(polytope.units(X[rows][:, polytope.columns]), polytope.steps, rng)
        moved[rows[:, None], polytope.columns] = polytope.places(U)
    return moved
