"""Servers in processes of their own, over each kind of storage."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.chaos.server import ServerProcess


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bo.db"
    make: Callable[[], str] = request.getfixturevalue("make_database")
    return make()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the server says."""
    return tmp_path / "server.log"


@pytest.fixture
def start(tmp_path: Path, log: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers, over a SQLite file where nothing else is said; those that still run at the end are killed."""
    started: list[ServerProcess] = []

    def start(storage: str | None = None, environment: Mapping[str, str] | None = None) -> ServerProcess:
        started.append(ServerProcess(storage or f"sqlite:///{tmp_path}/bo.db", log, environment))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.close()
