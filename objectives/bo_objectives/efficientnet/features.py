"""Features below the trained blocks, computed once for each set of images and kept in memory and on disk.

The name on disk is a hash of everything that the features depend on: network, weights, preprocessing, cut, pixels.
Processes may share the folder: a file appears whole or not at all.
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

BATCH = 64
MOST_BYTES_IN_MEMORY = 2**30


class FeatureCache:
    """Features (n, h, w, C) by key; the least recently used leave memory first."""

    def __init__(
        self, directory: Path, precision: str = "float32", share: int = 1, most_bytes: int = MOST_BYTES_IN_MEMORY
    ) -> None:
        self._directory = directory
        self._precision = precision
        self._share = share
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Features] = OrderedDict()

    def get(self, backbone: Backbone, k: int, images: Images) -> Features:
        """What `backbone.bottom(k)` makes of the images."""
        key = _key(backbone, k, images, self._precision)
        if key not in self._kept:
            self._kept[key] = self._load_or_make(key, backbone, k, images)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(f.nbytes for f in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)
        return self._kept[key]

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
        """Mapped where it would take more memory than there is for all."""
        is_mapped = path.stat().st_size > self._most_bytes
        found: Features = np.load(path, mmap_mode="r" if is_mapped else None, allow_pickle=False)
        return found


def compute(backbone: Backbone, k: int, images: Images, path: Path, share: int = 1) -> None:
    """Writes the features (n, h, w, C), in inference, batch by batch, so that no part need fit in memory."""
    bottom: Any = backbone.bottom(k)
    features = np.lib.format.open_memmap(path, "w+", np.float32, (len(images), *bottom.output_shape[1:]))
    for start in range(0, len(images), PORTION):
        pixels = np.asarray(images.pixels[start : start + PORTION])
        features[start : start + PORTION] = predicted(bottom, pixels, BATCH, share)
    features.flush()


def _key(backbone: Backbone, k: int, images: Images, precision: str) -> str:
    rescaling = backbone.prepare and (backbone.prepare.scale, backbone.prepare.offset)
    parts = (
        backbone.name, backbone.origin.sha256, repr(rescaling), backbone.cut(k), images.pixels_sha256,
        keras.backend.backend(), precision,
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
