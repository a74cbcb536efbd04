"""The database's file is deleted, moved, replaced, opened by other names: the server notices each time."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bo_client
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.attacks.conftest import SPACE


def delete(file: Path) -> None:
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()


def delete_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def move(file: Path) -> None:
    file.rename(file.with_name("moved.db"))


def replace(file: Path) -> None:
    shutil.copy(file, file.with_name("copy.db"))
    file.with_name("copy.db").rename(file)


def is_serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service="bo_api.v1.OptimizationService")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@pytest.mark.parametrize("harm", [delete, delete_log, move, replace])
def test_a_database_that_is_taken_away_is_noticed(server_process, harm: Callable[[Path], None]) -> None:
    with bo_client.connect(server_process.address, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        first, second = study.suggest(2)
        first.complete({"loss": 1.0})
        harm(server_process.storage)
        for attempt in (lambda: second.complete({"loss": 2.0}), study.info, study.suggest, lambda: second.heartbeat()):
            with pytest.raises(bo_client.ServerUnavailable, match="deleted, moved or replaced"):
                attempt()
        deadline = time.monotonic() + 60
        while is_serving(server_process.address):
            assert time.monotonic() < deadline, "health goes on saying SERVING"
            time.sleep(0.1)


def start(storage: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bo_service.cli", "serve", "--listen", "127.0.0.1:0", "--storage"]
    return subprocess.run([*command, f"sqlite:///{storage}"], capture_output=True, text=True, timeout=120)


def test_a_second_server_is_refused_by_whatever_name_it_opens_the_file(server_process, tmp_path: Path) -> None:
    file = server_process.storage
    (tmp_path / "symbolic.db").symlink_to(file)
    os.link(file, tmp_path / "hard.db")
    for name in ("symbolic.db", "hard.db"):
        done = start(tmp_path / name)
        assert done.returncode == 1
        assert "another server has" in done.stderr
    file.with_name(f"{file.name}.lock").unlink()
    assert "another server has" in start(file).stderr
    with bo_client.connect(server_process.address, patience=0.0) as client:  # the first is none the worse
        client.create_study("s", SPACE, "loss", goal="minimize")


def test_files_are_for_their_owner_alone(server_process, tmp_path: Path) -> None:
    with bo_client.connect(server_process.address) as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
    command = [sys.executable, "-m", "bo_service.cli", "backup", "--storage"]
    subprocess.run(
        [*command, f"sqlite:///{server_process.storage}", str(tmp_path / "backup.db")], check=True, timeout=120
    )
    kept = [*server_process.storage.parent.glob("bo.db*"), tmp_path / "backup.db"]
    assert len(kept) >= 4  # the database, its log and shared memory, the backup
    assert {stat.filemode(one.stat().st_mode) for one in kept} == {"-rw-------"}
