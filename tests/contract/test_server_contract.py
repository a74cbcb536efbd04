"""What a client may rely on: the same of a server in this process, which users test with, as of one over gRPC."""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import space_pb2, study_pb2
from bo_client import diagnosis
from bo_client.diagnosis_words import study_findings
from bo_client.testing import InProcessServer

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-4, 1.0, scale="log"),
        bo_client.IntParameter("layers", 1, 8),
        bo_client.CategoricalParameter("norm", ["batch", "group"]),
        bo_client.DiscreteParameter("batch", [16, 32, 64]),
        bo_client.IntParameter("groups", 1, 4, activation=bo_client.Activation("norm", ["group"])),
    ],
    [bo_client.ForbiddenCombination({"norm": "group", "batch": 64})],
)
GOOD = {"lr": 0.01, "layers": 2, "norm": "batch", "batch": 16}
LOSS, SCORE = bo_client.Metric("loss", "minimize"), bo_client.Metric("score", "maximize", unit="%")
LATENCY = bo_client.Metric.at_most("latency", 50.0, unit="ms")
SHORT_OF_NORM = space_pb2.Configuration(parameters={"lr": space_pb2.ParameterValue(float_value=0.1)})
State = bo_client.TrialState
EXTRA = bo_client.FloatParameter("extra", 0.0, 1.0)


def asking(**objective: object) -> pb.SuggestTrialsRequest:
    return pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", objective=study_pb2.ObjectiveSpec(**objective))


