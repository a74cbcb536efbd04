"""Points without a surrogate: the defaults, then a scrambled Sobol sequence; and all points of a small finite space.

The sequence is a function of the seed. Point i of it goes to the study's i-th trial, so that requests at different
times, and requests of several workers at once, get different points.
"""

import itertools
import math

import numpy as np

from bo_service.core.encoded.axes import every_place
from bo_service.core.encoded.encoding import Encoding
from bo_service.core.encoded.region import Region
from bo_service.core.encoded.seen import Seen
from bo_service.core.numerics.array import Array
from bo_service.core.numerics.sobol import scrambled_sobol

SMALL = 4096
"""A finite space of at most so many combinations is listed in full."""
MOST_TRIES = 1 << 14


def default_row(encoding: Encoding) -> Array:
    """The row (p,) of the defaults; where a parameter has none its center, or its first category."""
    z = encoding.centers.copy()
    for j, parameter in enumerate(encoding.space.parameters):
        if parameter.default is not None:
            z[j] = encoding.axes[j].positions([parameter.default])[0]
    return np.asarray(encoding.snap(z[None])[0])


def sobol(encoding: Encoding, seed: int, log2: int) -> Array:
    """The first 2^log2 points (2^log2, p) of the scrambled sequence of a seed, as valid rows."""
    return encoding.spread(scrambled_sobol(encoding.width, log2, np.random.default_rng(seed % 2**64)))


def every_row(encoding: Encoding) -> Array | None:
    """All valid rows of a finite space with few combinations, else None."""
    levels = [axis.levels for axis in encoding.axes]
    if math.prod(levels) > SMALL:
        return None
    columns = [every_place(axis) for axis in encoding.axes]
    combined = np.array(list(itertools.product(*columns)))
    return np.unique(encoding.snap(combined), axis=0)


def next_rows(encoding: Encoding, region: Region, seen: Seen, count: int, seed: int) -> list[Array]:
    """Up to `count` new feasible rows, in the order of the sequence; fewer only where the space is exhausted.

    The rows are added to `seen`.
    """
    found: list[Array] = []
    rng = np.random.default_rng([seed % 2**64, 1])
    anchors = region.anchors(seen.Z, rng)
    for rows in _batches(encoding, len(seen), count, seed):
        for z in region.pull(rows, anchors, rng, inward=True):
            if not seen.has(z):
                seen.add(z)
                found.append(z)
                if len(found) == count:
                    return found
    return found


def _batches(encoding: Encoding, begin: int, count: int, seed: int) -> "itertools.chain[Array]":
    """The sequence from `begin` on; then further points; then, in a small space, all."""
    log2 = max(5, math.ceil(math.log2(begin + 2 * count)))
    listed = every_row(encoding)
    if listed is not None:
        shuffled = np.random.default_rng([seed % 2**64, 2]).permutation(listed)
        return itertools.chain([sobol(encoding, seed, log2)[begin:]], [shuffled])
    more = (sobol(encoding, seed + 1 + i, 11) for i in range(MOST_TRIES >> 11))
    return itertools.chain([sobol(encoding, seed, log2)[begin:]], more)
