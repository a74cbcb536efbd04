"""Tests run side by side: each process keeps to one processor, no test is a race against the clock, and each process
has a PostgreSQL server of its own where a test asks for one."""

import gc
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(variable, "1")  # read when the numeric libraries are loaded

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background job; what tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", unhurried, max_examples=25)
settings.register_profile("thorough", unhurried, max_examples=100)  # --hypothesis-profile thorough
settings.load_profile("quick")


def pytest_collection() -> None:
    """Thousands of tests and the libraries that they load make no garbage: looking for it would take seconds."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


_removed_handlers: list[logging.Handler] = []
"""A thread of the command may still write to their streams, which therefore stay open to the process's end."""


@contextmanager
def restored_logging() -> Iterator[None]:
    """A command configures the logging of its process: one that a test calls must not do so for the tests after it."""
    named = logging.root.manager.loggerDict
    levels = {name: each.level for name, each in named.items() if isinstance(each, logging.Logger)}
    level, handlers = logging.root.level, set(logging.root.handlers)
    try:
        yield
    finally:
        logging.root.setLevel(level)
        for handler in set(logging.root.handlers) - handlers:
            logging.root.removeHandler(handler)
            _removed_handlers.append(handler)
        for name, each in list(named.items()):
            if isinstance(each, logging.Logger) and each.level != levels.get(name, logging.NOTSET):
                each.setLevel(levels.get(name, logging.NOTSET))


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    with restored_logging():
        yield


@pytest.fixture(autouse=True)
def _others_garbage(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a library leaves open, and its test says so, is collected there: later it would be another test's fault."""
    yield
    if any("ResourceWarning" in mark.args[0] for mark in request.node.iter_markers("filterwarnings")):
        gc.collect()


@cache
def _migrated() -> bytes:
    from bo_service.storage.factory import open_store

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bo.db"
        open_store(f"sqlite:///{file}").close()
        return file.read_bytes()


def make_sqlite(file: Path) -> str:
    """The address of a new database with the newest schema: a tenth of a second faster than all migrations."""
    file.write_bytes(_migrated())
    file.chmod(0o600)
    return f"sqlite:///{file}"


ENGLISH = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
"""As on many machines: "a" comes before "B"."""


class PostgresServer:
    """A PostgreSQL server with a folder of its own, on loopback. It can be stopped and started again."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._as = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}  # it refuses to be root
        self.folder = Path(tempfile.mkdtemp(prefix="bo-postgresql-"))
        if self._as:
            shutil.chown(self.folder, **self._as)
        self.port = 0
        self._names = count(1)
        self._run(
            "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--locale=C.UTF-8", self.folder / "data"
        )

    def start(self) -> None:
        """Returns when it takes connections."""
        deadline = time.monotonic() + 240
        self.port = self.port or _free_port()
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-F", "-c", "max_connections=200"]
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *options], stdout=log, stderr=log, **self._as
            )
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """At once, as a crash does: connections are cut, what was committed is kept."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=280)

    def make_database(self) -> str:
        """The address of a new, empty schema, which is quicker made than a database."""
        name = f"bo{next(self._names)}"
        address = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._run("psql", "-q", "-c", f"CREATE SCHEMA {name}", address)
        return f"{address}?options=-csearch_path%3D{name}"

    def load(self, dump: bytes) -> str:
        """The address of a new database with what pg_dump has written."""
        name = f"loaded{next(self._names)}"
        address = f"postgresql://postgres@127.0.0.1:{self.port}"
        self._run("psql", "-q", "-c", f"CREATE DATABASE {name}", f"{address}/postgres")
        file = self.folder / f"{name}.sql"
        file.write_bytes(dump)
        file.chmod(0o644)
        self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, f"{address}/{name}")
        return f"{address}/{name}"

    def close(self) -> None:
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: object, check: bool = True) -> int:
        command = [str(self._programs / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._as)
        assert not check or done.returncode == 0, done.stderr
        return done.returncode


def _programs() -> Path | None:
    """The newest PostgreSQL server on this machine."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    on_path = shutil.which("initdb")
    folders = [*([Path(on_path).resolve().parent] if on_path else []), *debian]
    return next((f for f in reversed(folders) if (f / "postgres").exists() and (f / "psql").exists()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """Where PostgreSQL's programs are; without them the test is skipped, but not where every test must run."""
    found = _programs()
    if found is None:
        reason = "there is no PostgreSQL server on this machine; scripts/postgresql installs one"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def postgres_server(postgres_programs: Path) -> Iterator[PostgresServer]:
    """One for all tests of this process."""
    server = PostgresServer(postgres_programs)
    server.start()
    yield server
    server.close()


@pytest.fixture
def own_postgres_server(postgres_programs: Path) -> Iterator[PostgresServer]:
    """One that the test may stop."""
    server = PostgresServer(postgres_programs)
    server.start()
    yield server
    server.close()


@pytest.fixture
def make_database(postgres_server: PostgresServer) -> Callable[[], str]:
    """Makes empty PostgreSQL databases; their addresses."""
    return postgres_server.make_database
