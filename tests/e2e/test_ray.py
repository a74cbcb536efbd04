"""`bo-worker ray` on a Ray cluster of this machine alone, beside a real server."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

ON = re.compile(r"worker (\d+) is on \S+ process (\d+)")


class Fleet:
    """`bo-worker ray` with two workers, in a process of its own."""

    def __init__(self, folder: Path, address: str, *arguments: str) -> None:
        self.log_file = folder / "fleet.log"
        home = {"HOME": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-m", "bo_objectives.cli", "ray", "--server", address, "--address", "local"]
        slots = ["--num-workers", "2", "--gpus-per-worker", "0", "--cpus-per-worker", "0.5", "--worker-id", "w"]
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

    def start(*arguments: str) -> Fleet:
        started.append(Fleet(tmp_path, server, *arguments))
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


@pytest.mark.timeout(600)
def test_a_killed_actors_trial_is_finished_and_the_study_comes_to_its_end(server, start, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(
        "parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n"
        "settings: {lease_duration: 2, max_trials: 6}\n"
    )
    # the first attempt at the first trial never comes to an end
    (tmp_path / "train.sh").write_text(
        '[ "$BO_TRIAL_NUMBER" = 1 ] && [ "$BO_ATTEMPT" = 1 ] && sleep 600\necho \'{"loss": 0.5}\'\n'
    )
    script = str(tmp_path / "train.sh")
    fleet = start(
        "--study", "s", "--objective", "command", "--space", "space.yaml", "--max-restarts", "0", "--", "bash", script
    )
    with bo_client.connect(server) as client:

        def hung() -> bo_client.Trial | None:
            return next((t for t in running(client).values() if t.number == 1), None)

        until(lambda: hung() and len(fleet.places()) == 2)
        held = hung()
        assert held is not None
        number = int(held.worker_id.removeprefix("w/"))
        os.kill(fleet.places()[number], signal.SIGKILL)
        assert fleet.wait() == 0, fleet.log
        found = trials(client)
        assert [t.state for t in found] == [bo_client.TrialState.SUCCEEDED] * 6
        lost = next(t for t in found if t.number == 1)
        assert lost.attempt == 2
    assert f"worker {number}: is lost" in fleet.log
    assert re.search(rf"\(worker {3 - number} pid=\d+\).* trial 1 begins \(attempt 2\)", fleet.log)


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
