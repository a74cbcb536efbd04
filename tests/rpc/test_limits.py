"""What is allowed is taken up to the last character, one more is refused; whole numbers count as floats."""

import pytest
from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from google.protobuf import json_format

from bo_service.domain.errors import InvalidArgument
from bo_service.domain.study import Metric, MetricRole
from bo_service.rpc.codec import fields, search_space, study, trial

REAL = {"name": "x", "floatParameter": {"low": 0, "high": 10}}


def space(*parameters, constraints=()):
    given = {"parameters": list(parameters), "constraints": list(constraints)}
    return search_space.space_from_wire(json_format.ParseDict(given, space_pb2.SearchSpace()), "space")


def measurement(count):
    return trial_pb2.Measurement(metrics={f"m{i}": float(i) for i in range(count)})


def categories(count):
    return {"name": "c", "categoricalParameter": {"values": [{"intValue": "1"}] * count}}


AT_THE_LIMIT = {
    "description": (lambda n: space({**REAL, "description": "d" * n}), 1000, "space.parameters[0].description"),
    "unit": (lambda n: space({**REAL, "unit": "u" * n}), 32, "space.parameters[0].unit"),
    "parameters": (lambda n: space(*({**REAL, "name": f"x{i}"} for i in range(n))), 256, "space.parameters"),
    "constraints": (
        lambda n: space(REAL, constraints=[{"linear": {"coefficients": {"x": 1}, "upperBound": 1}}] * n),
        64,
        "space.constraints",
    ),
    "configuration": (
        lambda n: fields.configuration_from_wire({f"x{i}": fields.value_to_wire(1) for i in range(n)}, "f"),
        256,
        "f",
    ),
    "name of a study": (lambda n: fields.check_study_id("a" * n, "study_id"), 63, "study_id"),
    "display name": (lambda n: study.display_name_from_wire("ä" * n, "f"), 200, "f"),
    "labels": (lambda n: fields.labels_from_wire({str(i): "" for i in range(n)}, "f"), 64, "f"),
    "key of a label": (lambda n: fields.labels_from_wire({"k" * n: ""}, "f"), 63, "f"),
    "value of a label": (lambda n: fields.labels_from_wire({"k": "v" * n}, "f"), 256, 'f["k"]'),
    "metrics": (lambda n: trial.measurement_from_wire(measurement(n), "f"), 64, "f.metrics"),
    "name of a metric": (
        lambda n: trial.measurement_from_wire(trial_pb2.Measurement(metrics={"m" * n: 1.0}), "f"),
        128,
        "f.metrics",
    ),
    "step": (
        lambda n: trial.measurement_from_wire(trial_pb2.Measurement(step=n, metrics={"m": 1.0}), "f"),
        2**53,
        "f.step",
    ),
    "failure": (
        lambda n: trial.failure_from_wire(trial_pb2.Failure(reason=1, message="x" * n), "f"),
        10_000,
        "f.message",
    ),
    "checkpoint": (lambda n: trial.checkpoint_uri_from_wire("x" * n, "f"), 2048, "f"),
}


@pytest.mark.parametrize(("read", "most", "field"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_up_to_the_limit_and_no_further(read, most, field) -> None:
    read(most)
    with pytest.raises(InvalidArgument) as refusal:
        read(most + 1)
    assert [v.field for v in refusal.value.violations] == [field]


def test_a_flood_of_values_is_one_fault() -> None:
    rule = {"parameter": "x", "values": [{}] * 1001}
    with pytest.raises(InvalidArgument) as refusal:
        space(REAL, categories(1001), {**REAL, "name": "y", "activation": rule})
    assert [v.field for v in refusal.value.violations] == [
        "space.parameters[1].categorical_parameter.values",
        "space.parameters[2].activation.values",
    ]


def test_whole_numbers_given_for_floats_are_floats() -> None:
    one = {"intValue": "1"}
    found = space(
        {**REAL, "defaultValue": one},
        {"name": "y", "floatParameter": {"high": 1}, "activation": {"parameter": "x", "values": [one]}},
        constraints=[{"forbidden": {"parameters": {"x": one}}}],
    )
    assert type(found["x"].default) is float
    assert found["y"].is_active({"x": 1.0})
    assert not found.is_feasible({"x": 1.0})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"intParameter": {"high": "5"}}, {"floatValue": 1.0}),
        ({"intParameter": {"high": "5"}}, {"boolValue": True}),
        ({"floatParameter": {"high": 5}}, {"stringValue": "1"}),
        ({"floatParameter": {"high": 5}}, {"boolValue": True}),
        ({"floatParameter": {"high": 5}}, {"floatValue": "NaN"}),
        ({"categoricalParameter": {"values": [{"stringValue": "1"}]}}, {"intValue": "1"}),
        ({"discreteParameter": {"values": [{"intValue": "1"}]}}, {"floatValue": 1.0}),
    ],
)
def test_other_kinds_of_values_are_refused(kind, value) -> None:
    with pytest.raises(InvalidArgument, match="it must be") as refusal:
        space({"name": "x", **kind, "defaultValue": value})
    assert [v.field for v in refusal.value.violations] == ["space.parameters[0].default_value"]


def test_numbers_of_constraints_are_those_of_the_request() -> None:
    wrong = {"linear": {"coefficients": {"nobody": 1}, "upperBound": 1}}
    with pytest.raises(InvalidArgument) as refusal:
        space(REAL, constraints=[{}, wrong])
    assert [v.field for v in refusal.value.violations] == ["space.constraints[0]"]


def test_a_metric_keeps_its_bound() -> None:
    message = study_pb2.StudySpec(
        space={"parameters": [{"name": "x", "float_parameter": {"high": 1.0}}]},
        metrics=[
            {"name": "loss", "goal": "GOAL_MINIMIZE"},
            {"name": "time", "role": "METRIC_ROLE_INFORMATION", "bound": 3.0},
        ],
    )
    spec = study.spec_from_wire(message, "spec")
    assert spec.metrics[1] == Metric("time", None, MetricRole.INFORMATION, 3.0)
    assert study.spec_to_wire(spec).metrics[1].bound == 3.0


def test_learning_curves_may_diverge() -> None:
    found = trial.measurement_from_wire(trial_pb2.Measurement(metrics={"loss": float("nan")}), "f")
    assert found.metrics["loss"] != found.metrics["loss"]
