"""Whole experiments: every call carries all trials, answers get lost, and the server is started again."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from katib_api.v1beta1 import api_pb2 as pb

from bo_service.application.external_trials import NAME
from bo_service.application.studies import get_study, list_studies
from bo_service.application.suggest_trials import SuggestRequest, suggest_trials
from bo_service.application.trials import NewTrial, create_trial, list_trials
from bo_service.domain.errors import DeadlinePassed
from bo_service.domain.trial import FailureReason, Origin, Trial, TrialState
from bo_service.katib.servicer import SuggestionServicer
from tests.katib.controller import Controller, Service, Status, experiment, served


def study_of(service: Service, name: str) -> str:
    views, _ = list_studies(service.app, "", 1000)
    (found,) = [v.study.study_id for v in views if v.study.display_name == name]
    return found


def trials_of(service: Service, name: str) -> list[Trial]:
    page = list_trials(service.app, study_of(service, name), (), 0, 1000, full=False)
    return [view.trial for view in page.trials]


def by_name(service: Service, name: str) -> dict[str, Trial]:
    return {trial.labels[NAME]: trial for trial in trials_of(service, name) if NAME in trial.labels}


@pytest.mark.parametrize("algorithm", ["quasi_random", pytest.param("gaussian_process", marks=pytest.mark.slow)])
def test_an_experiment_of_twelve_trials_goes_on_through_restarts_and_lost_answers(
    tmp_path: Path, algorithm: str
) -> None:
    storage, losses = f"sqlite:///{tmp_path}/bo.db", []
    settings = [{"name": "algorithm", "value": algorithm}, {"name": "random_state", "value": "7"}]
    controller = Controller("", experiment(algorithm={"algorithmSettings": settings}))
    while len(controller.trials) < 12:
        with served(storage) as service:
            controller.address = service.address
            wanted = 3 - len(controller.running())
            lost = controller.ask(wanted)
        with served(storage) as service:
            controller.address = service.address
            configurations = controller.ask(wanted)
            assert configurations == lost
            controller.create(configurations)
            losses += [controller.evaluate(trial) for trial in random.sample(controller.running(), 2)]
    losses += [controller.evaluate(trial) for trial in controller.running()]
    with served(storage) as service:
        controller.address = service.address
        assert controller.ask(0) == []
        found = trials_of(service, "quadratic")
        assert [trial.state for trial in found] == [TrialState.SUCCEEDED] * len(controller.trials)
        assert {trial.labels[NAME] for trial in found} == {trial.name for trial in controller.trials}
        assert sorted(t.final_measurement.metrics["loss"] for t in found if t.final_measurement) == sorted(losses)
        assert len({repr(trial.parameters) for trial in found}) == len(found)
        assert [t.origin for t in found if t.origin is Origin.USER] == []
        assert all(t.final_measurement.elapsed.total_seconds() == 60 for t in found if t.final_measurement)
    if algorithm == "gaussian_process":
        assert min(losses) < 0.05


def test_an_answer_that_fewer_are_wanted_of_leaves_no_trial_behind(service: Service) -> None:
    controller = Controller(service.address, experiment("fewer"))
    lost = controller.ask(3)
    configurations = controller.ask(2)
    assert configurations == lost[:2]
    first, second = controller.create(configurations)
    controller.evaluate(first)
    (third,) = controller.create(controller.ask(1))
    assert {t.state for t in by_name(service, "fewer").values()} <= {TrialState.RUNNING, TrialState.SUCCEEDED}
    controller.evaluate(second)
    controller.evaluate(third)
    controller.ask(0)
    assert [t.number for t in trials_of(service, "fewer") if not t.state.is_ended] == []


def test_a_trial_that_katib_no_longer_lists_has_failed_and_one_that_comes_back_counts(service: Service) -> None:
    controller = Controller(service.address, experiment("gone"))
    unseen, seen, back = controller.create(controller.ask(3))
    controller.end(unseen, Status.METRICSUNAVAILABLE)
    controller.create(controller.ask(1))
    controller.end(seen, Status.METRICSUNAVAILABLE)
    controller.trials.remove(back)
    controller.create(controller.ask(1))
    failed = [t for t in trials_of(service, "gone") if t.state is TrialState.FAILED]
    assert [(t.failure.reason, t.failure.message[:13]) for t in failed if t.failure] == [
        (FailureReason.CRASHED, "its scheduler")
    ] * 3
    controller.trials.append(back)
    controller.ask(0)
    assert by_name(service, "gone")[back.name].state is TrialState.RUNNING
    loss = controller.evaluate(back)
    controller.ask(0)
    controller.ask(0)
    final = by_name(service, "gone")[back.name].final_measurement
    assert final is not None
    assert final.metrics == {"loss": loss}


def test_a_server_that_lost_its_database_learns_the_trials_from_katib(service: Service, tmp_path: Path) -> None:
    controller = Controller("", experiment("moved"))
    with served(f"sqlite:///{tmp_path}/lost.db") as lost:
        controller.address = lost.address
        for trial in controller.create(controller.ask(3))[:2]:
            controller.evaluate(trial)
    controller.address = service.address
    controller.create(controller.ask(2))
    states = {trial.name: by_name(service, "moved")[trial.name].state for trial in controller.trials[:3]}
    assert list(states.values()) == [TrialState.SUCCEEDED, TrialState.SUCCEEDED, TrialState.RUNNING]


def test_two_experiments_at_once_have_studies_of_their_own(service: Service) -> None:
    controllers = [Controller(service.address, experiment(name)) for name in ("left", "right")]

    def run(controller: Controller) -> None:
        for _ in range(3):
            for trial in controller.create(controller.ask(2)):
                controller.evaluate(trial)
        controller.ask(0)

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(run, controller) for controller in controllers]:
            future.result()
    for controller in controllers:
        names = {trial.name for trial in controller.trials}
        assert set(by_name(service, controller.experiment.name)) == names
        assert len(trials_of(service, controller.experiment.name)) == 6


def test_calls_at_once_for_one_experiment_give_the_same_answer(service: Service) -> None:
    """Katib's controller may be started again while its call is in progress."""
    controller = Controller(service.address, experiment("twice"))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: controller.ask(2), range(4)))
    assert answers == [answers[0]] * 4
    assert len(trials_of(service, "twice")) == 2


