"""The loop of Study.optimize: what becomes of results, exceptions, stops and silence."""

import time

import bo_client
import pytest

State = bo_client.TrialState


def states(study):
    return [t.state for t in study.trials()]


def test_a_number_or_metrics_by_name(study) -> None:
    study.optimize(lambda parameters: 1.0, n_trials=1)
    best = study.optimize(lambda parameters: {"loss": 0.5, "accuracy": 0.9}, n_trials=1)
    assert best.final_measurement.metrics == {"loss": 0.5, "accuracy": 0.9}


def test_it_ends_with_the_study(study) -> None:
    study.optimize(lambda parameters: parameters["lr"])
    assert states(study) == [State.SUCCEEDED] * 6
    assert study.info().state is bo_client.StudyState.COMPLETED


def test_without_an_end_it_is_refused(fake, space) -> None:
    endless = fake.client().create_study("endless", space, "loss", goal="minimize")
    with pytest.raises(bo_client.InvalidRequest, match="n_trials"):
        endless.optimize(lambda parameters: 1.0)


def test_results_that_are_not_finite(study) -> None:
    assert study.optimize(lambda parameters: float("nan"), n_trials=2) is None
    assert states(study) == [State.INFEASIBLE] * 2
    assert study.trial(1).failure.reason is bo_client.FailureReason.DIVERGED


def test_memory_errors_blame_the_parameters(study) -> None:
    def hungry(parameters):
        raise MemoryError("9 GB")

    study.optimize(hungry, n_trials=2)
    assert study.trial(1).failure == bo_client.Failure(bo_client.FailureReason.OUT_OF_MEMORY, "MemoryError: 9 GB")


def test_the_third_exception_in_a_row_is_raised(study) -> None:
    calls = []

    def broken(parameters):
        calls.append(parameters)
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        study.optimize(broken)
    assert len(calls) == 3
    assert study.trial(1).failure.message == "ZeroDivisionError: by nothing"


def test_an_exception_now_and_then_is_survived(study) -> None:
    calls = []

    def flaky(parameters):
        calls.append(1)
        if len(calls) % 2:
            raise OSError("a hiccup")
        return 1.0

    study.optimize(flaky)
    assert states(study) == [State.SUCCEEDED] * 6


def test_the_first_exception_is_raised_where_asked(study) -> None:
    with pytest.raises(OSError, match="hiccup"):
        study.optimize(lambda parameters: (_ for _ in ()).throw(OSError("hiccup")), raise_errors=True)


def test_a_trial_that_is_told_to_stop(study) -> None:
    def long(parameters, trial):
        for step in range(100):
            if step == 3:
                study.stop_trial(trial.number, "enough")
            trial.report(1.0 / (step + 1), step)
        raise AssertionError("it was not stopped")

    study.optimize(long, n_trials=1)
    ended = study.trial(1)
    assert ended.state is State.STOPPED
    assert ended.final_measurement.step == ended.measurements[-1].step == 3


def test_signs_of_life_go_on_beside_a_silent_objective(fake, space) -> None:
    study = fake.client().create_study("s", space, "loss", goal="minimize", lease_duration=1, max_trials=1)

    def silent(parameters):
        time.sleep(1.2)
        return 1.0

    study.optimize(silent)
    assert sum(method == "ReportMeasurements" for method, _ in fake.calls) >= 2
    assert study.trial(1).attempt == 1


def test_a_trial_of_another_worker_is_left_to_it(fake, space) -> None:
    study = fake.client().create_study("s", space, "loss", goal="minimize", max_trials=1, lease_duration=30)

    def slow(parameters, trial):
        fake.advance(31)
        study.suggest(worker_id="other")
        trial.report(0.5, 1)
        raise AssertionError("it was not stopped")

    study.optimize(slow, n_trials=1)
    assert (study.trial(1).state, study.trial(1).worker_id) == (State.RUNNING, "other")


def test_an_interrupt_gives_the_trial_back(study) -> None:
    def interrupted(parameters):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted)
    assert states(study) == [State.QUEUED]
    assert study.trial(1).failure.reason is bo_client.FailureReason.PREEMPTED
