"""Quick suggestions made ahead: no two calls get the same, and the sequence goes on where it was."""

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import event

from bo_service.application import studies, suggest_trials, trials
from bo_service.application.ports import RequestKey
from bo_service.application.quasi_random_pool import MIN_POOL
from bo_service.application.sessions import Sessions
from bo_service.domain.errors import RequestIdReused, StorageUnavailable
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import (
    Algorithm,
    ExecutionSettings,
    Goal,
    Metric,
    StudySpec,
    StudyState,
    SuggestionSettings,
)
from bo_service.domain.trial import Failure, FailureReason
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.storage.statements import no_turn

SMALL = SearchSpace((Parameter("a", CategoricalDomain(tuple(f"v{i}" for i in range(MIN_POOL + 8)))),))

FAILURE = Failure(FailureReason.CRASHED, "")


def make(app, space, **execution) -> None:
    settings = SuggestionSettings(Algorithm.QUASI_RANDOM, seed=7)
    spec = StudySpec(space, (Metric("loss", Goal.MINIMIZE),), settings, ExecutionSettings(**execution))
    studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)


def suggested(app, count=1):
    ask = suggest_trials.SuggestRequest("s", count, "w", 30.0)
    return [t.parameters for t in suggest_trials.suggest_trials(app, ask, None).trials]


def test_every_value_of_a_small_space_is_given_once_to_threads_that_ask_at_once(app) -> None:
    make(app, SMALL)
    with ThreadPoolExecutor(8) as pool:
        given = [p["a"] for found in pool.map(lambda _: suggested(app), range(MIN_POOL + 20)) for p in found]
    assert Counter(given) == Counter(SMALL["a"].domain.values)


def test_what_somebody_queues_meanwhile_is_not_suggested(app) -> None:
    make(app, SMALL)
    first = suggested(app, 2)
    ahead = next(v for v in SMALL["a"].domain.values if {"a": v} not in first)
    trials.create_trial(app, "s", trials.NewTrial({"a": ahead}, {}), None)
    given = [p["a"] for _ in range(MIN_POOL + 8) for p in suggested(app)]
    assert Counter(given) == Counter(v for v in SMALL["a"].domain.values if {"a": v} not in first)


def test_a_study_of_the_same_name_begins_anew(app, clock) -> None:
    make(app, SMALL)
    before = suggested(app, 5)
    studies.delete_study(app, "s", None)
    clock.turn(1)
    other = SearchSpace((Parameter("b", CategoricalDomain(("x", "y"))),))
    make(app, other)
    assert sorted(p["b"] for p in suggested(app, 5)) == ["x", "y"]
    studies.delete_study(app, "s", None)
    clock.turn(1)
    make(app, SMALL)
    assert suggested(app, 5) == before


def test_many_are_made_at_once(app, monkeypatch) -> None:
    make(app, SMALL)
    made = []
    whole = app.optimizer.suggest_quasi_random
    monkeypatch.setattr(app.optimizer, "suggest_quasi_random", lambda *a: made.append(a) or whole(*a))
    for _ in range(MIN_POOL):
        suggested(app)
    assert len(made) == 1


def test_the_more_trials_there_are_the_more_are_made_at_once(app, monkeypatch) -> None:
    make(app, SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)))
    for i in range(40):
        configurations = [{"x": (i * 10 + j) / 400} for j in range(10)]
        for configuration in configurations:
            trials.create_trial(app, "s", trials.NewTrial(configuration, {}, failure=FAILURE), None)
    made = []
    whole = app.optimizer.suggest_quasi_random
    monkeypatch.setattr(app.optimizer, "suggest_quasi_random", lambda e, n: made.append(n) or whole(e, n))
    given = [str(suggested(app)) for _ in range(120)]
    assert len(set(given)) == 120
    assert made == [400 // 8, 450 // 8, 506 // 8]


def test_a_request_that_is_repeated_takes_nothing(app) -> None:
    make(app, SMALL)
    key = RequestKey("r", "SuggestTrials", "digest")
    ask = suggest_trials.SuggestRequest("s", 3, "w", 30.0)
    (first, *_), again = (suggest_trials.suggest_trials(app, ask, key).trials for _ in range(2))
    for _ in range(3):
        assert suggest_trials.suggest_trials(app, ask, key).trials == again
    assert first == again[0]
    assert [t.parameters["a"] for t in again] + in_turn(app, 9) == sequence(app)[:12]


def test_what_was_taken_in_vain_is_given_next(app) -> None:
    make(app, SMALL)
    (first,) = suggested(app)
    for state in (StudyState.PAUSED, StudyState.ACTIVE):
        studies.update_study(app, "s", studies.StudyUpdate(state=state), None)
        paused = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 2, "w", 30.0), None).trials
        assert len(paused) == (0 if state is StudyState.PAUSED else 2)
    given = [first["a"], *(t.parameters["a"] for t in paused), *in_turn(app, 9)]
    assert given == sequence(app)[:12]


def in_turn(app, count) -> list[object]:
    return [p["a"] for _ in range(count) for p in suggested(app)]


def test_what_was_taken_for_a_call_that_is_refused_is_given_next(app, monkeypatch) -> None:
    make(app, SMALL)
    made = []
    whole = app.optimizer.suggest_quasi_random
    monkeypatch.setattr(app.optimizer, "suggest_quasi_random", lambda *a: made.append(a) or whole(*a))
    ask = suggest_trials.SuggestRequest("s", 1, "w", 30.0)
    (first,) = suggest_trials.suggest_trials(app, ask, RequestKey("r", "SuggestTrials", "digest")).trials
    for _ in range(3):
        with pytest.raises(RequestIdReused):
            suggest_trials.suggest_trials(app, ask, RequestKey("r", "SuggestTrials", "another digest"))
    assert [first.parameters["a"], *in_turn(app, 9)] == sequence(app)[:10]
    assert len(made) == 1


def sequence(app) -> list[object]:
    """What the study's sequence is, made at once."""
    with app.store.read() as records:
        spec = records.get_study("s").spec
    return [s.configuration["a"] for s in quasi_random(OptimizerInput(spec.space, spec.suggestion, 7), 99)]


def test_where_nobody_knows_whether_it_was_handed_out_it_is_looked_up(app) -> None:
    make(app, SMALL)
    in_turn(app, 1)

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    event.listen(app.store._writer, "commit", fail)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            suggested(app)
    event.remove(app.store._writer, "commit", fail)
    assert in_turn(app, 9) == sequence(app)[1:10]


def test_what_was_made_for_calls_that_had_no_turn_to_write_is_kept(app, monkeypatch) -> None:
    make(app, SMALL)
    made = []
    whole = app.optimizer.suggest_quasi_random
    monkeypatch.setattr(app.optimizer, "suggest_quasi_random", lambda *a: made.append(a) or whole(*a))

    def refuse(*_: object, **__: object) -> None:
        raise no_turn("other transactions are being written")

    with monkeypatch.context() as patch:
        patch.setattr(app.store, "write", refuse)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                suggested(app)
    assert in_turn(app, 9) == sequence(app)[:9]
    assert len(made) == 1


def test_another_server_makes_the_study_anew_and_no_suggestion_is_of_the_old_one(app, clock) -> None:
    make(app, SMALL)
    suggested(app)
    other = replace(app, sessions=Sessions(app.store, app.optimizer))
    studies.delete_study(other, "s", None)
    clock.turn(1)
    make(other, SearchSpace((Parameter("b", CategoricalDomain(("x", "y"))),)))
    assert sorted(p["b"] for p in suggested(app, 5)) == ["x", "y"]
