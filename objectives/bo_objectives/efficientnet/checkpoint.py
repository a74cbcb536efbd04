"""Checkpoints after each epoch, from which another attempt resumes with identical results.

A checkpoint is one .npz file with every variable of the network (weights, statistics, states of random generators) and
of the optimizer, the weights of the best epoch, and the history of the epochs. It is written atomically.
"""

import errno
import hashlib
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from bo_client import FailureReason
from numpy.typing import NDArray

from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.history import TrainingHistory

logger = logging.getLogger("bo_objectives")

Array = NDArray[Any]

NAME = "checkpoint.npz"
PARTIAL = "checkpoint.partial"
GROUPS = ("network", "optimizer", "best")


@dataclass(frozen=True)
class Checkpoint:
    """The state after `record.epoch` epochs."""

    network: Sequence[Array]
    optimizer: Sequence[Array]
    best: Sequence[Array]
    """Weights of the best epoch."""
    record: TrainingHistory


UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""Exceptions of NumPy, zipfile and JSON for damaged files or other content."""


def refuse(uri: str, error: Exception) -> None:
    """Log that a checkpoint cannot be used and training restarts."""
    logger.warning("checkpoint %s cannot be used (%s); training restarts", uri, error)


class CheckpointManager:
    """The checkpoint of one trial, in its folder, and the search for an earlier attempt's checkpoint.

    `identity` must be equal in both attempts.
    """

    def __init__(self, directory: Path, identity: Mapping[str, Any]) -> None:
        self._directory = directory
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    @property
    def uri(self) -> str:
        return (self._directory / NAME).absolute().as_uri()

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint.

        Raises:
            TrialFailed: CRASHED, as the disk is full or cannot be written.
        """
        meta = json.dumps({"identity": self._identity, "record": checkpoint.record.as_json()})
        arrays = {f"{g}_{i}": a for g in GROUPS for i, a in enumerate(getattr(checkpoint, g))}
        partial = self._directory / PARTIAL
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, meta=np.array(meta), allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._directory / NAME)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise unwritable(self._directory, error) from error

    def find(self, uri: str) -> Checkpoint | None:
        """Return the checkpoint at a URI; None, with a warning, if the trial cannot resume from it."""
        if not uri:
            return None
        try:
            return self._read(_path(uri))
        except UNREADABLE as error:
            refuse(uri, error)
            return None

    def _read(self, path: Path) -> Checkpoint:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            meta = json.loads(str(content["meta"]))
            if meta["identity"] != self._identity:
                raise ValueError("it is of other parameters, options or images, or of an earlier version")
            groups = {group: _numbered(content, group) for group in GROUPS}
        return Checkpoint(**groups, record=TrainingHistory.of(meta["record"]))


def unwritable(directory: Path, error: OSError) -> TrialFailed:
    """Return the failure of a trial whose files cannot be written, which the parameters did not cause."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"the disk of {directory} is full ({error.strerror}): free some space, or give another --directory"
    else:
        message = f"files can't be written to {directory} ({error}): give another --directory"
    return TrialFailed(FailureReason.CRASHED, message)


def _numbered(content: Mapping[str, Array], group: str) -> list[Array]:
    count = sum(1 for name in content if name.startswith(f"{group}_"))
    return [content[f"{group}_{i}"] for i in range(count)]


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ValueError("only file:///… can be read; give workers a shared --directory")
    return Path(unquote(parts.path))
