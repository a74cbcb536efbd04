"""A server with tokens in a process of its own, on loopback, for attacks that are bounded in time and number."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bo_client
import pytest

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.application.tokens import NewToken, create_token
from bo_service.domain.access import Role
from bo_service.rpc.server import GrpcServer
from bo_service.storage.sqlite import SqliteStore, SystemClock
from tests.e2e.conftest import (  # noqa: F401 - fixtures
    ServerProcess,
    authority,
    make_authority,
    make_server,
    make_shared_server,
    making_servers,
)
from tests.e2e.dashboard.conftest import Site, browser, lasting_browser, tokens_in  # noqa: F401 - fixtures
from tests.rpc.test_every_limit import QuickOptimizer

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


class Target:
    """A server under attack, its tokens by name, and a study."""

    def __init__(self, address: str, tokens: dict[str, str], process: ServerProcess | None = None) -> None:
        """`process` is none where the server runs within the test's."""
        self.address = address
        self.tokens = tokens
        self.process = process

    def client(self, role: str = "worker", **settings: float) -> bo_client.Client:
        return bo_client.connect(self.address, patience=0.0, token=self.tokens[role], **settings)

    def metadata(self, role: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.tokens[role]}")]


def make_target(make: Callable[..., ServerProcess], storage: Path, *options: str) -> Target:
    store = SqliteStore(storage)
    tokens = {role.value: create_token(store, SystemClock(), NewToken(role)).text for role in Role}
    store.close()
    process = make("--processes", "1", *options)
    return Target(process.start(), tokens, process)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("attacks")
    with making_servers(folder) as make:
        found = make_target(make, folder / "bo.db")
        with found.client() as client:
            client.create_study("s", SPACE, "loss", goal="minimize")
        yield found


@contextmanager
def local_target(folder: Path) -> Iterator[Target]:
    """A server within the test's process, with the tokens of two workers, `worker` and `other`, and of an `admin`."""
    store = SqliteStore(folder / "bo.db")
    roles = {"worker": Role.WORKER, "other": Role.WORKER, "admin": Role.ADMIN}
    tokens = {name: create_token(store, SystemClock(), NewToken(role)).text for name, role in roles.items()}
    app = AppContext.of(store, SystemClock(), QuickOptimizer())
    server = GrpcServer(app, Authenticator(store, app.clock, AuthMode.TOKENS), "127.0.0.1:0")
    server.start()
    found = Target(f"127.0.0.1:{server.port}", tokens)
    try:
        with found.client() as client:
            client.create_study("s", SPACE, "loss", goal="minimize")
        yield found
    finally:
        server.stop(drain=0.0, grace=0.0)
        store.close()


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server without tokens, in a folder of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    with making_servers(folder) as make:
        process = make("--processes", "1")
        process.start()
        yield process


@pytest.fixture(scope="module")
def site(make_shared_server: Callable[..., ServerProcess]) -> Site:  # noqa: F811
    """A server with tokens, and its dashboard, whose log is JSON."""
    process = make_shared_server("--processes", "1", "--dashboard", "127.0.0.1:0", "--log-format", "json")
    found = Site(process, tokens_in(process.storage))
    with found.client() as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
    return found
