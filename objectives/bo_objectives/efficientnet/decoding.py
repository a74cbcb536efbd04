"""Parallel decoding of images into memory or into a memory-mapped file.

The file's name is a hash of the images' names, sizes and times, and of the target size, so that all trials and workers
of a machine decode a folder once. A second file contains the digest of each image's original pixels, and a third the
largest value of each image with 16 bits.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Pixels
from bo_objectives.errors import SetupError

FORMAT_VERSION = 3
"""Version of the decoded format; files of other versions are not used."""

Digests = NDArray[np.uint64]
Peaks = NDArray[np.int64]
Decoded = tuple[Pixels, int, int]
"""Pixels (side, side, 3), the digest of the original image, above 0, and its largest value of 16 bits, else 0."""
Decode = Callable[[int], Decoded]
"""Decodes with so many bits used of 16."""


def digest(pixels: NDArray[np.uint8]) -> int:
    """Return a 64-bit hash of the pixels and their shape, above 0."""
    hasher = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    hasher.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(hasher.digest()) or 1


@dataclass(frozen=True)
class ImageSource:
    """An image that can be decoded; `stamp` changes with its content."""

    name: str
    stamp: str
    decode: Decode
    """Raises SetupError if the image cannot be read."""


@dataclass(frozen=True)
class Decoder:
    """Settings of the decoding of images."""

    threads: int = 4
    skips: bool = False
    """Whether unreadable images are skipped instead of raising."""
    directory: Path | None = None
    """Folder of the files; None for memory."""

    def __call__(self, pictures: Sequence[ImageSource], side: int, bits: int = 16) -> tuple[Pixels, Digests, Peaks]:
        """Decode images.

        Args:
            pictures: the images.
            side: side in pixels.
            bits: how many bits are used of 16.

        Returns:
            Pixels (m, side, side, 3) of the m readable images; digests of all, 0 for unreadable ones; and the largest
            values of all, 0 for those without 16 bits.

        Raises:
            SetupError: an image cannot be read, or none can.
        """
        if self.directory is None:
            decoded = list(self._decoded(pictures, bits))
            digests = np.array([0 if one is None else one[1] for one in decoded], np.uint64)
            peaks = np.array([0 if one is None else one[2] for one in decoded], np.int64)
            _check(digests)
            return np.stack([one[0] for one in decoded if one is not None]), digests, peaks
        path = self.directory / f"{_key(pictures, side, self.skips, bits)}.npy"
        digests_path, peaks_path = path.with_suffix(".digests.npy"), path.with_suffix(".peaks.npy")
        if not (path.exists() and digests_path.exists() and peaks_path.exists()):
            self._write(path, digests_path, peaks_path, pictures, side, bits)
        digests, peaks = (np.load(each, allow_pickle=False) for each in (digests_path, peaks_path))
        return np.load(path, mmap_mode="r", allow_pickle=False), digests, peaks

    def _write(
        self, path: Path, digests_path: Path, peaks_path: Path, pictures: Sequence[ImageSource], side: int, bits: int
    ) -> None:
        """Write the files in portions and atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.partial")
        digests, peaks = np.zeros(len(pictures), np.uint64), np.zeros(len(pictures), np.int64)
        shape = (len(pictures), side, side, 3)
        pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
        try:
            rows = 0
            for i, decoded in enumerate(self._decoded(pictures, bits)):
                if decoded is not None:
                    pixels[rows], digests[i], peaks[i] = decoded
                    rows += 1
            _check(digests)
            pixels.flush()
            if rows < len(pictures):
                _shorten(unfinished, rows, shape)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        _save(digests_path, digests)
        _save(peaks_path, peaks)

    def _decoded(self, pictures: Sequence[ImageSource], bits: int) -> Iterator[Decoded | None]:
        """Yield the images in order, None for skipped ones, with only a few portions in memory at once."""
        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(pictures), PORTION):
                yield from pool.map(partial(self._decode_one, bits), pictures[start : start + PORTION])

    def _decode_one(self, bits: int, picture: ImageSource) -> Decoded | None:
        try:
            return picture.decode(bits)
        except SetupError:
            if self.skips:
                return None
            raise


def _check(digests: Digests) -> None:
    if not digests.any():
        raise SetupError("none of the images can be read; repair them or give other data")


def _shorten(path: Path, rows: int, shape: tuple[int, ...]) -> None:
    """Replace a file by its first rows."""
    shorter = path.with_suffix(".shorter")
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    pixels = np.lib.format.open_memmap(shorter, "w+", np.uint8, (rows, *shape[1:]))
    for start in range(0, rows, PORTION):
        pixels[start : min(rows, start + PORTION)] = whole[start : min(rows, start + PORTION)]
    pixels.flush()
    shorter.replace(path)


def _save(path: Path, values: Digests | Peaks) -> None:
    """Write the file atomically."""
    unfinished = path.with_suffix(f".{os.getpid()}.partial")
    with unfinished.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    unfinished.replace(path)


def _key(pictures: Sequence[ImageSource], side: int, skips: bool, bits: int) -> str:
    hasher = hashlib.sha256(f"{FORMAT_VERSION} {side} {skips} {bits}".encode())
    for picture in pictures:
        hasher.update(f"{picture.name}\n{picture.stamp}\n".encode(errors="surrogateescape"))
    return hasher.hexdigest()[:32]
