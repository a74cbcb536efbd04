"""A server that starts where nothing can be written: it reads, says so, and writes again as soon as it can."""

import gzip
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bo_client
import pytest

from tests.attacks.test_storage_truth import NOT_SERVING, SERVING, wait_for_health
from tests.chaos.server import ServerProcess
from tests.chaos.test_disk import SPACE, SmallDisk, assert_sound, mounted
from tests.processes import children_of

OLD = Path("tests/storage/old")
TRIALS = 3


@contextmanager
def full(folder: Path) -> Iterator[None]:
    disk = SmallDisk(folder)
    disk.fill()
    try:
        yield
    finally:
        disk.free()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextmanager
def read_only_file(folder: Path) -> Iterator[None]:
    (folder / "bo.db").chmod(0o400)
    try:
        yield
    finally:
        (folder / "bo.db").chmod(0o600)


def stopped(server: ServerProcess, _: Path) -> None:
    server.stop()


def killed(server: ServerProcess, _: Path) -> None:
    """What was saved last is in the log alone."""
    server.kill()


def killed_and_moved(server: ServerProcess, folder: Path) -> None:
    """As on another machine: the log is there, and no shared memory."""
    server.kill()
    (folder / "bo.db-shm").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as folder:
        yield folder


def filled(server: ServerProcess) -> None:
    """A study with trials that have ended, and one that runs."""
    with bo_client.connect(server.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=600)
        for trial in study.suggest(TRIALS):
            trial.complete({"loss": 0.5})
        study.suggest()


def add_until_refused(study: bo_client.Study) -> tuple[int, bo_client.ServerUnavailable]:
    """Until what little room there may be is used up: how many were added, and the refusal."""
    for step in range(1000):
        try:
            study.add({"x": step / 1000}, {"loss": 1.0})
        except bo_client.ServerUnavailable as error:
            return step, error
    pytest.fail("it writes")


CASES = [
    pytest.param(full, killed_and_moved, id="full-log-alone"),
    pytest.param(read_only, killed_and_moved, id="read-only-log-alone"),
    pytest.param(full, stopped, id="full", marks=pytest.mark.slow),
    pytest.param(full, killed, id="full-log", marks=pytest.mark.slow),
    pytest.param(read_only, stopped, id="read-only", marks=pytest.mark.slow),
    pytest.param(read_only, killed, id="read-only-log", marks=pytest.mark.slow),
    pytest.param(read_only_file, killed, id="read-only-file", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("unwritable", "ended"), CASES)
def test_a_server_reads_where_nothing_can_be_written(
    disk: Path,
    start: Callable[..., ServerProcess],
    log: Path,
    unwritable: Callable[[Path], ExitStack],
    ended: Callable[[ServerProcess, Path], None],
) -> None:
    server = start(f"sqlite:///{disk}/bo.db")
    filled(server)
    ended(server, disk)
    with unwritable(disk):
        server.start()
        with bo_client.connect(server.address, patience=0.0) as client:
            study = client.study("s")
            assert study.info().ended == TRIALS
            assert len(list(study.trials(states=[bo_client.TrialState.RUNNING]))) == 1
            step, refusal = add_until_refused(study)
            assert refusal.reason == "STORAGE_UNAVAILABLE"
            added = study.info().ended - TRIALS
            assert added in (step, step + 1)  # what isn't known to be saved may be
            wait_for_health(server.address, NOT_SERVING)
            assert "Traceback" not in log.read_text()
    wait_for_health(server.address, SERVING)
    with bo_client.connect(server.address, patience=0.0) as client:
        client.study("s").suggest()[0].complete({"loss": 0.1})
        assert client.study("s").info().ended == TRIALS + added + 1
    server.stop()
    assert_sound(disk / "bo.db")


def refusal(storage: Path) -> str:
    """The last line of a server that doesn't start."""
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0", "--storage"]
    done = subprocess.run([*command, f"sqlite:///{storage}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_what_has_to_be_written_first_is_refused_in_one_line(disk: Path) -> None:
    with gzip.open(OLD / "schema-0002.db.gz") as packed, (disk / "old.db").open("wb") as old:
        shutil.copyfileobj(packed, old)
    before = (disk / "old.db").read_bytes()
    with full(disk):
        told = refusal(disk / "old.db")
        assert "has schema 0002 and has to be migrated to" in told
        assert "make room on the disk" in told
        assert (disk / "old.db").read_bytes() == before
        assert "can't be made" in refusal(disk / "new.db")
    assert not (disk / "new.db").exists()
    with read_only(disk):
        assert "has to be migrated" in refusal(disk / "old.db")
        assert "can't be made" in refusal(disk / "new.db")
    with ServerProcess(f"sqlite:///{disk}/old.db", disk / "log") as server:
        assert server.address
        server.stop()


def test_a_server_starts_where_its_files_may_not_grow(start: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """As with a quota."""
    server = start()
    filled(server)
    server.stop()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        server.launch()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
        server.wait_ready()
        with bo_client.connect(server.address, patience=0.0) as client:
            assert client.study("s").info().ended == TRIALS
            with pytest.raises(bo_client.ServerUnavailable):
                client.study("s").suggest()
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limits)
            wait_for_health(server.address, SERVING)
            client.study("s").suggest()
    finally:
        signal.signal(signal.SIGXFSZ, previous)
    assert os.path.exists(tmp_path / "bo.db")


@pytest.mark.slow
def test_a_server_reads_from_a_disk_that_fails_to_write(start: Callable[..., ServerProcess], tmp_path: Path) -> None:
    """Whatever writes or syncs fails with EIO, from the first moment on."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace on this machine; on Debian: apt-get install strace")
    server = start()
    filled(server)
    killed_and_moved(server, tmp_path)
    writes = "fdatasync,fsync,pwrite64,ftruncate"
    failing = ["strace", "-f", "-o", str(tmp_path / "trace"), "-e", f"trace={writes}"]
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--processes", "1", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*failing, "-e", f"inject={writes}:error=EIO", *command, "--storage", server.storage],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip(f"the server can't be traced: {process.communicate()[1][-200:]}")
        with bo_client.connect(line.split()[2], patience=0.0) as client:
            assert client.study("s").info().ended == TRIALS
            with pytest.raises(bo_client.ServerUnavailable, match="disk I/O error"):
                client.study("s").suggest()
    finally:
        for traced in children_of(process.pid):
            os.kill(traced, signal.SIGTERM)
        process.communicate(timeout=60)
    server.start()
    with bo_client.connect(server.address, patience=0.0) as client:
        client.study("s").suggest()[0].complete({"loss": 0.1})
        assert client.study("s").info().ended == TRIALS + 1
