"""What was learned of a study is found by the next computation, be it another server's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from bo_service.adapters.storage.opening import open_store
from bo_service.application import learning, predicting, running, studies, suggesting
from bo_service.application.learning import LearningOptimizer
from bo_service.application.services import Services
from bo_service.core.errors import StorageUnavailable
from bo_service.core.trial import Measurement

pytestmark = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def server(address: str, clock, optimizer) -> Iterator[Callable[[], Services]]:
    """Makes a server over one database, as bootstrap does; another one ends it."""
    with ExitStack() as stack:

        def make() -> Services:
            stack.close()
            store = stack.enter_context(closing(open_store(address)))
            return Services(store, clock, LearningOptimizer(optimizer, store))

        yield make


@pytest.fixture
def services(server: Callable[[], Services]) -> Services:
    return server()


def run(services: Services, count: int, study_id: str = "s") -> None:
    for _ in range(count):
        (trial,) = suggesting.suggest_trials(services, suggesting.Ask(study_id, 1, "w", 60.0), None).trials
        assert trial.lease is not None
        value = float(trial.parameters["lr"])  # type: ignore[arg-type]
        running.complete_trial(services, study_id, trial.number, trial.lease.token, Measurement({"loss": value}), None)


def saved(services: Services, study_id: str = "s") -> dict[str, object]:
    with services.store.read() as records:
        return dict(records.lessons.of(study_id))


def test_the_next_computation_is_told_what_the_one_before_learned(services, make_study, optimizer) -> None:
    make_study()
    run(services, 6)
    before, last = optimizer.asked[-2:]
    assert last.study == "s"
    assert last.learned
    assert last.learned != before.learned
    predicting.predict(services, "s", [{"lr": 0.1, "norm": "batch"}], 60.0)


def test_the_next_server_is_told_what_was_saved(services, server, make_study, optimizer) -> None:
    make_study()
    run(services, 6)
    assert saved(services) == {}
    services.optimizer.save_lessons()
    learned = saved(services)
    assert learned
    again = server()
    optimizer.asked.clear()
    run(again, 1)
    assert optimizer.asked[0].learned == learned


def test_what_is_saved_is_saved_once(services, make_study, monkeypatch) -> None:
    make_study()
    run(services, 6)
    services.optimizer.save_lessons()

    def fail(*_: object) -> None:
        raise AssertionError("a transaction")

    monkeypatch.setattr(services.store, "write", fail)
    services.optimizer.save_lessons()


def test_a_study_that_is_gone_has_nothing_saved(services, make_study) -> None:
    make_study()
    run(services, 6)
    studies.delete_study(services, "s", None)
    services.optimizer.save_lessons()
    make_study()
    assert saved(services) == {}


def test_while_the_database_is_away_lessons_wait(services, make_study, monkeypatch) -> None:
    make_study()
    run(services, 6)

    def away(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(services.store, "write", away)
        with pytest.raises(StorageUnavailable):
            services.optimizer.save_lessons()
    services.optimizer.save_lessons()
    assert saved(services)


def test_studies_that_were_asked_for_longest_ago_are_forgotten(services, make_study, optimizer, monkeypatch) -> None:
    monkeypatch.setattr(learning, "MOST_STUDIES", 2)
    for name in ("one", "two", "three"):
        make_study(name)
        run(services, 6, name)
        services.optimizer.save_lessons()
    optimizer.asked.clear()
    run(services, 1, "one")
    assert optimizer.asked[0].learned == saved(services, "one")  # read again
