"""A real server in a process of its own, on a port of the system's choosing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import bo_client
import pytest
import trustme

from bo_service.rpc.health_probe import Target, ask_health
from bo_service.rpc.server import COMPUTING
from tests.conftest import make_sqlite


class ServerProcess:
    """`bo-service serve` over one file, or the database at `url`. It can be killed and started again, on its port."""

    def __init__(
        self, storage: Path, *options: str, url: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        """`options` are those of `serve` beyond --storage and --listen, `environment` what is added to ours."""
        self.storage = storage
        self.url = url or f"sqlite:///{storage}"
        self.options = options
        self.environment = {**os.environ, **(environment or {})}
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns when it listens; the address."""
        command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", self.url]
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                [*command, "--listen", self.address, *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environment,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), self.log
        self.address = line.split()[2]
        return self.address

    def await_optimizer(self) -> None:
        """Returns when suggestions can be computed: before, they are quick ones."""
        deadline = time.monotonic() + 280.0
        while ask_health(Target(self.address), COMPUTING, 5.0) != "SERVING":
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    @property
    def log_file(self) -> Path:
        return self.storage.with_suffix(".log")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text()

    def kill(self) -> None:
        """As `kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended; the exit status."""
        assert self.process is not None
        status = self.process.wait(timeout=280)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@contextmanager
def making_servers(folder: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers over one file, of the newest schema; those still running at the end are stopped."""
    made: list[ServerProcess] = []

    def make(*options: str, environment: Mapping[str, str] | None = None) -> ServerProcess:
        if not (folder / "bo.db").exists():
            make_sqlite(folder / "bo.db")
        made.append(ServerProcess(folder / "bo.db", *options, environment=environment))
        return made[-1]

    try:
        yield make
    finally:
        for server in made:
            if server.process is not None and server.process.poll() is None:
                server.stop()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers for one test."""
    with making_servers(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers for the tests of a file: each costs seconds."""
    with making_servers(tmp_path_factory.mktemp("shared")) as make:
        yield make


@pytest.fixture(scope="module")
def lasting_replicas(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two servers over one PostgreSQL, started at the same moment over an empty database, for all tests of a file."""
    folder, url = tmp_path_factory.mktemp("replicas"), postgres_server.make_database()
    made = [ServerProcess(folder / f"{i}.db", url=url) for i in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(ServerProcess.start, made))
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def server_process(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server that can be killed."""
    process = make_server()
    process.start()
    return process


@pytest.fixture(scope="session")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests that leave it as it is but for its studies: each start costs seconds."""
    with making_servers(tmp_path_factory.mktemp("lasting")) as make:
        process = make()
        process.start()
        yield process


@pytest.fixture
def server(request: pytest.FixtureRequest) -> str:
    """Address of a server without studies; of `server_process` where the test asks for that, too."""
    if "server_process" in request.fixturenames:
        return str(request.getfixturevalue("server_process").address)
    address = str(request.getfixturevalue("lasting_server").address)
    with bo_client.connect(address) as client:
        for info in client.studies():
            client.delete_study(info.id)
    return address


class Authority:
    """An authority, and the files that it signs in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def sign(self, name: str, *hosts: str, common_name: str | None = None) -> tuple[Path, Path]:
        """A certificate for hosts, and its key; files of that name are replaced."""
        made = self._ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")), common_name=common_name)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        key.write_bytes(made.private_key_pem.bytes())
        return certificate, key


@pytest.fixture
def make_authority(tmp_path: Path) -> Callable[..., Authority]:
    """Makes authorities, whose files lie beside the database."""
    return lambda name="ca": Authority(tmp_path, name)


@pytest.fixture
def authority(make_authority: Callable[..., Authority]) -> Authority:
    return make_authority()
