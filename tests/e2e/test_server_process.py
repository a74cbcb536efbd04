"""The server as a process: how it starts, what it refuses, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import bo_client
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import ServerProcess
from tests.processes import children_of, processes_of, surrogate_stalled

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
SERVE = [sys.executable, "-m", "bo_service.cli.main", "serve"]


def serve(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=280)


def test_a_port_in_use_is_named(lasting_server, tmp_path: Path) -> None:
    done = serve("--storage", f"sqlite:///{tmp_path}/other.db", "--listen", lasting_server.address)
    assert done.returncode == 1
    assert lasting_server.address in done.stderr.splitlines()[-1]
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_server_over_one_file_is_refused(lasting_server) -> None:
    done = serve("--storage", f"sqlite:///{lasting_server.storage}", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "another server has" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_over_memory_serves_and_keeps_nothing(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "bo", url="memory:")
    try:
        for _ in range(2):
            with bo_client.connect(server.start()) as client:
                assert list(client.studies()) == []
                study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=3)
                study.optimize(lambda parameters: parameters["x"])
                assert study.info().state is bo_client.StudyState.COMPLETED
            assert server.stop() == 0
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["bo.log"]


REFUSED = [
    (("--storage", "mysql://me:secret@host/db"), "is mysql://…; give sqlite:///FILE"),
    (("--storage", "sqlite:///"), "sqlite:///FILE"),
    (("--storage", "postgresql://me:secret@host"), "postgresql://me:***@host names no database"),
    (("--storage", "postgresql://me:secret@host:port/bo"), "%40"),
    (("--storage", "postgresql://me:secret@127.0.0.1:1/bo?password=secret"), "refused"),
    (("--storage", "postgres://me@127.0.0.1:1/bo?nonsense=secret"), 'invalid connection option "nonsense"'),
    (("--storage", "sqlite:////nowhere/at/all/bo.db"), "there is no folder"),
    (("--listen", "50051"), "HOST:PORT"),
    (("--listen", "127.0.0.1:99999"), "HOST:PORT"),
    (("--listen", "0.0.0.0:0"), "--insecure"),
    (("--processes", "0"), "1 or more"),
    (("--process-memory", "100"), "--process-memory: is 100; give 512 MiB or more"),
    (("--cpu-affinity", "first"), "give CPU indices, such as 0 or 0,1"),
    (("--cpu-affinity", "0,"), "give CPU indices"),
    (("--cpu-affinity", "9999"), "--cpu-affinity: is 9999; this process may use the CPUs"),
]
EACH = """
import json, sys
from bo_service.cli.main import main
for options in json.loads(sys.argv[1]):
    try:
        main(["serve", *options])
    except SystemExit as end:
        print(end, file=sys.stderr)
    print("--", file=sys.stderr)
