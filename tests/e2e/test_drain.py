"""How a server ends: it says so first, finishes what it has begun, and nothing that was acknowledged is lost."""

import re
import signal
import threading
import time
import urllib.request

import bo_client
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.processes import PATIENCE_S, surrogate_stalled

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
READY = "bo_api.v1.OptimizationService"


def status(address: str, name: str = READY) -> str:
    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def await_status(address: str, wanted: str, name: str = READY) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := status(address, name)) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.05)


def await_count(completed: dict[int, float], wanted: int, failures: list[Exception]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(completed) < wanted and time.monotonic() < deadline and not failures:
        time.sleep(0.02)


def test_it_says_that_it_ends_and_goes_on_until_a_second_signal(make_server) -> None:
    process = make_server("--drain-seconds", "600", "--processes", "1")
    address = process.start()
    await_status(address, "SERVING")
    with bo_client.connect(address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        process.process.send_signal(signal.SIGTERM)
        await_status(address, "NOT_SERVING")
        await_status(address, "NOT_SERVING", "")
        (trial,) = study.suggest()  # whoever hasn't noticed is still served
        trial.complete({"loss": 1.0})
        assert process.stop(signal.SIGINT) == 130
        with pytest.raises(bo_client.ServerUnavailable):
            study.info()


def test_calls_in_progress_are_finished(make_server) -> None:
    """The server is told to end while it works at a suggestion that takes seconds."""
    process = make_server("--processes", "1", "--grace-seconds", "30", "--metrics", "127.0.0.1:0")
    address = process.start()
    metrics = re.search(r"http://127\.0\.0\.1:\d+/metrics", process.log)[0]
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(16)])
    with bo_client.connect(address, patience=0.0) as client:
        study = client.create_study("s", space, "loss", goal="minimize", initial_trials=2)
        for i in range(30):
            study.add({f"x{k}": (i * 7 + k) % 13 / 13 for k in range(16)}, {"loss": float(i % 5)})
        answers: list[bo_client.Suggestions] = []
        asking = threading.Thread(target=lambda: answers.append(study.suggest(20, timeout=25.0)))
        with surrogate_stalled(process.process.pid):
            asking.start()
            while 'bo_rpc_in_flight{method="SuggestTrials"} 1.0' not in urllib.request.urlopen(metrics).read().decode():
                assert asking.is_alive()
            process.process.terminate()
        assert process.wait() == 0
        asking.join(timeout=30)
        assert [len(answer) for answer in answers] == [20]


def test_no_call_fails_while_one_server_ends_and_the_next_begins(make_server) -> None:
    """The client tries again, under the same request ids, until the next server answers."""
    process = make_server("--drain-seconds", "1", "--processes", "1")
    address = process.start()
    finish, failures, completed = threading.Event(), [], {}
    with bo_client.connect(address) as client:
        client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random")

    def work(name: str) -> None:
        with bo_client.connect(address, patience=60.0) as own:
            study = own.study("s")
            while not finish.is_set():
                try:
                    (trial,) = study.suggest(worker_id=name)
                    trial.report({"loss": 1.0}, step=1)
                    trial.complete({"loss": trial.parameters["x"]})
                except Exception as error:
                    failures.append(error)
                    return
                completed[trial.number] = trial.parameters["x"]

    workers = [threading.Thread(target=work, args=(f"w{i}",)) for i in range(6)]
    for worker in workers:
        worker.start()
    with bo_client.connect(address) as watching:
        changes = watching.study("s").watch()
        next(changes)
        await_count(completed, 20, failures)
        assert process.stop() == 0
        process.start()
        await_count(completed, 40, failures)
        revision = watching.study("s").info().revision
        while next(changes).revision < revision:  # the stream was taken up again
            pass
        changes.close()
    finish.set()
    for worker in workers:
        worker.join(timeout=90)
    assert failures == []
    assert len(completed) >= 40
    with bo_client.connect(address) as client:
        kept = {t.number: t for t in client.study("s").trials()}
    assert {n: t.final_measurement.metrics["loss"] for n, t in kept.items()} == completed
