"""A real server in a process of its own, on a port of the system's choosing."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


class ServerProcess:
    """`bo-service serve` over one file, or the database at `url`. It can be killed and started again, on its port."""

    def __init__(self, storage: Path, url: str = "") -> None:
        self.storage = storage
        self.url = url or f"sqlite:///{storage}"
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns when it listens; the address."""
        command = [sys.executable, "-m", "bo_service.cli", "serve", "--storage", self.url]
        log = self.storage.with_suffix(".log").open("a")
        with log:
            self.process = subprocess.Popen(
                [*command, "--listen", self.address], stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), self.storage.with_suffix(".log").read_text()
        self.address = line.split()[2]
        return self.address

    def kill(self) -> None:
        """As `kill -9`."""
        assert self.process is not None
        self.process.kill()
        self._wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self._wait()

    def _wait(self) -> int:
        assert self.process is not None
        status = self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[[], ServerProcess]]:
    """Makes servers over one file; those still running at the end are stopped."""
    made: list[ServerProcess] = []

    def make() -> ServerProcess:
        made.append(ServerProcess(tmp_path / "bo.db"))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def lasting_replicas(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two servers over one PostgreSQL, started at the same moment over an empty database, for all tests of a file."""
    folder, url = tmp_path_factory.mktemp("replicas"), postgres_server.make_database()
    made = [ServerProcess(folder / f"{i}.db", url) for i in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(ServerProcess.start, made))
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def server_process(make_server: Callable[[], ServerProcess]) -> ServerProcess:
    """A running server that can be killed."""
    process = make_server()
    process.start()
    return process


@pytest.fixture
def server(server_process: ServerProcess) -> str:
    """Address of a fresh server."""
    return server_process.address
