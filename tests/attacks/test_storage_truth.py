"""Whatever is done to the database's files under a running server is noticed, also when nobody calls, and told; the
server goes on when it is undone."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bo_service import bootstrap
from bo_service.application.context import AppContext
from bo_service.application.health import check_storage
from bo_service.domain.errors import StorageUnavailable
from bo_service.storage.factory import open_store
from bo_service.storage.sqlite import SystemClock
from tests.attacks.conftest import SPACE
from tests.e2e.conftest import ServerProcess

pytestmark = pytest.mark.xdist_group("attacks-storage-truth")  # its server is started once

PATIENCE_S = 60.0
"""The server notices within two seconds; this is for machines that are much slower."""
Undo = Callable[[], object]


class Files:
    """A database's files in a folder of their own, each with a second name elsewhere, by which it can be put back."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.folder = file.parent
        self.log, self.shared = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm"))
        self.elsewhere = file.parent.with_name("elsewhere")

    def link(self) -> list[Path]:
        shutil.rmtree(self.elsewhere, ignore_errors=True)
        self.elsewhere.mkdir()
        names = [self.file, self.log, self.shared]
        for name in names:
            os.link(name, self.elsewhere / name.name)
        return names

    def put_back(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for name in (self.file, self.log, self.shared):
            name.unlink(missing_ok=True)
            os.link(self.elsewhere / name.name, name)


def deleted(files: Files) -> Undo:
    for name in files.link():
        name.unlink()
    return files.put_back


def log_deleted(files: Files) -> Undo:
    files.link()
    files.log.unlink()
    return files.put_back


def shared_memory_deleted(files: Files) -> Undo:
    files.link()
    files.shared.unlink()
    return files.put_back


def moved(files: Files) -> Undo:
    away = files.file.rename(files.folder / "moved.db")
    return lambda: away.rename(files.file)


def replaced(files: Files) -> Undo:
    files.link()
    shutil.copy(files.file, files.folder / "copy.db")
    (files.folder / "copy.db").rename(files.file)
    return files.put_back


def folder_moved(files: Files) -> Undo:
    away = files.folder.rename(files.folder.with_name("moved"))
    return lambda: away.rename(files.folder)


def folder_removed(files: Files) -> Undo:
    files.link()
    shutil.rmtree(files.folder)
    return files.put_back


def made_read_only(files: Files) -> Undo:
    files.file.chmod(0o400)
    return lambda: files.file.chmod(0o600)


def folder_made_read_only(files: Files) -> Undo:
    files.folder.chmod(0o500)
    return lambda: files.folder.chmod(0o700)


def mounted_read_only(files: Files) -> Undo:
    folder = str(files.folder)
    made = subprocess.run(["mount", "--bind", folder, folder], capture_output=True)
    if made.returncode:
        pytest.skip("only root may mount, and not everywhere")
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    return lambda: subprocess.run(["umount", folder], check=True)


def cut(files: Files) -> Undo:
    whole = files.file.read_bytes()
    os.truncate(files.file, len(whole) // 2)
    return lambda: overwrite(files.file, whole)


def emptied(files: Files) -> Undo:
    whole = files.file.read_bytes()
    os.truncate(files.file, 0)
    return lambda: overwrite(files.file, whole)


def log_cut(files: Files) -> Undo:
    whole = files.log.read_bytes()
    os.truncate(files.log, 0)
    return lambda: overwrite(files.log, whole)


def overwritten(files: Files) -> Undo:
    """As by `cp`: the file stays the same one."""
    whole = files.file.read_bytes()
    overwrite(files.file, b"something else " * (len(whole) // 10))
    return lambda: overwrite(files.file, whole)


def overwrite(file: Path, content: bytes) -> None:
    with file.open("r+b") as there:
        there.truncate(0)
        there.write(content)


class NeverAsked:
    """An optimizer in a server that nobody asks for suggestions."""


LOST = [deleted, log_deleted, shared_memory_deleted, moved, replaced, folder_moved, folder_removed]
READ_ONLY = [made_read_only, folder_made_read_only, mounted_read_only]
DAMAGED = [cut, emptied, log_cut, overwritten]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("truth")
    (folder / "data").mkdir()
    process = ServerProcess(folder / "bo.db", "--processes", "1", url=f"sqlite:///{folder}/data/bo.db")  # its log stays
    process.start()
    yield process
    process.stop()


@pytest.fixture
def study(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[bo_client.Study]:
    with bo_client.connect(server.address, patience=0.0) as client:
        name = (
            request.node.name.replace("[", "-")
            .replace("]", "")
            .replace("_", "-")
            .removeprefix("test-a-database-that-is-")[-60:]
        )
        yield client.create_study(name, SPACE, "loss", goal="minimize", lease_duration=600)


def wait_for_health(address: str, wanted: "health_pb2.HealthCheckResponse.ServingStatus") -> float:
    """Until health says so, without any other call; how long that took."""
    began = time.monotonic()
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service="bo_api.v1.OptimizationService")
        stub = health_pb2_grpc.HealthStub(channel)
        while stub.Check(request, timeout=20).status != wanted:
            assert time.monotonic() < began + PATIENCE_S, "health doesn't notice"
            time.sleep(0.05)
    return time.monotonic() - began


SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def check_noticed(
    server: ServerProcess, study: bo_client.Study, harm: Callable[[Files], Undo], reason: str, is_readable: bool
) -> None:
    first, second = study.suggest(2)
    first.complete({"loss": 1.0})
    wait_for_health(server.address, SERVING)
    undo = harm(Files(Path(server.url.removeprefix("sqlite:///"))))
    try:
        took = wait_for_health(server.address, NOT_SERVING)
        for write in (lambda: second.complete({"loss": 2.0}), study.suggest, second.heartbeat):
            with pytest.raises(bo_client.ServerUnavailable, match=reason):
                write()
        if is_readable:
            assert study.info().ended == 1
        else:
            with pytest.raises(bo_client.ServerUnavailable, match=reason):
                study.info()
    finally:
        undo()
    back = wait_for_health(server.address, SERVING)
    print(f"{harm.__name__}: noticed after {took:.2f} s, back after {back:.2f} s")
    second.complete({"loss": 2.0})
    assert study.info().ended == 2


@pytest.mark.parametrize("harm", [*LOST, *READ_ONLY, *DAMAGED])
def test_the_next_check_notices_which_is_within_two_seconds(tmp_path: Path, harm: Callable[[Files], Undo]) -> None:
    """By the number of checks, which no machine is too slow for. Nobody calls."""
    assert bootstrap.HEALTH_CHECK_S + bootstrap.HEALTH_ANNOUNCE_S < 2.0
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "bo.db"
    store = open_store(f"sqlite:///{file}")
    try:
        app = AppContext.of(store, SystemClock(), NeverAsked())
        check_storage(app)
        undo = harm(Files(file))
        try:
            with pytest.raises(StorageUnavailable):
                check_storage(app)
        finally:
            undo()
        check_storage(app)
    finally:
        store.close()


@pytest.mark.parametrize("harm", LOST)
def test_a_database_that_is_taken_away_is_noticed(server, study, harm: Callable[[Files], Undo]) -> None:
    check_noticed(server, study, harm, "deleted, moved or replaced", is_readable=False)


@pytest.mark.parametrize("harm", READ_ONLY)
def test_a_database_that_is_made_read_only_is_noticed(server, study, harm: Callable[[Files], Undo]) -> None:
    check_noticed(server, study, harm, "is read-only", is_readable=True)


@pytest.mark.parametrize("harm", DAMAGED)
def test_a_database_that_is_damaged_is_noticed(server, study, harm: Callable[[Files], Undo]) -> None:
    check_noticed(server, study, harm, "overwritten or cut short", is_readable=False)
