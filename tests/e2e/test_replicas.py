"""Several servers over one PostgreSQL: what one has done, all have, and nothing is done twice."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import trial_pb2

from tests.processes import PATIENCE_S

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0), bo_client.FloatParameter("y", 0.0, 1.0)])
WORKERS, TRIALS = 12, 25
pytestmark = pytest.mark.xdist_group("replicas")


@pytest.fixture
def replicas(lasting_replicas):
    """Two servers; those that a test has killed are started again."""
    yield lasting_replicas
    for server in lasting_replicas:
        if server.process.poll() is not None:
            server.start()


@pytest.fixture
def clients(replicas) -> Iterator[list[bo_client.Client]]:
    """Of each server, over an empty database."""
    with bo_client.connect(replicas[0].address) as first, bo_client.connect(replicas[1].address) as second:
        for info in first.studies():
            first.delete_study(info.id)
        yield [first, second]


def suggest_request(name: str, request_id: str, count: int = 1) -> pb.SuggestTrialsRequest:
    return pb.SuggestTrialsRequest(parent="studies/s", count=count, worker_id=name, request_id=request_id)


class Fleet:
    """Workers that turn to the other server where one doesn't answer, and repeat every third call there."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.handed: Counter[int] = Counter()
        self.acknowledged: dict[int, float] = {}
        self.differing: list[object] = []
        self._lock = threading.Lock()

    def work(self, worker: int) -> None:
        clients = [bo_client.connect(address, patience=0.0) for address in self.addresses]
        for turn in range(TRIALS):
            asked = suggest_request(f"w{worker}", f"load-suggest-{worker}-{turn}")
            (trial,) = self._call(clients, turn, "SuggestTrials", asked).trials
            number = int(trial.name.rpartition("/")[2])
            with self._lock:
                self.handed[number] += 1
            done = pb.CompleteTrialRequest(
                name=trial.name,
                lease_token=trial.lease.token,
                final_measurement=trial_pb2.Measurement(metrics={"loss": worker + turn / 100}),
                request_id=f"load-complete-{worker}-{turn}",
            )
            self._call(clients, turn + 1, "CompleteTrial", done)
            with self._lock:
                self.acknowledged[number] = worker + turn / 100
        for client in clients:
            client.close()

    def _call(self, clients: list[bo_client.Client], turn: int, method: str, request):
        deadline = time.monotonic() + PATIENCE_S
        for k in range(turn, turn + 10_000):
            try:
                answer = clients[k % 2].call(method, request)
                break
            except bo_client.ServerUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        if turn % 3 == 0:
            try:
                again = clients[(k + 1) % 2].call(method, request)
            except bo_client.ServerUnavailable:
                return answer
            if again != answer:
                self.differing.append((answer, again))
        return answer


def test_under_load_and_a_kill_each_trial_is_handed_out_and_completed_once(replicas, clients) -> None:
    study = clients[0].create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random")
    fleet = Fleet([server.address for server in replicas])
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(fleet.work, i) for i in range(WORKERS)]
        while len(fleet.acknowledged) < WORKERS * TRIALS // 3 and not any(w.done() for w in workers):
            time.sleep(0.01)
        replicas[0].kill()
        for worker in workers:
            worker.result()
    assert fleet.differing == []
    assert set(fleet.handed.values()) == {1}
    kept = {t.number: t for t in clients[1].study("s").trials()}
    assert study.id == "s"
    assert sorted(kept) == list(range(1, WORKERS * TRIALS + 1))
    assert {number: t.final_measurement.metrics["loss"] for number, t in kept.items()} == fleet.acknowledged
    assert {t.attempt for t in kept.values()} == {1}
    assert len({tuple(t.parameters.items()) for t in kept.values()}) == len(kept)


