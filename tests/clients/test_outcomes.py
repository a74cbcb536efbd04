"""What a run of Study.optimize says: of each trial, of failures, and of its end."""

import logging
import re
import threading

import bo_client
import pytest
from bo_client import outcomes

State = bo_client.TrialState
Reason = bo_client.FailureReason


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture):
    """What has been logged from a level up."""
    caplog.set_level(logging.INFO, logger="bo_client")
    return lambda level=logging.WARNING: [r.getMessage() for r in caplog.records if r.levelno >= level]


@pytest.fixture
def endless(server, space) -> bo_client.Study:
    return server.client().create_study("endless", space, "loss", goal="minimize")


def exhaust(parameters):
    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


def test_running_out_of_memory_blames_the_parameters_and_is_not_raised(endless, told) -> None:
    assert endless.optimize(exhaust, n_trials=6) is None
    assert [(t.state, t.attempt, t.failure.reason) for t in endless.trials()] == [
        (State.INFEASIBLE, 1, Reason.OUT_OF_MEMORY)
    ] * 6
    loud = [line for line in told() if line.startswith("4 of the last 4 trials")]
    assert loud == [
        "4 of the last 4 trials of studies/endless failed; the first failure was trial 1, OUT_OF_MEMORY: "
        "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB"
    ]
    assert told()[-1].startswith("studies/endless: ended after 6 of 6 trials (0 succeeded, 6 failed)")
    assert "The first failure was trial 1, OUT_OF_MEMORY" in told()[-1]


def test_a_run_in_which_most_succeed_warns_of_its_failures_alone(endless, told) -> None:
    results = iter([1.0, 2.0, float("nan"), 3.0, 4.0])
    endless.optimize(lambda parameters: next(results), n_trials=5)
    assert told() == ["trial 3 failed, DIVERGED: loss is nan"]
    assert told(logging.INFO)[0] == "trial 1: loss=1"
    assert told(logging.INFO)[-1].startswith("studies/endless: ended after 5 of 5 trials (4 succeeded, 1 failed)")


def test_failures_are_told_again_where_they_begin_again(endless, told) -> None:
    results = iter([float("nan")] * 4 + [1.0] * 10 + [float("nan")] * 10)
    endless.optimize(lambda parameters: next(results), n_trials=24)
    assert len([line for line in told() if "of the last" in line]) == 2


def test_a_programming_error_is_seen_at_the_first_trial(endless, caplog) -> None:
    assert endless.optimize(lambda p: p.lr, n_trials=2) is None
    first, second = (r for r in caplog.records if r.getMessage().startswith("trial "))
    assert first.getMessage().startswith("trial 1 failed, CRASHED: AttributeError: 'dict' object has no")
    assert first.exc_info[2].tb_next.tb_frame.f_code.co_filename == __file__  # the objective's own line
    assert not second.exc_info  # the same again
    assert caplog.records[-1].levelno == logging.WARNING
    assert "(0 succeeded, 2 failed)" in caplog.text


@pytest.mark.parametrize(
    ("returned", "hint"),
    [
        ({"los": 0.5}, "returned {'los': 0.5}, without 'loss'; return a number, or {'loss': …}"),
        ({}, "without 'loss'"),
        (None, "returned None; return a number"),
        ("0.5", "returned '0.5'"),
        ([0.5], "returned [0.5]"),
        ({"loss": 0.5, "net": "resnet"}, "metrics['net']: is 'resnet'"),
        ({"loss": None}, "{'loss': None}"),
        ("x" * 1000, "xx…"),
    ],
)
def test_a_result_that_is_none_is_told_in_one_line(endless, told, caplog, returned, hint) -> None:
    endless.optimize(lambda parameters: returned, n_trials=1)
    assert hint in told()[0]
    assert endless.trial(1).failure.reason is Reason.CRASHED
    assert len(told()[0]) < 400
    assert not caplog.records[0].exc_info


class Scalar:
    """As numpy's and torch's."""

    def item(self) -> float:
        return 0.25


@pytest.mark.parametrize("returned", [Scalar(), {"loss": Scalar()}, {"loss": 0.25, "extra": 3, "wild": float("nan")}])
def test_results_as_libraries_have_them(endless, returned) -> None:
    assert endless.optimize(lambda parameters: returned, n_trials=1).value("loss") == 0.25


class Unready:
    """A tensor whose value can't be had."""

    def item(self) -> float:
        raise RuntimeError("CUDA error: out of memory")


def test_a_result_whose_value_runs_out_of_memory(endless) -> None:
    endless.optimize(lambda parameters: Unready(), n_trials=1)
    assert endless.trial(1).failure.reason is Reason.OUT_OF_MEMORY


