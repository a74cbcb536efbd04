"""Images in memory, and their split in three.

n images of side s: pixels (n, s, s, 3) uint8, labels (n,) int64 into `classes`.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.errors import SetupError

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

PARTS = {"train": 0.6, "validation": 0.2, "test": 0.2}
FOLDS = 4
"""Parts of the images outside the test's that can be the validation's, one at a time."""
PORTION = 256  # images read at a time
FEWEST_PER_CLASS = 5  # so that each part has at least one


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


def split(images: Images, fold: int = 0) -> Split:
    """Three ways by class (60, 20 and 20 % of each), the same at every call and for every seed of a study.

    The test images are the same in every fold, 0 to FOLDS - 1; what validates differs.

    Raises:
        SetupError: fewer than two classes, or a class too small for three parts.
    """
    check_classes(images.labels, images.classes)
    places = split_indices(images.labels, fold)
    train, validation, test = (images.take(places[part]) for part in PARTS)
    return Split(train, validation, test, images.skipped)


def split_indices(labels: Labels, fold: int = 0) -> dict[str, NDArray[np.int64]]:
    """Part → indices, increasing; every class with at least FEWEST_PER_CLASS images is in every part."""
    parts: dict[str, list[NDArray[np.int64]]] = {part: [] for part in PARTS}
    for label in np.unique(labels):
        members = np.random.default_rng([0, int(label)]).permutation(np.flatnonzero(labels == label))
        held = {part: max(1, round(PARTS[part] * len(members))) for part in ("validation", "test")}
        ends = (held["validation"], held["validation"] + held["test"])
        first, test, rest = np.split(members, ends)
        tuned = np.roll(np.concatenate([first, rest]), -fold * len(first))
        validation, train = np.split(tuned, ends[:1])
        for part, chosen in zip(PARTS, (train, validation, test), strict=True):
            parts[part].append(chosen)
    return {part: np.sort(np.concatenate(chosen)) for part, chosen in parts.items()}


def check_classes(labels: Labels, classes: tuple[str, ...]) -> None:
    """Raises SetupError where no classifier can be trained and tested on these."""
    if len(classes) < 2:
        raise SetupError(f"the data has {len(classes)} class{'' if classes else 'es'}; a classifier needs at least 2")
    counts = np.bincount(labels, minlength=len(classes))
    small = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < FEWEST_PER_CLASS]
    if small:
        raise SetupError(
            f"too few images in {', '.join(small)}: a class needs at least {FEWEST_PER_CLASS} "
            "for training, validation and test; add images or remove the class"
        )
