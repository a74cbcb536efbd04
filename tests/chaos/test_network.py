"""A network that delays, stalls, resets and half-closes connections: clients survive, and each call acts once."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import bo_client
import pytest

from tests.chaos.checker import check
from tests.chaos.fleet import Fleet, read_all
from tests.chaos.proxy import FaultProxy
from tests.chaos.server import ServerProcess
from tests.processes import PATIENCE_S


def proxied(server: ServerProcess) -> FaultProxy:
    host, _, port = server.address.rpartition(":")
    return FaultProxy((host, int(port)))


def misbehaving(server: ServerProcess, seconds: float, seed: int) -> tuple[Fleet, FaultProxy]:
    """A fleet that has worked over a bad network for so long, and has had answers, however slow the machine."""
    rng = random.Random(seed)
    with proxied(server) as proxy:
        fleet = Fleet(proxy.address, seed, workers=8)
        fleet.start()
        try:
            end = time.monotonic() + seconds
            while time.monotonic() < end or (fleet.acknowledged < 40 and time.monotonic() < end + PATIENCE_S):
                time.sleep(rng.uniform(0.02, 0.4))
                proxy.misbehave(rng)
        finally:
            fleet.finish()
    return fleet, proxy


@pytest.mark.parametrize("seconds", [3.0, pytest.param(120.0, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_bad_network(start: Callable[..., ServerProcess], log: Path, seconds: float) -> None:
    server = start()
    fleet, proxy = misbehaving(server, seconds, seed=int(seconds))
    with bo_client.connect(server.address) as client:
        assert client.studies() is not None
    fleet.at(server.address)
    with fleet.channel() as channel:
        snapshots = read_all(channel, quiet_s=20.0)
    violations = check(fleet.recorder.calls, snapshots)
    assert violations == [], "\n".join(map(str, violations[:20]))
    assert {"reset", "cut", "delay"} & set(proxy.faults)
    assert fleet.acknowledged > 20
    assert "Traceback" not in log.read_text()


def test_the_client_rides_out_a_stall(start: Callable[..., ServerProcess]) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    with proxied(start()) as proxy, bo_client.connect(proxy.address, patience=PATIENCE_S, timeout=0.5) as client:
        study = client.create_study("s", space, "loss", goal="minimize", lease_duration=20)
        (trial,) = study.suggest()
        proxy.stall(1.0)
        assert trial.heartbeat().lease_valid
        proxy.stall(1.0)
        assert trial.complete({"loss": 0.5}).state is bo_client.TrialState.SUCCEEDED
        assert study.info().ended == 1
