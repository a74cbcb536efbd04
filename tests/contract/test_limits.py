"""The client's own bounds are the server's."""

import bo_client.limits
import pytest

import bo_service.domain.limits
from bo_service.domain import constraints, search_space

CLIENTS = {name: value for name, value in vars(bo_client.limits).items() if name.isupper()}
SERVERS = {**vars(bo_service.domain.limits), "NAME": search_space.NAME, "TOLERANCE": constraints.TOLERANCE}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_bound_of_the_client_is_the_servers(name: str) -> None:
    assert CLIENTS[name] == SERVERS[name]
