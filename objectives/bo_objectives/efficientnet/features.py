"""Features below the trained blocks, computed once for each set of images and cached in memory and on disk.

The file name is a hash of everything that the features depend on: network, weights, preprocessing, cut, pixels.
Processes may share the folder, as files are written atomically.
"""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.backbone import Backbone
from bo_objectives.efficientnet.batches import predicted
from bo_objectives.efficientnet.data import PORTION, Images

Features = NDArray[np.float32]

BATCH_SIZE = 64
MAX_BYTES_IN_MEMORY = 2**30


class FeatureCache:
    """A cache of features (n, h, w, C) by key; the least recently used leave memory first."""

    def __init__(
        self, directory: Path, precision: str = "float32", share: int = 1, max_bytes: int = MAX_BYTES_IN_MEMORY
    ) -> None:
        self._directory = directory
        self._precision = precision
        self._share = share
        self._max_bytes = max_bytes
        self._cached: OrderedDict[str, Features] = OrderedDict()

    def get(self, backbone: Backbone, k: int, images: Images) -> Features:
        """Return the output of `backbone.bottom(k)` for the images."""
        key = _key(backbone, k, images, self._precision)
        if key not in self._cached:
            self._cached[key] = self._load_or_make(key, backbone, k, images)
        self._cached.move_to_end(key)
        while len(self._cached) > 1 and sum(f.nbytes for f in self._cached.values()) > self._max_bytes:
            self._cached.popitem(last=False)
        return self._cached[key]

    def _load_or_make(self, key: str, backbone: Backbone, k: int, images: Images) -> Features:
        path = self._directory / f"{key}.npy"
        try:
            return self._load(path)
        except (OSError, ValueError, EOFError):  # not there, or damaged: made anew
            path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            compute(backbone, k, images, partial, self._share)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return self._load(path)

    def _load(self, path: Path) -> Features:
        """Load a file, memory-mapped if it exceeds the memory limit."""
        is_mapped = path.stat().st_size > self._max_bytes
        features: Features = np.load(path, mmap_mode="r" if is_mapped else None, allow_pickle=False)
        return features


def compute(backbone: Backbone, k: int, images: Images, path: Path, share: int = 1) -> None:
    """Write features (n, h, w, C) to a file, batch by batch, so that they need not fit in memory."""
    bottom: Any = backbone.bottom(k)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (len(images), *bottom.output_shape[1:]))
    for start in range(0, len(images), PORTION):
        pixels = np.asarray(images.pixels[start : start + PORTION])
        features[start : start + PORTION] = predicted(bottom, pixels, BATCH_SIZE, share)
    features.flush()


def _key(backbone: Backbone, k: int, images: Images, precision: str) -> str:
    rescaling = backbone.prepare and (backbone.prepare.scale, backbone.prepare.offset)
    parts = (
        backbone.name, backbone.origin.sha256, repr(rescaling), backbone.cut(k), images.pixels_sha256,
        keras.backend.backend(), precision,
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
