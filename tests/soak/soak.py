"""Healthy workers beside attackers of every kind, for minutes or hours."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from google.protobuf import json_format

from tests.attacks.conftest import SPACE, Target, make_target
from tests.e2e.conftest import Authority, ServerProcess, making_servers
from tests.soak.attackers import ATTACKERS, Attacker, Ground
from tests.soak.levels import BOUNDS, LATEST_S, Lag, Sample, lags, rising, sample, thirds
from tests.soak.workers import HealthyWorker

WORKERS = 3
SAMPLES = 90
WARM_S = 5.0
TRIALS = 80
MAX_FAULTS = 50
"""Faults that are printed."""


@dataclass
class Outcome:
    """What a soak came to."""

    levels: dict[str, tuple[float, float]]
    lags: dict[str, Lag]
    """Of each kind of call."""
    faults: list[str]
    completed: int
    rounds: dict[str, int]
    samples: list[Sample] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{name:>15}: {middle:16,.3f} -> {last:16,.3f}" for name, (middle, last) in self.levels.items()]
        rounds = ", ".join(f"{name} {count}" for name, count in self.rounds.items())
        lines += [
            f"{kind:>15}: {lag.count} calls, p50 {lag.p50:.3f} s, p99 {lag.p99:.3f} s, longest {lag.longest:.3f} s"
            for kind, lag in self.lags.items()
        ]
        lines.append(f"{self.completed} trials completed; rounds: {rounds}")
        return "\n".join([*lines, *self.faults[:MAX_FAULTS], self.verdict])

    @property
    def verdict(self) -> str:
        """Whether the bounds hold, and which they are."""
        bounds = (
            f"no lease lost, no call failed, no traceback, every worker completes trials, heartbeats within "
            f"{LATEST_S:.0f} s at p99, and {', '.join(BOUNDS)} level off"
        )
        return f"FAIL: {len(self.faults)} faults; wanted: {bounds}" if self.faults else f"PASS: {bounds}"


def soak(
    folder: Path,
    seconds: float,
    seed: int = 0,
    attackers: Sequence[type[Attacker]] = ATTACKERS,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Attack for so long. `faults` says what did not level off, and what befell the healthy."""
    (folder / "tls").mkdir()
    with making_servers(folder) as make, making_servers(folder / "tls") as make_other, ExitStack() as stack:
        target = make_target(make, folder / "bo.db", "--dashboard", "127.0.0.1:0", "--grace-seconds", "1")
        certificate, key = Authority(folder / "tls").sign("server")
        other = make_other("--processes", "1", "--tls-cert", str(certificate), "--tls-key", str(key))
        encrypted = other.start()
        fill(target)
        ground = Ground(target.address, encrypted, dashboard_of(target), target.tokens["reader"], "studies/s")
        workers = [
            HealthyWorker(target.address, target.tokens["worker"], target.tokens["admin"], i) for i in range(WORKERS)
        ]
        hostile = [made(ground, seed) for made in attackers]
        for thread in (*workers, *hostile):
            stack.callback(thread.stop)
            thread.start()
        samples = watched(seconds, (target.process, other), folder / "bo.db", say)
        stack.close()
        latencies = [latency for worker in workers for latency in worker.latencies]
        levels = thirds(samples, latencies)
        faults = [fault for worker in workers for fault in worker.faults] + rising(levels)
        faults += [
            f"{server.log_file.name}: Traceback" for server in (target.process, other) if "Traceback" in server.log
        ]
        faults += [f"worker {i} has completed no trial" for i, worker in enumerate(workers) if not worker.completed]
        rounds = {type(each).__name__: each.rounds for each in hostile}
        return Outcome(levels, lags(latencies), faults, sum(worker.completed for worker in workers), rounds, samples)


def watched(
    seconds: float, servers: Sequence[ServerProcess], database: Path, say: Callable[[str], None]
) -> list[Sample]:
    """Samples over so many seconds, after a while to warm up."""
    pids = [server.process.pid for server in servers if server.process is not None]
    time.sleep(min(WARM_S, seconds / 10))
    found: list[Sample] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found.append(sample(pids, database, [server.log_file for server in servers]))
        if len(found) % 10 == 1:
            say(str(found[-1]))
        time.sleep(seconds / SAMPLES)
    return found


def fill(target: Target) -> None:
    """A study with a page of 2 MB."""
    with target.client() as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
    trial = {
        "parameters": {"x": {"floatValue": 0.5}},
        "labels": {f"k{i}": "v" * 256 for i in range(64)},
        "failure": {"reason": "FAILURE_REASON_DIVERGED", "message": "m" * 10_000},
    }
    request = json_format.ParseDict({"parent": "studies/s", "trial": trial}, pb.CreateTrialRequest())
    with grpc.insecure_channel(target.address) as channel:
        for _ in range(TRIALS):
            rpc.OptimizationServiceStub(channel).CreateTrial(request, metadata=target.metadata("worker"), timeout=60)


def dashboard_of(target: Target) -> str:
    """HOST:PORT, from the log."""
    line = next(line for line in target.process.log.splitlines() if "dashboard at " in line)
    return line.rpartition("//")[2].rstrip("/").split()[0]
