"""Early stopping where trials report: who is told to stop, what is kept of it, and what the optimizer learns."""

import math

import pytest

from bo_service.application import best_trials, early_stopping, suggest_trials, trial_lifecycle
from bo_service.application.ports import TrialSummary
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, MetricRole, StudySpec
from bo_service.domain.trial import Measurement, Origin, TrialState
from bo_service.storage.unit_of_work import SqlUnitOfWork

RULES = [StoppingRule.MEDIAN, StoppingRule.SUCCESSIVE_HALVING, StoppingRule.CURVE]
LAST = 12


def take(app, count=1):
    return suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("s", count, "worker", 30.0), None).trials


def report(app, trial, step, value, name="loss"):
    measured = Measurement({name: value}, step)
    return trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, [measured])


def complete(app, trial, value, step=0):
    done = Measurement({"loss": value}, step)
    return trial_lifecycle.complete_trial(app, "s", trial.number, trial.lease.token, done, None)


def run_whole(app, values):
    """Trials that run to their end, all at once, so that none is told to stop; the curves fall to `values`."""
    running_trials = take(app, len(values))
    for trial, value in zip(running_trials, values, strict=True):
        for step in range(1, LAST + 1):
            report(app, trial, step, value + 1.0 / step)
        complete(app, trial, value + 1.0 / LAST)
    return running_trials


@pytest.fixture
def make(make_study):
    return lambda rule, goal=Goal.MINIMIZE, **settings: make_study(
        goal=goal, stopping=StoppingSettings(rule, min_step=2, max_step=LAST, **settings)
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_stopped_trial_tells_what_was_expected_and_never_counts_as_the_best(app, make, optimizer, rule) -> None:
    make(rule)
    whole = run_whole(app, [0.5] * 6)
    (trial,) = take(app)
    told = [report(app, trial, step, 3.0 + 1.0 / step) for step in range(1, 8)]
    assert not told[0].should_stop  # before min_step
    assert told[-1].should_stop
    assert "loss" in told[-1].stop_reason
    ended = complete(app, trial, 0.001)  # whatever it was completed with
    assert ended.state is TrialState.STOPPED
    request = ended.stop_request
    assert (request.rule, request.expected_step, request.expected.metric) == (rule, LAST, "loss")
    assert request.expected.mean == pytest.approx(3.1, abs=0.3)
    assert request.expected.std > 0
    assert best_trials.best_trials(app, "s", 1)[0].number == whole[0].number
    take(app)
    (learned,) = [past for past in optimizer.asked[-1].observations if past.number == trial.number]
    assert (learned.value, learned.std) == (-request.expected.mean, request.expected.std)


def test_the_expectation_counts_for_no_more_than_the_best_whole_trial(app, make, optimizer) -> None:
    make(StoppingRule.SUCCESSIVE_HALVING, reduction_factor=10.0)
    run_whole(app, [0.5, 0.51, 0.52, 0.53, 0.54])
    (trial,) = take(app)
    for step in range(1, 5):  # it falls fast from far above: where it would end is a bold guess
        told = report(app, trial, step, 30.0 / step**3)
    assert told.should_stop
    complete(app, trial, 30.0 / 64)
    take(app)
    past = {p.number: p for p in optimizer.asked[-1].observations}
    assert past[trial.number].value <= max(p.value for p in past.values() if p.number != trial.number)


def test_a_trial_that_went_on_to_the_end_all_the_same_is_whole(app, make, optimizer) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(app, [0.5] * 6)
    (trial,) = take(app)
    report(app, trial, 5, 9.0)
    ended = complete(app, trial, 0.1, step=LAST)
    assert ended.state is TrialState.STOPPED
    assert not TrialSummary.of(ended).is_cut_short
    assert best_trials.best_trials(app, "s", 1)[0].number == trial.number
    take(app)
    assert [(p.value, p.std) for p in optimizer.asked[-1].observations if p.number == trial.number] == [(-0.1, 0.0)]


def test_the_trial_of_the_defaults_runs_to_its_end(app, make) -> None:
    make(StoppingRule.MEDIAN)
    handed = take(app, 7)
    default = handed[0]
    assert default.origin is Origin.DEFAULT
    for trial in handed[1:]:
        for step in range(1, LAST + 1):
            report(app, trial, step, 0.1)
        complete(app, trial, 0.1)
    assert not report(app, default, 5, 99.0).should_stop


@pytest.mark.parametrize(
    "reported", [[(5, "accuracy", math.nan)], [(5, "accuracy", 0.0)], [(1, "loss", 99.0)], [(LAST, "loss", 99.0)], []]
)
def test_nothing_to_judge(app, make, reported) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(app, [0.5] * 6)
    (trial,) = take(app)
    for step, name, value in reported:
        assert not report(app, trial, step, value, name).should_stop
    assert not trial_lifecycle.report_measurements(app, "s", trial.number, trial.lease.token, ()).should_stop


def test_a_restart_is_judged_by_what_it_reports_now(app, make) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(app, [0.5] * 6)
    (trial,) = take(app)
    assert not report(app, trial, 8, 0.6).should_stop
    assert not report(app, trial, 3, 0.8).should_stop  # again, from a checkpoint of step 2
    assert report(app, trial, 4, 0.9).should_stop  # what the first attempt had at step 8 is no excuse


def test_larger_is_better_where_that_is_the_goal(app, make) -> None:
    make(StoppingRule.MEDIAN, goal=Goal.MAXIMIZE)
    run_whole(app, [0.5] * 6)
    good, bad = take(app, 2)
    assert not report(app, good, 5, 9.0).should_stop
    told = report(app, bad, 5, 0.01)
    assert "was 0.01, worse than 0.7" in told.stop_reason


def test_a_rule_judges_one_objective() -> None:
    metrics = (Metric("a", Goal.MINIMIZE), Metric("b", Goal.MINIMIZE, MetricRole.CONSTRAINT, 1.0))
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    with pytest.raises(InvalidArgument, match="METRIC_ROLE_INFORMATION") as refusal:
        StudySpec(space, metrics, stopping=StoppingSettings(StoppingRule.MEDIAN))
    assert refusal.value.violations[0].field == "stopping.rule"


def test_a_report_reads_the_trials_that_have_changed_alone(app, make, monkeypatch) -> None:
    make(StoppingRule.MEDIAN)
    run_whole(app, [0.5] * 6)
    (trial,) = take(app)
    changed = []
    summarize = SqlUnitOfWork.summarize_trials

    def noted(work: SqlUnitOfWork, study_id: str, after_revision: int = -1):
        assert after_revision >= 0, "reads all trials"
        changed.extend(summaries := summarize(work, study_id, after_revision))
        return summaries

    monkeypatch.setattr(SqlUnitOfWork, "summarize_trials", noted)
    told = [report(app, trial, step, 3.0 + 1.0 / step) for step in range(1, 8)]
    assert told[-1].should_stop
    assert not changed  # what this server itself has changed it knows


def test_trials_of_long_ago_are_not_compared_with(app, make, monkeypatch) -> None:
    monkeypatch.setattr(early_stopping, "MAX_COMPARED", 7)
    make(StoppingRule.MEDIAN)
    run_whole(app, [0.5] * 6)
    late = run_whole(app, [9.0] * 6)
    (trial,) = take(app)
    assert trial.number == late[-1].number + 1
    told = [report(app, trial, step, 5.0 + 1.0 / step) for step in range(1, 8)]
    assert not any(answer.should_stop for answer in told)
    monkeypatch.setattr(early_stopping, "MAX_COMPARED", 100)
    assert report(app, trial, 8, 9.0).should_stop
