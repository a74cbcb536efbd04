"""A study on a server in this process, and the command `bo` upon it."""

from collections.abc import Callable

import bo_client
import pytest
from bo_client.cli.main import main
from bo_client.testing import InProcessServer
from click.testing import CliRunner, Result

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-4, 1.0, scale="log"),
        bo_client.CategoricalParameter("norm", ["batch", "group"]),
        bo_client.IntParameter("groups", 1, 4, activation=bo_client.Activation("norm", ["group"])),
    ]
)


@pytest.fixture
def server() -> InProcessServer:
    return InProcessServer()


@pytest.fixture
def space() -> bo_client.SearchSpace:
    return SPACE


@pytest.fixture
def study(server: InProcessServer) -> bo_client.Study:
    metrics = [bo_client.Metric("loss", "minimize", unit="nats"), bo_client.Metric("accuracy", role="information")]
    return server.client().create_study("s", SPACE, metrics, max_trials=6)


@pytest.fixture
def seen(study: bo_client.Study) -> bo_client.Study:
    """The study with a trial of each kind: textbook, better, infeasible, running, queued."""
    study.enqueue({"lr": 0.01, "norm": "batch"}, {"role": "textbook-defaults"})
    (textbook,) = study.suggest()
    for step, loss in enumerate((2.0, 1.5), start=1):
        textbook.report({"loss": loss}, step)
    textbook.complete({"loss": 1.25, "accuracy": 0.5})
    (better,) = study.suggest()
    better.report({"loss": 1.0}, 1)
    better.complete({"loss": 0.75, "accuracy": 0.8})
    study.suggest()[0].fail("DIVERGED", "the loss is nan")
    study.suggest()[0].report({"loss": 1.1}, 3)
    study.enqueue({"lr": 1.0, "norm": "group", "groups": 2})
    return study


@pytest.fixture
def bo(server: InProcessServer) -> Callable[..., Result]:
    """Runs the command; standard output and standard error are kept apart."""
    return lambda *arguments, **more: CliRunner().invoke(main, [str(a) for a in arguments], obj=server.client(), **more)