"""


def test_settings_that_cannot_be_are_refused_in_one_line(tmp_path: Path) -> None:
    """By one process in turn: each of its own would load the same again."""
    own = ["--storage", f"sqlite:///{tmp_path}/bo.db"]
    options = json.dumps([[*own, *options] for options, _ in REFUSED])
    done = subprocess.run([sys.executable, "-c", EACH, options], capture_output=True, text=True, timeout=280)
    told = done.stderr.split("--\n")
    assert told.pop() == ""
    for (options, hint), lines in zip(REFUSED, told, strict=True):
        assert hint in lines, options
        assert "secret" not in lines
        assert len(lines.strip().splitlines()) == 1, options


@pytest.mark.parametrize(("options", "hint"), [REFUSED[0], REFUSED[8]])
def test_the_process_ends_with_1_where_a_setting_cannot_be(tmp_path: Path, options: tuple[str, ...], hint: str) -> None:
    done = serve("--storage", f"sqlite:///{tmp_path}/bo.db", *options)
    assert done.returncode == 1
    assert hint in done.stderr


def test_a_setting_that_cannot_be_is_refused_before_the_server_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom bo_service.cli.main import main\n"
        f"try:\n    main(['serve', '--storage', 'sqlite:///{tmp_path}/bo.db', '--processes', '0'])\n"
        "except SystemExit as end:\n    print(end, 'sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert "1 or more" in done.stdout
    assert done.stdout.endswith(" False\n"), done.stdout


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system knows no affinity")
def test_threads_that_answer_keep_to_one_processor_and_computations_to_none(make_server) -> None:
    all_there_are = os.sched_getaffinity(0)
    chosen = max(all_there_are)
    process = make_server("--cpu-affinity", str(chosen), "--processes", "1")
    with bo_client.connect(process.start()) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", initial_trials=2)
        for value in (0.1, 0.5, 0.9):
            study.add({"x": value}, {"loss": value})
        while study.suggest()[0].origin is not bo_client.Origin.SURROGATE:
            pass
    pid = process.process.pid
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({chosen})}
    computing = [process for child in children_of(pid) for process in children_of(child)]
    assert computing
    assert all(os.sched_getaffinity(process) == all_there_are for process in computing)


def test_health_says_serving(server: str) -> None:
    with grpc.insecure_channel(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "bo_api.v1.OptimizationService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully_with_its_processes(make_server, number: signal.Signals) -> None:
    server_process = make_server("--grace-seconds", "600")
    server_process.start()
    with bo_client.connect(server_process.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        stream = study.watch()
        next(stream)
        processes = processes_of(server_process.process.pid)
        assert processes
        began = time.monotonic()
        assert server_process.stop(number) == 0
        assert time.monotonic() - began < 120
        with pytest.raises(bo_client.ServerUnavailable):
            study.info()
    _assert_gone(processes, within=240)  # Python's own helper process ends when it sees that its parent has


def test_its_processes_die_with_it(server_process) -> None:
    processes = processes_of(server_process.process.pid)
    assert processes
    server_process.kill()
    _assert_gone(processes, within=240)


def test_a_suggestion_comes_within_the_deadline_whatever_the_surrogate_does(server_process) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(16)])
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", space, "loss", goal="minimize", seed=1)
        for i in range(30):
            study.add({f"x{k}": (i * 7 + k) % 13 / 13 for k in range(16)}, {"loss": float(i % 7)})
        with surrogate_stalled(server_process.process.pid):
            blind = client.create_study("blind", space, "loss", goal="minimize", algorithm="quasi_random")
            began = time.monotonic()
            blind.suggest(100)
            deadline = 3.0 + 5 * (time.monotonic() - began)
            suggested = study.suggest(100, timeout=deadline)  # raises DeadlineExceeded after that
        assert len(suggested) == 100
        assert {t.origin for t in suggested} == {bo_client.Origin.QUASI_RANDOM}
        assert all("not ready" in t.explanation.summary for t in suggested)


def test_heartbeats_are_answered_while_many_wait_for_suggestions(server: str, lasting_server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(10)])
    with bo_client.connect(server) as client:
        study = client.create_study("s", space, "loss", goal="minimize", seed=1)
        (held,) = study.suggest()
        for i in range(15):
            study.add({f"x{k}": (i * 7 + k) % 11 / 11 for k in range(10)}, {"loss": float(i % 5)})
        askers = [threading.Thread(target=lambda: study.suggest(3)) for _ in range(12)]
        with surrogate_stalled(lasting_server.process.pid):
            for asker in askers:
                asker.start()
            for _ in range(50):
                assert held.heartbeat().lease_valid
            assert all(asker.is_alive() for asker in askers)
        for asker in askers:
            asker.join()


def test_it_speaks_only_to_this_machine_unless_told_otherwise(server: str) -> None:
    assert server.startswith("127.0.0.1:")
    with socket.create_connection(("127.0.0.1", int(server.split(":")[1])), timeout=60):
        pass


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _assert_gone(pids: list[int], within: float) -> None:
    deadline = time.monotonic() + within
    while any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process outlives its server"
        time.sleep(0.1)
