"""`bo-worker ray` on a Ray cluster of this machine alone, beside a real server."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bo_client
import pytest

if find_spec("ray") is None:
    pytest.skip("needs the extra ray", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

ON = re.compile(r"worker (\d+) is on \S+ process (\d+)")


class Fleet:
    """`bo-worker ray` with two workers, in a process of its own."""

    def __init__(self, folder: Path, address: str, *arguments: str, cluster: str = "local", cpus: float = 0.5) -> None:
        self.log_file = folder / "fleet.log"
        home = {"HOME": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-m", "bo_worker.cli", "ray", "--server", address, "--address", cluster]
        slots = ["--num-workers", "2", "--gpus-per-worker", "0", "--cpus-per-worker", str(cpus), "--worker-id", "w"]
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *slots, *arguments], cwd=folder, stdout=log, stderr=log, env={**os.environ, **home}
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def places(self) -> dict[int, int]:
        """The process of each worker that has begun."""
        return {int(number): int(process) for number, process in ON.findall(self.log)}

    def wait(self) -> int:
        return self.process.wait(timeout=240)


@pytest.fixture
def start(server: str, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    started: list[Fleet] = []

    def start(*arguments: str, **options: Any) -> Fleet:
        started.append(Fleet(tmp_path, server, *arguments, **options))
        return started[-1]

    yield start
    for fleet in started:
        if fleet.process.poll() is None:
            fleet.process.terminate()
            fleet.wait()


def until(condition: Callable[[], object], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def trials(client: bo_client.Client) -> list[bo_client.Trial]:
    try:
        return list(client.study("s").trials())
    except bo_client.NotFound:
        return []


def running(client: bo_client.Client) -> dict[str, bo_client.Trial]:
    """By worker."""
    return {t.worker_id: t for t in trials(client) if t.state is bo_client.TrialState.RUNNING}


HANGING = (
    # the first attempt at the first trial never comes to an end
    '[ "$BO_TRIAL_NUMBER" = 1 ] && [ "$BO_ATTEMPT" = 1 ] && sleep 600\necho \'{"loss": 0.5}\'\n'
)


def hanging(folder: Path) -> tuple[str, ...]:
    """Arguments for a study of six trials, of which the first hangs until another worker takes it."""
    (folder / "space.yaml").write_text(
        "parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n"
        "settings: {lease_duration: 2, max_trials: 6}\n"
    )
    (folder / "train.sh").write_text(HANGING)
    program = ("--", "bash", str(folder / "train.sh"))
    return ("--study", "s", "--objective", "command", "--space", "space.yaml", "--max-restarts", "0", *program)


def holder(client: bo_client.Client, fleet: Fleet) -> int:
    """The number of the worker that has the first trial, once both have begun."""
    found: list[str] = []

    def look() -> bool:
        found[:] = [worker for worker, trial in running(client).items() if trial.number == 1]
        return bool(found) and len(fleet.places()) == 2

    until(look)
    return int(found[0].removeprefix("w/"))


def check_that_another_finished(client: bo_client.Client, fleet: Fleet, lost: int) -> None:
    """There are two, and the lost one is not started again."""
    assert fleet.wait() == 0, fleet.log
    found = trials(client)
    assert [t.state for t in found] == [bo_client.TrialState.SUCCEEDED] * 6
    assert {t.number: t.attempt for t in found}[1] == 2
    assert f"worker {lost}: is lost" in fleet.log


@pytest.mark.timeout(600)
def test_a_killed_actors_trial_is_finished_by_another(server, start, tmp_path: Path) -> None:
    fleet = start(*hanging(tmp_path))
    with bo_client.connect(server) as client:
        lost = holder(client, fleet)
        os.kill(fleet.places()[lost], signal.SIGKILL)
        check_that_another_finished(client, fleet, lost)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head that runs nothing and two nodes with room for a worker each, all on this machine."""
    from ray.cluster_utils import Cluster

    for name, value in (("HOME", str(tmp_path)), ("RAY_AUTH_MODE", "disabled"), ("RAY_USAGE_STATS_ENABLED", "0")):
        monkeypatch.setenv(name, value)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")  # of Ray's own, in this process
def test_a_lost_nodes_trial_is_finished_on_another_node(server, start, cluster: Any, tmp_path: Path) -> None:
    fleet = start(*hanging(tmp_path), cluster=cluster.address, cpus=1)
    with bo_client.connect(server) as client:
        lost = holder(client, fleet)
        processes = fleet.places()
        raylet = parent(processes[lost])
        assert raylet != parent(processes[3 - lost])  # each is on a node of its own
        (node,) = [n for n in cluster.worker_nodes if n.all_processes["raylet"][0].process.pid == raylet]
        cluster.remove_node(node, allow_graceful=False)
        check_that_another_finished(client, fleet, lost)


@pytest.mark.timeout(600)
def test_a_killed_actor_is_started_again_and_a_signal_gives_trials_back(server, start) -> None:
    fleet = start("--study", "s", "--objective", "branin", "--option", "delay=600")
    with bo_client.connect(server) as client:
        until(lambda: set(running(client)) == {"w/1", "w/2"} and len(fleet.places()) == 2)
        os.kill(fleet.places()[1], signal.SIGKILL)
        until(lambda: sum(t.worker_id == "w/1" for t in running(client).values()) and len(trials(client)) == 3)
        fleet.process.send_signal(signal.SIGINT)
        assert fleet.wait() == 128 + signal.SIGINT, fleet.log
        states = {t.number: t.state for t in trials(client)}
        given_back = [t for t in trials(client) if t.state is bo_client.TrialState.QUEUED]
    # the killed worker's trial waits for its lease to run out; those of the living were given back at once
    assert list(states.values()).count(bo_client.TrialState.RUNNING) <= 1, fleet.log
    assert {t.failure.reason for t in given_back} == {bo_client.FailureReason.PREEMPTED}
    assert len(given_back) >= 2


@pytest.mark.timeout(600)
def test_a_study_that_cannot_be_run_is_told_in_one_line(start, tmp_path: Path) -> None:
    fleet = start("--study", "s", "--objective", "branim")
    assert fleet.wait() == 1
    assert fleet.log.strip().splitlines()[-1].startswith("Error: no objective is called 'branim'")
