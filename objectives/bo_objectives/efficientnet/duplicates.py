"""Copies of training images among validation images, and the range of pixels.

n images: thumbnails (n, SIDE·SIDE·3), each with mean 0 and length 1. Two images count as copies if the cosine of their
thumbnails is at least MIN_COSINE. This includes slightly brighter, noisier or recompressed images.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Images, Pixels, Rows

Array = NDArray[Any]

SIDE = 16
MIN_COSINE = 0.995
MAX_VALIDATION, MAX_TRAIN = 1_000, 50_000
"""Maximum number of images compared; more are sampled."""
MAX_RANGED = 256
OUTER_PERCENT = 0.1
"""Percent of the pixels at each end that the range excludes."""


def copies(train: Images, validation: Images) -> float:
    """Return the share of validation images that have a copy among the training images."""
    return _copies(_Parts(train, validation))


class _Parts:
    """Two parts with a hash of their pixels, as a cache key."""

    def __init__(self, train: Images, validation: Images) -> None:
        self.train, self.validation = train, validation
        self._key = (train.pixels_sha256, validation.pixels_sha256)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Parts) and self._key == other._key


@lru_cache(8)
def _copies(parts: _Parts) -> float:
    validation_thumbnails = thumbnails(parts.validation.pixels, _drawn(len(parts.validation), MAX_VALIDATION))
    rows = _drawn(len(parts.train), MAX_TRAIN)
    has_copy = np.zeros(len(validation_thumbnails), np.bool_)
    for start in range(0, len(rows), PORTION):
        has_copy |= (
            validation_thumbnails @ thumbnails(parts.train.pixels, rows[start : start + PORTION]).T >= MIN_COSINE
        ).any(-1)
    return float(has_copy.mean())


def thumbnails(pixels: Pixels | Rows, rows: Array) -> Array:
    """Return the thumbnails of some images; zeros for an image of one color, which resembles no other."""
    portions = [_thumbnails(np.asarray(pixels[rows[i : i + PORTION]])) for i in range(0, len(rows), PORTION)]
    return np.concatenate(portions)


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
    """Return the minimum and maximum of the pixels, from 0 to 255, without outliers."""
    rows = _drawn(len(images), MAX_RANGED)
    low, high = np.percentile(np.asarray(images.pixels[rows]), [OUTER_PERCENT, 100 - OUTER_PERCENT])
    return float(low), float(high)


def _drawn(count: int, limit: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).permutation(count)[:limit])
