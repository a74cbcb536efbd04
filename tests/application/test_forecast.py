"""Promotion by forecast: what goes on, why, and what the optimizer is given. Curves cross: slow trials end best."""

import math
import re
from dataclasses import replace

import pytest

from bo_service.application import studies, suggest_trials, trial_lifecycle, trials
from bo_service.application.context import AppContext
from bo_service.application.views import PauseOutcome
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.fidelity import FidelitySettings, Promotion, best_third
from bo_service.domain.parameter_types import FloatDomain
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
from bo_service.domain.trial import Measurement, TrialState
from bo_service.optimizer.suggest import suggest

SPACE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "xyz"))
LAST = 9


def loss_at(parameters, epoch: int) -> float:
    """With a small x it falls slowly and ends best; at the first rungs a large one is ahead."""
    x, y, z = (parameters[name] for name in "xyz")
    bowl = 0.2 + 0.4 * x + 2.0 * (y - 0.3) ** 2 + 2.0 * (z - 0.6) ** 2
    return bowl + 2.0 * (1.0 - x) * (math.exp(-4 * epoch / LAST) - math.exp(-4))


def make(
    app, promotion=Promotion.FORECAST, algorithm=Algorithm.GAUSSIAN_PROCESS, max_trials=None, seed=1, study_id="s"
) -> str:
    spec = StudySpec(
        SPACE,
        (Metric("loss", Goal.MINIMIZE),),
        SuggestionSettings(algorithm, seed=seed),
        ExecutionSettings(max_trials=max_trials),
        fidelity=FidelitySettings(LAST, 1, "epoch", promotion),
    )
    studies.create_study(app, studies.NewStudy(study_id, spec, "", {}), None)
    return study_id


def ask(app, count=1, can_resume=True, study_id="s"):
    request = suggest_trials.SuggestRequest(study_id, count, "w", 60.0, can_resume=can_resume)
    return suggest_trials.suggest_trials(app, request, None).trials


def train(app, trial):
    """Train a trial as far as it is told to."""
    epoch = trial.latest_measurement.step if trial.latest_measurement else 0
    while True:
        epoch += 1
        measured = Measurement({"loss": loss_at(trial.parameters, epoch)}, epoch)
        token = trial.lease.token
        told = trial_lifecycle.report_measurements(app, trial.study_id, trial.number, token, [measured], f"at:{epoch}")
        if told.should_pause:
            return trial_lifecycle.complete_trial(app, trial.study_id, trial.number, token, PauseOutcome(), None)
        if epoch == LAST:
            return trial_lifecycle.complete_trial(app, trial.study_id, trial.number, token, measured, None)


def everything(app):
    return [
        trials.get_trial(app, "s", t.number, full=True).trial for t in app.sessions.of("s").read().summaries.values()
    ]


def run(app, parts: int):
    """Run so many parts of trials, one after the other; return what was handed out."""
    handed = []
    for _ in range(parts):
        (trial,) = ask(app)
        handed.append(trial)
        train(app, trial)
    return handed


def test_a_slow_starter_goes_on_that_ranking_would_drop(app) -> None:
    make(app)
    handed = run(app, 20)
    assert {t.until_step for t in handed if t.attempt == 1} == {1}
    at_first = {t.number: loss_at(t.parameters, 1) for t in handed}
    slow = [t for i, t in enumerate(handed) if t.attempt > 1 and is_behind(at_first, t, handed[:i])]
    assert slow, [(t.number, t.attempt) for t in handed]
    assert re.match(r"Forecast: at epoch 1 loss was [\d.]+; goes on once its forecast is", slow[0].pause.reason)
    said = slow[0].explanation.summary
    expected = (
        f"Continues trial {slow[0].number} from epoch {slow[0].latest_measurement.step} to {slow[0].until_step}: "
    )
    assert expected in said
    assert said.count("Continues") == 1
    assert 0.0 < slow[0].explanation.predictions[0].mean < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_where_curves_cross_forecasts_find_what_ranks_miss(app, seed: int) -> None:
    """The best loss is 0.2, of the slowest trials; the epochs are those of 20 whole trials."""
    least = {}
    for promotion in (Promotion.FORECAST, Promotion.ASHA):
        study = make(app, promotion, seed=seed, study_id=promotion.value)
        epochs, ended = 0, []
        while epochs < 20 * LAST:
            (trial,) = ask(app, study_id=study)
            before = trial.latest_measurement.step if trial.latest_measurement else 0
            trained = train(app, trial)
            epochs += trained.latest_measurement.step - before
            ended += [trained.final_measurement.metrics["loss"]] if trained.final_measurement else []
        least[promotion] = min(ended)
    assert least[Promotion.FORECAST] < 0.21
    assert least[Promotion.ASHA] > 0.25


