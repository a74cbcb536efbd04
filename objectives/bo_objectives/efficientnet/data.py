"""Images in memory, and their split into three parts.

n images of side s: pixels (n, s, s, 3) uint8; labels (n,) int64, which index `classes`, or targets (n, k) of another
task than single-label, whose k names are `classes`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import grouped, targets
from bo_objectives.efficientnet.names import MULTI_LABEL, SINGLE_LABEL
from bo_objectives.efficientnet.printing import join_names
from bo_objectives.efficientnet.targets import Targets
from bo_objectives.errors import SetupError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = {TRAIN: 0.6, VALIDATION: 0.2, TEST: 0.2}
FOLDS = 4
"""Number of folds of the images outside the test set; one of them validates."""
PORTION = 256  # images read at a time
MIN_PER_CLASS = FOLDS + 1  # so that each fold and the test have at least one

Remark = tuple[int, str]
"""A log level and a note about the data."""


class Rows:
    """Selected rows of a memory-mapped array, which are read when they are indexed."""

    def __init__(self, whole: Pixels, indices: NDArray[Any]) -> None:
        self._whole, self._indices = whole, indices
        self.shape = (len(indices), *whole.shape[1:])
        self.dtype = whole.dtype
        self.ndim = whole.ndim

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, rows: Any) -> Pixels:
        return np.asarray(self._whole[self._indices[rows]])


@dataclass(frozen=True)
class Images:
    """Labeled images of one size."""

    pixels: Pixels | Rows
    labels: Labels
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """Images that could not be read and were skipped."""
    digests: NDArray[np.uint64] | None = None
    """(n,) digests, equal for images whose pixels were equal before resizing; None if all images differ."""
    given_parts: tuple[str, ...] = ()
    """(n,) the part of the given split of each image; empty without a given split."""
    groups: tuple[str, ...] = ()
    """(n,) the group of each image, which is never in two parts; empty without groups."""
    names: tuple[str, ...] = ()
    """(n,) the source of each image, for messages."""
    remarks: tuple[Remark, ...] = ()
    bits: int = 8
    """How many bits the pixels had; of more than 8 only the upper 8 are kept."""
    task: str = SINGLE_LABEL
    targets: Targets | None = None
    """(n, k) labels of 0 and 1, or numbers in the user's units, where `labels` are all 0; None for the task
    single-label.
    """

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[Any]) -> "Images":
        """Return the images at some indices; a memory-mapped file is not read."""
        pixels = Rows(self.pixels, indices) if isinstance(self.pixels, np.memmap) else self.pixels[indices]
        chosen = None if self.targets is None else self.targets[indices]
        return Images(
            pixels, self.labels[indices], self.classes, bits=self.bits, task=self.task, targets=chosen
        )  # fmt: skip

    @cached_property
    def pixels_sha256(self) -> str:
        """SHA-256 of the shape and all pixels; read in portions, as they may be memory-mapped."""
        digest = hashlib.sha256(f"{self.pixels.shape}".encode())
        for start in range(0, len(self.pixels), PORTION):
            digest.update(np.ascontiguousarray(self.pixels[start : start + PORTION]).tobytes())
        return digest.hexdigest()

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Relative frequency of each class or label; of numbers, their mean."""
        if self.targets is not None:
            return tuple(map(float, self.targets.mean(0)))
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return tuple(float(count) / len(self.labels) for count in counts)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Index of the first image that is equal to each image, of shape (n,)."""
        if self.digests is None:
            return np.arange(len(self))
        _, first, inverse = np.unique(self.digests, return_index=True, return_inverse=True)
        return np.asarray(first[inverse], np.int64)

    @cached_property
    def units(self) -> NDArray[np.int64] | None:
        """The first image of the unit of each, (n,), as `grouped.joined` finds it; None without groups."""
        return grouped.joined(self.first, self.groups) if self.groups else None

    @property
    def one_hot(self) -> NDArray[np.float32]:
        """One-hot labels, of shape (n, number of classes)."""
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]

    def counts(self, rows: NDArray[Any] | slice = slice(None)) -> NDArray[np.int64]:
        """Return how many of some images have each class or label, (k,)."""
        if self.targets is not None:
            return np.asarray((self.targets[rows] > 0.5).sum(0), np.int64)
        return np.bincount(self.labels[rows], minlength=len(self.classes))


@dataclass(frozen=True)
class Split:
    """The training, validation and test images."""

    train: Images
    validation: Images
    test: Images
    skipped: tuple[str, ...] = ()
    """Images that could not be read and were skipped."""
    left_out: int = 0
    """Number of images of a given split that a later part contains too, and that are in no part here."""


def split(images: Images, fold: int = 0) -> Split:
    """Split images into three parts, the same at every call and for every seed of a study.

    A given split is used. Parts that it lacks, or all parts without one, are taken from the rest by class: 60, 20 and
    20 %. The test images are the same in every fold, 0 to FOLDS - 1; the validation images differ, unless given. Groups
    stay whole.

    Raises:
        SetupError: there are fewer than two classes, or a class has too few images or groups.
    """
    places = places_of(images, fold)
    train, validation, test = (images.take(places[part]) for part in PARTS)
    left_out = sum(map(len, leaks(images.first, images.given_parts).values()))
    return Split(train, validation, test, images.skipped, left_out)


def places_of(images: Images, fold: int) -> dict[str, NDArray[np.int64]]:
    """Return part → increasing indices of its images, as `split` does.

    Raises:
        SetupError: as in `split`.
    """
    check_targets(images)
    if images.units is None and images.targets is None:
        return split_indices(images.labels, fold, images.first, images.given_parts)
    part = _without_leaks(images.first, images.given_parts)
    missing_parts = _missing_parts(images.given_parts)
    if missing_parts:
        pool = np.flatnonzero(part == (TRAIN if images.given_parts else ""))
        bins = FOLDS + (TEST in missing_parts)
        units = images.first if images.units is None else images.units
        bin_of_image = _bins(images, pool, units[pool], bins)
        part[pool] = TRAIN
        part[pool[bin_of_image == FOLDS]] = TEST
        if VALIDATION in missing_parts:
            part[pool[bin_of_image == FOLDS - 1 - fold]] = VALIDATION  # fold 3 has the largest group
    return {name: np.flatnonzero(part == name) for name in PARTS}


def _bins(images: Images, pool: NDArray[np.int64], units: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Return the bin of each image of the pool; every class or label is in every bin, and numbers are spread evenly."""
    if images.targets is None:
        return grouped.bins_of(grouped.counted(images.labels[pool], units), units, bins, images.classes)
    values = images.targets[pool]
    if images.task == MULTI_LABEL:
        members, names = values, images.classes
    else:
        members, names = targets.strata(values, bins, len(np.unique(units))), ()
    everything = np.ones((len(pool), 1))
    return grouped.bins_of(
        grouped.summed(np.concatenate([members, everything], 1), units), units, bins, (*names, "all images"),
        required=members.shape[1] if images.task != MULTI_LABEL else 0, what="groups" if images.groups else "images",
    )  # fmt: skip


