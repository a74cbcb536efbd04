"""The server within the user's own process: one file, shared in the process, and refused elsewhere with what to do."""

import asyncio
import gc
import pickle
import sys
import threading
import time
from pathlib import Path

import bo_client
import pytest

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
PATIENCE_S = 800.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bo.db"


def create(client: bo_client.Client, study_id: str = "s") -> bo_client.Study:
    return client.create_study(study_id, SPACE, "loss", goal="minimize")


def loss(parameters) -> float:
    return (parameters["x"] - 0.3) ** 2


def test_a_study_runs_and_is_there_when_the_file_is_opened_again(file) -> None:
    with bo_client.local(file) as client:
        best = create(client).optimize(loss, n_trials=7)
    assert best.value("loss") < 0.01
    with bo_client.local(str(file)) as client:
        study = client.study("s")
        assert len(list(study.trials())) == 7
        assert bo_client.Origin.SURROGATE in {trial.origin for trial in study.trials()}
        assert study.best().number == best.number


def test_without_a_name_the_file_is_bo_db_as_for_the_server(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with bo_client.local() as client:
        create(client)
    assert (tmp_path / "bo.db").exists()
    with bo_client.local("sqlite:///bo.db") as client:
        assert [study.id for study in client.studies()] == ["s"]


def test_the_file_is_shared_within_a_process_and_under_all_of_its_names(file, tmp_path, monkeypatch) -> None:
    """As when a notebook's cell runs twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(file)
    with bo_client.local(file) as first:
        create(first)
        for name in (file, "bo.db", "link.db", "sqlite:///bo.db"):
            with bo_client.local(name) as again:
                assert [study.id for study in again.studies()] == ["s"]
        assert create(first).optimize(loss, n_trials=1)


def test_a_closed_client_says_how_to_go_on(file) -> None:
    client = bo_client.local(file)
    study = create(client)
    client.close()
    client.close()
    with pytest.raises(bo_client.FailedPrecondition, match=r"is closed; open it again with bo_client\.local") as caught:
        study.suggest()
    assert caught.value.reason == "CLOSED"


def test_what_is_dropped_is_closed_so_that_another_process_can_open_the_file(file) -> None:
    from bo_service.domain.errors import StartupError
    from bo_service.storage.factory import open_store

    study = create(bo_client.local(file))
    study.optimize(loss, n_trials=1)
    with pytest.raises(StartupError, match="another server has"):
        open_store(f"sqlite:///{file}")
    del study
    deadline = time.monotonic() + PATIENCE_S
    while True:
        gc.collect()  # the last heartbeat's thread may still hold the study
        try:
            open_store(f"sqlite:///{file}").close()
        except StartupError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            break


def test_databases_in_memory_are_private() -> None:
    with bo_client.local("memory:") as one, bo_client.local(":memory:") as other:
        create(one)
        assert list(other.studies()) == []


def test_it_works_within_an_event_loop(file) -> None:
    async def tune() -> int:
        with bo_client.local(file) as client:
            study = create(client)
            study.optimize(loss, n_trials=2)
            await asyncio.to_thread(study.optimize, loss, 2)
            return len(list(study.trials()))

    assert asyncio.run(tune()) == 4


def test_eight_threads_suggest_and_complete(file) -> None:
    with bo_client.local(file) as client:
        study = create(client)
        errors: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for _ in range(4):
                    (trial,) = study.suggest(worker_id=f"worker-{number}")
                    trial.report(1.0, step=1)
                    trial.complete(loss(trial.parameters))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert errors == []
        trials = list(study.trials(full=True))
    assert [trial.state for trial in trials] == [bo_client.TrialState.SUCCEEDED] * 32
    assert len({trial.parameters["x"] for trial in trials}) == 32


def test_changes_are_watched_until_the_client_leaves(file) -> None:
    with bo_client.local(file) as client:
        study = create(client)
        changes = study.watch()
        assert next(changes).trials == ()
        study.enqueue({"x": 0.5})
        assert next(changes).trials[0].state is bo_client.TrialState.QUEUED
        changes.close()


def test_other_programs_join_on_request(file) -> None:
    with bo_client.local(file) as client:
        study = create(client)
        assert client.address is None
        address = client.serve()
        assert client.serve() == client.address == address
        assert address.startswith("127.0.0.1:")
        with bo_client.connect(address) as worker:
            (trial,) = worker.study("s").suggest(worker_id="gpu7:1")
            trial.complete(0.5)
        assert study.best().worker_id == "gpu7:1"
        with pickle.loads(pickle.dumps(client)) as elsewhere:
            assert elsewhere.study("s").best().number == trial.number


def test_the_address_may_be_given_at_once(file) -> None:
    with bo_client.local(file, listen="127.0.0.1:0") as client, bo_client.connect(client.address) as worker:
        create(client)
        assert [study.id for study in worker.studies()] == ["s"]


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("0.0.0.0:0", r"listen: other machines can reach 0\.0\.0\.0; give 127\.0\.0\.1:PORT.*bo-service serve"),
        ("localhost", "listen: is 'localhost'; give HOST:PORT"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(file, listen, why) -> None:
    with bo_client.local(file) as client, pytest.raises(bo_client.InvalidRequest, match=why):
        client.serve(listen)


def test_a_second_address_is_refused(file) -> None:
    with bo_client.local(file) as client:
        address = client.serve()
        other = f"127.0.0.1:{int(address.rpartition(':')[2]) ^ 1}"
        with pytest.raises(bo_client.InvalidRequest, match=f"is served at {address} already"):
            client.serve(other)


def test_a_client_that_serves_nowhere_is_not_pickled(file) -> None:
    with bo_client.local(file) as client, pytest.raises(TypeError, match=r"call its serve\(\) first"):
        pickle.dumps(client)


def test_what_cannot_be_opened_is_refused_in_the_users_words(tmp_path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    for storage, why in [
        (tmp_path, r"storage: .* is a folder; give a file, such as '.*bo\.db'"),
        (tmp_path / "none" / "bo.db", "storage: there is no folder .*none; create it"),
        (tmp_path / "text", "storage: .*text"),
        ("mongodb://host/db", "storage: is mongodb://…; give sqlite:///FILE"),
        ("", "storage: is ''; give a file"),
        (None, "storage: is None; give a file"),
    ]:
        with pytest.raises(bo_client.InvalidRequest, match=why):
            bo_client.local(storage)


def test_without_the_servers_libraries_it_says_what_to_install(file, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bo_service.local_service", None)
    with pytest.raises(ImportError, match=r"bo_client\.local needs .*pip install 'bo-service\[server\]'"):
        bo_client.local(file)
