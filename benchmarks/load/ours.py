"""The load on our server: each worker has a connection of its own, all of them on one event loop."""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import study_pb2

from benchmarks.load.figures import LAST_S, Figures, Load, Usage

OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
DEADLINE_S = 20.0
ALGORITHMS = {
    "quasi_random": study_pb2.ALGORITHM_QUASI_RANDOM,
    "gaussian_process": study_pb2.ALGORITHM_GAUSSIAN_PROCESS,
}


def measure(load: Load) -> Figures:
    """Starts a server over a fresh SQLite file and lets the workers work."""
    figures = Figures(f"ours, {load.algorithm}", load)
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as (address, pid):
        usage = Usage(pid)
        asyncio.run(_run(address, figures, usage))
        figures.memory_mb, figures.processor_s = usage.most_mb, usage.processor_s()
    return figures


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, int]]:
    storage = f"sqlite:///{folder}/bo.db"
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", storage, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--log-level", "warning"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2], process.pid
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


async def _run(address: str, figures: Figures, usage: Usage) -> None:
    load = figures.load
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        await rpc.OptimizationServiceStub(channel).CreateStudy(_study(load), timeout=DEADLINE_S)
    end = time.monotonic() + load.warm_s + load.seconds
    workers = [asyncio.create_task(_work(address, i, end, figures)) for i in range(load.workers)]
    await asyncio.sleep(load.warm_s)
    figures.counting = True
    while (left := end - LAST_S - time.monotonic()) > 0.0:
        usage.look()
        await asyncio.sleep(min(1.0, left))
    figures.counting = False
    await asyncio.gather(*workers)


def _study(load: Load) -> pb.CreateStudyRequest:
    request = pb.CreateStudyRequest(study_id="load")
    spec = request.study.spec
    for i in range(4):
        spec.space.parameters.add(name=f"x{i}").float_parameter.high = 1.0
    spec.metrics.add(name="loss", goal=study_pb2.GOAL_MINIMIZE)
    spec.suggestion.algorithm = ALGORITHMS[load.algorithm]
    spec.execution.lease_duration.seconds = load.lease_s
    return request


async def _work(address: str, number: int, end: float, figures: Figures) -> None:
    load, rng = figures.load, random.Random(number)
    await asyncio.sleep(load.warm_s * 0.8 * number / load.workers)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = rpc.OptimizationServiceStub(channel)
        calls = 0
        while time.monotonic() < end:
            calls += 1
            request = pb.SuggestTrialsRequest(
                parent="studies/load", worker_id=f"w{number}", request_id=f"{number}-{calls}"
            )
            try:
                with figures.timed("SuggestTrials"):
                    answer = await stub.SuggestTrials(request, timeout=DEADLINE_S)
                for trial in answer.trials:
                    figures.leases_lost += trial.attempt > 1
                    await _live(stub, trial, rng, end, figures)
            except grpc.RpcError:
                await asyncio.sleep(0.5)


async def _live(stub: Any, trial: Any, rng: random.Random, end: float, figures: Figures) -> None:
    load = figures.load
    until = time.monotonic() + load.trial_s * rng.uniform(0.5, 1.5)
    step = 0
    while time.monotonic() + load.beat_s < min(until, end):
        await asyncio.sleep(load.beat_s * rng.uniform(0.9, 1.0))
        step += 1
        report = pb.ReportMeasurementsRequest(name=trial.name, lease_token=trial.lease.token)
        report.measurements.add(step=step, metrics={"loss": rng.random()})
        with figures.timed("ReportMeasurements"):
            heartbeat = await stub.ReportMeasurements(report, timeout=DEADLINE_S)
        if not heartbeat.lease_valid:
            figures.leases_lost += 1
            return
    await asyncio.sleep(max(0.0, min(until, end) - time.monotonic()))
    done = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token, request_id=trial.lease.token)
    done.final_measurement.metrics["loss"] = sum((v.float_value - 0.3) ** 2 for v in trial.parameters.values())
    with figures.timed("CompleteTrial"):
        await stub.CompleteTrial(done, timeout=DEADLINE_S)
