"""Every refusal names the field in the request, what was given and what to do."""

import pytest
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from google.protobuf import json_format

from bo_service.adapters.grpc import decoding, names, requests, space_codec, study_codec, trial_codec
from bo_service.core import errors
from bo_service.core.errors import InvalidArgument


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
        (spec(real(), suggestion={"initialTrials": 0}), "suggestion.initial_trials", "from 1"),
        (spec(real(), execution={"leaseDuration": "0.5s"}), "execution.lease_duration", "1 s to 24 h"),
        (spec(real(), execution={"leaseDuration": "-3s"}), "execution.lease_duration", "0 s"),
        (spec(real(), execution={"maxTrials": 0}), "execution.max_trials", "1,000,000"),
    ],
)
def test_a_spec_at_fault(message, field, hint) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        study_codec.spec_from_wire(message, "study.spec")
    told = {v.field: v.description for v in refusal.value.violations}
    assert f"study.spec.{field}" in told
    assert hint in told[f"study.spec.{field}"]


def test_all_faults_are_told_at_once() -> None:
    message = spec(real(low=2.0), categories("a", "a"), metrics=[{"name": "loss"}], suggestion={"beta": -1})
    with pytest.raises(InvalidArgument) as refusal:
        study_codec.spec_from_wire(message, "spec")
    assert {v.field for v in refusal.value.violations} >= {
        "spec.space.parameters[0].float_parameter.low",
        "spec.space.parameters[1].categorical_parameter.values",
    }


def test_enum_numbers_of_the_future_are_refused() -> None:
    message = spec(real())
    message.suggestion.acquisition = 99
    message.stopping.rule = 98
    with pytest.raises(InvalidArgument) as refusal:
        study_codec.spec_from_wire(message, "spec")
    assert {v.field for v in refusal.value.violations} == {"spec.suggestion.acquisition", "spec.stopping.rule"}


def test_whole_numbers_count_as_floats() -> None:
    message = spec(real(), {**real("y"), "defaultValue": {"intValue": "1"}})
    found = study_codec.spec_from_wire(message, "spec").space["y"]
    assert type(found.default) is float


def test_several_objectives_are_not_supported_yet() -> None:
    metrics = [{"name": n, "goal": "GOAL_MINIMIZE"} for n in ("a", "b")]
    with pytest.raises(errors.NotSupportedYet, match="METRIC_ROLE_INFORMATION"):
        study_codec.spec_from_wire(spec(real(), metrics=metrics), "spec")


@pytest.mark.parametrize(
    "name", ["", "studies/", "study/a", "studies/a/b", "studies/-a", "studies/" + "a" * 64, "studies/ä"]
)
def test_names_of_studies(name) -> None:
    with pytest.raises(InvalidArgument, match="studies/first"):
        names.study_id_of(name, "name")


@pytest.mark.parametrize(
    "name", ["studies/a", "studies/a/trials/", "studies/a/trials/0", "studies/a/trials/1x", "studies//trials/1"]
)
def test_names_of_trials(name) -> None:
    with pytest.raises(InvalidArgument, match="trials/1"):
        names.trial_of(name, "name")


def test_a_name_that_is_right() -> None:
    assert names.trial_of("studies/a-b.c/trials/12", "name") == ("a-b.c", 12)


@pytest.mark.parametrize(
    ("read", "field"),
    [
        (lambda: requests.page_size(-1), "page_size"),
        (lambda: requests.number_token("x"), "page_token"),
        (lambda: requests.number_token("9" * 30), "page_token"),
        (lambda: requests.count_of(101, 100), "count"),
        (lambda: requests.count_of(-1, 100), "count"),
        (lambda: requests.worker_id_of(""), "worker_id"),
        (lambda: requests.worker_id_of("a\nb"), "worker_id"),
        (lambda: requests.request_key("M", trial_pb2.Trial(), "r" * 129), "request_id"),
        (lambda: trial_codec.outcome_from_wire(service_pb.CompleteTrialRequest()), "outcome"),
        (lambda: trial_codec.failure_from_wire(trial_pb2.Failure(), "failure"), "failure.reason"),
        (lambda: trial_codec.failure_from_wire(trial_pb2.Failure(reason=1, message="x" * 10_001), "f"), "f.message"),
        (lambda: trial_codec.checkpoint_uri_from_wire("x" * 2049, "uri"), "uri"),
        (lambda: trial_codec.measurement_from_wire(trial_pb2.Measurement(step=-1, metrics={"a": 1}), "m"), "m.step"),
        (lambda: trial_codec.measurement_from_wire(trial_pb2.Measurement(), "m"), "m.metrics"),
        (lambda: trial_codec.trial_state_from_wire(0, "states[0]"), "states[0]"),
        (lambda: space_codec.value_from_wire(space_pb2.ParameterValue(), "v"), "v"),
        (lambda: study_codec.update_from_wire(service_pb.UpdateStudyRequest()), "update_mask"),
        (lambda: decoding.labels_from_wire({"k" * 64: "v"}, "labels"), "labels"),
        (lambda: decoding.labels_from_wire({"k": "v" * 257}, "labels"), 'labels["k"]'),
        (lambda: study_codec.display_name_from_wire("x" * 201, "display_name"), "display_name"),
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
        study_codec.update_from_wire(request)
