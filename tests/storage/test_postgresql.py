"""What is PostgreSQL's own: transactions of several servers, the database's clock, what can't be reached."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import make_url, text

from bo_service.application.ports import Beat, RequestKey
from bo_service.application.views import Empty
from bo_service.application.waiting import deadline
from bo_service.domain.errors import NotFound, StorageUnavailable, TransactionConflict
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, Study, StudySpec
from bo_service.storage import bounded_waits, postgresql
from bo_service.storage.columns import EPOCH
from bo_service.storage.factory import open_store
from bo_service.storage.postgresql import PostgresStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))
STUDY = Study("s", SPEC, NOW, NOW)


@pytest.fixture
def stores(make_database: Callable[[], str]) -> Iterator[list[PostgresStore]]:
    """Of two servers over one database, with two studies."""
    address = make_database()
    opened = [open_store(address) for _ in range(2)]
    with opened[0].write() as records:
        records.save_study(STUDY)
        records.save_study(replace(STUDY, study_id="t"))
    yield opened
    for store in opened:
        store.close()


def starts(act: Callable[[], object]) -> tuple[threading.Thread, threading.Event]:
    """A thread that acts, and whether it has."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: (act(), done.set()))
    thread.start()
    return thread, done


def test_transactions_of_one_study_take_turns_and_others_go_on(stores) -> None:
    first, second = stores
    read: list[int] = []

    def other() -> None:
        with second.write("s") as records:
            read.append(records.get_study("s").revision)

    with first.write("s") as records:
        thread, done = starts(other)
        assert not done.wait(0.3)
        with second.write("t") as unhindered:
            unhindered.save_study(replace(STUDY, study_id="t", revision=5))
        with second.write() as unhindered:
            unhindered.save_beat(Beat.SERVER, NOW)
        records.save_study(replace(STUDY, revision=7))
    thread.join(120)
    assert read == [7]


def test_whoever_holds_every_study_waits_for_all_and_lets_none_begin(stores) -> None:
    first, second = stores
    held = threading.Event()
    released = threading.Event()

    def hold() -> None:
        with second.write() as records:
            records.lock_studies()
            held.set()
            assert released.wait(120)

    with first.write("s"):
        holder, _ = starts(hold)
        assert not held.wait(0.3)
    assert held.wait(120)

    def change() -> None:
        with first.write("t"):
            pass

    changer, done = starts(change)
    assert not done.wait(0.3)
    with first.read() as records:  # readers are not concerned
        assert records.find_study("t") is not None
    released.set()
    assert done.wait(120)
    for thread in (holder, changer):
        thread.join(120)


def test_one_request_id_in_two_studies_is_a_lost_transaction(stores) -> None:
    key = RequestKey("r", "M", "d")

    def remember() -> None:
        with stores[1].write("t") as records:
            records.save_answer(key, Empty(), NOW)

    with stores[0].write("s") as records:
        records.save_answer(key, Empty(), NOW)
    for _ in range(2):  # the connection is as good as new
        with pytest.raises(TransactionConflict):
            remember()
    with stores[1].write("t") as records:
        records.save_study(replace(STUDY, study_id="t", revision=3))
    with stores[0].read() as records:
        assert records.get_study("t").revision == 3


def test_what_a_refused_change_wrote_is_undone(stores) -> None:
    def change(study_id: str | None) -> None:
        with stores[0].write(study_id) as records:
            records.save_study(replace(STUDY, revision=99))
            records.get_study("nothing")

    for study_id in ("s", None, "s"):
        with pytest.raises(NotFound):
            change(study_id)
    with stores[0].write("s") as records:
        assert records.get_study("s").revision == 1


FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
COMMITTED = b"COMMIT\0"


