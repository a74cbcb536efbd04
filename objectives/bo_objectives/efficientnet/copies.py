"""Copies of training images among the validation images, and the range of the pixels; NumPy alone.

n images: thumbnails (n, SIDE·SIDE·3), each with mean 0 and length 1. Two images are copies where the cosine of their
thumbnails is at least LIKENESS: so are the same image, a slightly brighter or noisier one, or one compressed again.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Images, Pixels, Rows

Array = NDArray[Any]

SIDE = 16
LIKENESS = 0.995
MOST_VALIDATION, MOST_TRAIN = 1_000, 50_000
"""Images compared; more are drawn at random."""
MOST_RANGED = 256
OUTER = 0.1
"""Percent of the pixels at either end that don't count in the range."""


def copies(train: Images, validation: Images) -> float:
    """Return the share of validation images that have a copy among the training images."""
    return _copies(_Parts(train, validation))


class _Parts:
    """Two parts, alike for the cache where their pixels are."""

    def __init__(self, train: Images, validation: Images) -> None:
        self.train, self.validation = train, validation
        self._key = (train.pixels_sha256, validation.pixels_sha256)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parts) and self._key == other._key


@lru_cache(8)
def _copies(parts: _Parts) -> float:
    held = thumbnails(parts.validation.pixels, _drawn(len(parts.validation), MOST_VALIDATION))
    rows = _drawn(len(parts.train), MOST_TRAIN)
    has_copy = np.zeros(len(held), np.bool_)
    for start in range(0, len(rows), PORTION):
        has_copy |= (held @ thumbnails(parts.train.pixels, rows[start : start + PORTION]).T >= LIKENESS).any(-1)
    return float(has_copy.mean())


def thumbnails(pixels: Pixels | Rows, rows: Array) -> Array:
    """Return the thumbnails of those images; of an image of one color, zeros, which are like nothing."""
    made = [_thumbnails(np.asarray(pixels[rows[i : i + PORTION]])) for i in range(0, len(rows), PORTION)]
    return np.concatenate(made)


def _thumbnails(pixels: Pixels) -> Array:
    block = math.ceil(pixels.shape[1] / SIDE)
    padding = -pixels.shape[1] % block
    padded = np.pad(pixels, ((0, 0), (0, padding), (0, padding), (0, 0)), mode="edge")
    n, side = len(padded), padded.shape[1] // block
    flat = padded.reshape(n, side, block, side, block, 3).mean((2, 4), dtype=np.float32).reshape(n, -1)
    flat = flat - flat.mean(-1, keepdims=True)
    length = np.linalg.norm(flat, axis=-1, keepdims=True)
    return np.where(length > 1.0, flat / np.maximum(length, 1.0), 0.0).astype(np.float32)


def pixel_range(images: Images) -> tuple[float, float]:
    """Return the least and the greatest of the pixels, from 0 to 255, without the outermost."""
    rows = _drawn(len(images), MOST_RANGED)
    low, high = np.percentile(np.asarray(images.pixels[rows]), [OUTER, 100 - OUTER])
    return float(low), float(high)


def _drawn(count: int, most: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).permutation(count)[:most])
