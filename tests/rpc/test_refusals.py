"""Every refusal names the field in the request, what was given and what to do."""

import pytest
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from google.protobuf import json_format

from bo_service.domain.errors import InvalidArgument
from bo_service.rpc import pages
from bo_service.rpc.codec import fields, study, trial


def spec(*parameters, **more):
    message = {"space": {"parameters": list(parameters)}, "metrics": [{"name": "loss", "goal": "GOAL_MINIMIZE"}]}
    return json_format.ParseDict({**message, **more}, study_pb2.StudySpec())


def real(name="x", low=0.0, high=1.0, **more):
    return {"name": name, "floatParameter": {"low": low, "high": high, **more}}


def categories(*values, name="c"):
    return {"name": name, "categoricalParameter": {"values": [{"stringValue": v} for v in values]}}


@pytest.mark.parametrize(
    ("message", "field", "hint"),
    [
        (spec(real(low=2.0)), "space.parameters[0].float_parameter.low", "swap"),
        (
            spec(real(), real("y", scale="SCALE_LOG")),
            "space.parameters[1].float_parameter.low",
            "log scale needs low > 0",
        ),
        (spec(categories()), "space.parameters[0].categorical_parameter.values", "1 to 1000"),
        (spec(categories("a", "a")), "space.parameters[0].categorical_parameter.values", "remove the repetition"),
        (spec(real(), real()), "space.parameters[1].name", "rename one"),
        (spec({"name": "x"}), "space.parameters[0]", "set float_parameter"),
        (spec({**real(), "defaultValue": {"floatValue": 7}}), "space.parameters[0].default_value", "from 0.0 to 1.0"),
        (spec({**real(), "unit": "u" * 33}), "space.parameters[0].unit", "at most 32"),
        (spec(real("1x")), "space.parameters[0].name", "give a letter"),
        (spec(), "space.parameters", "1 to 256"),
        (
            spec(real(), {**real("y"), "activation": {"parameter": "z", "values": [{"floatValue": 1}]}}),
            "space.parameters[1].activation.parameter",
            "z",
        ),
        (spec(real(), metrics=[]), "metrics", "1 to 16"),
        (spec(real(), metrics=[{"name": "loss"}]), "metrics[0].goal", "GOAL_MINIMIZE"),
        (spec(real(), suggestion={"beta": -1}), "suggestion.beta", "above 0"),
        (
            spec(real(), suggestion={"algorithm": "ALGORITHM_CUSTOM", "customAlgorithm": "1x"}),
            "suggestion.custom_algorithm",
            "the form of a parameter's name",
        ),
        (spec(real(), suggestion={"initialTrials": 0}), "suggestion.initial_trials", "from 1"),
        (spec(real(), execution={"leaseDuration": "0.5s"}), "execution.lease_duration", "1 s to 24 h"),
        (spec(real(), execution={"leaseDuration": "-3s"}), "execution.lease_duration", "0 s"),
        (spec(real(), execution={"maxTrials": 0}), "execution.max_trials", "1,000,000"),
        (spec(real(), execution={"maxSteps": 9}), "execution.max_steps", "set max_seconds or max_trials instead"),
        (spec(real(), execution={"maxSeconds": 0}), "execution.max_seconds", "above 0"),
    ],
)
def test_a_spec_at_fault(message, field, hint) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        study.spec_from_wire(message, "study.spec")
    hints = {v.field: v.description for v in refusal.value.violations}
    assert f"study.spec.{field}" in hints
    assert hint in hints[f"study.spec.{field}"]


def told(read):
    with pytest.raises(InvalidArgument) as refusal:
        read()
    return [v.field for v in refusal.value.violations]


