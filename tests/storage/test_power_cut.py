"""What is acknowledged survives a power cut: the store's own statements, over a file system that forgets.

The statements that the store gives to SQLite are recorded and done again through a file system that keeps what has
been synced to it and loses the rest, which is the worst that a power cut can do. After each acknowledged transaction
the power goes: the database that is left must hold it.
"""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from sqlalchemy import Engine, event

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.domain.trial import Origin, Trial
from bo_service.storage.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))
TRIALS = 30
ACKNOWLEDGED = "-- acknowledged"


@pytest.fixture
def statements(tmp_path: Path) -> list[str]:
    """What the store says to SQLite as it makes the file, and while trials are added, one in each transaction."""
    said: list[list[str]] = []

    def trace(connection: sqlite3.Connection, _: object) -> None:
        said.append([])
        connection.set_trace_callback(said[-1].append)

    event.listen(Engine, "connect", trace)
    try:
        store = SqliteStore(tmp_path / "recorded.db")
    finally:
        event.remove(Engine, "connect", trace)
    writer = next(each for each in said if "PRAGMA journal_mode=WAL" in each)
    with store.write() as records:
        records.save_study(Study("s", SPEC, NOW, NOW))
    for number in range(1, TRIALS + 1):
        with store.write("s") as records:
            records.save_trials(Trial("s", number, {"x": 0.5}, NOW, Origin.USER))
        writer.append(ACKNOWLEDGED)
    store.close()
    assert all("PRAGMA synchronous=FULL" in each for each in (said[0], writer))
    return [*said[0], *writer]


class Disk(apsw.VFS):
    """Remembers each file as it was when it was last synced."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        super().__init__("disk", "")

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.kept.pop(filename, None)

    def power_cut(self, folder: Path) -> Path:
        """The database as it is found when the power is back, in a folder of its own."""
        folder.mkdir()
        for name, content in self.kept.items():
            (folder / Path(name).name).write_bytes(content)
        return folder / "bo.db"


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: object, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.kept[self._name] = Path(self._name).read_bytes()


def kept(file: Path) -> int:
    """How many trials a database holds."""
    with closing(sqlite3.connect(file)) as left:
        assert left.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if left.execute("SELECT name FROM sqlite_master WHERE name = 'trials'").fetchone() is None:
            return 0  # not even the tables
        return int(left.execute("SELECT count(*) FROM trials").fetchone()[0])


def lost(statements: list[str], folder: Path) -> int:
    """How many acknowledged trials the power cuts took."""
    disk, acknowledged, missing = Disk(), 0, 0
    with closing(apsw.Connection(str(folder / "bo.db"), vfs="disk")) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # the file system above has no shared memory
        for statement in statements:
            if statement != ACKNOWLEDGED:
                connection.execute(statement)
                continue
            acknowledged += 1
            missing += acknowledged - kept(disk.power_cut(folder / str(acknowledged)))
        assert connection.pragma("journal_mode") == "wal"
    disk.unregister()
    assert acknowledged == TRIALS
    return missing


def test_nothing_acknowledged_is_lost(statements, tmp_path) -> None:
    assert lost(statements, tmp_path) == 0


def test_without_full_synchronization_all_would_be_lost(statements, tmp_path) -> None:
    weaker = [s.replace("synchronous=FULL", "synchronous=NORMAL") for s in statements]
    assert lost(weaker, tmp_path) > TRIALS
