"""What trials cost, where they are trained in parts: gain for each second decides which of a rung go on."""

import re
from dataclasses import replace
from datetime import timedelta

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.views import PauseOutcome
from bo_service.domain.fidelity import FidelitySettings, Promotion
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, StudySpec, SuggestionSettings
from bo_service.domain.trial import Measurement
from bo_service.optimizer.suggest import suggest

SPACE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in ("width", "rate")))
WIDE, NARROW = 0.9, 0.1
PLANNED = [(width, rate) for rate in (0.5, 0.45, 0.58, 0.2, 0.85, 0.98) for width in (WIDE, NARROW)]
"""Twelve trials, so that four of a rung go on. A wide one is a little better than the narrow one of the same rate."""

BY_FORECAST = [1, 3, 5, 2]
PER_SECOND = [2, 4, 6, 1]


def loss_at(parameters, epoch: int) -> float:
    return 0.3 - 0.05 * parameters["width"] + (parameters["rate"] - 0.5) ** 2 + 0.5 / epoch


def seconds_of(parameters) -> float:
    """Return the seconds of an epoch."""
    return 20.0 if parameters["width"] > 0.5 else 1.0


def make(app, study_id="s", per_cost=True):
    spec = StudySpec(
        SPACE,
        (Metric("loss", Goal.MINIMIZE),),
        SuggestionSettings(seed=1, per_cost=per_cost),
        fidelity=FidelitySettings(27, 1, "epoch", Promotion.FORECAST),
    )
    studies.create_study(app, studies.NewStudy(study_id, spec, "", {}), None)
    for width, rate in PLANNED:
        trials.create_trial(app, study_id, trials.NewTrial({"width": width, "rate": rate}, {}), None)
    return study_id


def ask(app, study_id="s", count=1, can_resume=True):
    request = suggest_trials.SuggestRequest(study_id, count, "w", 60.0, can_resume=can_resume)
    return suggest_trials.suggest_trials(app, request, None).trials


def report(app, trial, seconds):
    """Train a trial to its first rung."""
    elapsed = None if seconds is None else timedelta(seconds=seconds)
    measured = Measurement({"loss": loss_at(trial.parameters, 1)}, 1, elapsed)
    trial_lifecycle.report_measurements(app, trial.study_id, trial.number, trial.lease.token, [measured], "at:1")


def pause(app, trial, seconds):
    """Train a trial to its first rung, and give it back."""
    report(app, trial, seconds)
    trial_lifecycle.complete_trial(app, trial.study_id, trial.number, trial.lease.token, PauseOutcome(), None)


def pause_all(app, study_id, seconds=lambda trial: seconds_of(trial.parameters)):
    for trial in ask(app, study_id, len(PLANNED)):
        pause(app, trial, seconds(trial))


def numbers(handed):
    return [trial.number for trial in handed]


def test_cheap_trials_go_on_instead_of_dear_ones_that_are_hardly_better(app) -> None:
    handed = {}
    for per_cost in (False, True):
        study_id = make(app, "with" if per_cost else "without", per_cost)
        pause_all(app, study_id)
        handed[per_cost] = ask(app, study_id, 5)
        assert handed[per_cost][4].attempt == 1  # four of twelve go on, and then a new one begins
    assert numbers(handed[False][:4]) == BY_FORECAST
    assert numbers(handed[True][:4]) == PER_SECOND
    cheap, plain = handed[True][0].explanation.summary, handed[False][0].explanation.summary
    assert re.search(r"Continues trial 2 from epoch 1 to 3: expected .* It is expected to take 2 s\.$", cheap)
    assert "expected to take" not in plain


def test_neither_the_unit_of_seconds_nor_the_order_of_trials_matters(app) -> None:
    make(app)
    pause_all(app, "s", lambda trial: 3600.0 * seconds_of(trial.parameters))
    given = app.sessions.of("s").read().inputs
    shuffled = replace(given, training=replace(given.training, curves=given.training.curves[::-1]))
    assert [suggestion.continues.number for suggestion in suggest(shuffled, 4)] == PER_SECOND
    assert numbers(ask(app, "s", 4)) == PER_SECOND


def test_at_nearly_equal_cost_the_order_is_that_of_forecasts(app) -> None:
    make(app)
    pause_all(app, "s", lambda trial: 5.0 + 0.01 * (trial.number % 3))
    assert numbers(ask(app, "s", 4)) == BY_FORECAST


def test_trials_without_seconds_count_as_their_neighbors_do(app) -> None:
    make(app)
    pause_all(app, "s", lambda trial: None if trial.number in (1, 2) else seconds_of(trial.parameters))
    assert numbers(ask(app, "s", 4)) == PER_SECOND


def test_a_running_trial_takes_its_place(app) -> None:
    make(app)
    (first,), (whole,) = ask(app), ask(app, can_resume=False)
    for trial in (first, *ask(app, "s", len(PLANNED) - 2)):
        pause(app, trial, seconds_of(trial.parameters))
    report(app, whole, None)
    assert whole.number == PER_SECOND[0]
    assert numbers(ask(app, "s", 3)) == PER_SECOND[1:]
