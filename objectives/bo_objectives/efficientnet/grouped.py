"""A split that keeps groups of images whole, with about the same share of each class in every part.

n images in U units; a unit is a set of images that must stay together. Counts (U, C) by unit and class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.printing import join_names
from bo_objectives.errors import SetupError

Indices = NDArray[np.int64]

TRIES = 20
"""Number of orders of the units that are tried until every class is in every bin."""


def joined(first: Indices, groups: Sequence[str]) -> Indices:
    """Return (n,) the least index of each image's unit: images that share a group, a copy, or a chain of these.

    Args:
        first: (n,) index of the first copy of each image.
        groups: (n,) names of groups.
    """
    _, group = np.unique(np.array(groups), return_inverse=True)
    unit = first
    while True:
        joined_units = _least(_least(unit, group), first)
        if np.array_equal(joined_units, unit):
            return unit
        unit = joined_units


def _least(values: Indices, keys: Indices) -> Indices:
    """Return (n,) the least value among those with the same key."""
    least = np.full(int(keys.max()) + 1, len(values), np.int64)
    np.minimum.at(least, keys, values)
    return np.asarray(least[keys])


def counted(labels: Indices, units: Indices) -> NDArray[Any]:
    """Return (U, C) the number of images of each class in each unit, for labels (n,) and units (n,)."""
    _, unit = np.unique(units, return_inverse=True)
    counts = np.zeros((int(unit.max(initial=-1)) + 1, int(labels.max(initial=-1)) + 1))
    np.add.at(counts, (unit, labels), 1)
    return counts


def summed(members: NDArray[Any], units: Indices) -> NDArray[Any]:
    """Return (U, C) the sums over each unit of `members` (n, C), for units (n,)."""
    _, unit = np.unique(units, return_inverse=True)
    counts = np.zeros((int(unit.max(initial=-1)) + 1, members.shape[1]))
    np.add.at(counts, unit, members)
    return counts


def bins_of(
    counts: NDArray[Any], units: Indices, bins: int, names: Sequence[str], required: int = 0, what: str = "groups"
) -> Indices:
    """Return (n,) the bin of each image, the same at every call: about equal bins that all have every class.

    Units are assigned one after another, largest first, each to the bin that has the least of its classes, which
    minimizes the sum of squared shares.

    Args:
        counts: (U, C).
        units: (n,).
        bins: number of bins.
        names: names of the required classes, for messages.
        required: the first class that every bin must have; those before are only spread evenly.
        what: what units are called in messages.

    Raises:
        SetupError: a required class would be missing in a bin.
    """
    _, unit = np.unique(units, return_inverse=True)
    counts, needed, names = counts[:, counts.any(0)], counts[:, required:], list(names)
    names = [names[i] for i in np.flatnonzero(needed.any(0))]
    needed = needed[:, needed.any(0)]
    shares = counts / counts.sum(0)
    is_possible = bool(((needed > 0).sum(0) >= bins).all())
    for attempt in range(TRIES if is_possible else 0):
        chosen = _assigned(shares, bins, np.random.default_rng([0, attempt]))
        if all(needed[chosen == i].any(0).all() for i in range(bins)):
            return np.asarray(chosen[unit])
    raise SetupError(_problem(needed, bins, names, what))


def _assigned(shares: NDArray[Any], bins: int, rng: np.random.Generator) -> Indices:
    """Return (U,) the bin of each unit."""
    order = rng.permutation(len(shares))
    order = order[np.argsort(-np.square(shares[order]).sum(1), kind="stable")]
    chosen, filled = np.zeros(len(shares), np.int64), np.zeros((bins, shares.shape[1]))
    for i in order:
        loads = filled @ shares[i]
        chosen[i] = np.lexsort((filled.sum(1), loads))[0]
        filled[chosen[i]] += shares[i]
    return chosen


def _problem(counts: NDArray[Any], bins: int, names: Sequence[str], what: str) -> str:
    """Return why no split was found."""
    groups = (counts > 0).sum(0)
    rare = [
        f"{name} ({int(images)} images in {n} {what})"
        for name, images, n in zip(names, counts.sum(0), groups, strict=True)
        if n < bins
    ]
    if rare and what == "groups":
        return (
            f"too few groups of {join_names(rare)}: a group stays in one part, so each class needs at least {bins} "
            "groups for all folds and parts; add images of other groups, give a split of your own, or remove the class"
        )
    if rare:
        return f"too few different images of {join_names(rare)}: each of all folds and parts needs one; add images"
    return (
        f"found no split of the {len(counts)} {what} with every class in each of {bins} folds and parts, in {TRIES} "
        f"tries, as {what} share classes; give a split of your own"
        + (", or divide the groups" if what == "groups" else "")
    )
