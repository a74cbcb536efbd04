"""A clock that jumps: the living keep their trials, and the dead don't keep theirs."""

import time
from collections.abc import Callable
from pathlib import Path

import bo_client
import pytest

from tests.chaos.server import ServerProcess
from tests.processes import PATIENCE_S

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
LEASE = 2
HOUR = 3600


class FakedClock:
    """The wall clock of a process, ahead of the true one or behind it; its monotonic clock is left alone."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.shift(0)

    def shift(self, seconds: int) -> None:
        self._file.write_text(f"{seconds:+d}s\n")

    def environment(self) -> dict[str, str]:
        """Skips the test where libfaketime is not installed."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            pytest.skip("there is no libfaketime on this machine; on Debian: apt-get install libfaketime")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_by_an_hour(start: Callable[..., ServerProcess], tmp_path: Path, jump: int) -> None:
    clock = FakedClock(tmp_path)
    server = start(environment=clock.environment())
    with bo_client.connect(server.address, patience=30.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=LEASE)
        alive, dead = study.suggest(2)
        began = study.trial(alive.number).start_time
        for _ in range(4):
            assert alive.heartbeat().lease_valid
            time.sleep(0.3)
        clock.shift(jump)
        jumped = time.monotonic()
        gone = False
        while time.monotonic() < jumped + PATIENCE_S and not gone:
            assert alive.heartbeat().lease_valid, "a living worker was declared dead"
            gone = study.trial(dead.number).state is bo_client.TrialState.QUEUED
            time.sleep(0.2)
        assert gone, "a dead worker's trial still runs"
        (again,) = study.suggest()
        assert (again.number, again.attempt) == (dead.number, 2)
        jumped_by = (study.trial(again.number).start_time - began).total_seconds()
        assert abs(jumped_by - jump) < HOUR / 2, "the server's clock didn't jump: nothing was tested"


@pytest.mark.slow
@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_while_the_server_was_away(start: Callable[..., ServerProcess], tmp_path: Path, jump: int) -> None:
    clock = FakedClock(tmp_path)
    server = start(environment=clock.environment())
    with bo_client.connect(server.address, patience=30.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=LEASE)
        alive, dead = study.suggest(2)
        assert alive.heartbeat().lease_valid
        time.sleep(1.5)
        assert alive.heartbeat().lease_valid
        server.kill()
        clock.shift(jump)
        server.start()
        restarted = time.monotonic()
        gone = False
        while time.monotonic() < restarted + PATIENCE_S and not gone:
            assert alive.heartbeat().lease_valid, "a living worker was declared dead"
            gone = study.trial(dead.number).state is bo_client.TrialState.QUEUED
            time.sleep(0.2)
        assert gone, "a dead worker's trial still runs"
