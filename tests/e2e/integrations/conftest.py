"""One server for all tests, and a study id for each."""

from collections.abc import Iterator
from itertools import count

import bo_client
import pytest

from tests.e2e.conftest import ServerProcess

IDS = count(1)


@pytest.fixture(scope="session")
def address(lasting_server: ServerProcess) -> str:
    return lasting_server.address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[bo_client.Client]:
    with bo_client.connect(address) as client:
        yield client


@pytest.fixture
def study_id() -> str:
    return f"s{next(IDS)}"
