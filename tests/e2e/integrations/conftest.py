"""One server for all tests of a file, and a study id for each test."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import bo_client
import pytest

IDS = count(1)


@pytest.fixture(scope="module")
def address(make_shared_server: Callable[..., Any]) -> str:
    return str(make_shared_server().start())


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[bo_client.Client]:
    with bo_client.connect(address) as client:
        yield client


@pytest.fixture
def study_id() -> str:
    return f"s{next(IDS)}"