class ServerContract:
    """Subclasses give a client of a fresh server."""

    @pytest.fixture
    def study(self, client: bo_client.Client) -> bo_client.Study:
        return client.create_study("s", SPACE, "loss", goal="minimize", max_attempts=2)

    @pytest.fixture
    def short(self, client: bo_client.Client) -> bo_client.Study:
        """A study whose leases last a second; `run_out` waits until the first trial's has run out."""
        return client.create_study("s", SPACE, "loss", goal="minimize", lease_duration=1)

    def test_a_study_is_kept_as_it_was_given(self, client: bo_client.Client) -> None:
        metrics = [bo_client.Metric("loss", "minimize", unit="nats"), bo_client.Metric("time", role="information")]
        settings = {"max_trials": 9, "seed": 3, "lease_duration": 12.5, "acquisition": "ucb", "beta": 1.5}
        client.create_study("s", SPACE, metrics, labels={"team": "vision"}, display_name="A study", **settings)
        found = client.study("s").info()
        assert found.space == SPACE
        assert list(found.metrics) == metrics
        assert {k: found.settings[k] for k in settings} == settings
        assert (found.labels, found.display_name, found.state) == (
            {"team": "vision"},
            "A study",
            bo_client.StudyState.ACTIVE,
        )

    def test_creating_again_is_safe_and_another_spec_is_refused(self, client, study) -> None:
        assert client.create_study("s", SPACE, "loss", goal="minimize", max_attempts=2).id == "s"
        with pytest.raises(bo_client.AlreadyExists, match="s"):
            client.create_study("s", SPACE, "loss", goal="maximize", max_attempts=2)

    def test_studies_are_listed_and_deleted(self, client) -> None:
        for name in ("b", "a"):
            client.create_study(name, SPACE, "loss", goal="minimize")
        assert [info.id for info in client.studies()] == ["a", "b"]
        client.delete_study("a")
        assert [info.id for info in client.studies()] == ["b"]
        for call in (lambda: client.study("a"), lambda: client.delete_study("a")):
            with pytest.raises(bo_client.NotFound, match="a"):
                call()

    def test_labels_come_with_the_end_of_a_trial_and_join_its_own(self, study) -> None:
        study.enqueue(GOOD, {"role": "mine", "diagnosis": "none yet"})
        (trial,) = study.suggest()
        done = trial.complete({"loss": 0.3}, labels={"diagnosis": "overfitting"})
        assert done.labels == study.trial(trial.number).labels == {"role": "mine", "diagnosis": "overfitting"}
        (other,) = study.suggest()
        other.fail("CRASHED", "a disk is full", {"diagnosis": "none"})
        assert study.trial(other.number).labels == {"diagnosis": "none"}
        (again,) = study.suggest()
        assert (again.number, again.labels) == (other.number, {"diagnosis": "none"})

    def test_labels_beyond_the_limits_are_refused_and_the_trial_goes_on(self, study) -> None:
        (trial,) = study.suggest()
        for labels in ({f"k{i}": "v" for i in range(65)}, {"k": "v" * 257}, {"k" * 64: "v"}):
            with pytest.raises(bo_client.InvalidRequest, match="labels"):
                trial.complete({"loss": 0.3}, labels=labels)
        study.enqueue(GOOD, {f"k{i}": "v" for i in range(64)})
        (full,) = study.suggest()
        with pytest.raises(bo_client.InvalidRequest, match=r"labels.*65"):
            full.complete({"loss": 0.3}, labels={"one": "too many"})
        assert study.trial(full.number).state is State.RUNNING

    def test_a_trial_from_suggestion_to_result(self, study) -> None:
        (trial,) = study.suggest(worker_id="me")
        assert set(trial.parameters) >= {"lr", "layers", "norm", "batch"}
        assert (trial.number, trial.attempt, trial.lease_seconds) == (1, 1, 60.0)
        assert study.trial(1).state is State.RUNNING
        assert study.trial(1).worker_id == "me"
        told = trial.report({"loss": 0.5, "extra": 1.0}, step=1, elapsed=2.0, checkpoint_uri="gs://a")
        assert (told.should_stop, told.lease_valid) == (False, True)
        assert 50 < told.lease_remaining <= 60
        trial.report({"loss": 0.4}, step=2)
        done = trial.complete({"loss": 0.3})
        assert (done.state, done.final_measurement.metrics, done.final_measurement.step) == (
            State.SUCCEEDED,
            {"loss": 0.3},
            2,
        )
        kept = study.trial(1)
        assert [(m.step, m.metrics) for m in kept.measurements] == [
            (1, {"loss": 0.5, "extra": 1.0}),
            (2, {"loss": 0.4}),
        ]
        assert kept.checkpoint_uri == "gs://a"
        with pytest.raises(bo_client.FailedPrecondition) as ended:
            trial.complete({"loss": 0.1})
        assert ended.value.reason == "WRONG_STATE"

    def test_suggestions_are_valid_and_distinct(self, study) -> None:
        trials = study.suggest(20)
        for trial in trials:
            assert ("groups" in trial.parameters) == (trial.parameters["norm"] == "group")
            assert not (trial.parameters["norm"] == "group" and trial.parameters["batch"] == 64)
            assert 1e-4 <= trial.parameters["lr"] <= 1.0
        assert len({tuple(sorted(t.parameters.items())) for t in trials}) == 20

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_what_fails_at_every_attempt_is_not_suggested_again(self, client, attempts) -> None:
        space = bo_client.SearchSpace(
            [bo_client.FloatParameter("lr", 1e-5, 1.0, scale="log"), bo_client.FloatParameter("x", 0.0, 1.0)]
        )
        study = client.create_study("s", space, "loss", goal="minimize", max_attempts=attempts, seed=3)
        tried = []
        for i in range(12):
            (trial,) = study.suggest()
            tried.append(tuple(trial.parameters.values()))
            if trial.parameters["lr"] < 0.01:
                trial.complete({"loss": trial.parameters["lr"] + i})
                continue
            while trial.fail(("CRASHED", "TIMEOUT")[i % 2]).state is State.QUEUED:
                (again,) = study.suggest()
                assert again.parameters == trial.parameters
                trial = again
        assert len(set(tried)) == 12

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("rule", ["median", "successive_halving", "curve"])
    def test_under_a_rule_a_value_that_is_not_finite_ends_a_trial_at_once(self, client, rule, value) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", stopping=rule)

        def diverging(parameters: dict[str, object], trial: bo_client.optimize.ObjectiveTrial) -> float:
            trial.report({"loss": 0.5, "accuracy": value}, step=1)
            trial.report({"loss": value}, step=2)
            raise AssertionError("it goes on")

        study.optimize(diverging, n_trials=1)
        trial = study.trial(1)
        assert (trial.state, trial.failure.reason) == (State.INFEASIBLE, bo_client.FailureReason.DIVERGED)
        (raw,) = study.suggest()
        told = raw.report({"loss": value}, step=1)
        assert told.should_stop
        assert "DIVERGED" in told.reason
        assert raw.heartbeat().should_stop

    def test_without_a_rule_a_value_that_is_not_finite_stops_nothing(self, study) -> None:
        (trial,) = study.suggest()
        assert not trial.report({"loss": math.nan}, step=1).should_stop
        with pytest.raises(bo_client.InvalidRequest, match="DIVERGED"):
            trial.complete({"loss": math.nan})
        assert trial.complete({"loss": 0.5}).state is State.SUCCEEDED

    def test_a_machines_failure_is_tried_again_and_then_final(self, study) -> None:
        (first,) = study.suggest()
        assert first.fail("CRASHED", "boom").state is State.QUEUED
        (second,) = study.suggest()
        assert (second.number, second.attempt, second.parameters) == (1, 2, first.parameters)
        assert second.fail("TIMEOUT").state is State.FAILED
        assert study.trial(1).failure == bo_client.Failure(bo_client.FailureReason.TIMEOUT, "")

    @pytest.mark.parametrize("reason", ["OUT_OF_MEMORY", "DIVERGED", "INVALID_CONFIGURATION"])
    def test_parameters_to_blame_end_the_trial(self, study, reason) -> None:
        assert study.suggest()[0].fail(reason, "why").state is State.INFEASIBLE

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_result_that_is_not_finite_is_refused(self, study, value) -> None:
        (trial,) = study.suggest()
        with pytest.raises(bo_client.InvalidRequest, match="DIVERGED"):
            trial.complete({"loss": value})
        assert trial.heartbeat().lease_valid
        trial.report({"loss": value}, step=1)

    def test_a_result_without_the_metric_is_refused(self, study) -> None:
        with pytest.raises(bo_client.InvalidRequest, match="loss"):
            study.suggest()[0].complete({"accuracy": 1.0})

    def test_a_token_that_was_never_given_is_refused(self, study) -> None:
        (trial,) = study.suggest()
        stranger = study.attach(trial.number, "invented")
        for call in (stranger.heartbeat, lambda: stranger.complete(1.0)):
            with pytest.raises(bo_client.FailedPrecondition) as refusal:
                call()
            assert refusal.value.reason == "WRONG_LEASE"

    def test_queued_configurations_go_first(self, study) -> None:
        queued = study.enqueue(GOOD, {"role": "mine"})
        (trial,) = study.suggest()
        assert (trial.number, trial.parameters, trial.labels) == (queued.number, GOOD, {"role": "mine"})
        assert trial.origin is bo_client.Origin.USER

    def test_one_request_id_queues_one_trial(self, study) -> None:
        first, second = (study.enqueue(GOOD, request_id="queued-once") for _ in range(2))
        assert first == second
        assert len(list(study.trials())) == 1

    @pytest.mark.parametrize(
        ("changes", "name"),
        [({"lr": 7.0}, "lr"), ({"norm": "none"}, "norm"), ({"groups": 1}, "groups"), ({"depth": 1}, "depth")],
    )
    def test_a_wrong_configuration_names_its_parameter(self, study, changes, name) -> None:
        with pytest.raises(bo_client.InvalidRequest, match=name):
            study.enqueue({**GOOD, **changes})
        assert list(study.trials()) == []

    def test_results_from_elsewhere_are_recorded(self, study) -> None:
        assert study.add(GOOD, 0.5).state is State.SUCCEEDED
        assert study.add({**GOOD, "lr": 1.0}, failure="DIVERGED").state is State.INFEASIBLE
        assert study.best().final_measurement.metrics == {"loss": 0.5}

    def test_the_best_first(self, study) -> None:
        assert study.best() is None
        for value in (3.0, 1.0, 2.0):
            study.suggest()[0].complete(value)
        assert [t.number for t in study.best_trials(2)] == [2, 3]

    def test_max_trials(self, client) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=2)
        handed = study.suggest(3)
        assert (len(handed), handed.shortfall) == (2, bo_client.Shortfall.ALL_IN_PROGRESS)
        assert study.suggest().shortfall is bo_client.Shortfall.ALL_IN_PROGRESS
        for trial in handed:
            trial.complete(1.0)
        assert study.suggest().shortfall is bo_client.Shortfall.COMPLETED
        assert study.info().state is bo_client.StudyState.COMPLETED
        assert study.update(max_trials=3).max_trials == 3

    def test_a_paused_study_waits(self, study) -> None:
        study.update(state="PAUSED")
        assert study.suggest().shortfall is bo_client.Shortfall.PAUSED
        study.update(state="ACTIVE")
        assert len(study.suggest()) == 1

    def test_updates_change_what_they_name(self, study) -> None:
        study.update(display_name="new", labels={"a": "b"}, settings={"beta": 4.0})
        found = study.info()
        assert (found.display_name, found.labels, found.settings["beta"]) == ("new", {"a": "b"}, 4.0)
        assert found.settings["max_attempts"] == 2

    def test_stopping(self, study) -> None:
        queued = study.enqueue(GOOD)
        assert study.stop_trial(queued.number).state is State.STOPPED
        (running,) = study.suggest()
        assert study.stop_trial(running.number, "enough").state is State.RUNNING
        told = running.report(0.5, step=1)
        assert (told.should_stop, told.reason, told.lease_valid) == (True, "enough", True)
        assert running.complete(0.5).state is State.STOPPED
        with pytest.raises(bo_client.FailedPrecondition):
            study.stop_trial(running.number)

    @pytest.fixture
    def in_parts(self, client) -> bo_client.Study:
        """A study whose trials pause at 1, 3 and 9 epochs of 27."""
        fidelity = {"metric": "epoch", "max": 27, "min": 1, "promotion": "asha"}
        return client.create_study("s", SPACE, "loss", goal="minimize", fidelity=fidelity, max_attempts=2)

    def test_a_trial_pauses_and_goes_on_from_its_checkpoint(self, in_parts) -> None:
        assert in_parts.info().settings["fidelity"] == {"metric": "epoch", "max": 27, "min": 1, "promotion": "asha"}
        for loss in (0.5, 0.6, 0.7):
            (trial,) = in_parts.suggest(can_resume=True)
            assert (trial.until_step, trial.checkpoint_uri) == (1, "")
            told = trial.report(loss, 1, checkpoint_uri="gs://early")
            assert (told.should_pause, told.should_stop, told.lease_valid) == (True, False, True)
            assert "loss was" in told.reason == trial.pause_reason
            assert trial.pause(f"gs://{trial.number}").state is State.PAUSED
        waiting = in_parts.trial(1)
        assert (waiting.state, waiting.checkpoint_uri, waiting.until_step) == (State.PAUSED, "gs://1", None)
        assert (waiting.pause.step, waiting.pause.attempt, waiting.pause.expected_step) == (1, 1, 27)
        assert waiting.attempts[0].outcome is bo_client.AttemptOutcome.PAUSED
        assert in_parts.info().counts[State.PAUSED] == 3
        assert in_parts.best() is None
        assert [t.number for t in in_parts.trials([State.PAUSED])] == [1, 2, 3]
        (other,) = in_parts.suggest()
        assert (other.number, other.until_step) == (4, None)  # it can't resume
        (again,) = in_parts.suggest(can_resume=True)
        assert (again.number, again.attempt, again.until_step, again.checkpoint_uri) == (1, 2, 3, "gs://1")
        assert again.parameters == waiting.parameters
        assert again.complete(0.4, 27).state is State.SUCCEEDED
        assert in_parts.best().number == 1

    def test_a_pause_that_is_not_asked_for_or_has_no_checkpoint_is_refused(self, in_parts) -> None:
        (trial,) = in_parts.suggest(can_resume=True)
        with pytest.raises(bo_client.FailedPrecondition, match="wasn't asked"):
            trial.pause("gs://a")
        trial.report(0.5, 1)
        with pytest.raises(bo_client.InvalidRequest, match="checkpoint_uri"):
            trial.pause()
        assert trial.pause("gs://a").state is State.PAUSED
        assert trial.heartbeat().reason == "studies/s/trials/1 is paused"
        assert in_parts.stop_trial(trial.number).state is State.STOPPED

    @pytest.mark.parametrize(("algorithm", "promotion"), [("gaussian_process", "forecast"), ("random", "asha")])
    def test_forecasts_choose_where_there_are_any(self, client, algorithm, promotion) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", fidelity={"max": 9}, algorithm=algorithm)
        assert study.info().settings["fidelity"]["promotion"] == promotion

    def test_a_fidelity_is_refused_by_name_and_never_changes(self, client, in_parts) -> None:
        with pytest.raises(bo_client.InvalidRequest, match=r"fidelity\.min"):
            client.create_study("t", SPACE, "loss", goal="minimize", fidelity={"max": 9, "min": 9})
        with pytest.raises(bo_client.InvalidRequest, match=r"stopping\.rule"):
            client.create_study("t", SPACE, "loss", goal="minimize", fidelity={"max": 9}, stopping="median")
        for wrong in ({"metric": "epoch"}, {"max": 9, "mini": 1}, {"max": "many"}, {"max": 9, "promotion": "luck"}, 9):
            with pytest.raises(bo_client.InvalidRequest, match="fidelity"):
                client.create_study("t", SPACE, "loss", goal="minimize", fidelity=wrong)
        with pytest.raises(bo_client.InvalidRequest, match="fidelity"):
            in_parts.update(settings={"fidelity": {"max": 9}})
        with pytest.raises(bo_client.InvalidRequest, match=r"stopping\.rule"):
            in_parts.update(settings={"stopping": "median"})

    @pytest.mark.parametrize(("goal", "good", "bad"), [("minimize", 0.5, 2.0), ("maximize", 2.0, 0.5)])
    def test_a_rule_stops_a_bad_trial_and_says_why(self, client, goal, good, bad) -> None:
        study = client.create_study("s", SPACE, "score", goal=goal, stopping="median", stopping_min_trials=3)
        for _ in range(4):
            (whole,) = study.suggest()
            for step in range(1, 11):
                assert not whole.report(good, step).should_stop
            whole.complete(good)
        hopeful, hopeless = study.suggest(2)
        for step in range(1, 5):
            assert not hopeful.report(good + (0.1 if goal == "maximize" else -0.1), step).should_stop
        told = hopeless.report(bad, step=1)
        assert (told.should_stop, told.lease_valid) == (True, True)
        assert "step 1" in told.reason
        assert f"score was {bad:g}, worse than" in told.reason
        assert hopeless.complete(bad).state is State.STOPPED
        assert study.trial(hopeless.number).stop_reason == told.reason

    def test_a_trial_that_was_cut_short_comes_after_whole_ones(self, client) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", stopping="median", stopping_min_trials=2)
        for value in (1.0, 3.0):
            (whole,) = study.suggest()
            whole.report(value, step=9)
            whole.report(value, step=10)
            whole.complete(value)
        (cut,) = study.suggest()
        assert cut.report(5.0, step=9).should_stop
        cut.complete(0.1)
        assert [t.number for t in study.best_trials(3)] == [1, 2, 3]

    def test_optimize_obeys_a_rule(self, client) -> None:
        settings = {"stopping": "median", "max_trials": 16, "seed": 1, "algorithm": "quasi_random"}
        study = client.create_study("s", SPACE, "loss", goal="minimize", **settings)

        def objective(parameters, trial):
            for step in range(1, 11):
                loss = abs(math.log10(parameters["lr"]) + 2) + 1.0 / step
                trial.report(loss, step)
            return loss

        best = study.optimize(objective)
        stopped = [t for t in study.trials(full=True) if t.state is State.STOPPED]
        assert stopped
        assert all(len(t.measurements) < 10 for t in stopped)
        assert all(t.value("loss") == t.measurements[-1].metrics["loss"] for t in stopped)
        assert best.state is State.SUCCEEDED

    def test_a_rule_is_chosen_and_changed(self, client) -> None:
        chosen = {"stopping": "successive_halving", "stopping_min_step": 1, "stopping_reduction_factor": 4.0}
        study = client.create_study("s", SPACE, "loss", goal="minimize", **chosen)
        assert {k: study.info().settings[k] for k in chosen} == chosen
        study.update(settings={"stopping": "curve", "stopping_confidence": 0.9})
        found = study.info().settings
        assert (found["stopping"], found["stopping_confidence"], found["stopping_min_step"]) == ("curve", 0.9, 1)

    def test_deleting_trials(self, study) -> None:
        (running,) = study.suggest()
        with pytest.raises(bo_client.FailedPrecondition):
            study.delete_trial(running.number)
        running.complete(1.0)
        study.delete_trial(running.number)
        with pytest.raises(bo_client.NotFound):
            study.trial(running.number)
        assert study.suggest()[0].number == 2

    def test_pages(self, study) -> None:
        for _ in range(3):
            study.suggest(100)
        assert [t.number for t in study.trials()] == list(range(1, 301))
        assert list(study.trials(states=["SUCCEEDED"])) == []

    def test_predictions(self, study) -> None:
        with pytest.raises(bo_client.FailedPrecondition) as early:
            study.predict([GOOD])
        assert early.value.reason == "NOT_ENOUGH_DATA"
        for i in range(4):
            study.add({**GOOD, "lr": 10.0**-i}, float(i))
        (first, second) = study.predict([{**GOOD, "lr": 1.0}, {**GOOD, "lr": 0.001}])
        assert first.predictions[0].metric == "loss"
        assert all(p.std >= 0 and math.isfinite(p.mean) for p in (first, second))
        with pytest.raises(bo_client.InvalidRequest, match="lr"):
            study.predict([{**GOOD, "lr": 99.0}])

    @pytest.fixture
    def learned(self, study) -> bo_client.Study:
        """Seven results, of which trial 3 has the best, and one configuration that diverged."""
        for i, lr in enumerate([0.5, 0.1, 0.01, 0.02, 0.05, 0.003, 0.001]):
            study.add({**GOOD, "lr": lr, "layers": 1 + i % 3}, abs(math.log10(lr) + 2))
        study.add({**GOOD, "lr": 1.0}, failure="DIVERGED")
        return study

    def test_after_few_results_it_is_too_early_to_say_what_matters(self, client) -> None:
        space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(9)])
        study = client.create_study("s", space, "loss", goal="minimize", seed=1)
        for trial in study.suggest(6):
            trial.complete({"loss": trial.parameters["x0"]})
        told = diagnosis.diagnose(study.info(), list(study.trials()), study.analyze())
        assert (told.results, told.results_missing, told.idle, dict(told.advice)) == (6, 21, (), {})
        lines = next(study_findings(told, None)).lines
        assert lines[0] == "too few results: there are 6 results for 9 parameters; run about 21 more trials"
        assert lines[1].count("±") == 9

    def test_a_slice_along_one_parameter(self, learned) -> None:
        found = learned.slice("lr", grid_size=9)
        (axis,) = found.axes
        assert axis.parameter == "lr"
        assert (axis.values[0], axis.values[-1], len(axis.values)) == (1e-4, 1.0, 9)
        assert axis.values[4] == pytest.approx(1e-2)  # on its scale
        assert (found.base_trial, found.base, found.observation_count) == (3, {**GOOD, "layers": 3}, 7)
        (at,) = learned.predict([{**found.base, **found.points[2].parameters}])
        assert (found.points[2].mean, found.points[2].std) == (pytest.approx(at.mean), pytest.approx(at.std))
        assert found.points[2].acquisition_value == pytest.approx(at.acquisition_value)

    def test_a_slice_along_two_parameters(self, learned) -> None:
        found = learned.slice("norm", "batch", base={**GOOD, "norm": "group", "groups": 2})
        assert [axis.values for axis in found.axes] == [("batch", "group"), (16, 32, 64)]
        assert [tuple(p.parameters.values()) for p in found.points][:4] == [
            *(("batch", b) for b in (16, 32, 64)),
            ("group", 16),
        ]
        assert [p.feasible for p in found.points] == [True] * 5 + [False]
        assert (found.base_trial, found.base["groups"]) == (None, 2)

    def test_a_slice_along_a_parameter_that_the_base_lacks(self, learned) -> None:
        found = learned.slice("groups")
        assert found.axes[0].values == (1, 2, 3, 4)
        assert (found.base["norm"], found.base["lr"]) == ("group", 0.01)

    def test_a_slice_may_hold_parameters_that_come_and_go(self, learned) -> None:
        found = learned.slice("norm", "groups")
        means = [p.mean for p in found.points]
        assert len(means) == 8
        assert means[:4] == [means[0]] * 4  # without groups

    def test_an_analysis(self, learned) -> None:
        found = learned.analyze()
        (metric,) = found.metrics
        assert (metric.metric, found.observation_count, found.calibration.observation_count) == ("loss", 7, 7)
        whole, better = metric.importance
        assert (whole.share, better.share, whole.bound) == (1.0, 0.25, None)
        for region in metric.importance:
            assert {p.parameter for p in region.parameters} == set(SPACE.names)
            assert all(0 <= share.value <= 1 for p in region.parameters for share in (p.first_order, p.total))
        totals = [p.total.value for p in found.importance.values()]
        assert totals == sorted(totals, reverse=True)
        assert 0.0 <= better.bound <= 2.0
        assert found.best.observed_best == 3
        leader = found.best.contenders[0]
        assert leader.trial == 3
        assert leader.observed == 0.0
        assert leader.repeats == 0
        assert leader.probability == max(c.probability for c in found.best.contenders)
        assert sum(c.probability for c in found.best.contenders) <= 1.0 + 1e-9
        assert found.best.summary
        assert found.calibration.summary
        assert learned.analyze() == found

    def test_an_analysis_in_the_metrics_own_direction(self, client) -> None:
        study = client.create_study("up", SPACE, "accuracy", goal="maximize")
        for lr in (0.5, 0.1, 0.01, 0.02, 0.05):
            study.add({**GOOD, "lr": lr}, 1.0 - abs(math.log10(lr) + 2) / 4)
        found = study.analyze()
        assert found.best.contenders[0].trial == found.best.observed_best == 3
        assert found.best.contenders[0].prediction.mean == pytest.approx(1.0, abs=0.2)
        assert found.metrics[0].importance[1].bound > 0.5

    def test_what_a_rule_stopped_is_no_observation(self, client) -> None:
        """Each trial reports 1 at its first step and its value at the second, but for those that are told to stop."""
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
        settings = {"stopping": "median", "stopping_min_step": 1, "stopping_min_trials": 1, "stopping_max_step": 2}
        study = client.create_study("s", space, "loss", "minimize", algorithm="quasi_random", **settings)
        for i in range(6):
            (trial,) = study.suggest()
            if trial.report(9.0 if i > 2 else 1.0, step=1).should_stop:
                trial.complete(9.0, step=1)
            else:
                trial.complete(0.5 + 0.1 * i, step=2)
        trials = list(study.trials())
        cut = [t for t in trials if t.is_cut_short]
        assert [t.number for t in cut] == [4, 5, 6]
        assert {t.stop_rule for t in cut} == {"MEDIAN"}
        whole = {t.number: t.value("loss") for t in trials if not t.is_cut_short}
        analysis = study.analyze()
        assert (analysis.observation_count, analysis.stopped_count, analysis.best.stopped_count) == (3, 3, 3)
        assert study.slice(study.definition.space.names[0]).observation_count == 3
        assert {c.trial: pytest.approx(c.observed) for c in analysis.best.contenders}.items() <= whole.items()
        assert analysis.best.observed_best == 1
        assert [t.number for t in study.best_trials(6)][:3] == [1, 2, 3]

    def test_too_few_results_tell_nothing(self, study) -> None:
        study.add(GOOD, 1.0)
        for call in (study.analyze, lambda: study.slice("lr")):
            with pytest.raises(bo_client.FailedPrecondition) as refusal:
                call()
            assert refusal.value.reason == "NOT_ENOUGH_DATA"
        study.add({**GOOD, "lr": 0.1}, 2.0)
        assert study.slice("lr").observation_count == 2
        with pytest.raises(bo_client.FailedPrecondition, match="3"):
            study.analyze()

    def test_a_watch_tells_everything_and_then_what_is_new(self, study) -> None:
        study.suggest()[0].complete(1.0)
        changes = study.watch()
        first = next(changes)
        assert [t.state for t in first.trials] == [State.SUCCEEDED]
        assert first.study.revision == first.revision
        threading.Timer(0.2, lambda: study.enqueue(GOOD)).start()
        second = next(c for c in changes if c.trials)
        assert [(t.number, t.state) for t in second.trials] == [(2, State.QUEUED)]
        study.stop_trial(2)
        study.delete_trial(2)
        resumed = next(study.watch(after_revision=second.revision))
        assert resumed.deleted_trials == (2,)
        assert resumed.trials == ()

    def test_a_repeated_request_gets_the_first_answer(self, client, study) -> None:
        request = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", request_id="again")
        first = client.call("SuggestTrials", request)
        assert client.call("SuggestTrials", request) == first
        with pytest.raises(bo_client.InvalidRequest) as reused:
            client.call("SuggestTrials", pb.SuggestTrialsRequest(parent="studies/s", worker_id="x", request_id="again"))
        assert reused.value.reason == "REQUEST_ID_REUSED"

    def test_a_request_id_is_one_study_s_and_one_method_s(self, client, study) -> None:
        client.create_study("t", SPACE, "loss", goal="minimize")
        made = [
            client.call("SuggestTrials", pb.SuggestTrialsRequest(parent=name, worker_id="w", request_id="for-each"))
            for name in ("studies/s", "studies/t")
        ]
        assert [answer.trials[0].name for answer in made] == ["studies/s/trials/1", "studies/t/trials/1"]
        stopped = client.call("StopTrial", pb.StopTrialRequest(name="studies/s/trials/1", request_id="for-each"))
        assert stopped.trial.name == "studies/s/trials/1"

    @pytest.mark.parametrize(
        ("parameter", "hint"),
        [
            (bo_client.FloatParameter("x", 1.0, 0.0), "low"),
            (bo_client.FloatParameter("x", 0.0, 1.0, scale="log"), "low"),
            (bo_client.CategoricalParameter("x", []), "values"),
            (bo_client.FloatParameter("x", 0.0, 1.0, default=2.0), "default"),
            (bo_client.FloatParameter("x y", 0.0, 1.0), "name"),
        ],
    )
    def test_a_wrong_space_names_the_field(self, client, parameter, hint) -> None:
        with pytest.raises(bo_client.InvalidRequest) as refusal:
            client.create_study("s", bo_client.SearchSpace([parameter]), "loss", goal="minimize")
        assert any(hint in v.field and "parameters[0]" in v.field for v in refusal.value.violations)
        fields = [fault.field.rpartition(".")[2] for fault in bo_client.SearchSpace([parameter]).faults()]
        assert fields == [v.field.rpartition(".")[2] for v in refusal.value.violations]  # the same without a server
        assert list(client.studies()) == []

    def test_optimize(self, client) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=8, seed=1)
        best = study.optimize(lambda parameters: abs(math.log10(parameters["lr"]) + 2))
        assert study.info().state is bo_client.StudyState.COMPLETED
        values = [t.final_measurement.metrics["loss"] for t in study.trials()]
        assert len(values) == 8
        assert best.final_measurement.metrics["loss"] == min(values)

    def test_a_worker_learns_of_another_length_of_leases_at_its_next_sign_of_life(self, study) -> None:
        (trial,) = study.suggest()
        study.update(settings={"lease_duration": 240})
        assert trial.lease_seconds == 60.0
        trial.heartbeat()
        assert trial.lease_seconds == 240.0

    def test_a_silent_workers_trial_goes_to_the_next(self, short, run_out) -> None:
        (lost,) = short.suggest()
        run_out(short)
        assert short.trial(1).failure.reason is bo_client.FailureReason.PREEMPTED
        (again,) = short.suggest()
        assert (again.number, again.attempt, again.parameters) == (1, 2, lost.parameters)
        told = lost.report(0.9, step=1)
        assert (told.should_stop, told.lease_valid) == (True, False)
        assert short.trial(1).measurements == ()
        assert again.heartbeat().lease_valid

    def test_a_late_result_counts_and_the_new_holder_is_told(self, short, run_out) -> None:
        (lost,) = short.suggest()
        run_out(short)
        (again,) = short.suggest()
        assert lost.complete(0.5).state is State.SUCCEEDED
        told = again.heartbeat()
        assert (told.should_stop, told.lease_valid) == (True, False)
        with pytest.raises(bo_client.FailedPrecondition) as ended:
            again.complete(0.4)
        assert ended.value.reason == "WRONG_STATE"
        assert short.best().final_measurement.metrics == {"loss": 0.5}

    def test_a_late_machines_failure_takes_nothing_from_the_new_holder(self, short, run_out) -> None:
        (lost,) = short.suggest()
        run_out(short)
        (again,) = short.suggest()
        assert lost.fail("CRASHED").state is State.RUNNING
        assert again.heartbeat().lease_valid
        assert lost.fail("DIVERGED").state is State.INFEASIBLE

    def test_who_ran_a_trial_is_kept_after_its_end(self, study) -> None:
        (first,) = study.suggest(worker_id="gpu-1")
        assert [(a.worker_id, a.end_time, a.outcome) for a in study.trial(1).attempts] == [("gpu-1", None, None)]
        first.report(0.5, step=1)
        first.fail("CRASHED", "begin" + "." * 600 + "the cause")
        assert (study.trial(1).state, study.trial(1).worker_id) == (State.QUEUED, "")
        (again,) = study.suggest(worker_id="gpu-2")
        ended = again.complete(0.5)
        for trial in (ended, study.trial(1), next(study.trials()), study.best()):
            assert [(a.number, a.worker_id) for a in trial.attempts] == [(1, "gpu-1"), (2, "gpu-2")]
            assert [a.outcome for a in trial.attempts] == ["FAILED", "COMPLETED"]
            assert trial.worker_id == "gpu-2"
        one, two = ended.attempts
        assert one.start_time <= one.end_time <= two.start_time <= two.end_time
        assert two.end_time == ended.end_time
        assert one.failure.reason is bo_client.FailureReason.CRASHED
        assert one.failure.message.startswith("begin")
        assert one.failure.message.endswith("the cause")
        assert len(one.failure.message) == 500
        assert two.failure is None

    def test_trials_that_no_worker_had_have_no_attempts(self, study) -> None:
        study.add(GOOD, 1.0)
        study.add({**GOOD, "lr": 0.02}, failure="DIVERGED")
        study.stop_trial(study.enqueue({**GOOD, "lr": 0.03}).number)
        assert [(t.attempts, t.worker_id) for t in study.trials()] == [((), "")] * 3

    def test_a_lost_lease_is_an_attempt_and_a_late_result_supersedes_the_next(self, short, run_out) -> None:
        (lost,) = short.suggest(worker_id="slow")
        run_out(short)
        (expired,) = short.trial(1).attempts
        assert (expired.outcome, expired.failure.reason) == ("EXPIRED", "PREEMPTED")
        assert "slow" in expired.failure.message
        short.suggest(worker_id="next")
        lost.complete(0.5)
        trial = short.trial(1)
        told = [(a.worker_id, a.outcome, a.failure, a.end_time == trial.end_time) for a in trial.attempts]
        assert told == [("slow", "COMPLETED", None, True), ("next", "SUPERSEDED", None, True)]
        assert trial.worker_id == "slow"

    def test_a_failure_of_the_parameters_ends_the_attempt_that_met_it(self, short, run_out) -> None:
        (lost,) = short.suggest(worker_id="slow")
        run_out(short)
        short.suggest(worker_id="next")
        lost.fail("DIVERGED", "loss is NaN")
        told = [(a.worker_id, a.outcome, a.failure and a.failure.message) for a in short.trial(1).attempts]
        assert told == [("slow", "FAILED", "loss is NaN"), ("next", "SUPERSEDED", None)]

    def test_a_watch_tells_of_attempts(self, study) -> None:
        watched = study.watch()
        next(watched)
        study.suggest(worker_id="gpu-1")[0].complete(1.0)
        while not (trials := next(watched).trials) or not trials[0].state.is_ended:
            pass
        assert [(a.worker_id, a.outcome) for a in trials[0].attempts] == [("gpu-1", "COMPLETED")]

    def test_the_objective_is_kept_and_another_is_refused(self, client) -> None:
        kept = bo_client.ObjectiveSpec("efficientnet", {"image_size": "64", "epochs": "2", "zoo": "\n'é\""})
        given = ("s", SPACE, "loss", "minimize")
        study = client.create_study(*given, objective=kept)
        assert study.definition.objective_spec == client.study("s").info().objective_spec == kept
        assert [info.objective_spec for info in client.studies()] == [kept]
        other = bo_client.ObjectiveSpec("efficientnet", {**kept.options, "image_size": "32", "epochs": "1"})
        with pytest.raises(bo_client.AlreadyExists, match=r"epochs is '2' in the study and '1' here; image_size is"):
            client.create_study(*given, objective=other)
        assert client.create_study(*given).definition.objective_spec == kept  # nothing is said, nothing compared
        with pytest.raises(bo_client.FailedPrecondition, match=r"image_size is '64' in the study and '32'") as refused:
            study.suggest(objective=other)
        assert refused.value.reason == "OBJECTIVE_MISMATCH"
        for given_name in ("lite", "branin"):
            with pytest.raises(bo_client.FailedPrecondition, match=f"'efficientnet' in the study and '{given_name}'"):
                study.suggest(objective=bo_client.ObjectiveSpec(given_name, kept.options))
        with pytest.raises(bo_client.FailedPrecondition, match="epochs is '2' in the study and not set here"):
            study.suggest(objective=bo_client.ObjectiveSpec("efficientnet", {"image_size": "64"}))
        assert list(study.trials()) == []
        assert len(study.suggest(objective=kept)) == 1
        assert len(study.suggest()) == 1

    def test_the_first_worker_says_the_objective_of_a_study_that_has_none(self, client, study) -> None:
        first, second = (bo_client.ObjectiveSpec("command", {"program": p}) for p in ("python a.py", "python b.py"))
        assert study.info().objective_spec is None
        study.suggest()
        assert study.info().objective_spec is None
        study.suggest(objective=first)
        assert study.info().objective_spec == first
        with pytest.raises(bo_client.FailedPrecondition, match=r"a\.py"):
            study.suggest(objective=second)
        assert client.create_study("s", SPACE, "loss", "minimize", max_attempts=2).info().objective_spec == first
        assert study.update(objective=second).objective_spec == second
        assert study.update(display_name="S").objective_spec == second
        assert len(study.suggest(objective=second)) == 1
        forget = pb.UpdateStudyRequest(study=study_pb2.Study(name="studies/s"))
        forget.update_mask.paths.append("objective")
        assert not client.call("UpdateStudy", forget).study.HasField("objective")

    def test_a_paused_study_takes_no_objective(self, study) -> None:
        study.update(state="PAUSED")
        study.suggest(objective=bo_client.ObjectiveSpec("o"))
        assert study.info().objective_spec is None

    def test_a_study_of_which_most_recent_trials_failed_says_so(self, study) -> None:
        for i in range(9):
            study.add({**GOOD, "lr": 0.01 + i / 100}, 1.0)
        for i, reason in enumerate(["OUT_OF_MEMORY", "CRASHED"] * 3):
            assert study.info().recent_failures is None, i
            failed = study.suggest(worker_id="w")[0]
            failed.fail(reason, f"no room\nfor {i}")
            if reason == "CRASHED":
                study.suggest()[0].fail(reason, "once more")
        said = study.info().recent_failures
        assert (said.failed, said.trials, said.first_trial) == (6, 10, 10)
        assert said.first_failure == "OUT_OF_MEMORY: no room\nfor 0"
        assert str(said) == "6 of the last 10 trials failed; first (trial 10): OUT_OF_MEMORY: no room for 0"
        (listed,) = study.client.studies()
        assert listed.recent_failures == said == next(study.watch()).study.recent_failures
        for i in range(5):
            study.add({**GOOD, "lr": 0.5 + i / 100}, 1.0)
        assert study.info().recent_failures is None

    def test_three_failures_at_the_beginning_are_most(self, study) -> None:
        for i in range(3):
            assert study.info().recent_failures is None
            study.add({**GOOD, "lr": 0.01 + i / 100}, failure="CRASHED")
        said = study.info().recent_failures
        assert (said.failed, said.trials, said.first_trial, said.first_failure) == (3, 3, 1, "CRASHED")
        study.delete_trial(1)
        assert study.info().recent_failures is None

    def test_an_attempt_begins_where_the_last_one_left_off(self, study) -> None:
        (first,) = study.suggest()
        first.checkpoint("gs://half")
        first.fail("PREEMPTED")
        assert study.suggest()[0].checkpoint_uri == "gs://half"

    def test_a_step_reported_again_is_replaced(self, study) -> None:
        (trial,) = study.suggest()
        for step, value in ((2, 0.2), (1, 0.1), (2, 0.3)):
            trial.report(value, step)
        kept = study.trial(1)
        assert [(m.step, m.metrics["loss"]) for m in kept.measurements] == [(1, 0.1), (2, 0.3)]
        assert kept.latest_measurement.metrics == {"loss": 0.3}
        assert study.trial(1, full=False).measurements == ()

    def test_a_full_study_takes_no_more_and_goes_on_with_more_room(self, client) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=1)
        study.add(GOOD, 1.0)
        assert study.info().state is bo_client.StudyState.COMPLETED
        with pytest.raises(bo_client.FailedPrecondition) as completed:
            study.enqueue({**GOOD, "layers": 3})
        assert completed.value.reason == "WRONG_STATE"
        with pytest.raises(bo_client.LimitExceeded):
            study.add({**GOOD, "layers": 3}, 2.0)
        assert study.update(max_trials=2).state is bo_client.StudyState.ACTIVE
        assert len(study.suggest()) == 1
        assert study.update(max_trials=1).state is bo_client.StudyState.ACTIVE

    def test_a_finite_space_is_exhausted(self, client) -> None:
        space = bo_client.SearchSpace([bo_client.CategoricalParameter("x", ["a", "b"])])
        study = client.create_study("s", space, "loss", goal="minimize")
        trials = study.suggest(3)
        assert {t.parameters["x"] for t in trials} == {"a", "b"}
        assert trials.shortfall is bo_client.Shortfall.ALL_IN_PROGRESS
        assert trials.retry_delay > 0
        for trial in trials:
            trial.complete(1.0)
        done = study.suggest()
        assert (done.shortfall, done.retry_delay) == (bo_client.Shortfall.SPACE_EXHAUSTED, None)

    def test_the_best_of_a_finite_space_is_repeated_and_noise_keeps_it_going(self, client) -> None:
        space = bo_client.SearchSpace([bo_client.IntParameter("x", 1, 3)])
        for name, noise in (("still", 0.0), ("noisy", 0.25)):
            study = client.create_study(name, space, "loss", goal="minimize")
            for trial in study.suggest(3):
                trial.complete(float(trial.parameters["x"]))
            (again,) = trials = study.suggest(3)
            assert again.parameters == {"x": 1}
            assert trials.shortfall is bo_client.Shortfall.ALL_IN_PROGRESS
            assert study.suggest().shortfall is bo_client.Shortfall.ALL_IN_PROGRESS
            again.complete(1.0 + noise)
            ended = study.suggest()
            if not noise:
                assert ended.shortfall is bo_client.Shortfall.SPACE_EXHAUSTED
                continue
            for _ in range(3):
                (one,) = ended or study.suggest()
                one.complete(float(one.parameters["x"]) + noise)
                ended = study.suggest()
            assert ended.shortfall is None

    def test_equalities_are_kept_and_bind_what_will_be_run(self, client) -> None:
        shares = [bo_client.FloatParameter(name, 0.0, 1.0) for name in "xyz"]
        rule = bo_client.EqualityConstraint({"x": 1.0, "y": 1.0, "z": 1.0}, 1.0, "shares")
        study = client.create_study("s", bo_client.SearchSpace(shares, [rule]), "loss", goal="minimize")
        assert study.info().space.constraints == (rule,)
        trials = study.suggest(10)
        assert len(trials) == 10
        assert all(rule.holds(trial.parameters) for trial in trials)
        assert max(trial.parameters["x"] for trial in trials) - min(trial.parameters["x"] for trial in trials) > 0.2
        study.enqueue({"x": 0.1, "y": 0.2, "z": 0.7})
        with pytest.raises(bo_client.InvalidRequest, match="constraint"):
            study.enqueue({"x": 0.1, "y": 0.2, "z": 0.7 + 1e-8})

    def test_an_equality_that_is_none_is_refused(self, client) -> None:
        parameters = [bo_client.FloatParameter("x", 0.0, 1.0), bo_client.CategoricalParameter("k", ["a", "b"])]
        rule = bo_client.EqualityConstraint({"k": 1.0, "y": 1.0}, math.inf)
        with pytest.raises(bo_client.InvalidRequest) as refused:
            client.create_study("s", bo_client.SearchSpace(parameters, [rule]), "loss", goal="minimize")
        at = "constraints[0].equality"
        fields = {violation.field.removeprefix("study.spec.space.") for violation in refused.value.violations}
        assert fields == {f"{at}.coefficients", f"{at}.value"}

    def test_constraints_bind_what_will_be_run_and_not_what_was(self, study) -> None:
        forbidden = {"lr": 0.01, "layers": 2, "norm": "group", "batch": 64, "groups": 1}
        with pytest.raises(bo_client.InvalidRequest, match="constraint"):
            study.enqueue(forbidden)
        assert study.add(forbidden, 1.0).state is State.SUCCEEDED

    def test_the_larger_is_the_better_where_that_is_the_goal(self, client) -> None:
        study = client.create_study("s", SPACE, "accuracy", goal="maximize")
        for value in (0.2, 0.9, 0.9):
            study.suggest()[0].complete(value)
        assert study.best().number == 2

    def test_a_result_sent_twice_counts_once(self, client, study) -> None:
        (trial,) = study.suggest()
        request = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease_token, request_id="ended-once")
        request.final_measurement.metrics["loss"] = 1.0
        assert client.call("CompleteTrial", request) == client.call("CompleteTrial", request)

    @pytest.mark.parametrize(
        "request_",
        [
            pb.SuggestTrialsRequest(parent="studies/none", worker_id="w"),
            pb.CreateTrialRequest(parent="studies/none"),
            pb.ReportMeasurementsRequest(name="studies/none/trials/1", lease_token="t"),
            pb.StopTrialRequest(name="studies/none/trials/1"),
            pb.GetTrialRequest(name="studies/s/trials/7"),
            pb.ListTrialsRequest(parent="studies/none"),
            pb.DeleteTrialRequest(name="studies/s/trials/7"),
            pb.GetBestTrialsRequest(parent="studies/none"),
            pb.PredictSliceRequest(parent="studies/none", parameters=["lr"]),
            pb.AnalyzeStudyRequest(name="studies/none"),
        ],
        ids=lambda request: type(request).__name__,
    )
    def test_what_is_not_there_is_not_found(self, client, study, request_) -> None:
        if isinstance(request_, pb.CreateTrialRequest):
            request_.trial.parameters["lr"].float_value = 0.1
        with pytest.raises(bo_client.NotFound, match=r"none|7"):
            client.call(type(request_).__name__.removesuffix("Request"), request_)

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            (pb.SuggestTrialsRequest(parent="studies/s"), "worker_id"),
            (pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", count=101), "count"),
            (pb.SuggestTrialsRequest(parent="s", worker_id="w"), "parent"),
            (pb.ListTrialsRequest(parent="studies/s", page_size=-1), "page_size"),
            (pb.ListTrialsRequest(parent="studies/s", page_token="?"), "page_token"),
            (pb.ListTrialsRequest(parent="studies/s", page_token="?", order_by="metrics.loss"), "page_token"),
            (pb.ListTrialsRequest(parent="studies/s", order_by="loss"), "order_by"),
            (pb.ListTrialsRequest(parent="studies/s", order_by="metrics.los"), "order_by"),
            (pb.GetTrialRequest(name="studies/s/trials/x"), "name"),
            (pb.GetBestTrialsRequest(parent="studies/s", count=-1), "count"),
            (pb.PredictRequest(parent="studies/s"), "configurations"),
            (pb.PredictSliceRequest(parent="studies/s"), "parameters"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr", "lr"]), "parameters"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr", "layers", "norm"]), "parameters"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr", "depth"]), "parameters[1]"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr"], grid_size=1001), "grid_size"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr"], grid_size=1), "grid_size"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr", "norm"], grid_size=101), "grid_size"),
            (pb.PredictSliceRequest(parent="studies/s", parameters=["lr"], base=SHORT_OF_NORM), "base.parameters"),
            (pb.UpdateStudyRequest(study=study_pb2.Study(name="studies/s")), "update_mask"),
            (pb.CompleteTrialRequest(name="studies/s/trials/1", lease_token="t"), "outcome"),
            (pb.CreateStudyRequest(study_id="a b"), "study_id"),
            (asking(name=""), "objective.name"),
            (asking(name="n" * 257), "objective.name"),
            (asking(name="a\nb"), "objective.name"),
            (asking(name="o", options={"k": "v" * 2049}), 'objective.options["k"]'),
            (asking(name="o", options={"k": "\0"}), 'objective.options["k"]'),
            (asking(name="o", options={"k" * 129: ""}), "objective.options"),
            (asking(name="o", options={f"k{i}": "" for i in range(65)}), "objective.options"),
        ],
        ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
    )
    def test_a_request_out_of_bounds_names_the_field(self, client, study, request_, field) -> None:
        with pytest.raises(bo_client.InvalidRequest) as refusal:
            client.call(type(request_).__name__.removesuffix("Request"), request_)
        assert field in refusal.value.violations[0].field
        assert refusal.value.violations[0].description

    @pytest.mark.parametrize(
        ("settings", "name"),
        [
            ({"beta": 0.0}, "beta"),
            ({"max_trials": 0}, "max_trials"),
            ({"lease_duration": 0.5}, "lease_duration"),
            ({"stopping_min_trials": 0}, "stopping.min_trials"),
            ({"stopping_confidence": 1.0}, "stopping.confidence"),
            ({"stopping_reduction_factor": 1.0}, "stopping.reduction_factor"),
            ({"stopping_min_step": 5, "stopping_max_step": 5}, "stopping.min_step"),
        ],
    )
    def test_settings_out_of_bounds_name_the_field(self, client, study, settings, name) -> None:
        for call in (
            lambda: client.create_study("other", SPACE, "loss", goal="minimize", **settings),
            lambda: study.update(settings=settings),
        ):
            with pytest.raises(bo_client.InvalidRequest) as refusal:
                call()
            assert refusal.value.violations[0].field.endswith(name)

    @pytest.fixture
    def several(self, client) -> bo_client.Study:
        """Of two objectives and a constraint, with results of which some are best."""
        metrics = [LATENCY, LOSS, bo_client.Metric("epochs", role="information"), SCORE]
        study = client.create_study("s", SPACE, metrics, initial_trials=3, seed=1)
        for i, (loss, score, latency) in enumerate(
            [
                (3.0, 90.0, 40.0),
                (1.0, 50.0, 50.0),  # at the bound is within it
                (2.0, 40.0, 10.0),  # the one before is better in both
                (0.5, 95.0, 50.1),  # would be best of all, but for the bound
                (2.0, 80.0, 20.0),
                (1.0, 50.0, 30.0),  # as good as the second
            ]
        ):
            study.add({**GOOD, "lr": 10.0 ** (-0.5 * i)}, {"loss": loss, "score": score, "latency": latency})
        return study

    @pytest.mark.parametrize(
        "metrics",
        [
            [LOSS, SCORE],
            [LOSS, SCORE, bo_client.Metric("size", "minimize"), LATENCY],
            [bo_client.Metric.at_least("recall", -0.5), LOSS, LATENCY],
        ],
        ids=len,
    )
    def test_a_study_of_several_metrics_is_kept_as_it_was_given(self, client, metrics) -> None:
        client.create_study("s", SPACE, metrics)
        assert list(client.study("s").info().metrics) == metrics
        (trial,) = client.study("s").suggest()
        result = {m.name: 1.0 for m in metrics}
        assert trial.complete(result).final_measurement.metrics == result

    @pytest.mark.parametrize(
        ("metrics", "settings", "fields"),
        [
            ([bo_client.Metric(n, "minimize") for n in "abcd"], {}, ["metrics"]),
            ([bo_client.Metric(f"m{i}", role="information") for i in range(16)] + [LOSS], {}, ["metrics"]),
            ([LATENCY], {}, ["metrics"]),
            ([LOSS, bo_client.Metric("size", "minimize", "constraint")], {}, ["metrics[1].bound"]),
            ([LOSS, bo_client.Metric.at_most("size", math.inf)], {}, ["metrics[1].bound"]),
            ([LOSS, bo_client.Metric("size", None, "constraint", 1.0)], {}, ["metrics[1].goal"]),
            ([LOSS, LOSS], {}, ["metrics[1].name"]),
            ([LOSS, SCORE], {"acquisition": "log_pi"}, ["suggestion.acquisition"]),
            ([LOSS, LATENCY], {"stopping": "median"}, ["stopping.rule"]),
            ([LOSS, SCORE], {"acquisition": "ucb", "stopping": "curve"}, ["suggestion.acquisition", "stopping.rule"]),
        ],
    )
    def test_a_study_of_several_metrics_that_cannot_be_is_refused(self, client, metrics, settings, fields) -> None:
        with pytest.raises(bo_client.InvalidRequest) as refusal:
            client.create_study("s", SPACE, metrics, **settings)
        assert [v.field for v in refusal.value.violations] == [f"study.spec.{field}" for field in fields]
        assert list(client.studies()) == []

    @pytest.mark.parametrize(
        ("settings", "field"),
        [({"acquisition": "portfolio"}, "suggestion.acquisition"), ({"stopping": "median"}, "stopping.rule")],
    )
    def test_what_is_of_one_objective_is_refused_later_too(self, several, settings, field) -> None:
        with pytest.raises(bo_client.InvalidRequest) as refusal:
            several.update(settings=settings)
        (violation,) = refusal.value.violations
        assert violation.field.endswith(field)

    @pytest.mark.parametrize("lacking", ["loss", "score", "latency"])
    def test_a_result_has_every_objective_and_constraint(self, several, lacking) -> None:
        (trial,) = several.suggest()
        result = {"loss": 1.0, "score": 1.0, "latency": 1.0}
        for wrong in ({n: v for n, v in result.items() if n != lacking}, {**result, lacking: math.nan}):
            with pytest.raises(bo_client.InvalidRequest) as refusal:
                trial.complete(wrong)
            assert lacking in refusal.value.violations[0].field
        assert trial.complete(result).state is State.SUCCEEDED

    def test_the_pareto_set_of_what_keeps_to_the_bounds(self, several) -> None:
        for count in (1, 100):  # it is told whole
            assert [t.number for t in several.best_trials(count)] == [2, 5, 1]
        several.delete_trial(2)
        assert [t.number for t in several.best_trials(1)] == [6, 5, 1]

    def test_the_pareto_set_of_three_objectives(self, client) -> None:
        study = client.create_study("s", SPACE, [bo_client.Metric(n, "minimize") for n in "abc"])
        for values in ((1.0, 5.0, 5.0), (5.0, 1.0, 5.0), (5.0, 5.0, 1.0), (5.0, 1.0, 6.0), (3.0, 3.0, 3.0), (3, 4, 4)):
            study.add(GOOD, dict(zip("abc", values, strict=True)))
        assert [t.number for t in study.best_trials(1)] == [1, 5, 2, 3]

    def test_the_best_keeps_to_the_bounds(self, client) -> None:
        metrics = [SCORE, bo_client.Metric.at_least("recall", 0.5)]
        study = client.create_study("s", SPACE, metrics)
        study.add(GOOD, {"score": 9.0, "recall": 0.4})
        assert study.best() is None
        for score, recall in ((1.0, 0.5), (3.0, 0.9), (4.0, 0.2)):
            study.add(GOOD, {"score": score, "recall": recall})
        assert [t.number for t in study.best_trials(9)] == [3, 2]

    def test_every_metric_that_steers_is_predicted(self, several) -> None:
        names = ["loss", "score", "latency"]
        (prediction,) = several.predict([GOOD])
        assert [p.metric for p in prediction.predictions] == names
        found = several.slice("lr", grid_size=3)
        assert [[p.metric for p in point.predictions] for point in found.points] == [names] * 3
        assert found.base_trial == 2  # the best in the first objective
        analysis = several.analyze()
        assert [m.metric for m in analysis.metrics] == ["loss", "score"]
        assert [m.best.observed_best for m in analysis.metrics] == [2, 1]
        assert analysis.observation_count == 6

    def test_a_suggestion_tells_what_is_expected_of_every_metric_that_steers(self, several) -> None:
        for trial in several.suggest(2):
            assert trial.origin is bo_client.Origin.SURROGATE
            assert [p.metric for p in trial.explanation.predictions] == ["loss", "score", "latency"]
            assert all(math.isfinite(p.mean) and p.std >= 0 for p in trial.explanation.predictions)
            assert trial.explanation.acquisition == "log_ehvi"

    @pytest.mark.parametrize("acquisition", ["log_ei", "ucb", "log_pi", "portfolio"])
    def test_acquisitions_are_chosen_and_changed(self, client, acquisition) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", acquisition=acquisition, per_cost=True)
        chosen = {"acquisition": acquisition, "per_cost": True}
        assert client.study("s").info().settings.items() >= chosen.items()
        assert study.update(settings={"beta": 1.0}).settings.items() >= {**chosen, "beta": 1.0}.items()
        for i in range(5):
            study.add({**GOOD, "lr": 10.0 ** (-0.5 * i)}, float(i))
        (trial,) = study.suggest()
        known = {"log_ei", "ucb", "log_pi"} if acquisition == "portfolio" else {acquisition}
        assert trial.explanation.acquisition in known
        other = "portfolio" if acquisition == "log_ei" else "log_ei"
        found = study.update(settings={"acquisition": other, "per_cost": False}).settings
        assert (found["acquisition"], found.get("per_cost", False), found["beta"]) == (other, False, 1.0)

    def test_optimize_several_objectives(self, client) -> None:
        metrics = [LOSS, bo_client.Metric("size", "minimize"), LATENCY]
        study = client.create_study("s", SPACE, metrics, max_trials=10, seed=1)

        def objective(parameters):
            layers = parameters["layers"]
            loss = abs(math.log10(parameters["lr"]) + 2) + 1.0 / layers
            return {"loss": loss, "size": float(layers), "latency": 10.0 * layers}

        front = study.optimize(objective)
        assert front == study.best_trials(1)
        assert front
        assert all(t.value("latency") <= 50.0 for t in front)
        pairs = [(t.value("loss"), t.value("size")) for t in front]
        assert pairs == sorted(pairs)
        assert [size for _, size in pairs] == sorted({size for _, size in pairs}, reverse=True)

    def test_a_watch_ends_where_the_study_is_deleted(self, client, study) -> None:
        changes = study.watch()
        next(changes)
        client.delete_study("s")
        with pytest.raises(bo_client.NotFound):
            next(changes)

    def test_a_watch_begins_anew_where_another_study_has_the_name(self, client, study) -> None:
        study.suggest(5)
        seen = study.info().revision
        client.delete_study("s")
        client.create_study("s", SPACE, "loss", goal="minimize").enqueue(GOOD)
        assert [t.number for t in next(study.watch(after_revision=seen)).trials] == [1]

    @pytest.fixture
    def earlier(self, client) -> bo_client.Study:
        """A study of the same metric, with a parameter more and one less; its third trial is the best."""
        space = bo_client.SearchSpace(
            [*(p for p in SPACE.parameters if p.name != "batch"), EXTRA], SPACE.constraints[1:]
        )
        study = client.create_study("earlier", space, "loss", goal="minimize")
        for value, lr in ((3.0, 0.5), (2.0, 0.3), (1.0, 0.001), (4.0, 0.1)):
            study.add({"lr": lr, "layers": 7, "norm": "batch", "extra": 0.5}, value)
        study.add({"lr": 0.002, "layers": 1, "norm": "batch", "extra": 0.5}, failure="DIVERGED")
        return study

    @pytest.mark.parametrize("by_id", [True, False])
    def test_earlier_studies_to_start_from_are_kept(self, client, earlier, by_id) -> None:
        other = client.create_study("other", SPACE, "loss", goal="minimize")
        sources = ["earlier", "other"] if by_id else [earlier, other]
        study = client.create_study("s", SPACE, "loss", goal="minimize", seed=1, warm_start_studies=sources)
        assert study.info().warm_start_studies == ("earlier", "other")
        assert study.info().settings["seed"] == 1
        again = client.create_study("s", SPACE, "loss", goal="minimize", seed=1, warm_start_studies=sources)
        assert again.definition == study.info()
        for wanted in (sources[1:], sources[:1], []):
            assert study.update(settings={"warm_start_studies": wanted, "seed": 2}).settings["seed"] == 2
            assert study.info().warm_start_studies == tuple(["earlier", "other"][sources.index(w)] for w in wanted)
        study.update(settings={"warm_start_studies": sources})
        client.delete_study("earlier")
        assert study.update(settings={"seed": 3}).warm_start_studies == ("earlier", "other")
        assert len(study.suggest()) == 1

    def test_the_best_of_an_earlier_study_is_the_second_trial(self, client, earlier) -> None:
        study = client.create_study("s", SPACE, "loss", goal="minimize", warm_start_studies=[earlier])
        origins = bo_client.Origin
        trials = study.suggest(3)
        assert [t.origin for t in trials] == [origins.DEFAULT, origins.WARM_START, origins.QUASI_RANDOM]
        best = earlier.best().parameters
        told = {name: value for name, value in trials[1].parameters.items() if name != "batch"}
        assert told == {name: value for name, value in best.items() if name != "extra"}
        assert trials[1].parameters["batch"] == trials[0].parameters["batch"]
        assert study.suggest()[0].origin is origins.WARM_START

    def test_a_study_of_which_nothing_is_known_is_no_hindrance(self, client) -> None:
        client.create_study("empty", SPACE, "loss", goal="maximize")
        study = client.create_study("s", SPACE, "loss", goal="minimize", warm_start_studies=["empty"])
        assert {t.origin for t in study.suggest(4)} == {bo_client.Origin.DEFAULT, bo_client.Origin.QUASI_RANDOM}

    @pytest.mark.parametrize(
        ("source", "hint"),
        [
            ("s", "the study itself"),
            ("missing", "doesn't exist"),
            ("strange", "none of this study's parameters: its own are 'extra'"),
            ("unmeasured", "none of this study's objectives: its metrics are 'error'"),
            ("a/b", "studies/STUDY"),
        ],
    )
    def test_what_a_study_cannot_start_from_is_refused(self, client, earlier, source, hint) -> None:
        client.create_study("strange", bo_client.SearchSpace([EXTRA]), "loss", goal="minimize")
        client.create_study("unmeasured", SPACE, "error", goal="minimize")
        sources = ["earlier", source]
        with pytest.raises(bo_client.InvalidRequest) as refusal:
            client.create_study("s", SPACE, "loss", goal="minimize", warm_start_studies=sources)
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        with pytest.raises(bo_client.InvalidRequest) as later:
            study.update(settings={"warm_start_studies": sources})
        for refused in (refusal, later):
            (violation,) = refused.value.violations
            assert violation.field == "study.spec.suggestion.warm_start_studies[1]"
            assert hint in violation.description
        assert study.info().warm_start_studies == ()

    @pytest.mark.parametrize(
        ("sources", "hint"), [([f"s{i}" for i in range(9)], "at most 8 are allowed"), (["a", "a"], "twice")]
    )
    def test_too_many_studies_to_start_from_are_refused(self, client, sources, hint) -> None:
        with pytest.raises(bo_client.InvalidRequest, match=hint) as refusal:
            client.create_study("s", SPACE, "loss", goal="minimize", warm_start_studies=sources)
        assert refusal.value.violations[0].field == "study.spec.suggestion.warm_start_studies"