def split_indices(
    labels: Labels, fold: int = 0, first: NDArray[np.int64] | None = None, given_parts: Sequence[str] = ()
) -> dict[str, NDArray[np.int64]]:
    """Return part → increasing indices of its images. Copies of an image are never in two parts.

    Without a given split, copies follow the first of them. With one, copies are removed from training if validation or
    test contain them, and from validation if the test contains them. Every class with enough different images (see
    `min_per_class`) is in every part that is not given.

    Args:
        labels: (n,).
        fold: the fold that validates.
        first: (n,), as `Images.first`; None if all images differ.
        given_parts: (n,), or empty, as `Images.given_parts`.
    """
    first = np.arange(len(labels)) if first is None else first
    part = _without_leaks(first, given_parts)
    pool = part == (TRAIN if len(given_parts) else "")
    missing_parts = _missing_parts(given_parts)
    for label in np.unique(labels) if missing_parts else ():
        members = np.flatnonzero(pool & (labels == label) & (first == np.arange(len(labels))))
        for name, chosen in _split_members(
            np.random.default_rng([0, int(label)]).permutation(members), missing_parts, fold
        ).items():
            part[chosen] = name
    part[pool] = part[first[pool]]
    return {name: np.flatnonzero(part == name) for name in PARTS}


def _missing_parts(given_parts: Sequence[str]) -> list[str]:
    return [name for name in (VALIDATION, TEST) if name not in given_parts]