def test_a_message_that_can_not_be_kept_costs_no_trial(endless) -> None:
    def odd(parameters):
        raise RuntimeError("a file \udcff\0 " * 10_000)

    endless.optimize(odd, n_trials=1)
    assert endless.trial(1).failure.message.startswith("RuntimeError: a file ?? a file")


def test_the_reason_that_an_objective_gives(endless, told) -> None:
    def refuse(parameters):
        raise bo_client.TrialFailed(Reason.INVALID_CONFIGURATION, "7 heads don't divide 64")

    endless.optimize(refuse, n_trials=5, raise_errors=True)
    assert {t.failure for t in endless.trials()} == {
        bo_client.Failure(Reason.INVALID_CONFIGURATION, "7 heads don't divide 64")
    }
    assert told()[0] == "trial 1 failed, INVALID_CONFIGURATION: 7 heads don't divide 64"


def test_crashes_that_an_objective_tells_are_crashes(endless) -> None:
    def crash(parameters):
        raise bo_client.TrialFailed(Reason.CRASHED, "the simulator is gone")

    with pytest.raises(bo_client.TrialFailed):
        endless.optimize(crash, n_trials=9)


def test_three_crashes_in_a_row_say_so(endless, told) -> None:
    with pytest.raises(ZeroDivisionError):
        endless.optimize(lambda parameters: 1 / 0, n_trials=9)
    assert told()[-1].startswith(
        "studies/endless: ended after 3 of 9 trials (0 succeeded, 3 failed): 3 trials in a row crashed, the last with "
        "ZeroDivisionError: division by zero"
    )


def test_an_exhausted_space_is_an_early_end(server, told) -> None:
    space = bo_client.SearchSpace([bo_client.IntParameter("n", 1, 3)])
    study = server.client().create_study("s", space, "value", goal="maximize")
    study.optimize(lambda parameters: parameters["n"], n_trials=25)
    (line,) = told()
    assert line == (
        "studies/s: ended after 4 of 25 trials (4 succeeded, 0 failed): no configuration of the search space is left "
        "that has not been tried"
    )


def test_a_complete_study_is_the_end_where_no_number_was_asked_for(study, told) -> None:
    study.optimize(lambda parameters: 1.0)
    assert told() == []
    last = told(logging.INFO)[-1]
    assert last.startswith("studies/s: ended after 6 trials (6 succeeded, 0 failed): studies/s is complete: 6 of its 6")


def test_a_complete_study_is_an_early_end_where_more_were_asked_for(study, told) -> None:
    study.optimize(lambda parameters: 1.0, n_trials=25)
    (line,) = told()
    assert "ended after 6 of 25 trials" in line
    assert (
        "studies/s is complete: 6 of its 6 trials (max_trials) have ended; for more, study.update(max_trials=…)" in line
    )


def test_the_same_program_again_says_that_the_study_is_complete(server, study, told) -> None:
    study.optimize(lambda parameters: 1.0)
    again = server.client().create_study("s", study.definition.space, study.definition.metrics, max_trials=6)
    assert again.optimize(lambda parameters: 2.0).value("loss") == 1.0
    (line,) = told()
    assert line.startswith("studies/s: ended after 0 trials (0 succeeded, 0 failed): studies/s is complete")
    again.update(max_trials=8)
    again.optimize(lambda parameters: 0.5)
    assert len(list(again.trials())) == 8


def test_a_program_that_asks_for_more_trials_is_told_how(server, study) -> None:
    definition = study.definition
    with pytest.raises(bo_client.AlreadyExists) as caught:
        server.client().create_study("s", definition.space, definition.metrics, max_trials=9)
    assert "studies/s exists with another max_trials (6 there, 9 here); use it as it is with client.study('s')" in str(
        caught.value
    )
    other = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    with pytest.raises(bo_client.AlreadyExists) as caught:
        server.client().create_study("s", other, [bo_client.Metric("loss", "maximize")])
    assert "exists with another search space (they differ in groups, lr, norm, x), metrics (" in str(caught.value)
    assert re.search(r"\(loss: minimize, in nats, \S+: .* there, loss: maximize here\), max_trials", str(caught.value))


def test_a_study_that_was_declared_complete(study, told) -> None:
    study.optimize(lambda parameters: 1.0, n_trials=1)
    study.update(state="COMPLETED")
    study.optimize(lambda parameters: 1.0)
    assert "was marked as completed; to go on with it, study.update(state" in told()[-1]


def test_suggestions_that_are_none_say_why(server, study, told) -> None:
    study.optimize(lambda parameters: 1.0)
    again = server.client().study("s")
    assert again.suggest().explanation == "the study is complete"
    assert again.suggest() == []
    (line,) = told()
    assert line.startswith("studies/s gave no trial: studies/s is complete: 6 of its 6 trials (max_trials) have ended")