def test_a_trial_of_another_worker_is_neither_given_to_katib_nor_ended(service: Service) -> None:
    controller = Controller(service.address, experiment("shared"))
    controller.create(controller.ask(1))
    request = SuggestRequest(study_of(service, "shared"), 1, "somewhere", 0.0)
    (own,) = suggest_trials(service.app, request, None).trials
    controller.create(controller.ask(1))
    controller.ask(0)
    states = {trial.number: trial.state for trial in trials_of(service, "shared")}
    assert states == dict.fromkeys((1, own.number, 3), TrialState.RUNNING)


def test_a_configuration_that_a_person_has_queued_is_the_next(service: Service) -> None:
    controller = Controller(service.address, experiment("queued"))
    controller.create(controller.ask(1))
    queued = create_trial(service.app, study_of(service, "queued"), NewTrial({"x": 0.25, "rate": 0.5}, {}), None)
    (trial,) = controller.create(controller.ask(1))
    controller.evaluate(trial)
    controller.ask(0)
    assert by_name(service, "queued")[trial.name].number == queued.number


def test_an_experiment_of_the_same_name_with_another_definition_has_a_study_of_its_own(service: Service) -> None:
    Controller(service.address, experiment("again")).ask(1)
    first = study_of(service, "again")
    raised = experiment("again", maxTrialCount=50, parallelTrialCount=7)
    Controller(service.address, raised).ask(1)
    assert study_of(service, "again") == first
    assert first.startswith("katib-team-again-")
    Controller(service.address, experiment("again", objective={"type": "MAXIMIZE", "objectiveMetricName": "loss"})).ask(
        1
    )
    views, _ = list_studies(service.app, "", 1000)
    assert len([view for view in views if view.study.display_name == "again"]) == 2
    assert get_study(service.app, first).study.labels == {"katib_experiment": "again", "katib_namespace": "team"}


@pytest.mark.parametrize(
    ("condition", "value", "state", "reason"),
    [
        (Status.SUCCEEDED, "0.5", TrialState.SUCCEEDED, None),
        (Status.SUCCEEDED, "nan", TrialState.INFEASIBLE, FailureReason.DIVERGED),
        (Status.SUCCEEDED, "unavailable", TrialState.FAILED, FailureReason.CRASHED),
        (Status.SUCCEEDED, None, TrialState.FAILED, FailureReason.CRASHED),
        (Status.FAILED, None, TrialState.FAILED, FailureReason.CRASHED),
        (Status.KILLED, None, TrialState.STOPPED, FailureReason.PREEMPTED),
        (Status.EARLYSTOPPED, "0.7", TrialState.STOPPED, None),
        (Status.EARLYSTOPPED, None, TrialState.STOPPED, FailureReason.CRASHED),
        (Status.CREATED, None, TrialState.RUNNING, None),
        (Status.RUNNING, None, TrialState.RUNNING, None),
        (Status.UNKNOWN, None, TrialState.RUNNING, None),
    ],
)
def test_each_condition_of_a_trial_has_a_state(
    service: Service, condition: int, value: str | None, state: TrialState, reason: FailureReason | None
) -> None:
    name = f"condition-{condition}-{value}"
    controller = Controller(service.address, experiment(name))
    (trial,) = controller.create(controller.ask(1))
    controller.end(trial, condition, **({} if value is None else {"loss": value}))
    controller.ask(0)
    found = by_name(service, name)[trial.name]
    assert (found.state, found.failure.reason if found.failure else None) == (state, reason)
    assert (found.final_measurement is not None) == (reason is None and value is not None)


def test_a_call_that_nobody_waits_for_reports_nothing(service: Service) -> None:
    """Its list of trials may be older than the one of a later call, which has been answered meanwhile."""
    controller = Controller(service.address, experiment("stale"))
    (trial,) = controller.create(controller.ask(1))
    controller.ask(0)
    servicer = SuggestionServicer(service.app, "team")
    stale = pb.GetSuggestionsRequest(experiment=controller.experiment, total_request_number=1)
    with pytest.raises(DeadlinePassed):
        servicer.GetSuggestions(stale, LeftCall())
    assert by_name(service, "stale")[trial.name].state is TrialState.RUNNING


class LeftCall:
    """The context of a call whose caller has gone."""

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> float:
        return 10.0
