"""What is recorded: a space, the data that it is trained on, and what trains."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves.description import written_space
from bo_service.domain.constraints import Configuration
from bo_service.domain.search_space import SearchSpace

EPOCHS = 27


@dataclass(frozen=True)
class Run:
    """One training: a configuration of the plan and a seed."""

    index: int
    seed: int
    configuration: Configuration

    @property
    def number(self) -> int:
        """The seed of everything random in it."""
        return self.seed * 1_000_003 + self.index


@dataclass(frozen=True)
class Curve:
    """What a training gave: (E,) each, or a reason why it gave nothing."""

    losses: NDArray[np.float32]
    metrics: NDArray[np.float32]
    seconds: NDArray[np.float32]
    failure: str = ""


class Trainer(Protocol):
    """Trains runs of one shape side by side, `lanes` of them at most; a curve depends on its chunk alone."""

    lanes: int

    def shape(self, configuration: Configuration) -> Hashable:
        """Return what must be equal within a chunk."""

    def train(self, runs: Sequence[Run], epochs: int) -> list[Curve]:
        """Return the curve of each run."""


@dataclass(frozen=True)
class Source:
    """A data set: where it comes from, by which license, and what kind it is."""

    name: str
    kind: str
    origin: str
    license: str


@dataclass(frozen=True)
class Space:
    """One benchmark: its table is `<name>.npz`."""

    name: str
    source: Source
    search: SearchSpace
    trainer: Callable[[], Trainer]
    recipe: str
    """The training in words: sizes, network, what an epoch is."""
    loss: str
    metric: str
    version: int = 1
    """Counted up where the training changes: a table of another version is not continued."""
    epochs: int = EPOCHS
    backend: str = "jax"
    is_crossing: bool = False
    is_slow: bool = False
    """Many hours long: recorded only where it is named."""
    sources: tuple[str, ...] = ()
    """Modules of this package that decide on the curves, beside those that decide on all."""

    def description(self) -> dict[str, Any]:
        """Return what decides on the curves, as JSON: a table with another one is not continued."""
        return {
            "name": self.name,
            "version": self.version,
            "data": {"name": self.source.name, "origin": self.source.origin, "license": self.source.license},
            "recipe": self.recipe,
            "loss": self.loss,
            "metric": self.metric,
            "epochs": self.epochs,
            "backend": self.backend,
            "is_crossing": self.is_crossing,
            "parameters": written_space(self.search),
        }


@dataclass(frozen=True)
class Wave:
    """A rectangle of runs that was asked for at once; chunks are formed within it."""

    first: int
    last: int
    first_seed: int
    last_seed: int

    def chunks(self, configurations: Sequence[Configuration], trainer: Trainer) -> Iterator[list[Run]]:
        """Yield its runs, of one shape and at most `lanes` in each; always the same ones."""
        groups: dict[Hashable, list[Run]] = {}
        for seed in range(self.first_seed, self.last_seed):
            for index in range(self.first, self.last):
                run = Run(index, seed, configurations[index])
                groups.setdefault(trainer.shape(run.configuration), []).append(run)
        for shape in sorted(groups, key=repr):
            runs = groups[shape]
            count = -(-len(runs) // trainer.lanes)
            size = -(-len(runs) // count)
            yield from (runs[at : at + size] for at in range(0, len(runs), size))