class FleetInParts(Fleet):
    """Workers that resume. Their checkpoints are the last epoch that is trained; every third call is repeated."""

    def __init__(self, addresses: list[str], last: int) -> None:
        super().__init__(addresses)
        self.last = last
        self.trained: Counter[tuple[int, int]] = Counter()
        self.first_pause = threading.Event()

    def work(self, worker: int) -> None:
        clients = [bo_client.connect(address, patience=0.0) for address in self.addresses]
        turn = 0
        while True:
            turn += 1
            asked = suggest_request(f"w{worker}", f"parts-suggest-{worker}-{turn}")
            asked.can_resume = True
            answer = self._call(clients, turn, "SuggestTrials", asked)
            if answer.trials:
                self._train(clients, turn, answer.trials[0])
            elif answer.shortfall == pb.SHORTFALL_COMPLETED:
                break
            else:
                time.sleep(0.05)  # until the other worker has got on
        for client in clients:
            client.close()

    def _train(self, clients: list[bo_client.Client], turn: int, trial: trial_pb2.Trial) -> None:
        number = int(trial.name.rpartition("/")[2])
        done = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token)
        done.request_id = f"parts-complete-{number}-{trial.attempt}"
        for epoch in range(int(trial.checkpoint_uri or 0) + 1, self.last + 1):
            with self._lock:
                self.trained[number, epoch] += 1
            point = trial_pb2.Measurement(step=epoch, metrics={"loss": trial.parameters["x"].float_value})
            told = pb.ReportMeasurementsRequest(
                name=trial.name, lease_token=trial.lease.token, measurements=[point], checkpoint_uri=str(epoch)
            )
            if self._call(clients, turn + epoch, "ReportMeasurements", told).should_pause:
                done.pause.checkpoint_uri = str(epoch)
                break
        else:
            done.final_measurement.CopyFrom(point)
        self._call(clients, turn, "CompleteTrial", done)
        if done.HasField("pause"):
            self.first_pause.set()


def test_a_server_that_is_killed_between_pauses_and_promotions_costs_no_epoch(replicas, clients) -> None:
    last, max_trials = 9, 9
    fidelity = {"metric": "epoch", "max": last}
    study = clients[1].create_study(
        "s", SPACE, "loss", goal="minimize", algorithm="quasi_random", max_trials=max_trials, fidelity=fidelity
    )
    fleet = FleetInParts([server.address for server in replicas], last)
    with ThreadPoolExecutor(2) as pool:
        workers = [pool.submit(fleet.work, i) for i in range(2)]
        while not fleet.first_pause.wait(0.05) and not any(w.done() for w in workers):
            pass
        replicas[0].kill()
        for worker in workers:
            worker.result()
    assert set(fleet.trained.values()) == {1}
    kept = {t.number: t for t in study.trials(full=True)}
    assert sorted(kept) == list(range(1, max_trials + 1))
    for number, trial in kept.items():
        epochs = [epoch for n, epoch in sorted(fleet.trained) if n == number]
        assert [m.step for m in trial.measurements] == epochs == list(range(1, len(epochs) + 1))
        is_whole = len(epochs) == last
        assert trial.state is (bo_client.TrialState.SUCCEEDED if is_whole else bo_client.TrialState.PAUSED)
        assert trial.checkpoint_uri == str(len(epochs))
    assert any(t.state is bo_client.TrialState.SUCCEEDED for t in kept.values())
    assert sum(t.attempt for t in kept.values()) > max_trials  # some were promoted
    assert study.info().state is bo_client.StudyState.COMPLETED


def test_the_same_request_to_both_at_once_is_done_once(clients) -> None:
    clients[0].create_study("s", SPACE, "loss", goal="minimize")
    with ThreadPoolExecutor(8) as pool:
        for turn in range(10):
            request = suggest_request("w", f"once-{turn}", count=2)
            answers = list(pool.map(lambda k, asked=request: clients[k % 2].call("SuggestTrials", asked), range(8)))
            assert all(answer == answers[0] for answer in answers)
    assert len(list(clients[0].study("s").trials())) == 20


def test_one_request_id_for_two_studies_is_two_requests(clients) -> None:
    for name in "ab":
        clients[0].create_study(name, SPACE, "loss", goal="minimize")

    def ask(k: int, request_id: str) -> str:
        request = pb.SuggestTrialsRequest(parent=f"studies/{'ab'[k]}", worker_id="w", request_id=request_id)
        (trial,) = clients[k].call("SuggestTrials", request, patience=0.0).trials
        return trial.name

    with ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            told = list(pool.map(ask, (0, 1), (f"both-{turn}", f"both-{turn}")))
            assert told == [f"studies/a/trials/{turn + 1}", f"studies/b/trials/{turn + 1}"]


