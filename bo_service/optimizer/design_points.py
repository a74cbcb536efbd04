"""Points without a surrogate: the defaults, a scrambled Sobol sequence, uniform draws, all points of a finite space.

A sequence is a function of the seed. Point i of it goes to the study's i-th trial, so that requests at different times,
and requests of several workers at once, get different points.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from bo_service.optimizer.encoding.encoding import Encoding
from bo_service.optimizer.encoding.evaluated_set import EvaluatedSet
from bo_service.optimizer.encoding.feasible_region import FeasibleRegion
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.sobol import scrambled_sobol

MOST_TRIES = 1 << 14
WALKS = 8
"""Of 64 rows each, in a thin region, after which no new row counts as found."""


def default_row(encoding: Encoding) -> Array:
    """Return the row (p,) of the defaults; where a parameter has none its center, or its first category."""
    z = encoding.centers.copy()
    for j, parameter in enumerate(encoding.space.parameters):
        if parameter.default is not None:
            z[j] = encoding.axes[j].positions([parameter.default])[0]
    return np.asarray(encoding.round_to_valid(z[None])[0])


def sobol(encoding: Encoding, seed: int, log2: int) -> Array:
    """Return the first 2^log2 points (2^log2, p) of the scrambled sequence of a seed, as valid rows."""
    return encoding.from_uniform(scrambled_sobol(encoding.width, log2, np.random.default_rng(seed % 2**64)))


def uniform(encoding: Encoding, seed: int, log2: int) -> Array:
    """Return the first 2^log2 uniform draws (2^log2, p) of a seed, as valid rows."""
    return encoding.from_uniform(np.random.default_rng([seed % 2**64, 3]).random((1 << log2, encoding.width)))


def next_rows(
    encoding: Encoding,
    region: FeasibleRegion,
    evaluated: EvaluatedSet,
    count: int,
    seed: int,
    is_uniform: bool = False,
) -> list[Array]:
    """Return up to `count` new feasible rows, in the order of the sequence, and add them to `evaluated`.

    They are fewer where the space is exhausted, or where no more are found.

    Args:
        encoding: of the search space.
        region: its feasible part.
        evaluated: the rows that are not returned again.
        count: how many rows are wanted.
        seed: of the sequence.
        is_uniform: whether the rows are uniform draws, instead of points of the Sobol sequence. An infeasible draw is
            left out, and an infeasible point is moved; in a thin region both are moved.
    """
    found: list[Array] = []
    rng = np.random.default_rng([seed % 2**64, 1])
    anchors = region.feasible_seeds(evaluated.Z, rng)
    if region.is_thin:  # walks from the same anchors, which should end elsewhere
        rng = np.random.default_rng([seed % 2**64, 1, len(evaluated)])
    for rows in _batches(region, len(evaluated), count, partial(uniform if is_uniform else sobol, encoding), seed):
        is_moved = region.is_thin or not is_uniform
        for z in region.project(rows, anchors, rng, inward=True) if is_moved else rows[region.holds(rows)]:
            if not evaluated.has(z):
                evaluated.add(z)
                found.append(z)
                if len(found) == count:
                    return found
        if not len(anchors) and region.is_thin:
            break
    return found


def _batches(
    region: FeasibleRegion, begin: int, count: int, sequence: Callable[[int, int], Array], seed: int
) -> Iterator[Array]:
    """Yield the sequence from `begin` on; then further points; then, in a small space, all points.

    Where a walk has to replace each point, they come few at a time.
    """
    log2 = max(5, math.ceil(math.log2(begin + 2 * count)))
    first = sequence(seed, log2)[begin:]
    if region.is_thin:
        first = first[: 2 * count]
    yield first
    if region.listed is not None:
        yield np.random.default_rng([seed % 2**64, 2]).permutation(region.listed)
    elif region.is_thin:
        for i in range(WALKS):
            yield sequence(seed + 1 + i, 6)
    else:
        for i in range(MOST_TRIES >> 11):
            yield sequence(seed + 1 + i, 11)
