"""A real server in a process of its own, on a port of the system's choosing."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def running_server(storage: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bo_service.cli", "serve", "--storage", f"sqlite:///{storage}"]
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.split()[2]
    finally:
        process.terminate()
        process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Callable[[], object]:
    return lambda: running_server(tmp_path / "bo.db")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a fresh server."""
    with running_server(tmp_path / "bo.db") as address:
        yield address
