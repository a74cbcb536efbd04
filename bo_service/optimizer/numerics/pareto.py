"""Pareto fronts: what no other trial beats in every objective, and the room above that is still to be won.

n rows of values (n, k) of k objectives, 1 ≤ k ≤ 3, all maximized. Row u dominates row v where u ≥ v in all objectives
and u > v in one. The dominated volume is that of the points between the reference (k,) and some row. A box holds the
points with low < y ≤ high; high may be inf.

The room is cut in one sweep down the last objective (Yang et al. 2019, J. Global Optimization 75:3, for k = 3): what a
row is the first to cover in the other objectives is free above it. That makes at most n + 1 boxes for two objectives
and 2n + 1 for three.
"""

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

MARGIN = 0.1
"""How far the reference lies below the front, as a part of the front's extent."""
MOST_OBJECTIVES = 3


def pareto_mask(values: Array) -> NDArray[np.bool_]:
    """Mask (n,) of the rows of values (n, k) that no other dominates; of equal rows the first."""
    left = np.lexsort(-values.T[::-1])
    mask = np.zeros(len(values), dtype=bool)
    while len(left):
        # In descending order nothing that is left can dominate the first.
        mask[left[0]] = True
        left = left[1:][(values[left[1:]] > values[left[0]]).any(axis=1)]
    return mask


def reference_point(values: Array) -> Array:
    """Return a reference (k,) strictly below all values (n, k), and by a tenth of its extents below their front.

    Below all, because the ends of a young front are not yet known: with a reference at the ends it has, the way to
    better ones would count for nothing. Where the front has no extent in an objective, that of all values counts; where
    they have none either, the size of the value itself, or 1 for the value 0.

    Raises:
        ValueError: for no values.
    """
    best = values[pareto_mask(values)]
    nadir, worst = best.min(axis=0), values.min(axis=0)
    with np.errstate(over="ignore"):
        extent = np.ptp(best, axis=0)
        for wider in (np.ptp(values, axis=0), np.abs(nadir), np.ones_like(nadir)):
            extent = np.where(extent > 0.0, extent, wider)
        below = np.minimum(nadir - MARGIN * extent, np.nextafter(worst, -np.inf))
    return np.asarray(np.maximum(below, np.finfo(np.float64).min))


def hypervolume(values: Array, reference: Array) -> float:
    """Return the volume that values (n, k) dominate above the reference (k,); inf beyond the largest float.

    Raises:
        ValueError: for more than three objectives.
    """
    low, high = non_dominated_boxes(values, reference)
    # Below each box with an end in all objectives but the last, and nowhere else, is dominated room.
    towers = np.isfinite(high[:, :-1]).all(axis=1)
    with np.errstate(over="ignore"):
        ground = np.prod(high[towers, :-1] - low[towers, :-1], axis=1)
        return float(ground @ (low[towers, -1] - reference[-1]))


def non_dominated_boxes(values: Array, reference: Array) -> tuple[Array, Array]:
    """Divide the room above the reference (k,) that values (n, k) leave free into disjoint boxes, low and high (b, k).

    Rows that are dominated, equal to others or not above the reference change nothing.

    Raises:
        ValueError: for more than three objectives.
    """
    inside = values[(values > reference).all(axis=1)]
    match len(reference):
        case 1:
            cut = _boxes_1d(inside, reference)
        case 2:
            cut = _boxes_2d(inside, reference)
        case 3:
            cut = _boxes_3d(inside, reference)
        case k:
            raise ValueError(f"values have {k} objectives; boxes are cut for 1 to {MOST_OBJECTIVES}")
    return cut[:, 0], cut[:, 1]


def _boxes_1d(values: Array, reference: Array) -> Array:
    best = values.max(axis=0, initial=reference[0])
    return np.array([[best, [np.inf]]])


def _boxes_2d(values: Array, reference: Array) -> Array:
    """Return boxes (b, 2, 2) for two objectives.

    Each lies between one row of the front and the next in the first objective, and above the latter in the second.
    """
    best = values[pareto_mask(values)]
    best = best[np.argsort(best[:, 0])]
    left, right = np.append(reference[0], best[:, 0]), np.append(best[:, 0], np.inf)
    floor = np.append(best[:, 1], reference[1])
    low = np.column_stack([left, floor])
    return np.stack([low, np.column_stack([right, np.full_like(right, np.inf)])], axis=1)


def _boxes_3d(values: Array, reference: Array) -> Array:
    """Return boxes (b, 2, 3) by the sweep for three objectives.

    The free room at the level of the sweep is strips (left, right, floor) of the first two objectives, from left to
    right with falling floors. A row that reaches into some of them, neighbors, covers their lower ends.
    """
    bottom, sky = float(reference[2]), np.inf
    cut: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    strips: list[tuple[float, float, float]] = [(float(reference[0]), sky, float(reference[1]))]
    for x, y, z in values[np.lexsort(-values.T)].tolist():
        under = [i for i, (left, _, floor) in enumerate(strips) if left < x and floor < y]
        if not under:
            continue
        first, last = under[0], under[-1] + 1
        cut += [((left, floor, z), (min(right, x), y, sky)) for left, right, floor in strips[first:last]]
        _, right, floor = strips[last - 1]
        rest = [(x, right, floor)] if x < right else []
        strips[first:last] = [(strips[first][0], x, y), *rest]
    cut += [((left, floor, bottom), (right, sky, sky)) for left, right, floor in strips]
    return np.array(cut)
