"""What is acknowledged is kept, whatever happens to the server."""

import threading
import time
from contextlib import closing

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb

from bo_service.storage.factory import open_store
from tests.e2e.conftest import ServerProcess

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0), bo_client.IntParameter("n", 1, 5)])
pytestmark = pytest.mark.xdist_group("durability")


@pytest.fixture(scope="module")
def shared(make_shared_server) -> ServerProcess:
    server = make_shared_server()
    server.start()
    return server


@pytest.fixture
def server_process(shared: ServerProcess) -> ServerProcess:
    """A running server without studies, which the tests of this file kill in turn: each start costs seconds."""
    if shared.process is not None and shared.process.poll() is not None:
        shared.start()
    with bo_client.connect(shared.address) as client:
        for info in client.studies():
            client.delete_study(info.id)
    return shared


def test_kill_nine_and_a_restart_keep_trials_measurements_and_leases(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=30)
        done, running = study.suggest(2)
        done.complete({"loss": 0.25})
        running.report({"loss": 0.75}, step=3, checkpoint_uri="gs://checkpoint")
        before = {t.number: t for t in study.trials(full=True)}

        server_process.kill()
        server_process.start()

        after = {t.number: t for t in study.trials(full=True)}
        assert after == before
        assert study.trial(running.number).worker_id == before[running.number].worker_id
        assert running.heartbeat().lease_valid
        running.complete({"loss": 0.1})
        best = study.best()
        assert best is not None
        assert best.number == running.number


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_under_load(server_process) -> None:
    acknowledged: dict[int, float] = {}
    finish = threading.Event()
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random")

    def work(name: str) -> None:
        with bo_client.connect(server_process.address) as own:
            mine = own.study("s")
            while not finish.is_set():
                (trial,) = mine.suggest(worker_id=name)
                trial.report({"loss": 1.0}, step=1)
                trial.complete({"loss": trial.parameters["x"]})
                acknowledged[trial.number] = trial.parameters["x"]

    threads = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for kills in range(4):
        deadline = time.monotonic() + 280
        while len(acknowledged) < 15 * (kills + 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        if kills < 3:
            server_process.kill()
            server_process.start()
    finish.set()
    for thread in threads:
        thread.join(timeout=280)
    assert len(acknowledged) >= 60
    with bo_client.connect(server_process.address) as client:
        kept = {t.number: t for t in client.study("s").trials(full=True)}
    assert study.id == "s"
    for number, value in acknowledged.items():
        assert kept[number].state is bo_client.TrialState.SUCCEEDED
        assert kept[number].final_measurement.metrics == {"loss": value}
        assert [m.step for m in kept[number].measurements] == [1]
    # each call was retried under its request id: no trial was handed out and then forgotten
    assert {t.state for t in kept.values()} == {bo_client.TrialState.SUCCEEDED}


def test_a_repeated_request_after_a_crash_gets_the_first_answer(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
        request = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", request_id="once")
        first = client.call("SuggestTrials", request)
        server_process.kill()
        server_process.start()
        assert client.call("SuggestTrials", request) == first
        changed = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", request_id="once", count=2)
        with pytest.raises(bo_client.InvalidRequest, match="another SuggestTrials request"):
            client.call("SuggestTrials", changed)


def test_a_dead_workers_trial_goes_to_the_next(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=1, max_trials=1)
        (lost,) = study.suggest(worker_id="dies")
        deadline = time.monotonic() + 280
        while not (again := study.suggest(worker_id="lives")) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [(t.number, t.attempt, t.parameters) for t in again] == [(lost.number, 2, lost.parameters)]
        lost.complete({"loss": 0.5})
        assert not again[0].heartbeat().lease_valid


def test_a_watch_goes_on_over_a_restart(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=2)
        seen: list[tuple[int, str]] = []

        def follow() -> None:
            for change in study.watch():
                seen.extend((t.number, t.state.value) for t in change.trials)
                if change.study.state is bo_client.StudyState.COMPLETED:
                    return

        watcher = threading.Thread(target=follow)
        watcher.start()
        (first,) = study.suggest()
        first.complete({"loss": 1.0})
        server_process.kill()
        server_process.start()
        (second,) = study.suggest()
        second.complete({"loss": 2.0})
        watcher.join(timeout=280)
        assert not watcher.is_alive()
        ended = [number for number, state in seen if state.lower().endswith("succeeded")]
        assert ended == [1, 2]


def test_what_surrogates_learned_is_kept_for_the_next_server(server_process) -> None:
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        server_process.await_optimizer()
        for _ in range(6):
            (trial,) = study.suggest()
            trial.complete({"loss": trial.parameters["x"] + trial.parameters["n"]})
        assert server_process.stop() == 0
        with closing(open_store(server_process.url)) as store, store.read() as records:
            learned = dict(records.get_hyperparameters("s"))
        assert learned
        server_process.start()
        server_process.await_optimizer()
        assert study.suggest()[0].origin == "SURROGATE"
