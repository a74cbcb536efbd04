"""One replay: an arm in its own process searches a table of recorded trials.

N configurations, S recordings of each.
"""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves import table
from benchmarks.curves.table import Ended, Table
from benchmarks.peers.catalog import entry_of, interpreter
from benchmarks.peers.process import PeerError, PeerProcess
from benchmarks.problems.space import Category, Continuous, Integer, Parameter, Space, described, settled
from benchmarks.tabular.versions import version_of
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, IntDomain, Scale, Value
from bo_service.domain.search_space import Parameter as RecordedParameter

TABLES = Path(__file__).parent / "tables"
LAST_LINES = 3


@dataclass(frozen=True)
class Replay:
    """One finished replay: the rows of the table that were tried, in their order."""

    table: str
    digest: str
    """Of the recorded values: a table that has grown is another one."""
    arm: str
    seed: int
    version: str
    trials: int
    rows: tuple[int, ...]
    seconds: float
    """Processor time of the arm."""

    @property
    def key(self) -> tuple[str, str, str, int, str, int]:
        """Identify the replay: table and its digest, arm, seed, version and number of trials."""
        return self.table, self.digest, self.arm, self.seed, self.version, self.trials


@dataclass(frozen=True)
class Evidence:
    """The configurations of a table of which every recording is there."""

    name: str
    table: Table

    @classmethod
    def load(cls, name: str, folder: Path | None = None) -> "Evidence":
        """Return the table of a space.

        Raises:
            TableError: there is none.
        """
        return cls(name, table.load(name, folder or TABLES))

    @cached_property
    def recorded(self) -> NDArray[np.bool_]:
        """Which rows have all their recordings, (N,)."""
        return np.asarray((self.table.ended != Ended.MISSING).all(axis=1))

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The validation loss of the best epoch, (N, S); NaN where a trial failed or is missing."""
        is_whole = self.table.ended == Ended.WHOLE
        best = np.where(is_whole[..., None], self.table.losses, np.inf).min(axis=2)
        return np.where(is_whole, best, np.nan).astype(np.float64)

    @cached_property
    def digest(self) -> str:
        """Hash the values that can be looked up, so that replays of an earlier part of the table are told apart."""
        content = np.where(self.recorded[:, None], self.values, -1.0).astype(np.float32)
        count = int(np.flatnonzero(self.recorded).max(initial=-1)) + 1
        return hashlib.sha256(content[:count].tobytes()).hexdigest()[:10]

    @cached_property
    def space(self) -> Space:
        """Give the space as every arm gets it: without conditions, ordered values by their index."""
        return tuple(_flat(parameter) for parameter in self.table.space.parameters)

    def unseen(self, seen: int) -> NDArray[np.float64]:
        """Return the mean of all recordings but one, (N,); a failed one counts as the worst of the table."""
        worst = np.nanmax(self.values)
        others = np.delete(np.nan_to_num(self.values, nan=worst), seen, axis=1)
        return np.asarray(others.mean(axis=1))

    def row(self, config: Mapping[str, Any], is_free: NDArray[np.bool_]) -> int:
        """Return the nearest row to what an arm asks for, among those that are free."""
        asked = {p.name: _recorded(p, config[p.name]) for p in self.table.space.parameters}
        return self.table.nearest(self.table.space.restrict(asked), is_free)

    def told(self, row: int, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as the arms know it; what has no effect there is as it was asked for."""
        configuration = self.table.configurations[row]
        return {
            p.name: _index(p, configuration[p.name]) if p.name in configuration else config[p.name]
            for p in self.table.space.parameters
        }

    def curve(self, replay: Replay) -> NDArray[np.float64]:
        """Return the score after each trial, (n,); the worst of the table before the first that succeeded."""
        seen = replay.seed % self.table.seeds
        unseen, best, row = self.unseen(seen), np.inf, -1
        scores = []
        for tried in replay.rows:
            value = self.values[tried, seen]
            if value < best:
                best, row = value, tried
            scores.append(unseen[row] if row >= 0 else np.nanmax(self.values))
        return np.array(scores)


def run(arm: str, evidence: Evidence, seed: int, trials: int, environments: Path) -> Replay:
    """Return a finished replay.

    Args:
        arm: Name in the catalog of peers.
        evidence: What is searched.
        seed: Seed of the arm; it also says which recording it sees.
        trials: Number of trials; fewer are tried where the table has fewer rows.
        environments: Folder of the environments.

    Raises:
        PeerError: the arm's process ended; the message has the last lines of its errors.
    """
    entry, version, seconds = entry_of(arm), version_of(arm), 0.0
    rows: list[int] = []
    is_free = evidence.recorded.copy()
    study = described(evidence.space), seed, trials
    with tempfile.TemporaryFile("w+") as log:
        try:
            with PeerProcess(interpreter(entry, environments), entry.module, entry.variant, study, log) as process:
                while len(rows) < trials and is_free.any():
                    asked = process.ask()
                    config = settled(evidence.space, asked.config)
                    row = evidence.row(config, is_free)
                    told = evidence.told(row, config)
                    if told != asked.config:
                        process.withdraw(asked.config)
                    value = float(evidence.values[row, seed % evidence.table.seeds])
                    seconds += asked.seconds + process.tell(told, None if np.isnan(value) else value)
                    is_free[row] = False
                    rows.append(row)
        except PeerError as error:
            log.seek(0)
            raise PeerError("\n".join([str(error), *log.read().splitlines()[-LAST_LINES:]])) from error
    return Replay(evidence.name, evidence.digest, arm, seed, version, trials, tuple(rows), float(f"{seconds:.4g}"))


def _flat(parameter: RecordedParameter) -> Parameter:
    domain = parameter.domain
    if isinstance(domain, CategoricalDomain):
        return Category(parameter.name, tuple(map(str, domain.values)))
    if isinstance(domain, DiscreteDomain):
        return Integer(parameter.name, 0, len(domain.values) - 1)
    is_log = domain.scale is Scale.LOG
    if isinstance(domain, IntDomain):
        return Integer(parameter.name, domain.low, domain.high, is_log)
    return Continuous(parameter.name, domain.low, domain.high, is_log)


def _recorded(parameter: RecordedParameter, value: Any) -> Value:
    domain = parameter.domain
    return domain.values[int(value)] if isinstance(domain, DiscreteDomain) else value


def _index(parameter: RecordedParameter, value: Value) -> Value:
    domain = parameter.domain
    return domain.values.index(value) if isinstance(domain, DiscreteDomain) else value
