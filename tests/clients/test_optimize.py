"""The loop of Study.optimize: what becomes of results, exceptions, stops and silence."""

import threading
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


@pytest.fixture
def several(server, space) -> bo_client.Study:
    metrics = [
        bo_client.Metric("loss", "minimize"),
        bo_client.Metric("score", "maximize"),
        bo_client.Metric.at_most("size", 5.0),
    ]
    return server.client().create_study("several", space, metrics, max_trials=4)


def test_several_objectives_give_their_pareto_set(several) -> None:
    results = iter([(1.0, 1.0, 5.0), (2.0, 2.0, 1.0), (3.0, 1.5, 1.0), (0.0, 9.0, 5.1)])
    found = several.optimize(lambda parameters: dict(zip(("loss", "score", "size"), next(results), strict=True)))
    assert [t.number for t in found] == [1, 2]


def test_several_objectives_without_a_result_within_the_bounds(several) -> None:
    assert several.optimize(lambda parameters: {"loss": 1.0, "score": 1.0, "size": 6.0}) == []


@pytest.mark.parametrize(
    ("result", "hint"), [(1.0, "'score': …"), ({"loss": 1.0, "size": 1.0}, "score"), ((1.0, 2.0, 3.0), "'score': …")]
)
def test_a_result_of_several_metrics_has_each_by_its_name(several, result, hint) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=hint):
        several.optimize(lambda parameters: result, raise_errors=True)
    assert several.trial(1).failure.reason is bo_client.FailureReason.CRASHED


def test_any_metric_that_steers_may_diverge(several) -> None:
    assert several.optimize(lambda p: {"loss": 1.0, "score": 1.0, "size": float("inf")}, n_trials=1) == []
    assert several.trial(1).state is State.INFEASIBLE


def test_a_stopped_trial_whose_other_metrics_are_not_known_yet_has_no_result(several) -> None:
    def stopped(parameters, trial):
        several.stop_trial(trial.number)
        trial.report({"loss": 1.0}, step=1)

    assert several.optimize(stopped, n_trials=1) == []
    assert several.trial(1).state is State.STOPPED
    assert several.trial(1).failure.message.startswith("stopped before score, size had been measured")


def test_it_ends_with_the_study(study) -> None:
    study.optimize(lambda parameters: parameters["lr"])
    assert states(study) == [State.SUCCEEDED] * 6
    assert study.info().state is bo_client.StudyState.COMPLETED


def test_without_an_end_it_is_refused(server, space) -> None:
    endless = server.client().create_study("endless", space, "loss", goal="minimize")
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


