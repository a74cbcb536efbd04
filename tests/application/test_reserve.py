"""Quick suggestions made ahead: no two calls get the same, and the sequence goes on where it was."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import event

from bo_service.application import studies, suggesting, trials
from bo_service.application.memory import Memory
from bo_service.application.ports import RequestKey
from bo_service.application.reserve import AHEAD, Reserve
from bo_service.core.blind import quasi_random
from bo_service.core.domains import CategoricalDomain, FloatDomain
from bo_service.core.errors import RequestIdReused, StorageUnavailable
from bo_service.core.evidence import Evidence
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import Algorithm, ExecutionSettings, Goal, Metric, StudySpec, StudyState, SuggestionSettings
from bo_service.core.trial import Failure, FailureReason

SMALL = SearchSpace((Parameter("a", CategoricalDomain(tuple(f"v{i}" for i in range(AHEAD + 8)))),))

FAILURE = Failure(FailureReason.CRASHED, "")


def make(services, space, **execution) -> None:
    settings = SuggestionSettings(Algorithm.QUASI_RANDOM, seed=7)
    spec = StudySpec(space, (Metric("loss", Goal.MINIMIZE),), settings, ExecutionSettings(**execution))
    studies.create_study(services, studies.NewStudy("s", spec, "", {}), None)


def suggested(services, count=1):
    ask = suggesting.Ask("s", count, "w", 30.0)
    return [t.parameters for t in suggesting.suggest_trials(services, ask, None).trials]


def test_every_value_of_a_small_space_is_given_once_to_threads_that_ask_at_once(services) -> None:
    make(services, SMALL)
    with ThreadPoolExecutor(8) as pool:
        given = [p["a"] for found in pool.map(lambda _: suggested(services), range(AHEAD + 20)) for p in found]
    assert Counter(given) == Counter(SMALL["a"].domain.values)


def test_what_somebody_queues_meanwhile_is_not_suggested(services) -> None:
    make(services, SMALL)
    first = suggested(services, 2)
    ahead = next(v for v in SMALL["a"].domain.values if {"a": v} not in first)
    trials.create_trial(services, "s", trials.NewTrial({"a": ahead}, {}), None)
    given = [p["a"] for _ in range(AHEAD + 8) for p in suggested(services)]
    assert Counter(given) == Counter(v for v in SMALL["a"].domain.values if {"a": v} not in first)


def test_a_study_of_the_same_name_begins_anew(services, clock) -> None:
    make(services, SMALL)
    before = suggested(services, 5)
    studies.delete_study(services, "s", None)
    clock.turn(1)
    other = SearchSpace((Parameter("b", CategoricalDomain(("x", "y"))),))
    make(services, other)
    assert sorted(p["b"] for p in suggested(services, 5)) == ["x", "y"]
    studies.delete_study(services, "s", None)
    clock.turn(1)
    make(services, SMALL)
    assert suggested(services, 5) == before


def test_many_are_made_at_once(services, monkeypatch) -> None:
    make(services, SMALL)
    made = []
    whole = services.optimizer.suggest_blind
    monkeypatch.setattr(services.optimizer, "suggest_blind", lambda *a: made.append(a) or whole(*a))
    for _ in range(AHEAD):
        suggested(services)
    assert len(made) == 1


def test_the_more_trials_there_are_the_more_are_made_at_once(services, monkeypatch) -> None:
    make(services, SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)))
    for i in range(40):
        configurations = [{"x": (i * 10 + j) / 400} for j in range(10)]
        for configuration in configurations:
            trials.create_trial(services, "s", trials.NewTrial(configuration, {}, failure=FAILURE), None)
    made = []
    whole = services.optimizer.suggest_blind
    monkeypatch.setattr(services.optimizer, "suggest_blind", lambda e, n: made.append(n) or whole(e, n))
    given = [str(suggested(services)) for _ in range(120)]
    assert len(set(given)) == 120
    assert made == [400 // 8, 450 // 8, 506 // 8]


def test_a_request_that_is_repeated_takes_nothing(services) -> None:
    make(services, SMALL)
    key = RequestKey("r", "SuggestTrials", "digest")
    ask = suggesting.Ask("s", 3, "w", 30.0)
    (first, *_), again = (suggesting.suggest_trials(services, ask, key).trials for _ in range(2))
    for _ in range(3):
        assert suggesting.suggest_trials(services, ask, key).trials == again
    assert first == again[0]
    assert [t.parameters["a"] for t in again] + in_turn(services, 9) == sequence(services)[:12]


def test_what_was_taken_in_vain_is_given_next(services) -> None:
    make(services, SMALL)
    (first,) = suggested(services)
    for state in (StudyState.PAUSED, StudyState.ACTIVE):
        studies.update_study(services, "s", studies.StudyUpdate(state=state), None)
        paused = suggesting.suggest_trials(services, suggesting.Ask("s", 2, "w", 30.0), None).trials
        assert len(paused) == (0 if state is StudyState.PAUSED else 2)
    given = [first["a"], *(t.parameters["a"] for t in paused), *in_turn(services, 9)]
    assert given == sequence(services)[:12]


def in_turn(services, count) -> list[object]:
    return [p["a"] for _ in range(count) for p in suggested(services)]


def test_what_was_taken_for_a_call_that_is_refused_is_given_next(services, monkeypatch) -> None:
    make(services, SMALL)
    made = []
    whole = services.optimizer.suggest_blind
    monkeypatch.setattr(services.optimizer, "suggest_blind", lambda *a: made.append(a) or whole(*a))
    ask = suggesting.Ask("s", 1, "w", 30.0)
    (first,) = suggesting.suggest_trials(services, ask, RequestKey("r", "SuggestTrials", "digest")).trials
    for _ in range(3):
        with pytest.raises(RequestIdReused):
            suggesting.suggest_trials(services, ask, RequestKey("r", "SuggestTrials", "another digest"))
    assert [first.parameters["a"], *in_turn(services, 9)] == sequence(services)[:10]
    assert len(made) == 1


def sequence(services) -> list[object]:
    """What the study's sequence is, made at once."""
    with services.store.read() as records:
        spec = records.studies.get("s").spec
    return [s.configuration["a"] for s in quasi_random(Evidence(spec.space, spec.suggestion, 7), 99)]


def test_where_nobody_knows_whether_it_was_handed_out_it_is_looked_up(services) -> None:
    make(services, SMALL)
    in_turn(services, 1)

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(services.store._writer, "commit", fail)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            suggested(services)
    event.remove(services.store._writer, "commit", fail)
    assert in_turn(services, 9) == sequence(services)[1:10]


def test_another_server_makes_the_study_anew_and_no_suggestion_is_of_the_old_one(services, clock) -> None:
    make(services, SMALL)
    suggested(services)
    other = replace(services, memory=Memory(), reserve=Reserve())
    studies.delete_study(other, "s", None)
    clock.turn(1)
    make(other, SearchSpace((Parameter("b", CategoricalDomain(("x", "y"))),)))
    assert sorted(p["b"] for p in suggested(services, 5)) == ["x", "y"]
