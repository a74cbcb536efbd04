"""Images in memory, and their split in three.

n images of side s: pixels (n, s, s, 3) uint8, labels (n,) int64 into `classes`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.errors import SetupError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = {TRAIN: 0.6, VALIDATION: 0.2, TEST: 0.2}
FOLDS = 4
"""Parts of the images outside the test's that can be the validation's, one at a time."""
PORTION = 256  # images read at a time
FEWEST_PER_CLASS = FOLDS + 1  # so that each fold and the test have at least one

Remark = tuple[int, str]
"""What a person should know of the data, with its level in the log."""


def printable(text: str) -> str:
    """Escape what isn't printable, such as the sequences that a terminal obeys."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Rows:
    """Some rows of a file that is mapped into memory, as an array that is read when it is asked for rows of its own."""

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
    """Pictures that couldn't be read and were left out, where that is allowed."""
    digests: NDArray[np.uint64] | None = None
    """(n,): equal where the pictures were equal, pixel by pixel, before they were resized; None where all differ."""
    given: tuple[str, ...] = ()
    """(n,): the part of the split that each image was given in; empty where no split is given."""
    names: tuple[str, ...] = ()
    """(n,): where each image is from, for people."""
    remarks: tuple[Remark, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[Any]) -> "Images":
        """Those images; of a mapped file, without reading it."""
        pixels = Rows(self.pixels, indices) if isinstance(self.pixels, np.memmap) else self.pixels[indices]
        return Images(pixels, self.labels[indices], self.classes)

    @cached_property
    def pixels_sha256(self) -> str:
        """Of the shape and all pixels; read in portions, as they may be a file mapped into memory."""
        digest = hashlib.sha256(f"{self.pixels.shape}".encode())
        for start in range(0, len(self.pixels), PORTION):
            digest.update(np.ascontiguousarray(self.pixels[start : start + PORTION]).tobytes())
        return digest.hexdigest()

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """How often each class occurs."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return tuple(float(count) / len(self.labels) for count in counts)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """(n,): index of the first image with the same picture; its own where there is none before it."""
        if self.digests is None:
            return np.arange(len(self))
        _, first, inverse = np.unique(self.digests, return_index=True, return_inverse=True)
        return np.asarray(first[inverse], np.int64)

    @property
    def one_hot(self) -> NDArray[np.float32]:
        """(n, number of classes)."""
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]


@dataclass(frozen=True)
class Split:
    """What is trained on, what is tuned on, and what is touched once, at the end."""

    train: Images
    validation: Images
    test: Images
    skipped: tuple[str, ...] = ()
    """Pictures that couldn't be read and were left out, where that is allowed."""
    left_out: int = 0
    """Images of a given split that are in a later part, too, and so are in no part here."""


def split(images: Images, fold: int = 0) -> Split:
    """Split three ways, the same at every call and for every seed of a study.

    A given split is used. What it lacks of validation and test, or everything where none is given, is taken by class
    from the rest: 60, 20 and 20 % of each. The test images are the same in every fold, 0 to FOLDS - 1; what validates
    differs, unless it is given.

    Raises:
        SetupError: fewer than two classes, or a class too small for the parts.
    """
    check_classes(images.labels, images.classes, images.first, images.given)
    places = split_indices(images.labels, fold, images.first, images.given)
    train, validation, test = (images.take(places[part]) for part in PARTS)
    left_out = sum(map(len, leaks(images.first, images.given).values()))
    return Split(train, validation, test, images.skipped, left_out)


