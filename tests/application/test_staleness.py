"""Suggestions made ahead are handed out only where the optimizer would be given the same."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import (
    Acquisition,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    StudySpec,
    SuggestionSettings,
)
from bo_service.domain.trial import Failure, FailureReason, Measurement, Origin
from bo_service.optimizer.inputs import OptimizerInput

SPACE = SearchSpace(
    (Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)), Parameter("norm", CategoricalDomain(("batch", "layer"))))
)
OTHER_SPACE = SearchSpace((Parameter("lr", FloatDomain(1e-4, 0.5, Scale.LOG)),))
METRICS = (
    Metric("loss", Goal.MINIMIZE),
    Metric("time", Goal.MINIMIZE, MetricRole.CONSTRAINT, bound=10.0),
)


def create(app, study_id: str = "s", space: SearchSpace = SPACE, sources: tuple[str, ...] = ()) -> None:
    suggestion = SuggestionSettings(warm_start_studies=sources, initial_trials=3)
    spec = StudySpec(space, METRICS, suggestion, ExecutionSettings(max_attempts=2))
    studies.create_study(app, studies.NewStudy(study_id, spec, "", {}), None)


def record(app, study_id: str, lr: float, loss: float) -> None:
    parameters = {"lr": lr} if study_id == "other" else {"lr": lr, "norm": "batch"}
    new = trials.NewTrial(parameters, {}, final_measurement=Measurement({"loss": loss, "time": loss}))
    trials.create_trial(app, study_id, new, None)


def ask(app):
    (trial,) = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", 1, "worker", 60.0), None).trials
    return trial


def fail(app, trial, reason=FailureReason.CRASHED):
    return trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Failure(reason), None)


def inputs(app) -> OptimizerInput:
    with app.sessions.of("s").reading() as (_, known):
        return replace(known.inputs, pending=())


@pytest.fixture
def study(app) -> None:
    """Three results, an earlier study to start from, and one trial that runs."""
    create(app, "source")
    record(app, "source", 0.02, 3.0)
    record(app, "source", 0.03, 4.0)
    create(app, sources=("source",))
    for i, lr in enumerate((0.001, 0.01, 0.1)):
        record(app, "s", lr, float(i))


def revise(app, **changes) -> None:
    update = studies.StudyUpdate(revise=lambda spec: replace(spec, suggestion=replace(spec.suggestion, **changes)))
    studies.update_study(app, "s", update, None)


def create_anew(app, clock, going_on) -> None:
    studies.delete_study(app, "s", None)
    clock.turn(1)
    create(app, space=OTHER_SPACE)
    for i in range(4):
        new = trials.NewTrial({"lr": 0.01 * (i + 1)}, {}, final_measurement=Measurement({"loss": i, "time": 0.0}))
        trials.create_trial(app, "s", new, None)


def create_anew_in_parts(app, clock, going_on) -> None:
    studies.delete_study(app, "s", None)
    clock.turn(1)
    spec = StudySpec(SPACE, METRICS[:1], fidelity=FidelitySettings(9, promotion=Promotion.FORECAST))
    studies.create_study(app, studies.NewStudy("s", spec, "", {}), None)
    for i in range(4):
        parameters = {"lr": 0.01 * (i + 1), "norm": "batch"}
        trials.create_trial(app, "s", trials.NewTrial(parameters, {}, final_measurement=Measurement({"loss": i})), None)


def stop_without_result(app, clock, going_on) -> None:
    trials.stop_trial(app, "s", going_on.number, "", None)
    fail(app, going_on)


def fail_twice(app, clock, going_on) -> None:
    fail(app, going_on)
    fail(app, ask(app))


CHANGES: dict[str, Callable] = {
    "space": create_anew,
    "settings": lambda app, *_: revise(app, acquisition=Acquisition.UCB),
    "seed": lambda app, *_: revise(app, seed=5),
    "observations": lambda app, *_: record(app, "s", 0.5, 0.5),
    "sources": lambda app, *_: record(app, "source", 0.5, 0.5),
    "training": create_anew_in_parts,
    "discarded": stop_without_result,
    "failed": fail_twice,
}
"""What users do that changes a part of what the optimizer is given."""


@pytest.mark.parametrize("name", [f.name for f in fields(OptimizerInput) if f.compare and f.name != "pending"])
def test_a_change_of_any_part_of_the_evidence_makes_what_is_prepared_stale(
    app, study, optimizer, clock, name: str
) -> None:
    going_on = ask(app)
    app.sessions.of("s").prefetch()
    assert ask(app).origin is Origin.SURROGATE
    before = inputs(app)
    app.sessions.of("s").prefetch()
    CHANGES[name](app, clock, going_on)
    now = inputs(app)
    assert getattr(before, name) != getattr(now, name)
    optimizer.asked.clear()
    assert ask(app).origin is Origin.SURROGATE
    assert [replace(asked, pending=()) for asked in optimizer.asked] == [now]


STEPS = st.lists(st.sampled_from(["crash", "diverge", "finish", "stop", "delete", "queue", "prepare", "retry", "seed"]))


@given(steps=STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_changes_what_is_handed_out_was_made_of_what_is_known(app, optimizer, clock, steps) -> None:
    """The optimizer is asked only for what it has not answered, and no configuration is handed out twice by itself."""
    create(app)
    for i, lr in enumerate((0.001, 0.01, 0.1)):
        record(app, "s", lr, float(i))
    seen = {"lr": set()}
    for i, step in enumerate([*steps, "finish"]):
        if step == "queue":
            trials.create_trial(app, "s", trials.NewTrial({"lr": 0.2 + i / 100, "norm": "layer"}, {}), None)
        elif step == "prepare":
            app.sessions.of("s").prefetch()
        elif step == "seed":
            revise(app, seed=i)
        else:
            act(app, step, seen["lr"])
    studies.delete_study(app, "s", None)
    clock.turn(1)


def act(app, step: str, seen: set[tuple[object, ...]]) -> None:
    trial = ask(app)
    given_now = tuple(trial.parameters.values())
    assert trial.attempt > 1 or given_now not in seen
    seen.add(given_now)
    if step == "finish":
        final = Measurement({"loss": trial.parameters["lr"], "time": 1.0})
        trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, final, None)
    elif step == "diverge":
        fail(app, trial, FailureReason.DIVERGED)
    elif step == "stop":
        trials.stop_trial(app, "s", trial.number, "", None)
        fail(app, trial)
    elif step == "retry":
        fail(app, trial)
    else:
        fail(app, trial)
        fail(app, ask(app))
        if step == "delete":
            seen.discard(given_now)
            trials.delete_trial(app, "s", trial.number, None)
