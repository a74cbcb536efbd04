"""Early stopping where trials report: who is told to stop, what is kept of it, and what the optimizer learns."""

import math

import pytest

from bo_service.adapters.storage.trials import SqlTrials
from bo_service.application import ranking, running, stopping, suggesting
from bo_service.core.domains import FloatDomain
from bo_service.core.errors import InvalidArgument
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.stopping.settings import StoppingRule, StoppingSettings
from bo_service.core.study import Goal, Metric, MetricRole, StudySpec
from bo_service.core.trial import Measurement, Origin, TrialState, is_short

RULES = [StoppingRule.MEDIAN, StoppingRule.SUCCESSIVE_HALVING, StoppingRule.CURVE]
LAST = 12


def take(services, count=1):
    return suggesting.suggest_trials(services, suggesting.Ask("s", count, "worker", 30.0), None).trials


def report(services, trial, step, value, name="loss"):
    measured = Measurement({name: value}, step)
    return running.report_measurements(services, "s", trial.number, trial.lease.token, [measured])


def complete(services, trial, value, step=0):
    done = Measurement({"loss": value}, step)
    return running.complete_trial(services, "s", trial.number, trial.lease.token, done, None)


def run_whole(services, values):
    """Trials that run to their end, all at once, so that none is told to stop; the curves fall to `values`."""
    running_trials = take(services, len(values))
    for trial, value in zip(running_trials, values, strict=True):
        for step in range(1, LAST + 1):
            report(services, trial, step, value + 1.0 / step)
        complete(services, trial, value + 1.0 / LAST)
    return running_trials


