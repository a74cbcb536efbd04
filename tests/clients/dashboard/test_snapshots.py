"""What the dashboard remembers of studies: what has changed is read again, and nothing of another study is shown."""

import threading

import bo_client
import pytest
from bo_client.testing import InProcessServer
from bo_dashboard import snapshots
from bo_dashboard.snapshots import Snapshots

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


@pytest.fixture
def client() -> bo_client.Client:
    return InProcessServer().client()


def made(client: bo_client.Client, name: str = "s", trials: int = 3) -> bo_client.Study:
    study = client.create_study(name, SPACE, "loss", goal="minimize")
    for number in range(trials):
        study.add({"x": number / 10}, number)
    return study


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the trials that were read from the server, in order."""
    seen: list[int] = []
    watch = bo_client.Study.watch

    def watching(self, *arguments, **others):
        for change in watch(self, *arguments, **others):
            seen.extend(trial.number for trial in change.trials)
            yield change

    monkeypatch.setattr(bo_client.Study, "watch", watching)
    return seen


def numbers(known: Snapshots, study: bo_client.Study) -> list[int]:
    return [trial.number for trial in known.trials(study, study.info())]


def test_what_has_changed_is_read_and_nothing_else(client, read: list[int]) -> None:
    known, study = Snapshots(), made(client)
    assert numbers(known, study) == [1, 2, 3]
    assert numbers(known, study) == [1, 2, 3]
    assert read == [1, 2, 3]
    (running,) = study.suggest()
    running.report({"loss": 0.5}, 1)
    assert numbers(known, study) == [1, 2, 3, 4]
    assert read == [1, 2, 3, 4]
    assert known.trials(study, study.info())[-1].measurements[0].metrics == {"loss": 0.5}


def test_deleted_trials_are_forgotten(client) -> None:
    known, study = Snapshots(), made(client)
    numbers(known, study)
    study.delete_trial(2)
    assert numbers(known, study) == [1, 3]


def test_another_study_of_the_name_shows_nothing_of_the_first(client) -> None:
    known, study = Snapshots(), made(client)
    numbers(known, study)
    client.delete_study("s")
    second = made(client, trials=1)
    assert numbers(known, second) == [1]


def test_only_so_many_studies_are_remembered(client, read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_STUDIES", 2)
    known = Snapshots()
    studies = [made(client, name, trials=1) for name in "abc"]
    for study in studies:
        numbers(known, study)
    read.clear()
    numbers(known, studies[2])
    assert read == []
    numbers(known, studies[0])
    assert read == [1]


def test_an_analysis_does_for_some_time_and_for_the_same_results_for_ever(client, monkeypatch) -> None:
    known, study, calls = Snapshots(), made(client), []

    def analyze() -> None:
        calls.append(study.info().ended)

    monkeypatch.setattr(snapshots, "REST_FACTOR", 0.0)
    known.analysis(study.info(), analyze)
    study.add({"x": 0.7}, 1.0)
    known.analysis(study.info(), analyze)
    known.analysis(study.info(), analyze)
    assert calls == [3, 4]
    monkeypatch.setattr(snapshots, "REST_FACTOR", 1e12)  # times what an analysis takes, however short
    study.add({"x": 0.8}, 1.0)
    known.analysis(study.info(), analyze)
    study.add({"x": 0.9}, 1.0)
    known.analysis(study.info(), analyze)
    assert calls == [3, 4, 5]


def test_while_an_analysis_is_made_the_last_one_does(client, monkeypatch) -> None:
    known, study, first = Snapshots(), made(client), object()
    monkeypatch.setattr(snapshots, "REST_FACTOR", 0.0)
    assert known.analysis(study.info(), lambda: first) is first
    study.add({"x": 0.7}, 1.0)
    begun, goes_on = threading.Event(), threading.Event()

    def analyze() -> None:
        begun.set()
        assert goes_on.wait(120)

    other = threading.Thread(target=known.analysis, args=[study.info(), analyze])
    other.start()
    assert begun.wait(120)
    assert known.analysis(study.info(), lambda: None) is first
    goes_on.set()
    other.join()
