"""Pictures decoded in parallel, into memory or into a file that is mapped rather than read.

The file's name is a hash of the pictures' names, sizes and times, and of the size that they are decoded to, so that a
folder is decoded once for all trials and all workers of a machine. Each picture's digest, of all its pixels before it
is resized, is kept beside.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet.data import PORTION, Pixels
from bo_objectives.errors import SetupError

VERSION = 2
"""Of what pictures become; kept files of others aren't used."""

Digests = NDArray[np.uint64]
Decoded = tuple[Pixels, int]
"""Pixels (side, side, 3), and the digest of the whole picture, above 0."""
Decode = Callable[[], Decoded]


def digest(pixels: NDArray[np.uint8]) -> int:
    """64 bits of a hash of the pixels and their shape, above 0."""
    found = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=8)
    found.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(found.digest()) or 1


@dataclass(frozen=True)
class Picture:
    """One that can be decoded, by its name and by what tells whether it has changed."""

    name: str
    stamp: str
    decode: Decode
    """Raises SetupError where it can't be read."""


@dataclass(frozen=True)
class Decoder:
    """How pictures become pixels."""

    threads: int = 4
    skips: bool = False
    """Whether pictures that can't be read are left out; else the first one raises."""
    directory: Path | None = None
    """Where the file is kept; None for memory."""

    def __call__(self, pictures: Sequence[Picture], side: int) -> tuple[Pixels, Digests]:
        """Pixels (m, side, side, 3) of the m pictures that could be read, and digests of all, 0 for the others.

        Raises:
            SetupError: a picture can't be read, or none can.
        """
        if self.directory is None:
            found = list(self._decoded(pictures))
            digests = np.array([0 if one is None else one[1] for one in found], np.uint64)
            _check(digests)
            return np.stack([one[0] for one in found if one is not None]), digests
        path = self.directory / f"{_key(pictures, side, self.skips)}.npy"
        beside = path.with_suffix(".digests.npy")
        if not path.exists() or not beside.exists():
            self._write(path, beside, pictures, side)
        return np.load(path, mmap_mode="r", allow_pickle=False), np.load(beside, allow_pickle=False)

    def _write(self, path: Path, beside: Path, pictures: Sequence[Picture], side: int) -> None:
        """Portion by portion; the files appear when they are whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        digests = np.zeros(len(pictures), np.uint64)
        shape = (len(pictures), side, side, 3)
        pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        try:
            rows = 0
            for i, decoded in enumerate(self._decoded(pictures)):
                if decoded is not None:
                    pixels[rows], digests[i] = decoded
                    rows += 1
            _check(digests)
            pixels.flush()
            if rows < len(pictures):
                _shorten(partial, rows, shape)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        partial_beside = beside.with_suffix(f".{os.getpid()}.partial")
        with partial_beside.open("wb") as file:
            np.save(file, digests, allow_pickle=False)
        partial_beside.replace(beside)

    def _decoded(self, pictures: Sequence[Picture]) -> Iterator[Decoded | None]:
        """In order; None for one that is left out. No more than a few portions are held at once."""
        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(pictures), PORTION):
                yield from pool.map(self._one, pictures[start : start + PORTION])

    def _one(self, picture: Picture) -> Decoded | None:
        try:
            return picture.decode()
        except SetupError:
            if self.skips:
                return None
            raise


def _check(digests: Digests) -> None:
    if not digests.any():
        raise SetupError("none of the pictures can be read; repair them or give other data")


def _shorten(path: Path, rows: int, shape: tuple[int, ...]) -> None:
    """Writes the first rows to a file of their own, in its place."""
    shorter = path.with_suffix(".shorter")
    whole = np.load(path, mmap_mode="r", allow_pickle=False)
    pixels = np.lib.format.open_memmap(shorter, "w+", np.uint8, (rows, *shape[1:]))
    for start in range(0, rows, PORTION):
        pixels[start : min(rows, start + PORTION)] = whole[start : min(rows, start + PORTION)]
    pixels.flush()
    shorter.replace(path)


def _key(pictures: Sequence[Picture], side: int, skips: bool) -> str:
    found = hashlib.sha256(f"{VERSION} {side} {skips}".encode())
    for picture in pictures:
        found.update(f"{picture.name}\n{picture.stamp}\n".encode(errors="surrogateescape"))
    return found.hexdigest()[:32]