@pytest.fixture
def make(make_study):
    return lambda rule, goal=Goal.MINIMIZE, **settings: make_study(
        goal=goal, stopping=StoppingSettings(rule, min_step=2, max_step=LAST, **settings)
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_stopped_trial_tells_what_was_expected_and_never_counts_as_the_best(services, make, optimizer, rule) -> None:
    make(rule)
    whole = run_whole(services, [0.5] * 6)
    (trial,) = take(services)
    told = [report(services, trial, step, 3.0 + 1.0 / step) for step in range(1, 8)]
    assert not told[0].should_stop  # before min_step
    assert told[-1].should_stop
    assert "loss" in told[-1].stop_reason
    ended = complete(services, trial, 0.001)  # whatever it was completed with
    assert ended.state is TrialState.STOPPED
    request = ended.stop_request
    assert (request.rule, request.expected_step, request.expected.metric) == (rule, LAST, "loss")
    assert request.expected.mean == pytest.approx(3.1, abs=0.3)
    assert request.expected.std > 0
    assert ranking.best_trials(services, "s", 1)[0].number == whole[0].number
    take(services)
    (learned,) = [past for past in optimizer.asked[-1].past if past.number == trial.number]
    assert (learned.value, learned.std) == (-request.expected.mean, request.expected.std)


def test_the_expectation_counts_for_no_more_than_the_best_whole_trial(services, make, optimizer) -> None:
    make(StoppingRule.SUCCESSIVE_HALVING, reduction_factor=10.0)
    run_whole(services, [0.5, 0.51, 0.52, 0.53, 0.54])
    (trial,) = take(services)
    for step in range(1, 5):  # it falls fast from far above: where it would end is a bold guess
        told = report(services, trial, step, 30.0 / step**3)
    assert told.should_stop
    complete(services, trial, 30.0 / 64)
    take(services)
    past = {p.number: p for p in optimizer.asked[-1].past}
    assert past[trial.number].value <= max(p.value for p in past.values() if p.number != trial.number)


def test_a_trial_that_went_on_to_the_end_all_the_same_is_whole(services, make, optimizer) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(services, [0.5] * 6)
    (trial,) = take(services)
    report(services, trial, 5, 9.0)
    ended = complete(services, trial, 0.1, step=LAST)
    assert (ended.state, is_short(ended.final_measurement, ended.stop_request)) == (TrialState.STOPPED, False)
    assert ranking.best_trials(services, "s", 1)[0].number == trial.number
    take(services)
    assert [(p.value, p.std) for p in optimizer.asked[-1].past if p.number == trial.number] == [(-0.1, 0.0)]


def test_the_trial_of_the_defaults_runs_to_its_end(services, make) -> None:
    make(StoppingRule.MEDIAN)
    handed = take(services, 7)
    default = handed[0]
    assert default.origin is Origin.DEFAULT
    for trial in handed[1:]:
        for step in range(1, LAST + 1):
            report(services, trial, step, 0.1)
        complete(services, trial, 0.1)
    assert not report(services, default, 5, 99.0).should_stop


@pytest.mark.parametrize(
    "reported", [[(5, "accuracy", math.nan)], [(5, "accuracy", 0.0)], [(1, "loss", 99.0)], [(LAST, "loss", 99.0)], []]
)
def test_nothing_to_judge(services, make, reported) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(services, [0.5] * 6)
    (trial,) = take(services)
    for step, name, value in reported:
        assert not report(services, trial, step, value, name).should_stop
    assert not running.report_measurements(services, "s", trial.number, trial.lease.token, ()).should_stop


def test_a_restart_is_judged_by_what_it_reports_now(services, make) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(services, [0.5] * 6)
    (trial,) = take(services)
    assert not report(services, trial, 8, 0.6).should_stop
    assert not report(services, trial, 3, 0.8).should_stop  # again, from a checkpoint of step 2
    assert report(services, trial, 4, 0.9).should_stop  # what the first attempt had at step 8 is no excuse


def test_larger_is_better_where_that_is_the_goal(services, make) -> None:
    make(StoppingRule.MEDIAN, goal=Goal.MAXIMIZE)
    run_whole(services, [0.5] * 6)
    good, bad = take(services, 2)
    assert not report(services, good, 5, 9.0).should_stop
    told = report(services, bad, 5, 0.01)
    assert "was 0.01, worse than 0.7" in told.stop_reason


def test_a_rule_judges_one_objective() -> None:
    metrics = (Metric("a", Goal.MINIMIZE), Metric("b", Goal.MINIMIZE, MetricRole.CONSTRAINT, 1.0))
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    with pytest.raises(InvalidArgument, match="METRIC_ROLE_INFORMATION") as refusal:
        StudySpec(space, metrics, stopping=StoppingSettings(StoppingRule.MEDIAN))
    assert refusal.value.violations[0].field == "stopping.rule"


def test_a_report_reads_the_trials_that_have_changed_alone(services, make, monkeypatch) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(services, [0.5] * 6)
    (trial,) = take(services)
    monkeypatch.setattr(SqlTrials, "outlines", lambda *_: pytest.fail("reads all trials"))
    changed = []
    whole = SqlTrials.changed_outlines
    monkeypatch.setattr(SqlTrials, "changed_outlines", lambda *a: changed.append(len(found := whole(*a))) or found)
    told = [report(services, trial, step, 3.0 + 1.0 / step) for step in range(1, 8)]
    assert told[-1].should_stop
    assert sum(changed) == 0  # what this server itself has changed it knows


def test_trials_of_long_ago_are_not_compared_with(services, make, monkeypatch) -> None:
    monkeypatch.setattr(stopping, "AMONG", 7)
    make(StoppingRule.MEDIAN)
    run_whole(services, [0.5] * 6)
    late = run_whole(services, [9.0] * 6)
    (trial,) = take(services)
    assert trial.number == late[-1].number + 1
    told = [report(services, trial, step, 5.0 + 1.0 / step) for step in range(1, 8)]
    assert not any(answer.should_stop for answer in told)
    monkeypatch.setattr(stopping, "AMONG", 100)
    assert report(services, trial, 8, 9.0).should_stop
