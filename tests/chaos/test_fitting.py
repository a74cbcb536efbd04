"""The process that fits is killed or hangs: suggestions come in time, and the surrogate comes back."""

import os
import signal
import time
from collections.abc import Callable

import bo_client
import pytest

from tests.chaos.server import ServerProcess
from tests.processes import processes_of

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0), bo_client.FloatParameter("y", 0.0, 1.0)])
DEADLINE = 8.0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_suggestion_comes_in_time(start: Callable[..., ServerProcess], number: signal.Signals) -> None:
    server = start()
    with bo_client.connect(server.address, patience=60.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", initial_trials=3)
        for i in range(4):
            study.add({"x": i / 4, "y": (i * 3 % 4) / 4}, float(i))
        surrogate(study)
        for process in processes_of(server.pid):
            os.kill(process, number)
        (given,) = study.suggest(timeout=DEADLINE)
        given.complete({"loss": 0.5})
        surrogate(study)


def surrogate(study: bo_client.Study) -> None:
    """Returns once it suggests."""
    deadline = time.monotonic() + 90
    while study.suggest()[0].origin is not bo_client.Origin.SURROGATE:
        assert time.monotonic() < deadline, "the surrogate doesn't come back"
