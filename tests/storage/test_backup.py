"""Backups of a SQLite database that a server goes on writing, and the way back."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bo_service.domain.errors import StartupError
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.domain.trial import Origin, Trial
from bo_service.storage.backup import backup, restore
from bo_service.storage.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))


def add(store: SqliteStore, number: int) -> None:
    """Two trials in one transaction."""
    with store.write("s") as records:
        for k in (2 * number - 1, 2 * number):
            records.save_trials(Trial("s", k, {"x": 0.5}, NOW, Origin.USER))


def trials(file: Path) -> list[int]:
    store = SqliteStore(file)
    with store.read() as records:
        found = [t.number for t in records.list_trials("s")]
    store.close()
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bo.db"


@pytest.fixture
def store(file: Path):
    store = SqliteStore(file)
    with store.write("s") as records:
        records.save_study(Study("s", SPEC, NOW, NOW))
    yield store
    store.close()


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bo_service.cli.main", *arguments], capture_output=True, text=True, timeout=280
    )


def test_backups_of_a_database_that_is_written_are_whole(store, file, tmp_path) -> None:
    finish, written = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not finish.is_set():
            number += 1
            add(store, number)
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    written.wait(120)
    lengths = []
    for i in range(5):
        with store.read() as records:
            before = len(records.list_trials("s"))
        backup(file, tmp_path / f"copy{i}.db")
        found = trials(tmp_path / f"copy{i}.db")
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 2 == 0
        assert len(found) >= before
        lengths.append(len(found))
    finish.set()
    writer.join()
    assert lengths == sorted(lengths)
    assert not list(tmp_path.glob("*.partial"))


def test_restored_is_what_the_backup_held_whatever_came_later(store, file, tmp_path) -> None:
    add(store, 1)
    done = command("backup", "--storage", f"sqlite:///{file}", str(tmp_path / "copy.db"))
    assert done.returncode == 0, done.stderr
    add(store, 2)
    refused = command("restore", "--storage", f"sqlite:///{file}", str(tmp_path / "copy.db"), "--replace")
    assert refused.returncode == 1
    assert "a server has" in refused.stderr
    store.close()
    assert trials(file) == [1, 2, 3, 4]
    assert command("restore", "--storage", f"sqlite:///{file}", str(tmp_path / "copy.db"), "--replace").returncode == 0
    assert trials(file) == [1, 2]
    assert command("restore", "--storage", f"sqlite:///{tmp_path}/new.db", str(tmp_path / "copy.db")).returncode == 0
    assert trials(tmp_path / "new.db") == [1, 2]


def test_a_log_that_a_crash_left_behind_is_not_lost_and_not_mixed_in(file, tmp_path) -> None:
    program = (
        "import os, sys, pathlib; sys.path.insert(0, sys.argv[1]); import importlib.util as u\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec); spec.loader.exec_module(t)\n"
        "store = t.SqliteStore(pathlib.Path(sys.argv[3]))\n"
        "with store.write('s') as records: records.save_study(t.Study('s', t.SPEC, t.NOW, t.NOW))\n"
        "t.add(store, 1); t.add(store, 2); os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, ".", __file__, str(file)], timeout=280)
    log = file.with_name("bo.db-wal")
    assert log.stat().st_size > 0
    backup(file, tmp_path / "copy.db")
    assert trials(tmp_path / "copy.db") == [1, 2, 3, 4]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as raw, raw:
        raw.execute("delete from trials where number > 2")
    restore(tmp_path / "copy.db", file, replace=True)
    assert trials(file) == [1, 2]


def test_what_is_there_is_kept(store, file, tmp_path) -> None:
    backup(file, tmp_path / "copy.db")
    with pytest.raises(StartupError, match="exists"):
        backup(file, tmp_path / "copy.db")
    store.close()
    with pytest.raises(StartupError, match="--replace"):
        restore(tmp_path / "copy.db", file, replace=False)


@pytest.mark.parametrize("content", [b"", b"no database at all, but a file of some length" * 50])
def test_what_is_no_database_is_refused(store, file, tmp_path, content: bytes) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)
    for act in (lambda: backup(other, tmp_path / "copy.db"), lambda: restore(other, tmp_path / "new.db", False)):
        with pytest.raises(StartupError, match="is no sound database of bo-service"):
            act()
    with pytest.raises(StartupError, match="there is no file"):
        backup(tmp_path / "missing", tmp_path / "copy.db")
    with pytest.raises(StartupError, match="can't be written"):
        backup(file, tmp_path / "nowhere" / "copy.db")


def test_a_damaged_backup_overwrites_nothing(store, file, tmp_path) -> None:
    for number in range(1, 200):
        add(store, number)
    backup(file, tmp_path / "copy.db")
    store.close()
    damaged = bytearray((tmp_path / "copy.db").read_bytes())
    damaged[-30_000:] = b"\xff" * 30_000
    (tmp_path / "copy.db").write_bytes(damaged)
    with pytest.raises(StartupError, match="is no sound database"):
        restore(tmp_path / "copy.db", file, replace=True)
    assert len(trials(file)) == 398


def test_postgresql_has_its_own_means() -> None:
    for name, hint in {"backup": "pg_dump", "restore": "pg_restore"}.items():
        done = command(name, "--storage", "postgresql://me:secret@host/bo", "file")
        assert done.returncode == 1
        assert hint in done.stderr
        assert "secret" not in done.stderr
