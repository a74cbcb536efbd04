"""Workers killed with SIGKILL: their trials go to others, with attempt and checkpoint; those alive lose nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client

from tests.chaos.server import ServerProcess
from tests.processes import PATIENCE_S

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
LEASE = 2


class WorkerProcess:
    """A worker in a process of its own, and what it said."""

    def __init__(self, address: str, name: str, said: Path, seconds: float) -> None:
        self._said = said
        command = [sys.executable, "-m", "tests.chaos.worker", address, "s", name, str(seconds)]
        with said.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._said.read_text().splitlines()]

    def until(self, count: int) -> list[dict[str, Any]]:
        """What it said, once these are so many."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.events) < count:
            assert time.monotonic() < deadline, self._said.read_text()
            time.sleep(0.02)
        return self.events


def test_the_dead_are_succeeded_and_the_living_left_alone(start: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = start()
    with bo_client.connect(server.address) as client:
        study = client.create_study(
            "s", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=LEASE, max_trials=4
        )
        # the dead would work for an hour; the living work longer than two leases
        doomed = [WorkerProcess(server.address, f"dead{i}", tmp_path / f"dead{i}", 3600.0) for i in range(2)]
        killed = [worker.until(1)[0]["got"] for worker in doomed]
        checkpointed(study, killed)
        living = [WorkerProcess(server.address, f"live{i}", tmp_path / f"live{i}", 2.5 * LEASE) for i in range(2)]
        for worker in doomed:
            worker.process.kill()
            worker.process.wait()
        died_at = time.monotonic()
        while any(study.trial(n).worker_id.startswith("dead") for n in killed):
            assert time.monotonic() < died_at + PATIENCE_S, "a dead worker's trial still runs"
            time.sleep(0.1)
        for worker in living:
            assert worker.process.wait(timeout=280) == 0
        events = [event for worker in living for event in worker.events]
        trials = list(study.trials())
    assert not [e for e in events if "lost" in e]
    assert {t.state for t in trials} == {bo_client.TrialState.SUCCEEDED}
    assert sorted(e["completed"] for e in events if "completed" in e) == [t.number for t in trials]
    again = {e["got"]: e for e in events if e.get("attempt", 0) > 1 and "got" in e}
    assert sorted(again) == sorted(killed)
    assert {n: e["attempt"] for n, e in again.items()} == dict.fromkeys(killed, 2)
    assert all(again[n]["checkpoint"] == f"by/dead{i}/{n}" for i, n in enumerate(killed))


def checkpointed(study: bo_client.Study, numbers: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not all(study.trial(n).checkpoint_uri for n in numbers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_stalls_takes_no_trial_from_the_living(start: Callable[..., ServerProcess]) -> None:
    server = start()
    with bo_client.connect(server.address, patience=60.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=LEASE)
        alive, dead = study.suggest(2)
        assert alive.heartbeat().lease_valid
        server.stall()
        time.sleep(2 * LEASE)
        server.resume()
        resumed = time.monotonic()
        gone = False
        while time.monotonic() < resumed + PATIENCE_S and not gone:
            assert alive.heartbeat().lease_valid
            gone = study.trial(dead.number).state is bo_client.TrialState.QUEUED
            time.sleep(0.2)
        assert gone, "a dead worker's trial still runs"
        assert alive.heartbeat().lease_valid