def test_a_paused_study_is_waited_for_aloud(study, told) -> None:
    study.update(state="PAUSED")
    waiting = threading.Event()

    class Resume(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "paused" in record.getMessage() and not waiting.is_set():
                waiting.set()
                study.update(state="ACTIVE")

    handler = Resume()
    outcomes.logger.addHandler(handler)
    try:
        study.optimize(lambda parameters: 1.0, n_trials=2)
    finally:
        outcomes.logger.removeHandler(handler)
    assert told() == ["studies/s: waiting because the study is paused; run `bo study resume s` to continue"]


def test_an_interruption_is_told(study, told) -> None:
    with pytest.raises(SystemExit):
        study.optimize(lambda parameters: (_ for _ in ()).throw(SystemExit("no GPU")))
    assert study.trial(1).state is State.QUEUED
    assert told()[-1].startswith("studies/s: ended after 0 trials (0 succeeded, 0 failed): SystemExit: no GPU")


def test_an_interruption_while_the_result_is_sent_keeps_it(server, study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C arrives within the call, whether or not the server has had it."""
    for is_late in (False, True):
        call = server.call
        armed = [True]

        def interrupted(method, request, timeout, call=call, armed=armed, is_late=is_late):
            if method == "CompleteTrial" and armed:
                armed.clear()
                if is_late:
                    call(method, request, timeout)
                raise KeyboardInterrupt
            return call(method, request, timeout)

        monkeypatch.setattr(server, "call", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.optimize(lambda parameters: 0.5)
        monkeypatch.setattr(server, "call", call)
    assert [(t.state, t.value("loss")) for t in study.trials()] == [(State.SUCCEEDED, 0.5)] * 2


def test_an_interruption_while_a_trial_is_asked_for_gives_it_back(
    server, study, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, armed = server.call, [True]

    def interrupted(method, request, timeout):
        answer = call(method, request, timeout)
        if method == "SuggestTrials" and armed:
            armed.clear()
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(server, "call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.optimize(lambda parameters: 0.5)
    assert [t.state for t in study.trials()] == [State.QUEUED]


def test_an_interruption_while_the_server_is_away_is_what_is_raised(server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client(patience=60.0).create_study("s", space, "loss", goal="minimize", max_trials=2)

    def interrupted(parameters):
        server.is_down = True
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted)


def test_eight_threads_share_a_study(server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", max_trials=40, algorithm="quasi_random")
    crashes: list[BaseException] = []

    def objective(parameters, trial):
        if trial.number % 5 == 0:
            raise RuntimeError("CUDA out of memory")
        return float("nan") if trial.number % 7 == 0 else parameters["lr"]

    def run() -> None:
        try:
            study.optimize(objective)
        except BaseException as error:
            crashes.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert crashes == []
    states = [t.state for t in study.trials()]
    assert len(states) == 40
    assert {State.INFEASIBLE, State.SUCCEEDED} == set(states)


@pytest.mark.parametrize(
    ("objective", "n_trials", "told"),
    [
        (3, 1, "objective: is 3; give a function of the parameters"),
        (lambda: 1.0, 1, "objective: takes \\(\\): too many positional arguments"),
        (lambda a, b, c: 1.0, 1, "objective: takes .*missing a required"),
        (lambda p, *, rate: 1.0, 1, "objective: takes .*missing a required.*rate"),
        (lambda p: 1.0, -1, "n_trials: is -1; give a whole number"),
        (lambda p: 1.0, "3", "n_trials: is '3'; give a whole number"),
    ],
)
def test_what_can_not_run_is_refused_before_a_trial_is_taken(study, objective, n_trials, told) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=told):
        study.optimize(objective, n_trials=n_trials)
    assert list(study.trials()) == []


def test_objectives_of_every_kind_still_run(study) -> None:
    class Objective:
        def __call__(self, parameters, trial=None):
            return 1.0

    for objective in (Objective(), lambda *given: 1.0, lambda p, trial, rate=1: 1.0, lambda p, **_: 1.0):
        assert study.optimize(objective, n_trials=1) is not None


def test_what_is_no_search_space_and_no_goal_is_answered_with_what_to_give(server) -> None:
    parameter = bo_client.FloatParameter("x", 0.0, 1.0)
    for given in ("x", 1.0, [1.0], None):
        with pytest.raises(bo_client.InvalidRequest, match=r"space: is a .*; give a SearchSpace, such as"):
            server.client().create_study("new", given, "loss", goal="minimize")
    with pytest.raises(bo_client.InvalidRequest, match=r"""goal: is 'down'; give "minimize" or "maximize\""""):
        server.client().create_study("new", bo_client.SearchSpace([parameter]), "loss", goal="down")


def test_a_wrong_metric_is_named_beside_the_missing_one(study) -> None:
    (trial,) = study.suggest()
    with pytest.raises(bo_client.InvalidRequest, match=r"loss.*is missing.*metrics given: 'los'"):
        trial.complete({"los": 1.0})
