"""Transactions that are committed together: each is whole by itself, and none is acknowledged before it is durable."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event, text

from bo_service.domain.errors import NotFound, StorageUnavailable
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.domain.trial import Origin, Trial
from bo_service.storage import group_commit
from bo_service.storage.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "bo.db")
    with store.write() as records:
        records.save_study(Study("s", SPEC, NOW, NOW))
    yield store
    store.close()


@pytest.fixture(autouse=True)
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, groups wait for all."""
    monkeypatch.setattr(group_commit, "MIN_GROUP_S", 60.0)


@pytest.fixture
def commits(store) -> list[int]:
    """Grows with every commit of the writer."""
    found: list[int] = []
    event.listen(store._writer, "commit", lambda _: found.append(1))
    return found


def add(store: SqliteStore, number: int, then: Callable[[object], object] = lambda records: None) -> None:
    with store.write("s") as records:
        records.save_trials(Trial("s", number, {"x": 0.5}, NOW, Origin.USER))
        then(records)


def kept(store: SqliteStore) -> list[int]:
    with store.read() as records:
        return [t.number for t in records.list_trials("s")]


def together(store: SqliteStore, *thens: Callable[[object], object]) -> list[Future[None]]:
    """Trials 1, 2, … in transactions that wait for each other, the first of them first."""
    in_turn, go_on = threading.Event(), threading.Event()

    def first(records: object) -> None:
        in_turn.set()
        assert go_on.wait(120)
        thens[0](records)

    with ThreadPoolExecutor(len(thens)) as pool:
        futures = [pool.submit(add, store, 1, first)]
        assert in_turn.wait(120)
        for number, then in enumerate(thens[1:], 2):
            futures.append(pool.submit(add, store, number, then))
            while store._commits._lock.num_waiting < number - 1:
                pass
        go_on.set()
    return futures


def nothing(records: object) -> None: ...


def refuse(records) -> None:
    records.get_study("nobody")


def test_those_who_wait_are_committed_together(store, commits) -> None:
    for future in together(store, nothing, nothing, nothing, nothing):
        future.result()
    assert kept(store) == [1, 2, 3, 4]
    assert len(commits) == 1


def test_no_group_goes_on_for_ever(store, commits, monkeypatch) -> None:
    monkeypatch.setattr(group_commit, "MIN_GROUP_S", 0.0)
    monkeypatch.setattr(group_commit, "MAX_GROUP_S", 0.0)
    for future in together(store, nothing, nothing, nothing):
        future.result()
    assert kept(store) == [1, 2, 3]
    assert len(commits) == 3


@pytest.mark.parametrize(("commit_s", "groups"), [(0.001, 3), (0.010, 2), (5.0, 1)])
def test_the_slower_the_disk_the_larger_the_groups(store, commits, monkeypatch, commit_s: float, groups: int) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(group_commit, "MIN_GROUP_S", 0.005)
    monkeypatch.setattr(group_commit, "time", clock)

    def last(seconds: float) -> Callable[[object], None]:
        return lambda _: setattr(clock, "now", clock.now + seconds)

    event.listen(store._writer, "commit", last(commit_s))
    add(store, 9)
    del commits[:]
    for future in together(store, last(0.006), last(0.006), last(0.006)):
        future.result()
    assert len(commits) == groups


def test_alone_each_is_committed_at_once(store, commits) -> None:
    for number in (1, 2):
        add(store, number)
        assert kept(store) == list(range(1, number + 1))
    assert len(commits) == 2


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_one_that_is_refused_takes_no_other_with_it(store, refused: int) -> None:
    thens = [refuse if number == refused else nothing for number in (1, 2, 3)]
    for number, future in enumerate(together(store, *thens), 1):
        assert (type(future.exception()) is NotFound) is (number == refused)
    assert kept(store) == [n for n in (1, 2, 3) if n != refused]
    add(store, 9)
    assert 9 in kept(store)


def test_a_commit_that_fails_is_told_to_all(store) -> None:
    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(store._writer, "commit", fail)
    for future in together(store, nothing, refuse, nothing):
        assert "may have saved" in str(future.exception())
    with pytest.raises(StorageUnavailable, match="may have saved"):
        add(store, 1)
    event.remove(store._writer, "commit", fail)
    assert kept(store) == []
    with store.write("s") as records, pytest.raises(NotFound):
        records.get_trial("s", 1)
    add(store, 9)
    assert kept(store) == [9]


def test_where_sqlite_has_undone_everything_a_refusal_acknowledges_nothing(store) -> None:
    def undone_and_refused(records) -> None:
        records.connection.connection.driver_connection.rollback()
        refuse(records)

    first, second = together(store, nothing, undone_and_refused)
    for future in (first, second):
        assert "may have saved" in str(future.exception())
    assert kept(store) == []
    add(store, 9)
    assert kept(store) == [9]


def test_where_sqlite_undoes_everything_nothing_is_acknowledged(store) -> None:
    def undone(records) -> None:
        """As SQLite does by itself where the disk is full."""
        records.connection.exec_driver_sql("ROLLBACK")
        records.connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    first, second, third = together(store, nothing, undone, nothing)
    assert "may have saved" in str(first.exception())
    assert isinstance(second.exception(), StorageUnavailable)
    # the third came before the second or after it: who waits has no number
    assert third.exception() is None or "may have saved" in str(third.exception())
    assert kept(store) == ([3] if third.exception() is None else [])