def test_what_is_computed_at_the_same_moment_is_not_the_same_point(clients) -> None:
    study = clients[0].create_study("s", SPACE, "loss", goal="minimize", seed=1)
    for i in range(8):
        study.add({"x": (i * 5 % 8) / 8, "y": (i * 3 % 8) / 8}, {"loss": float((i - 3) ** 2)})
    with ThreadPoolExecutor(2) as pool:
        for turn in range(4):
            both = list(
                pool.map(
                    lambda k, t=turn: (
                        clients[k].call("SuggestTrials", suggest_request("w", f"point-{k}-{t}"), 600.0).trials[0]
                    ),
                    (0, 1),
                )
            )
            points = [tuple(value.float_value for _, value in sorted(t.parameters.items())) for t in both]
            assert {t.origin for t in both} == {trial_pb2.ORIGIN_SURROGATE}
            assert max(abs(a - b) for a, b in zip(*points, strict=True)) > 1e-3


def test_watchers_hear_of_what_was_changed_through_another_server(clients) -> None:
    clients[0].create_study("s", SPACE, "loss", goal="minimize")
    heard: list[tuple[int, str]] = []
    ready = threading.Event()

    def watch() -> None:
        for change in clients[1].study("s").watch():
            heard.extend((t.number, t.state.name) for t in change.trials)
            ready.set()
            if (1, "SUCCEEDED") in heard:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert ready.wait(PATIENCE_S)
    began = time.monotonic()
    (trial,) = clients[0].study("s").suggest()
    trial.complete({"loss": 1.0})
    watcher.join(timeout=PATIENCE_S)
    assert not watcher.is_alive()
    assert time.monotonic() - began < 12  # sooner than the sign of life after 15 s


def test_a_replica_that_starts_over_and_over_keeps_no_dead_workers_trial(replicas, clients) -> None:
    study = clients[0].create_study("s", SPACE, "loss", goal="minimize", lease_duration=2)
    (lost,) = study.suggest(worker_id="dies")
    deadline = time.monotonic() + PATIENCE_S
    while study.trial(lost.number).state is bo_client.TrialState.RUNNING:
        assert time.monotonic() < deadline
        replicas[1].kill()
        replicas[1].start()
    (again,) = study.suggest(worker_id="lives")
    assert (again.number, again.attempt) == (lost.number, 2)


def test_while_no_server_was_alive_no_lease_ran_out(replicas, clients) -> None:
    study = clients[0].create_study("s", SPACE, "loss", goal="minimize", lease_duration=3)
    (held,) = study.suggest()
    time.sleep(1.5)  # until a server has noted that it is alive
    assert held.heartbeat().lease_valid
    for server in replicas:
        server.kill()
    time.sleep(4)
    replicas[0].start()
    time.sleep(1.5)  # until leases that have run out are looked for
    assert held.heartbeat().lease_valid
    assert study.trial(held.number).attempt == 1


def test_a_database_that_comes_back_is_used_again(make_server, own_postgres_server) -> None:
    server = make_server()
    server.url = own_postgres_server.make_database()
    server.start()
    with bo_client.connect(server.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=3)
        (held,) = study.suggest()
        told: list[bool] = []
        finish = threading.Event()

        def live() -> None:
            while not finish.wait(0.2):
                with suppress(bo_client.ServerUnavailable):
                    told.append(held.heartbeat().lease_valid)

        worker = threading.Thread(target=live)
        worker.start()
        time.sleep(1.5)
        own_postgres_server.stop()
        for _ in range(3):
            with pytest.raises(bo_client.ServerUnavailable, match="database"):
                study.info()
        with pytest.raises(bo_client.ServerUnavailable, match="database"):
            study.suggest()
        time.sleep(4)
        before = len(told)
        own_postgres_server.start()
        deadline = time.monotonic() + PATIENCE_S
        while len(told) < before + 10:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        finish.set()
        worker.join()
        assert set(told) == {True}
        assert held.complete({"loss": 1.0}).attempt == 1
        assert len(study.suggest(3)) == 3
    assert "Traceback" not in server.storage.with_suffix(".log").read_text()