class CountingProxy:
    """Between a server and its database; counts how often the server has waited for an answer.

    `is_ending`: the database ends with the next commit, as one that is being stopped does when it has saved it.
    `is_silent`: with it, the client's side of the connection stays open and nothing more is passed on.
    `is_paused`: the database saves the next commit, and says nothing any more.
    """

    def __init__(self, port: int) -> None:
        self._there = port
        self.is_ending = self.is_silent = self.is_paused = False
        self._silenced: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.waits = 0
        self._last: object = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for one in self._silenced:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                pair = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._there))
                for source, target in (pair, pair[::-1]):
                    threading.Thread(target=self._pass_on, args=(source, target, pair[1]), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, database: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.waits += source is database and self._last is not source
                self._last = source
                if (self.is_ending or self.is_paused) and source is database and COMMITTED in data:
                    told = data[: data.index(COMMITTED) + len(COMMITTED)]
                    if self.is_ending:
                        target.sendall(told + b"E" + (len(FATAL) + 4).to_bytes(4, "big") + FATAL)
                    if self.is_silent or self.is_paused:
                        self._silenced.append(target)
                        return
                    break
                target.sendall(data)
        target.close()


@pytest.fixture
def proxied(make_database: Callable[[], str]) -> Iterator[tuple[PostgresStore, CountingProxy]]:
    """A store with a study, behind a proxy."""
    url = make_url(make_database())
    proxy = CountingProxy(url.port)
    store = open_store(url.set(port=proxy.port).render_as_string(hide_password=False))
    with store.write() as records:
        records.save_study(STUDY)
    yield store, proxy
    store.close()
    proxy.close()


def test_a_change_waits_for_the_network_where_it_reads_and_at_its_end(proxied) -> None:
    store, proxy = proxied
    for turn in range(8):  # so that the driver has prepared the statements
        before = proxy.waits
        with store.write("s") as records:
            study = records.get_study("s")
            records.save_study(replace(study, revision=turn))
            records.save_answer(RequestKey(f"r{turn}", "M", "d"), Empty(), NOW)
        taken = proxy.waits - before
    assert taken == 2  # for its turn and the study; for the end


def test_a_database_that_is_stopped_as_it_has_saved_is_told_as_unsure(proxied) -> None:
    store, proxy = proxied

    def change() -> None:
        with store.write("s") as records:
            records.save_study(replace(STUDY, revision=42))

    change()
    proxy.is_ending = True
    with pytest.raises(StorageUnavailable, match="may have saved it"):
        change()
    proxy.is_ending = False
    change()
    with store.read() as records:
        assert records.get_study("s").revision == 42


def test_a_database_that_says_it_is_stopped_is_not_waited_for(proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is dropped at once: nothing answers on it, though the socket is open."""
    store, proxy = proxied
    monkeypatch.setattr(bounded_waits, "ANSWER_TIMEOUT_S", 3600.0)

    def change() -> None:
        with store.write("s") as records:
            records.save_study(replace(STUDY, revision=43))

    change()
    proxy.is_ending = proxy.is_silent = True
    with pytest.raises(StorageUnavailable, match="may have saved it"):
        change()
    proxy.is_ending = proxy.is_silent = False
    change()
    with store.read() as records:
        assert records.get_study("s").revision == 43


def test_a_database_that_stops_answering_holds_no_thread_for_ever(proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    store, proxy = proxied

    def change(revision: int) -> None:
        with store.write("s") as records:
            records.save_study(replace(STUDY, revision=revision))

    change(1)
    proxy.is_paused = True
    with monkeypatch.context() as patched:
        patched.setattr(bounded_waits, "ANSWER_TIMEOUT_S", 2.0)
        with pytest.raises(StorageUnavailable, match="may have saved it"):
            change(44)
    proxy.is_paused = False
    change(45)
    with store.read() as records:
        assert records.get_study("s").revision == 45


def test_a_commit_without_an_answer_is_waited_for_as_long_as_the_call_waits(
    proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, proxy = proxied
    monkeypatch.setattr(bounded_waits, "ANSWER_TIMEOUT_S", 3600.0)

    def change(revision: int) -> None:
        with store.write("s") as records:
            records.save_study(replace(STUDY, revision=revision))

    change(1)
    proxy.is_paused = True
    with deadline(2.0), pytest.raises(StorageUnavailable, match="may have saved it"):
        change(44)
    proxy.is_paused = False
    change(45)
    with store.read() as records:
        assert records.get_study("s").revision == 45


def test_neither_a_connection_nor_a_turn_is_waited_for_beyond_the_deadline(stores, monkeypatch) -> None:
    store = stores[0]
    monkeypatch.setattr(postgresql, "WAIT_TIMEOUT_S", 600)
    with ExitStack() as stack:
        stack.enter_context(store.write("s"))
        with deadline(0.5), pytest.raises(StorageUnavailable, match="studies/s is busy"), store.write("s"):
            pass
        for _ in range(postgresql.MAX_CONNECTIONS - 1):
            stack.enter_context(store.read())
        with deadline(0.5), pytest.raises(StorageUnavailable, match="connections to the database are in use"):
            stack.enter_context(store.read())
    with store.write("s") as records:
        assert records.get_study("s").revision == 1


def test_a_deadlock_is_a_lost_transaction(stores) -> None:
    """Nothing of ours locks in a circle; but somebody else may work on the tables."""
    lost: list[BaseException] = []
    met = threading.Barrier(2)

    def both(store: PostgresStore, names: str) -> None:
        try:
            with store.write() as records:
                for name in names:
                    records.connection.execute(
                        text("SELECT 1 FROM studies WHERE study_id = :n FOR UPDATE"), {"n": name}
                    )
                    if name == names[0]:
                        met.wait(120)
        except TransactionConflict as error:
            lost.append(error)

    threads = [threading.Thread(target=both, args=given) for given in zip(stores, ("st", "ts"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(lost) == 1


def test_the_clock_is_the_databases(stores) -> None:
    store = stores[0]
    for write in (lambda: store.write(), lambda: store.write("s")):
        store.clock.set(EPOCH)  # a machine whose clock is wrong by decades
        with write() as records:
            told = records.connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            assert abs(store.clock.now() - told) < timedelta(seconds=5)


def test_a_study_that_somebody_keeps_is_told_as_busy(stores, monkeypatch) -> None:
    monkeypatch.setattr(postgresql, "WAIT_TIMEOUT_S", 0.2)
    with stores[0].write("s"):
        with pytest.raises(StorageUnavailable, match="studies/s is busy"), stores[0].write("s"):
            pass
        with stores[0].write("t"):
            pass


def test_connections_that_were_cut_are_replaced(stores) -> None:
    first, second = stores
    with first.write() as records:
        mine = records.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with second.write() as records:
        records.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    with first.read() as records:
        assert records.find_study("s") is not None
    with first.read() as records:
        mine = records.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with second.write() as records:
        records.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
    with first.write("s") as records:  # nor does a change notice
        assert records.get_study("s").revision == 1
    with pytest.raises(StorageUnavailable, match="nothing was changed"):
        change_while_cut(first, second, in_time=True)
    with first.write("s") as records:
        assert records.get_study("s").revision == 1


def change_while_cut(store: PostgresStore, other: PostgresStore, in_time: bool) -> None:
    """Changes a study; the connection is cut before that is sent with the commit, or before what is read first."""
    with store.write("s") as records:
        mine = records.connection.connection.driver_connection.info.backend_pid
        records.save_study(replace(STUDY, revision=99))
        with other.write() as others:
            others.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
        if in_time:
            records.find_answer(RequestKey("r", "M", "d"), Empty)


def test_a_commit_whose_answer_is_lost_is_told_as_unsure(stores) -> None:
    with pytest.raises(StorageUnavailable, match="may have saved it: repeat the call with the same request_id"):
        change_while_cut(*stores, in_time=False)


def test_without_the_driver_the_way_to_get_it_is_told() -> None:
    program = "import sys; sys.modules['psycopg'] = None; from bo_service.cli.main import main; main()"
    command = [sys.executable, "-c", program, "migrate", "--storage", "postgresql://me:secret@host/bo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert 'pip install "bo-service[postgresql]"' in done.stderr
    assert "secret" not in done.stderr
