"""Suggestions made ahead are handed out only where the optimizer would be given the same."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bo_service.application import running, studies, suggesting, trials
from bo_service.application.preparers import prepare
from bo_service.core.domains import CategoricalDomain, FloatDomain, Scale
from bo_service.core.evidence import Evidence
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import (
    Acquisition,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    StudySpec,
    SuggestionSettings,
)
from bo_service.core.trial import Failure, FailureReason, Measurement, Origin

SPACE = SearchSpace(
    (Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)), Parameter("norm", CategoricalDomain(("batch", "layer"))))
)
OTHER_SPACE = SearchSpace((Parameter("lr", FloatDomain(1e-4, 0.5, Scale.LOG)),))
METRICS = (
    Metric("loss", Goal.MINIMIZE),
    Metric("time", Goal.MINIMIZE, MetricRole.CONSTRAINT, bound=10.0),
)


def create(services, study_id: str = "s", space: SearchSpace = SPACE, sources: tuple[str, ...] = ()) -> None:
    suggestion = SuggestionSettings(warm_start_studies=sources, initial_trials=3)
    spec = StudySpec(space, METRICS, suggestion, ExecutionSettings(max_attempts=2))
    studies.create_study(services, studies.NewStudy(study_id, spec, "", {}), None)


def record(services, study_id: str, lr: float, loss: float) -> None:
    parameters = {"lr": lr} if study_id == "other" else {"lr": lr, "norm": "batch"}
    new = trials.NewTrial(parameters, {}, final_measurement=Measurement({"loss": loss, "time": loss}))
    trials.create_trial(services, study_id, new, None)


def ask(services):
    (trial,) = suggesting.suggest_trials(services, suggesting.Ask("s", 1, "worker", 60.0), None).trials
    return trial


def fail(services, trial, reason=FailureReason.CRASHED):
    return running.complete_trial(services, "s", trial.number, trial.lease.token, Failure(reason), None)


def evidence(services) -> Evidence:
    with services.memory.reading(services.store, "s") as (_, known):
        return replace(known.evidence, pending=())


@pytest.fixture
def study(services) -> None:
    """Three results, an earlier study to start from, and one trial that runs."""
    create(services, "source")
    record(services, "source", 0.02, 3.0)
    record(services, "source", 0.03, 4.0)
    create(services, sources=("source",))
    for i, lr in enumerate((0.001, 0.01, 0.1)):
        record(services, "s", lr, float(i))


def revise(services, **changes) -> None:
    update = studies.StudyUpdate(revise=lambda spec: replace(spec, suggestion=replace(spec.suggestion, **changes)))
    studies.update_study(services, "s", update, None)


def create_anew(services, clock, going_on) -> None:
    studies.delete_study(services, "s", None)
    clock.turn(1)
    create(services, space=OTHER_SPACE)
    for i in range(4):
        new = trials.NewTrial({"lr": 0.01 * (i + 1)}, {}, final_measurement=Measurement({"loss": i, "time": 0.0}))
        trials.create_trial(services, "s", new, None)


def stop_without_result(services, clock, going_on) -> None:
    trials.stop_trial(services, "s", going_on.number, "", None)
    fail(services, going_on)


def fail_twice(services, clock, going_on) -> None:
    fail(services, going_on)
    fail(services, ask(services))


CHANGES: dict[str, Callable] = {
    "space": create_anew,
    "settings": lambda services, *_: revise(services, acquisition=Acquisition.UCB),
    "seed": lambda services, *_: revise(services, seed=5),
    "past": lambda services, *_: record(services, "s", 0.5, 0.5),
    "sources": lambda services, *_: record(services, "source", 0.5, 0.5),
    "spent": stop_without_result,
    "failed": fail_twice,
}
"""What users do that changes a part of what the optimizer is given."""


@pytest.mark.parametrize("name", [f.name for f in fields(Evidence) if f.compare and f.name != "pending"])
def test_a_change_of_any_part_of_the_evidence_makes_what_is_prepared_stale(
    services, study, optimizer, clock, name: str
) -> None:
    going_on = ask(services)
    prepare(services, "s")
    assert ask(services).origin is Origin.SURROGATE
    before = evidence(services)
    prepare(services, "s")
    CHANGES[name](services, clock, going_on)
    now = evidence(services)
    assert getattr(before, name) != getattr(now, name)
    optimizer.asked.clear()
    assert ask(services).origin is Origin.SURROGATE
    assert [replace(asked, pending=()) for asked in optimizer.asked] == [now]


STEPS = st.lists(st.sampled_from(["crash", "diverge", "finish", "stop", "delete", "queue", "prepare", "retry", "seed"]))


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_changes_what_is_handed_out_was_made_of_what_is_known(services, optimizer, clock, steps) -> None:
    """The optimizer is asked only for what it has not answered, and no configuration is handed out twice by itself."""
    create(services)
    for i, lr in enumerate((0.001, 0.01, 0.1)):
        record(services, "s", lr, float(i))
    seen = {"lr": set()}
    for i, step in enumerate([*steps, "finish"]):
        if step == "queue":
            trials.create_trial(services, "s", trials.NewTrial({"lr": 0.2 + i / 100, "norm": "layer"}, {}), None)
        elif step == "prepare":
            prepare(services, "s")
        elif step == "seed":
            revise(services, seed=i)
        else:
            act(services, step, seen["lr"])
    studies.delete_study(services, "s", None)
    clock.turn(1)


def act(services, step: str, seen: set[tuple[object, ...]]) -> None:
    trial = ask(services)
    given_now = tuple(trial.parameters.values())
    assert trial.attempt > 1 or given_now not in seen
    seen.add(given_now)
    if step == "finish":
        final = Measurement({"loss": trial.parameters["lr"], "time": 1.0})
        running.complete_trial(services, "s", trial.number, trial.lease.token, final, None)
    elif step == "diverge":
        fail(services, trial, FailureReason.DIVERGED)
    elif step == "stop":
        trials.stop_trial(services, "s", trial.number, "", None)
        fail(services, trial)
    elif step == "retry":
        fail(services, trial)
    else:
        fail(services, trial)
        fail(services, ask(services))
        if step == "delete":
            seen.discard(given_now)
            trials.delete_trial(services, "s", trial.number, None)