def test_signs_of_life_go_on_beside_a_silent_objective(server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", lease_duration=1, max_trials=1)

    def silent(parameters):
        deadline = time.monotonic() + 120
        while sum(method == "ReportMeasurements" for method, _ in server.calls) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return 1.0

    study.optimize(silent)
    assert sum(method == "ReportMeasurements" for method, _ in server.calls) >= 2
    assert study.trial(1).attempt == 1


def test_a_trial_of_another_worker_is_left_to_it(server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=1, lease_duration=30)

    def slow(parameters, trial):
        server.advance(31)
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


class Model:
    """Objectives come as methods and objects too."""

    def train(self, parameters):
        return 1.0

    def train_and_report(self, parameters, trial):
        trial.report(2.0, step=1)
        return 1.0

    def __call__(self, parameters, trial):
        return self.train_and_report(parameters, trial)


@pytest.mark.parametrize(
    ("objective", "reports"),
    [
        (Model().train, 0),
        (Model().train_and_report, 1),
        (Model(), 1),
        (lambda parameters, verbose=False: 1.0, 0),
        (lambda parameters, *rest, **more: 1.0, 0),
        (lambda parameters, trial, verbose=False: Model()(parameters, trial), 1),
        (lambda parameters: parameters.get("none", 1.0), 0),
    ],
)
def test_an_objective_gets_the_trial_where_it_takes_two_arguments(study, objective, reports) -> None:
    study.optimize(objective, n_trials=1)
    assert study.trial(1).state is State.SUCCEEDED
    assert len(study.trial(1).measurements) == reports


@pytest.mark.parametrize("result", ["low", None, {"accuracy": 0.5}, {"loss": "low"}])
def test_a_result_that_is_none_is_the_objectives_fault(study, result) -> None:
    with pytest.raises(bo_client.InvalidRequest):
        study.optimize(lambda parameters: result, raise_errors=True)
    assert study.trial(1).failure.reason is bo_client.FailureReason.CRASHED


def test_a_trial_stopped_before_its_first_measurement_has_no_result(study) -> None:
    def stopped(parameters, trial):
        study.stop_trial(trial.number)
        raise bo_client.StopTrial("told otherwise")

    assert study.optimize(stopped, n_trials=1) is None
    assert study.trial(1).state is State.STOPPED


def test_an_objective_may_end_its_trial_with_what_it_has(study) -> None:
    def enough(parameters, trial):
        trial.report(0.5, step=1)
        raise bo_client.StopTrial

    assert study.optimize(enough, n_trials=1).final_measurement.metrics == {"loss": 0.5}


def test_a_stopped_trial_that_diverged_is_infeasible(study) -> None:
    def diverging(parameters, trial):
        study.stop_trial(trial.number)
        trial.report(float("nan"), step=1)

    study.optimize(diverging, n_trials=1)
    assert study.trial(1).state is State.INFEASIBLE


def test_a_server_that_is_away_for_a_while_costs_nothing(server, study) -> None:
    patient = server.client(patience=20.0).study("s")

    def objective(parameters, trial):
        server.is_down = True
        threading.Timer(0.3, lambda: setattr(server, "is_down", False)).start()
        trial.report(0.5, step=1)
        return 0.25

    assert patient.optimize(objective, n_trials=1).measurements == ()
    assert [m.metrics for m in study.trial(1).measurements] == [{"loss": 0.5}]
    assert study.trial(1).attempt == 1


def test_a_server_that_is_gone_ends_the_loop(server, study) -> None:
    def objective(parameters):
        server.is_down = True
        return 0.25

    with pytest.raises(bo_client.ServerUnavailable):
        study.optimize(objective)


def test_it_waits_for_what_others_may_give_back(server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=1)
    (others,) = study.suggest(worker_id="other")
    threading.Timer(0.3, lambda: others.fail("PREEMPTED")).start()
    study.optimize(lambda parameters: 1.0)
    assert (study.trial(1).state, study.trial(1).attempt) == (State.SUCCEEDED, 2)


def test_it_ends_where_a_space_is_exhausted(server) -> None:
    space = bo_client.SearchSpace([bo_client.IntParameter("n", 1, 3)])
    study = server.client().create_study("s", space, "value", goal="maximize")
    best = study.optimize(lambda parameters: parameters["n"], n_trials=100)
    assert best.parameters == {"n": 3}
    assert [t.parameters["n"] for t in study.trials()][3:] == [3]


def test_workers_in_threads_share_a_study(server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=12)
    ran: list[int] = []

    def objective(parameters, trial):
        ran.append(trial.number)
        return 1.0

    workers = [threading.Thread(target=study.optimize, args=(objective,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert sorted(ran) == list(range(1, 13))


@pytest.fixture
def in_parts(server, space) -> bo_client.Study:
    fidelity = {"metric": "epoch", "max": 9}
    return server.client().create_study("parts", space, "loss", goal="minimize", max_trials=9, fidelity=fidelity)


def test_an_objective_that_resumes_is_trained_in_parts_and_no_epoch_twice(in_parts) -> None:
    epochs: list[tuple[int, int]] = []

    def objective(parameters, trial):
        first = int(trial.checkpoint_uri or 0) + 1
        for epoch in range(first, 10):
            epochs.append((trial.number, epoch))
            trial.report(trial.number / epoch, epoch, checkpoint_uri=str(epoch))
        return trial.number / 9

    best = in_parts.optimize(objective, can_resume=True)
    assert len(set(epochs)) == len(epochs)
    assert best.number == 1
    assert {state: n for state, n in in_parts.info().counts.items() if n} == {
        State.SUCCEEDED: states(in_parts).count(State.SUCCEEDED),
        State.PAUSED: states(in_parts).count(State.PAUSED),
    }
    assert states(in_parts).count(State.PAUSED) >= 6
    assert len(epochs) < 9 * 9 / 2
    assert in_parts.info().state is bo_client.StudyState.COMPLETED


def test_an_objective_that_cannot_resume_is_trained_in_one_go(in_parts) -> None:
    def objective(parameters, trial):
        for epoch in range(1, 10):
            trial.report(1.0, epoch)
        return 1.0

    in_parts.optimize(objective)
    assert states(in_parts) == [State.SUCCEEDED] * 9


def test_a_pause_without_a_checkpoint_is_an_error_of_the_objective(in_parts) -> None:
    def objective(parameters, trial):
        trial.report(1.0, 1)
        return 1.0

    with pytest.raises(bo_client.InvalidRequest, match="checkpoint_uri"):
        in_parts.optimize(objective, can_resume=True)


def test_a_checkpoint_may_be_written_once_the_trial_should_pause(in_parts) -> None:
    def objective(parameters, trial):
        for epoch in range(int(trial.checkpoint_uri or 0) + 1, 10):
            try:
                trial.report(1.0, epoch)
            except bo_client.PauseTrial:
                trial.checkpoint(str(epoch))
                raise
        return 1.0

    in_parts.optimize(objective, n_trials=2, can_resume=True)
    assert [(t.state, t.checkpoint_uri) for t in in_parts.trials()] == [(State.PAUSED, "1")] * 2