class TestInProcessServer(ServerContract):
    @pytest.fixture
    def server(self) -> InProcessServer:
        return InProcessServer()

    @pytest.fixture
    def client(self, server: InProcessServer) -> bo_client.Client:
        return server.client()

    @pytest.fixture
    def run_out(self, server: InProcessServer) -> Callable[[bo_client.Study], None]:
        return lambda study: server.advance(2)


@contextmanager
def serving(storage: str, log: Path) -> Iterator[str]:
    """A real server inside the block; yields its address."""
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", storage, "--listen", "127.0.0.1:0"]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[2]
    process.terminate()
    process.wait(timeout=280)
    process.stdout.close()


@pytest.fixture(scope="module")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("contract")
    with serving(f"sqlite:///{folder}/bo.db", folder / "log") as address:
        yield address


@pytest.fixture(scope="module")
def postgres_server_process(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(postgres_server.make_database(), tmp_path_factory.mktemp("contract") / "log") as address:
        yield address


@pytest.mark.xdist_group("contract")  # its server is started once
class TestRealServer(ServerContract):
    @pytest.fixture
    def address(self, sqlite_server: str) -> str:
        return sqlite_server

    @pytest.fixture
    def client(self, address: str) -> Iterator[bo_client.Client]:
        with bo_client.connect(address) as client:
            for info in client.studies():
                client.delete_study(info.id)
            yield client

    @pytest.fixture
    def run_out(self) -> Callable[[bo_client.Study], None]:
        def wait(study: bo_client.Study) -> None:
            deadline = time.monotonic() + 120
            while study.trial(1).state is not State.QUEUED:
                assert time.monotonic() < deadline, "the lease doesn't run out"
                time.sleep(0.05)

        return wait

    def test_a_caller_that_has_cancelled_holds_no_trial_that_a_retry_would_not_get(self, address, client) -> None:
        """Each call is cancelled at another moment; its retry returns the same trials, however far the first came."""
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(60)
            suggest = rpc.OptimizationServiceStub(channel).SuggestTrials
            leased = 0
            for turn in range(6):
                request = pb.SuggestTrialsRequest(parent="studies/s", count=5, worker_id="w", request_id=f"r{turn}")
                call = suggest.future(request, timeout=60 if turn % 2 else 0.001)
                if turn % 2:
                    call.cancel()
                else:
                    call.exception()
                leased += len(suggest(request).trials)
        assert leased == 30
        assert study.info().counts[State.RUNNING] == 30


@pytest.mark.slow
@pytest.mark.xdist_group("postgresql")
class TestRealServerOverPostgres(TestRealServer):
    @pytest.fixture
    def address(self, postgres_server_process: str) -> str:
        return postgres_server_process