def test_all_faults_of_a_spec_are_told_at_once() -> None:
    message = spec(
        {**real(low=2.0), "unit": "u" * 33},
        categories("a", "a"),
        metrics=[{"name": "loss", "unit": "u" * 33}],
        suggestion={"beta": -1, "xi": 11},
        execution={"leaseDuration": "-1s", "maxAttempts": 0},
    )
    message.suggestion.algorithm = 99
    message.stopping.rule = 99
    assert set(told(lambda: study.spec_from_wire(message, "spec"))) == {
        "spec.space.parameters[0].unit",
        "spec.space.parameters[0].float_parameter.low",
        "spec.space.parameters[1].categorical_parameter.values",
        "spec.metrics[0].unit",
        "spec.metrics[0].goal",
        "spec.suggestion.algorithm",
        "spec.suggestion.beta",
        "spec.suggestion.xi",
        "spec.stopping.rule",
        "spec.execution.lease_duration",
        "spec.execution.max_attempts",
    }


def test_a_parameter_that_cannot_be_read_hides_nothing_of_the_others() -> None:
    message = spec({"name": "x"}, real("y", low=2.0), {"name": "1z", "discreteParameter": {}})
    assert set(told(lambda: study.spec_from_wire(message, "spec"))) == {
        "spec.space.parameters[0]",
        "spec.space.parameters[1].float_parameter.low",
        "spec.space.parameters[2].name",
        "spec.space.parameters[2].discrete_parameter.values",
    }


def test_a_constraint_that_cannot_be_read_hides_nothing_of_the_parameters() -> None:
    message = spec(real(), real())
    message.space.constraints.add(description="d" * 1001)
    message.space.constraints.add().forbidden.parameters["x"].SetInParent()
    assert set(told(lambda: study.spec_from_wire(message, "spec"))) == {
        "spec.space.constraints[0]",
        "spec.space.constraints[0].description",
        'spec.space.constraints[1].forbidden.parameters["x"]',
        "spec.space.parameters[1].name",
    }


def test_what_is_of_one_objective_alone_is_refused_for_several() -> None:
    metrics = [{"name": n, "goal": "GOAL_MINIMIZE"} for n in ("a", "b")]
    message = spec(real(), metrics=metrics)
    message.stopping.rule = study_pb2.STOPPING_RULE_MEDIAN
    message.suggestion.acquisition = study_pb2.ACQUISITION_UCB
    assert told(lambda: study.spec_from_wire(message, "spec")) == [
        "spec.suggestion.acquisition",
        "spec.stopping.rule",
    ]


def test_all_faults_of_an_update_are_told_at_once() -> None:
    request = service_pb.UpdateStudyRequest()
    request.study.display_name = "x" * 201
    request.study.labels["k"] = "v" * 257
    request.study.spec.suggestion.beta = -1
    request.study.spec.execution.max_trials = 0
    request.update_mask.paths.extend(["state", "labels", "display_name", "spec.suggestion.beta", "spec.execution"])
    assert set(told(lambda: study.update_from_wire(request))) == {
        "study.display_name",
        'study.labels["k"]',
        "study.state",
        "study.spec.suggestion.beta",
        "study.spec.execution.max_trials",
    }
    request.update_mask.paths[:] = ["spec.suggestion.xi"]
    assert study.update_from_wire(request).revise is not None  # what the mask doesn't name may be anything


def test_all_faults_of_a_trial_are_told_at_once() -> None:
    message = trial_pb2.Trial(checkpoint_uri="x" * 2049, labels={"": "v"}, failure=trial_pb2.Failure())
    message.parameters["lr"].SetInParent()
    message.measurements.add(step=-1, metrics={"loss": float("nan")})
    message.measurements.add(step=1)
    message.final_measurement.step = 2
    message.final_measurement.metrics["1x"] = 1.0
    message.final_measurement.elapsed.seconds = -1
    assert set(told(lambda: trial.new_trial_from_wire(message, "trial"))) == {
        'trial.parameters["lr"]',
        "trial.labels",
        "trial.checkpoint_uri",
        "trial.measurements[0].step",
        "trial.measurements[1].metrics",
        "trial.final_measurement.metrics",
        "trial.final_measurement.elapsed",
        "trial.failure",
        "trial.failure.reason",
    }