def is_behind(at_first, trial, before) -> bool:
    """Return whether a trial was outside the best third at the first rung when it went on."""
    values = {t.number: -at_first[t.number] for t in before}
    return trial.number not in best_third(values)


def test_who_gets_what_and_what_it_depends_on(app, optimizer) -> None:
    make(app)
    run(app, 12)
    followed = app.sessions.of("s").read().inputs
    assert AppContext.of(app.store, app.clock, optimizer).sessions.of("s").read().inputs == followed
    shuffled = replace(followed, training=replace(followed.training, curves=followed.training.curves[::-1]))
    assert suggest(followed, 2) == suggest(shuffled, 2)
    (fresh,) = ask(app, can_resume=False)  # that worker is given new trials alone
    assert (fresh.attempt, fresh.until_step) == (1, None)
    assert len({trial.number for trial in ask(app, 4)}) == 4


def test_the_curve_of_a_running_trial_is_seen_as_far_as_its_last_stop(app) -> None:
    make(app)
    run(app, 4)
    (trial,) = ask(app, can_resume=False)
    versions, seen = [], []
    for epoch in range(1, LAST):
        measured = Measurement({"loss": loss_at(trial.parameters, epoch)}, epoch)
        trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, [measured])
        snapshot = app.sessions.of("s").read()
        versions.append(snapshot.basis.version)
        seen.append(snapshot.basis.curves[trial.number].steps[-1])
    assert seen == [1, 2, 3, 3, 5, 5, 5, 5]
    assert len(set(versions)) == 4


def test_what_was_prefetched_is_stale_once_a_running_trial_reaches_a_stop(app, optimizer) -> None:
    make(app)
    run(app, 6)
    (going_on,) = ask(app, can_resume=False)
    session = app.sessions.of("s")
    ask(app)
    session.prefetch()
    before = len(optimizer.asked)
    for epoch, computations in ((1, 1), (2, 2), (3, 3), (4, 3)):
        measured = Measurement({"loss": loss_at(going_on.parameters, epoch)}, epoch)
        trial_lifecycle.report_measurements(app, "s", going_on.number, going_on.lease.token, [measured])
        session.prefetch()
        assert len(optimizer.asked) - before == computations


def test_a_trial_without_measurements_counts_with_its_result(app) -> None:
    make(app)
    (trial,) = ask(app)
    trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, Measurement({"loss": 0.5}, LAST), None)
    (curve,) = app.sessions.of("s").read().basis.curves.values()
    assert (curve.steps, curve.values, curve.is_paused) == ((LAST,), (-0.5,), False)


def test_a_study_ends_though_trials_are_paused(app) -> None:
    make(app, max_trials=8)
    for _ in range(40):
        handed = ask(app)
        if not handed:
            break
        train(app, handed[0])
    assert app.sessions.of("s").read().study.state is StudyState.COMPLETED


def test_without_promotion_every_trial_is_whole(app) -> None:
    make(app, Promotion.NONE)
    run(app, 6)
    assert {t.state for t in everything(app)} == {TrialState.SUCCEEDED}


def test_an_algorithm_without_forecasts_is_refused(app) -> None:
    with pytest.raises(InvalidArgument, match="PROMOTION_FORECAST"):
        make(app, algorithm=Algorithm.QUASI_RANDOM)
