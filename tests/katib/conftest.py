"""A service that Katib can call."""

from collections.abc import Iterator

import pytest

from tests.katib.controller import Service, served


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One for the tests of a module; each takes experiments of its own."""
    with served("memory:") as found:
        yield found
