"""No room on the disk, and a disk that fails: writes are refused and say so, nothing is corrupted, and all goes on."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc

from tests.chaos.checker import check
from tests.chaos.fleet import Fleet, read_all
from tests.chaos.server import ServerProcess
from tests.processes import PATIENCE_S

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
LEASE = 2


class SmallFiles:
    """No file of the server's may grow any further."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        self._pid = server.pid
        self._folder = folder

    def fill(self) -> None:
        most = max(f.stat().st_size for f in self._folder.iterdir() if f.is_file())
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def free(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class SmallDisk:
    """A disk of a few megabytes, filled by somebody else's file."""

    def __init__(self, folder: Path) -> None:
        self._other = folder / "other"

    def fill(self) -> None:
        with self._other.open("wb", buffering=0) as other, suppress(OSError):
            while True:
                other.write(b"x" * 4096)

    def free(self) -> None:
        self._other.unlink()


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """Skips the test where nothing may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=["files", pytest.param("disk", marks=pytest.mark.slow)])
def full(
    request: pytest.FixtureRequest, tmp_path: Path, start: Callable[..., ServerProcess]
) -> Iterator[tuple[ServerProcess, SmallFiles | SmallDisk, Path]]:
    """A server, what fills and frees its disk, and its file."""
    if request.param == "files":
        folder = tmp_path / "data"
        folder.mkdir()
        server = start(f"sqlite:///{folder}/bo.db")
        yield server, SmallFiles(server, folder), folder / "bo.db"
        return
    with mounted(tmp_path / "disk") as folder:
        server = start(f"sqlite:///{folder}/bo.db")
        yield server, SmallDisk(folder), folder / "bo.db"
        server.close()


def assert_sound(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_full_disk_is_told_and_costs_nothing(full: tuple[ServerProcess, SmallFiles | SmallDisk, Path]) -> None:
    server, disk, path = full
    with bo_client.connect(server.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=LEASE)
        alive, dead = study.suggest(2)
        disk.fill()
        refusals = refused(study, alive)
        assert refusals[-1].reason == "STORAGE_UNAVAILABLE"
        assert "nothing was changed" in refusals[-1].message or "may have saved" in refusals[-1].message
        assert study.trial(alive.number).state is bo_client.TrialState.RUNNING  # what is there can be read
        time.sleep(LEASE + 1.0)  # no sign of life was taken for longer than a lease
        disk.free()
        freed = time.monotonic()
        while study.trial(dead.number).state is bo_client.TrialState.RUNNING:
            assert time.monotonic() < freed + PATIENCE_S, "a dead worker's trial still runs"
            assert call_with_retries(alive.heartbeat).lease_valid, "a living worker was declared dead"
            time.sleep(0.2)
        assert call_with_retries(lambda: alive.complete({"loss": 0.5})).state is bo_client.TrialState.SUCCEEDED
    server.stop()
    assert_sound(path)


def refused(study: bo_client.Study, trial: bo_client.RunningTrial) -> list[bo_client.ServerUnavailable]:
    """Refusals, once there are some for each way to write."""
    found = []
    deadline = time.monotonic() + PATIENCE_S
    step = 0
    while len(found) < 5:
        assert time.monotonic() < deadline, "the disk isn't full"
        step += 1
        try:
            trial.report({"loss": 1.0}, step, checkpoint_uri="c" * 2000)
            study.suggest()
        except bo_client.ServerUnavailable as error:
            found.append(error)
    return found


def call_with_retries(call: Callable[[], object]) -> object:
    """Until there is room."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except bo_client.ServerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again_under_load(
    full: tuple[ServerProcess, SmallFiles | SmallDisk, Path], log: Path
) -> None:
    server, disk, path = full
    fleet = Fleet(server.address, 5, workers=6)
    fleet.start()
    try:
        for _ in range(8):
            time.sleep(1.5)
            disk.fill()
            time.sleep(1.5)
            disk.free()
    finally:
        time.sleep(1.0)
        fleet.finish()
    with fleet.channel() as channel:
        snapshots = read_all(channel, quiet_s=20.0)
    violations = check(fleet.recorder.calls, snapshots)
    assert violations == [], "\n".join(map(str, violations[:20]))
    assert sum(a.is_unknown for c in fleet.recorder.calls for a in c.attempts) > 0, "the disk was never full"
    server.stop()
    assert_sound(path)


@pytest.mark.slow
def test_a_disk_that_fails_to_sync(start: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """fdatasync fails with EIO: what was to be saved may have been or not, but all that was acknowledged is there."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace on this machine; on Debian: apt-get install strace")
    server = start()
    with bo_client.connect(server.address) as client:
        client.create_study("probe", SPACE, "loss", goal="minimize")
    fleet = Fleet(server.address, 6, workers=6)
    fleet.start()
    failed = 0
    try:
        for _ in range(4):
            time.sleep(1.5)
            failed += failing_syncs(server.pid, 2.0, tmp_path / "trace")
    finally:
        time.sleep(1.0)
        fleet.finish()
    assert failed > 0, "no sync failed: nothing was tested"
    server.kill()
    server.start()
    with fleet.channel() as channel:
        snapshots = read_all(channel, quiet_s=20.0)
    del snapshots["studies/probe"]
    violations = check(fleet.recorder.calls, snapshots)
    assert violations == [], "\n".join(map(str, violations[:20]))
    server.stop()
    assert_sound(tmp_path / "bo.db")


def failing_syncs(pid: int, seconds: float, trace: Path) -> int:
    """Lets every sync of the process fail for so long; how many did. Skips the test where it may not be traced."""
    syncs = "fdatasync,fsync"
    command = [
        "strace",
        "-f",
        "-p",
        str(pid),
        "-o",
        str(trace),
        "-e",
        f"trace={syncs}",
        "-e",
        f"inject={syncs}:error=EIO",
    ]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    if tracer.poll() is not None:
        assert tracer.stderr is not None
        pytest.skip(f"the server can't be traced: {tracer.stderr.read()[-200:]}")
    tracer.send_signal(signal.SIGINT)
    tracer.communicate(timeout=280)
    return trace.read_text().count("INJECTED")


def test_a_refusal_for_want_of_room_has_a_reason(
    full: tuple[ServerProcess, SmallFiles | SmallDisk, Path],
) -> None:
    server, disk, _ = full
    request = pb.CreateStudyRequest(study_id="s")
    request.study.spec.space.parameters.add(name="x", description="d" * 1000).float_parameter.high = 1.0
    request.study.spec.metrics.add(name="loss", goal=1)
    disk.fill()
    with grpc.insecure_channel(server.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = rpc.OptimizationServiceStub(channel)
        codes = set()
        for i in range(50):
            request.study_id = f"s{i}"
            try:
                stub.CreateStudy(request, timeout=10)
            except grpc.RpcError as error:
                codes.add(error.code())
        assert codes == {grpc.StatusCode.UNAVAILABLE}
        disk.free()
        request.study_id = "after"
        assert stub.CreateStudy(request, timeout=10).study.name == "studies/after"
