"""Opening a study with what did best in earlier ones. p parameters."""

from itertools import zip_longest

import numpy as np

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.numerics.array import Array

APART = 0.1
"""Openings differ by more than this in some coordinate, from each other and from all that has been tried."""


def initial_rows(encoded: EncodedData) -> list[Array]:
    """Return new feasible rows (p,) that did best in the sources, from each in turn, its best first."""
    ranked = [[z for z in past.best_rows() if encoded.region.holds(z[None])[0]] for _, past in encoded.sources]
    known = encoded.evaluated.Z
    found: list[Array] = []
    for row in (z for turn in zip_longest(*ranked) for z in turn if z is not None):
        if not len(known) or bool((np.abs(known - row).max(axis=1) > APART).all()):
            known = np.vstack([known, row])
            found.append(row)
    return found
