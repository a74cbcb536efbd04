"""What is SQLite's own: one server a file, files that can't be used, what is durable."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bo_service.domain.errors import StartupError
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.domain.trial import Origin, Trial
from bo_service.storage.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))

STUDY = Study("s", SPEC, NOW, NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bo.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(file)
    yield store
    store.close()


def test_a_second_server_is_refused(store, file) -> None:
    program = "import sys, pathlib; from bo_service.storage.sqlite import SqliteStore as S; "
    program += "S(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, timeout=280)
    assert "StartupError: --storage: another server has" in done.stderr


def _newer(file: Path) -> None:
    SqliteStore(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute("update alembic_version set version_num = '9999'")
    raw.close()


@pytest.mark.parametrize(
    ("prepare", "hint"),
    [
        (_newer, "upgrade bo-service"),
        (lambda file: file.write_bytes(b"no database at all, but a file of some length" * 50), "not a database"),
        (lambda file: file.mkdir(), "unable to open"),
    ],
    ids=["newer", "no database", "a folder"],
)
def test_files_that_cannot_be_used_are_refused(file: Path, prepare: Callable[[Path], object], hint: str) -> None:
    prepare(file)
    for _ in range(2):  # and the file is given back
        with pytest.raises(StartupError, match=hint):
            SqliteStore(file)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "bo.db")


@pytest.mark.parametrize(
    ("version", "is_open", "warned"),
    [
        ((3, 40, 1), True, True),
        ((3, 51, 2), True, True),
        ((3, 40, 1), False, False),
        ((3, 51, 3), True, False),
    ],
)
def test_another_program_is_warned_of_where_the_library_could_do_harm(
    store, file, caplog, monkeypatch, version: tuple[int, ...], is_open: bool, warned: bool
) -> None:
    store.close()
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select * from studies').fetchall(); "
    program += "print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "open\n"
    if not is_open:
        other.communicate()
    SqliteStore(file).close()
    assert ("another program has" in caplog.text) is warned
    if is_open:
        other.communicate()


def test_what_is_acknowledged_is_on_disk(store) -> None:
    with store._writer.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_what_another_program_has_written_is_noticed(store, file) -> None:
    with store.write() as records:
        records.save_study(STUDY)
        records.save_trials(Trial("s", 1, {"x": 0.5}, NOW, Origin.USER))
    for attempt in (5, 6):
        with sqlite3.connect(file) as raw:
            raw.execute("update trials set attempt = ?", [attempt])
            raw.execute("update studies set revision = revision + 1")
        raw.close()
        with store.write("s") as records:
            trial = records.get_trial("s", 1)
            assert (trial.attempt, records.get_study("s").revision) == (attempt, attempt - 3)
            records.save_trials(replace(trial, labels={"a": str(attempt)}))
        with store.read() as records:
            assert records.get_trial("s", 1) == replace(trial, labels={"a": str(attempt)})
