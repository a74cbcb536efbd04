"""What was learned of a study is found by the next computation, be it another server's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from bo_service.application import predict, studies, suggest_trials, trial_lifecycle
from bo_service.application.context import AppContext
from bo_service.domain.errors import StorageUnavailable
from bo_service.domain.trial import Measurement
from bo_service.storage.factory import open_store

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def server(address: str, clock, optimizer) -> Iterator[Callable[[], AppContext]]:
    """Makes a server over one database, as bootstrap does; another one ends it."""
    with ExitStack() as stack:

        def make() -> AppContext:
            stack.close()
            store = stack.enter_context(closing(open_store(address)))
            return AppContext.of(store, clock, optimizer)

        yield make


@pytest.fixture
def app(server: Callable[[], AppContext]) -> AppContext:
    return server()


def run(app: AppContext, count: int, study_id: str = "s") -> None:
    for _ in range(count):
        (trial,) = suggest_trials.suggest_trials(
            app, suggest_trials.SuggestRequest(study_id, 1, "w", 60.0), None
        ).trials
        assert trial.lease is not None
        value = float(trial.parameters["lr"])  # type: ignore[arg-type]
        trial_lifecycle.complete_trial(
            app, study_id, trial.number, trial.lease.token, Measurement({"loss": value}), None
        )


def saved(app: AppContext, study_id: str = "s") -> dict[str, object]:
    with app.store.read() as records:
        return dict(records.get_hyperparameters(study_id))


def test_the_next_computation_is_told_what_the_one_before_learned(app, make_study, optimizer) -> None:
    make_study()
    run(app, 6)
    before, last = optimizer.asked[-2:]
    assert last.study == "s"
    assert last.hyperparameters
    assert last.hyperparameters != before.hyperparameters
    predict.predict(app, "s", [{"lr": 0.1, "norm": "batch"}], 60.0)


def test_the_next_server_is_told_what_was_saved(app, server, make_study, optimizer) -> None:
    make_study()
    run(app, 6)
    assert saved(app) == {}
    app.sessions.save_hyperparameters()
    learned = saved(app)
    assert learned
    again = server()
    optimizer.asked.clear()
    run(again, 1)
    assert optimizer.asked[0].hyperparameters == learned


def test_what_is_saved_is_saved_once(app, make_study, monkeypatch) -> None:
    make_study()
    run(app, 6)
    app.sessions.save_hyperparameters()

    def fail(*_: object) -> None:
        raise AssertionError("a transaction")

    monkeypatch.setattr(app.store, "write", fail)
    app.sessions.save_hyperparameters()


def test_a_study_that_is_gone_has_nothing_saved(app, make_study) -> None:
    make_study()
    run(app, 6)
    studies.delete_study(app, "s", None)
    app.sessions.save_hyperparameters()
    make_study()
    assert saved(app) == {}


def test_while_the_database_is_away_lessons_wait(app, make_study, monkeypatch) -> None:
    make_study()
    run(app, 6)

    def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(app.store, "write", away)
        with pytest.raises(StorageUnavailable):
            app.sessions.save_hyperparameters()
    app.sessions.save_hyperparameters()
    assert saved(app)


def test_studies_that_were_asked_for_longest_ago_are_forgotten(app, make_study, optimizer) -> None:
    app.sessions.max_sessions = 2
    for name in ("one", "two", "three"):
        make_study(name)
        run(app, 6, name)
        app.sessions.save_hyperparameters()
    optimizer.asked.clear()
    run(app, 1, "one")
    assert optimizer.asked[0].hyperparameters == saved(app, "one")  # read again
