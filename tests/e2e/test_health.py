"""Health that knows the database and the processes that compute."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import bo_client

from tests.processes import PATIENCE_S, children_of

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


def ask(address: str, *options: str) -> tuple[int, str]:
    """What `bo-service health` says."""
    command = [sys.executable, "-m", "bo_service.cli.main", "health", "--server", address, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    return done.returncode, done.stdout.strip()


def await_answer(address: str, wanted: tuple[int, str], *options: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := ask(address, *options)) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.2)


def computing(pid: int) -> list[int]:
    """The processes that compute: they are forked from the one child that does nothing else."""
    forking = [child for child in children_of(pid) if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return [process for child in forking for process in children_of(child)]


def test_a_database_that_takes_no_writes_is_told_and_comes_back(server_process) -> None:
    """Another program holds the write lock, as one that copies the file might."""
    address = server_process.address
    for check in ("live", "ready", "optimizer"):
        await_answer(address, (0, "SERVING"), "--check", check)
    rude = sqlite3.connect(server_process.storage, isolation_level=None)
    try:
        rude.execute("BEGIN IMMEDIATE")
        await_answer(address, (1, "NOT_SERVING"))
        assert ask(address, "--check", "live") == (0, "SERVING")
        rude.execute("ROLLBACK")
    finally:
        rude.close()
    await_answer(address, (0, "SERVING"))
    assert "not serving: " in server_process.log
    assert "serving again" in server_process.log


def test_processes_that_compute_are_started_again_when_killed(make_server) -> None:
    process = make_server("--processes", "1")
    address = process.start()
    await_answer(address, (0, "SERVING"), "--check", "optimizer")
    first = computing(process.process.pid)
    assert first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while not (again := computing(process.process.pid)) or set(again) & set(first):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    await_answer(address, (0, "SERVING"), "--check", "optimizer")
    with bo_client.connect(address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", initial_trials=2)
        for value in (0.1, 0.5, 0.9):
            study.add({"x": value}, {"loss": value})
        assert study.suggest()[0].origin is bo_client.Origin.SURROGATE


def test_nobody_there_is_told_in_a_line() -> None:
    status, text = ask("127.0.0.1:1", "--timeout", "2")
    assert status == 1
    assert text.startswith("UNREACHABLE")
