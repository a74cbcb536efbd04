"""A table of recorded curves: what is in its file, and how it is looked up.

N configurations, S seeds, E epochs. Arrays are (N, S, E) float32: the validation loss, a second metric, and the
processor's seconds of each epoch. A diverged run is NaN from its first epoch that is not finite; so is a missing one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import points
from benchmarks.curves.description import read_space
from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import Value
from bo_service.domain.search_space import SearchSpace

TABLES = Path(__file__).parent / "tables"
FORMAT = 1
Curves = NDArray[np.float32]


class Ended(IntEnum):
    """Why a run ended."""

    MISSING = 0
    """It has not been recorded."""
    WHOLE = 1
    """It had all its epochs."""
    DIVERGED = 2
    """Its loss was not finite from some epoch on."""
    FAILED = 3
    """The training refused the configuration, or broke."""


class TableError(Exception):
    """There is no such table, or it is of another recipe or format."""


@dataclass
class Table:
    """The curves of one space. Whoever replays reads; the recorder fills in."""

    about: dict[str, Any]
    """What was trained, on what, by what, where: as JSON."""
    configurations: list[dict[str, Value]]
    losses: Curves
    metrics: Curves
    seconds: Curves
    ended: NDArray[np.uint8]
    """`Ended` of each run, (N, S)."""
    _index: dict[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def empty(cls, about: dict[str, Any], configurations: list[dict[str, Value]], seeds: int, epochs: int) -> "Table":
        """Return a table with no run in it."""
        shape = (len(configurations), seeds, epochs)
        losses, metrics, seconds = (np.full(shape, np.nan, np.float32) for _ in range(3))
        return cls(about, configurations, losses, metrics, seconds, np.zeros(shape[:2], np.uint8))

    def grown(self, configurations: list[dict[str, Value]], seeds: int) -> "Table":
        """Return a table of at least as many configurations and seeds with what is in this one."""
        larger = Table.empty(self.about, configurations, seeds, self.epochs)
        n, s = self.ended.shape
        for name in ("losses", "metrics", "seconds", "ended"):
            getattr(larger, name)[:n, :s] = getattr(self, name)
        return larger

    @cached_property
    def space(self) -> SearchSpace:
        """The search space that the configurations fill."""
        return read_space(self.about["parameters"])

    @property
    def epochs(self) -> int:
        """Epochs of a whole run."""
        return int(self.losses.shape[2])

    @property
    def seeds(self) -> int:
        """Runs of each configuration."""
        return int(self.losses.shape[1])

    @property
    def done(self) -> int:
        """Runs that are recorded."""
        return int((self.ended != Ended.MISSING).sum())

    @property
    def is_whole(self) -> bool:
        """Whether every run is recorded."""
        return self.done == self.ended.size

    def index(self, configuration: Configuration) -> int:
        """Return the row of a recorded configuration. Raises KeyError where it is another one."""
        if not self._index:
            self._index.update({_key(c): i for i, c in enumerate(self.configurations)})
        return self._index[_key(configuration)]

    def nearest(self, configuration: Configuration, among: NDArray[np.bool_] | None = None) -> int:
        """Return the row that is nearest to any configuration of the space, among those marked in (N,) if given."""
        apart = points.distances(self.space, self._places, points.places(self.space, configuration))
        if among is not None:
            apart = np.where(among, apart, np.inf)
        return int(np.argmin(apart))

    def loss(self, configuration: Configuration, seed: int, epoch: int) -> float:
        """Return the validation loss after an epoch, counted from 1; NaN from where the run has diverged.

        Raises:
            KeyError: the configuration, the seed or the epoch is not in the table, or the run is missing.
        """
        row = self.index(configuration)
        if not (0 <= seed < self.seeds and 1 <= epoch <= self.epochs) or not self.ended[row, seed]:
            raise KeyError(f"there is no epoch {epoch} of seed {seed} of row {row}")
        return float(self.losses[row, seed, epoch - 1])

    @cached_property
    def _places(self) -> NDArray[np.float64]:
        return np.stack([points.places(self.space, c) for c in self.configurations])

    def save(self, path: Path) -> None:
        """Write the file in one step, so that a reader or a crash finds the old one or the new one."""
        _replace(path.with_suffix(".json"), json.dumps(self.about, indent=1).encode() + b"\n")
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with beside.open("wb") as file:
            np.savez_compressed(
                file, format=np.array(FORMAT), about=_packed(self.about), configurations=_packed(self.configurations),
                losses=self.losses, metrics=self.metrics, seconds=self.seconds, ended=self.ended,
            )  # fmt: skip
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


def load(name: str, folder: Path | None = None) -> Table:
    """Return the table of a space, from the tables that are kept here unless another folder is given.

    Raises:
        TableError: there is none, or it has a format of another version of this program.
    """
    path = (folder or TABLES) / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != FORMAT:
                raise TableError(f"{path} has format {int(file['format'])}; this program reads {FORMAT}")
            about, configurations = (json.loads(file[key].tobytes()) for key in ("about", "configurations"))
            losses, metrics, seconds, ended = (file[key] for key in ("losses", "metrics", "seconds", "ended"))
    except FileNotFoundError:
        raise TableError(f"there is no {path}; record it: python -m benchmarks.curves record {name}") from None
    return Table(about, configurations, losses, metrics, seconds, ended)


def recorded(folder: Path | None = None) -> list[str]:
    """Return the names of the spaces that have a table."""
    return sorted(path.stem for path in (folder or TABLES).glob("*.npz"))


def _packed(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value, separators=(",", ":")).encode(), np.uint8)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


def _key(configuration: Mapping[str, Value]) -> str:
    return json.dumps(dict(configuration), sort_keys=True)