def leaks(first: NDArray[np.int64], given_parts: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return part of a given split → indices of its images that a later part contains too."""
    part = _without_leaks(first, given_parts)
    whole = np.array(given_parts) if len(given_parts) else part
    return {name: np.flatnonzero((whole == name) & (part != name)) for name in (TRAIN, VALIDATION)}


def _without_leaks(first: NDArray[np.int64], given_parts: Sequence[str]) -> NDArray[np.str_]:
    """Return (n,) the given parts; "" for copies of images in a later part, and for all without a given split."""
    if not len(given_parts):
        return np.full(len(first), "", "<U10")
    order = np.array([list(PARTS).index(name) for name in given_parts])
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, first, order)
    return np.where(order == last[first], np.array(given_parts, "<U10"), "")


def _split_members(members: NDArray[np.int64], missing_parts: Sequence[str], fold: int) -> dict[str, NDArray[np.int64]]:
    """Return the indices of validation and test, if they are missing, and of training, which gets the rest."""
    n, share = len(members), PARTS[TEST]
    test = max(1, round(share * n)) if TEST in missing_parts else 0
    if VALIDATION not in missing_parts:
        return {TRAIN: members[test:], TEST: members[:test]}
    size = max(1, round(share * n if test else n / FOLDS))
    rest = np.delete(members, np.s_[size : size + test])
    third = size + int((len(rest) - FOLDS * size) / 2)
    bounds = [0, size, 2 * size, 2 * size + third, len(rest)]
    places = np.s_[bounds[fold] : bounds[fold + 1]]
    return {TRAIN: np.delete(rest, places), VALIDATION: rest[places], TEST: members[size : size + test]}


def min_per_class(given_parts: Sequence[str]) -> int:
    """Return how many different images of a class are needed: in all data, or in the given training part."""
    if not len(given_parts):
        return MIN_PER_CLASS
    return 1 if {VALIDATION, TEST} <= set(given_parts) else FOLDS if TEST in given_parts else 2


def check_targets(images: Images) -> None:
    """Check that the images' task can be trained and tested.

    Raises:
        SetupError: as in `check_classes`; or a label has too few images, or numbers cannot be predicted.
    """
    if images.targets is None:
        check_classes(images.labels, images.classes, images.first, images.given_parts)
    else:
        check_other_targets(images.task, images.targets, images.classes, images.first, images.given_parts)


def check_other_targets(
    task: str, values: Targets, names: tuple[str, ...], first: NDArray[np.int64] | None = None,
    given_parts: Sequence[str] = (),
) -> None:  # fmt: skip
    """Check that labels or numbers can be trained and tested. The arguments are those of `Images`.

    Raises:
        SetupError: a label has too few images, or numbers cannot be predicted.
    """
    _check_whole(names)
    first = np.arange(len(values)) if first is None else first
    pool = _without_leaks(first, given_parts) == (TRAIN if len(given_parts) else "")
    different = pool & (first == np.arange(len(values)))
    required, where = min_per_class(given_parts), _parts_text(given_parts)
    if task == MULTI_LABEL:
        targets.check_labels(values[different].sum(0), names, required, where)
    else:
        targets.check_numbers(values[pool], names, int(different.sum()), max(2, required), where)


def _check_whole(names: Sequence[str]) -> None:
    """Raise SetupError if a name cannot be stored."""
    for name in names:
        if not name.isascii() and name != name.encode("utf-8", "ignore").decode():
            raise SetupError(f"the class {name!r} has half a character, which can't be stored; rename it")


def check_classes(
    labels: Labels,
    classes: tuple[str, ...],
    first: NDArray[np.int64] | None = None,
    given_parts: Sequence[str] = (),
) -> None:
    """Check that a classifier can be trained and tested. The arguments are those of `Images`.

    Raises:
        SetupError: there are fewer than two classes, or a class has too few images.
    """
    if len(classes) < 2:
        raise SetupError(f"the data has {len(classes)} class{'' if classes else 'es'}; a classifier needs at least 2")
    _check_whole(classes)
    first = np.arange(len(labels)) if first is None else first
    pool = _without_leaks(first, given_parts) == (TRAIN if len(given_parts) else "")
    images = np.bincount(labels[np.array(given_parts) == TRAIN] if len(given_parts) else labels, minlength=len(classes))
    different = np.bincount(labels[pool & (first == np.arange(len(labels)))], minlength=len(classes))
    required = min_per_class(given_parts)
    small = [
        f"{name} ({n}{'' if d == n else f', of which {d} differ from each other and from other parts'})"
        for name, n, d in zip(classes, images, different, strict=True)
        if d < required
    ]
    if small:
        raise SetupError(
            f"too few images in {join_names(small)}: a class needs at least {required} for {_parts_text(given_parts)}; "
            f"add images or remove the class{targets.hint(classes)}"
        )


def _parts_text(given_parts: Sequence[str]) -> str:
    if not len(given_parts):
        return f"training, validation and test ({FOLDS} folds and the test)"
    missing_parts = _missing_parts(given_parts)
    folds = f" ({FOLDS} folds)" if VALIDATION in missing_parts else ""
    return f"training, from which {missing_parts[0]} is taken{folds}" if missing_parts else "training"