def test_enum_numbers_of_the_future_are_refused() -> None:
    message = spec(real())
    message.suggestion.acquisition = 99
    message.stopping.rule = 98
    with pytest.raises(InvalidArgument) as refusal:
        study.spec_from_wire(message, "spec")
    assert {v.field for v in refusal.value.violations} == {"spec.suggestion.acquisition", "spec.stopping.rule"}


def test_whole_numbers_count_as_floats() -> None:
    message = spec(real(), {**real("y"), "defaultValue": {"intValue": "1"}})
    found = study.spec_from_wire(message, "spec").space["y"]
    assert type(found.default) is float


def test_four_objectives_are_too_many() -> None:
    metrics = [{"name": n, "goal": "GOAL_MINIMIZE"} for n in "abcd"]
    with pytest.raises(InvalidArgument, match="METRIC_ROLE_CONSTRAINT"):
        study.spec_from_wire(spec(real(), metrics=metrics), "spec")


@pytest.mark.parametrize(
    "name", ["", "studies/", "study/a", "studies/a/b", "studies/-a", "studies/" + "a" * 64, "studies/ä"]
)
def test_names_of_studies(name) -> None:
    with pytest.raises(InvalidArgument, match="studies/first"):
        fields.study_id_of(name, "name")


@pytest.mark.parametrize(
    "name", ["studies/a", "studies/a/trials/", "studies/a/trials/0", "studies/a/trials/1x", "studies//trials/1"]
)
def test_names_of_trials(name) -> None:
    with pytest.raises(InvalidArgument, match="trials/1"):
        fields.trial_of(name, "name")


def test_a_name_that_is_right() -> None:
    assert fields.trial_of("studies/a-b.c/trials/12", "name") == ("a-b.c", 12)


@pytest.mark.parametrize(
    ("read", "field"),
    [
        (lambda: pages.page_size(-1), "page_size"),
        (lambda: pages.number_token("x"), "page_token"),
        (lambda: pages.number_token("9" * 30), "page_token"),
        (lambda: fields.count_of(101, 100), "count"),
        (lambda: fields.count_of(-1, 100), "count"),
        (lambda: fields.worker_id_of(""), "worker_id"),
        (lambda: fields.worker_id_of("a\nb"), "worker_id"),
        (lambda: fields.request_key("M", "s", service_pb.StopTrialRequest(request_id="r" * 129), None), "request_id"),
        (lambda: trial.outcome_from_wire(service_pb.CompleteTrialRequest()), "outcome"),
        (lambda: trial.failure_from_wire(trial_pb2.Failure(), "failure"), "failure.reason"),
        (lambda: trial.failure_from_wire(trial_pb2.Failure(reason=1, message="x" * 10_001), "f"), "f.message"),
        (lambda: trial.checkpoint_uri_from_wire("x" * 2049, "uri"), "uri"),
        (lambda: trial.measurement_from_wire(trial_pb2.Measurement(step=-1, metrics={"a": 1}), "m"), "m.step"),
        (lambda: trial.measurement_from_wire(trial_pb2.Measurement(), "m"), "m.metrics"),
        (lambda: trial.trial_state_from_wire(0, "states[0]"), "states[0]"),
        (lambda: fields.value_from_wire(space_pb2.ParameterValue(), "v"), "v"),
        (lambda: study.update_from_wire(service_pb.UpdateStudyRequest()), "update_mask"),
        (lambda: fields.labels_from_wire({"k" * 64: "v"}, "labels"), "labels"),
        (lambda: fields.labels_from_wire({"k": "v" * 257}, "labels"), 'labels["k"]'),
        (lambda: study.display_name_from_wire("x" * 201, "display_name"), "display_name"),
    ],
)
def test_fields_at_fault(read, field) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        read()
    assert field in [v.field for v in refusal.value.violations]


@pytest.mark.parametrize("path", ["*", "spec", "spec.space", "spec.metrics", "name", "spec.suggestion.nothing"])
def test_what_may_not_be_updated(path) -> None:
    request = service_pb.UpdateStudyRequest()
    request.update_mask.paths.append(path)
    with pytest.raises(InvalidArgument, match="these may change"):
        study.update_from_wire(request)
