"""A server with tokens in a process of its own, on loopback, for attacks that are bounded in time and number."""

from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

from bo_service.adapters.storage.sqlite import SqliteStore
from bo_service.application.tokens import NewToken, create_token
from bo_service.bootstrap import SystemClock
from bo_service.core.access import Role
from tests.e2e.conftest import ServerProcess, making_servers

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


class Target:
    """A server under attack, with a token of each role, a study and a worker that holds a trial of it."""

    def __init__(self, process: ServerProcess, tokens: dict[str, str]) -> None:
        self.process = process
        self.tokens = tokens
        self.address = process.start()

    def client(self, role: str = "worker", **settings: float) -> bo_client.Client:
        return bo_client.connect(self.address, patience=0.0, token=self.tokens[role], **settings)

    def metadata(self, role: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.tokens[role]}")]


def make_target(make: Callable[..., ServerProcess], storage: Path, *options: str) -> Target:
    store = SqliteStore(storage)
    tokens = {role.value: create_token(store, SystemClock(), NewToken(role)).text for role in Role}
    store.close()
    return Target(make("--processes", "1", *options), tokens)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("attacks")
    with making_servers(folder) as make:
        found = make_target(make, folder / "bo.db")
        with found.client() as client:
            client.create_study("s", SPACE, "loss", goal="minimize")
        yield found


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server without tokens, in a folder of its own."""
    folder = tmp_path / "server"
    folder.mkdir()
    with making_servers(folder) as make:
        process = make("--processes", "1")
        process.start()
        yield process