def split_indices(
    labels: Labels, fold: int = 0, first: NDArray[np.int64] | None = None, given: Sequence[str] = ()
) -> dict[str, NDArray[np.int64]]:
    """Assign images to parts: part → increasing indices. Copies of a picture are never in two parts.

    Without a given split, copies follow the first of them. Of a given split, copies are left out of training where they
    are in validation or test, and of validation where they are in the test. Every class with enough different images
    (see `fewest`) is in every part that isn't given.

    Args:
        labels: (n,)
        fold: Which of the FOLDS parts of what isn't the test's validates.
        first: (n,), as `Images.first`; None where all pictures differ.
        given: (n,), or empty, as `Images.given`.
    """
    first = np.arange(len(labels)) if first is None else first
    part = _without_leaks(first, given)
    pool = part == (TRAIN if len(given) else "")
    wanted = [name for name in (VALIDATION, TEST) if name not in given]
    for label in np.unique(labels) if wanted else ():
        members = np.flatnonzero(pool & (labels == label) & (first == np.arange(len(labels))))
        for name, chosen in _carved(np.random.default_rng([0, int(label)]).permutation(members), wanted, fold).items():
            part[chosen] = name
    part[pool] = part[first[pool]]
    return {name: np.flatnonzero(part == name) for name in PARTS}


def leaks(first: NDArray[np.int64], given: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Part of a given split → indices of its images that are in a later part, too, and so are left out."""
    part = _without_leaks(first, given)
    whole = np.array(given) if len(given) else part
    return {name: np.flatnonzero((whole == name) & (part != name)) for name in (TRAIN, VALIDATION)}


def _without_leaks(first: NDArray[np.int64], given: Sequence[str]) -> NDArray[np.str_]:
    """(n,): the given parts; "" for copies of what is in a later part, and for all where none is given."""
    if not len(given):
        return np.full(len(first), "", "<U10")
    order = np.array([list(PARTS).index(name) for name in given])
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, first, order)
    return np.where(order == last[first], np.array(given, "<U10"), "")


def _carved(members: NDArray[np.int64], wanted: Sequence[str], fold: int) -> dict[str, NDArray[np.int64]]:
    """Validation and test, as far as they are wanted, and training: the rest."""
    n, share = len(members), PARTS[TEST]
    test = max(1, round(share * n)) if TEST in wanted else 0
    if VALIDATION not in wanted:
        return {TRAIN: members[test:], TEST: members[:test]}
    size = max(1, round(share * n if test else n / FOLDS))
    tuned = np.delete(members, np.s_[size : size + test])
    third = size + int((len(tuned) - FOLDS * size) / 2)
    bounds = [0, size, 2 * size, 2 * size + third, len(tuned)]
    places = np.s_[bounds[fold] : bounds[fold + 1]]
    return {TRAIN: np.delete(tuned, places), VALIDATION: tuned[places], TEST: members[size : size + test]}


def fewest(given: Sequence[str]) -> int:
    """How many different images a class needs in what is split: all, or the given training part."""
    if not len(given):
        return FEWEST_PER_CLASS
    return 1 if {VALIDATION, TEST} <= set(given) else FOLDS if TEST in given else 2


def check_classes(
    labels: Labels,
    classes: tuple[str, ...],
    first: NDArray[np.int64] | None = None,
    given: Sequence[str] = (),
) -> None:
    """Raises SetupError where no classifier can be trained and tested on these. Arguments are those of `Images`."""
    if len(classes) < 2:
        raise SetupError(f"the data has {len(classes)} class{'' if classes else 'es'}; a classifier needs at least 2")
    first = np.arange(len(labels)) if first is None else first
    pool = _without_leaks(first, given) == (TRAIN if len(given) else "")
    images = np.bincount(labels[np.array(given) == TRAIN] if len(given) else labels, minlength=len(classes))
    different = np.bincount(labels[pool & (first == np.arange(len(labels)))], minlength=len(classes))
    least = fewest(given)
    small = [
        f"{printable(name)} ({n}{'' if d == n else f', of which {d} differ from each other and from other parts'})"
        for name, n, d in zip(classes, images, different, strict=True)
        if d < least
    ]
    if small:
        raise SetupError(
            f"too few images in {', '.join(small)}: a class needs at least {least} for {_told_parts(given)}; "
            "add images or remove the class"
        )


def _told_parts(given: Sequence[str]) -> str:
    if not len(given):
        return f"training, validation and test ({FOLDS} folds and the test)"
    wanted = [name for name in (VALIDATION, TEST) if name not in given]
    folds = f" ({FOLDS} folds)" if VALIDATION in wanted else ""
    return f"training, from which {wanted[0]} is taken{folds}" if wanted else "training"
