"""Trials and studies as the pages read them."""

import json
import math

import bo_client
from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from bo_client.wire import codec
from bo_dashboard.records import study_record, trial_record, value_of
from hypothesis import given
from hypothesis import strategies as some

SPACE = bo_client.SearchSpace(
    [
        bo_client.FloatParameter("lr", 1e-5, 0.1, "log", default=1e-3, unit="1/s"),
        bo_client.DiscreteParameter("size", [16, 32]),
        bo_client.CategoricalParameter("flag", [True, False]),
        bo_client.IntParameter("n", 1, 4, activation=bo_client.Activation("flag", [True])),
    ]
)

values = some.one_of(
    some.floats(allow_nan=False, allow_infinity=False).map(lambda v: (space_pb2.ParameterValue(float_value=v), v)),
    some.integers(-(2**53), 2**53).map(lambda v: (space_pb2.ParameterValue(int_value=v), v)),
    some.text(max_size=20).map(lambda v: (space_pb2.ParameterValue(string_value=v), v)),
    some.booleans().map(lambda v: (space_pb2.ParameterValue(bool_value=v), v)),
)


@given(values)
def test_values_come_through_as_they_are(pair) -> None:
    message, value = pair
    found = json.loads(json.dumps(value_of(message)))
    assert (type(found), found) == (type(value), value)


@given(some.dictionaries(some.text(max_size=5), some.floats(), max_size=3), some.text(max_size=30))
def test_whatever_was_measured_and_said_is_json(metrics: dict[str, float], said: str) -> None:
    """NaN and infinities, which JSON doesn't have, are words; no line break ends an event."""
    trial = trial_pb2.Trial(name="studies/s/trials/7", state=trial_pb2.TRIAL_STATE_INFEASIBLE)
    trial.latest_measurement.step = 1
    trial.latest_measurement.metrics.update(metrics)
    trial.failure.message = said
    trial.labels["said"] = said
    told = json.dumps(trial_record(trial), allow_nan=False)
    assert "\n" not in told
    found = json.loads(told)
    assert found["number"] == 7
    assert found["labels"] == {"said": said}
    assert found["failure"]["message"] == said
    read = {name: float(value) for name, value in found["latest"]["metrics"].items()}
    assert all(read[name] == value or math.isnan(value) for name, value in metrics.items())


def test_a_study_has_all_that_forms_and_tables_need() -> None:
    study = study_pb2.Study(name="studies/s", state=study_pb2.STUDY_STATE_PAUSED, resumable_count=2)
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric.at_most("latency", 5.0, "ms")]
    study.spec.CopyFrom(codec.spec_to_wire(SPACE, metrics, {"max_trials": 9}))
    found = study_record(study)
    assert (found["id"], found["state"], found["maxTrials"], found["resumable"]) == ("s", "PAUSED", 9, 2)
    assert found["settings"]["max_trials"] == 9
    assert [(m["name"], m["role"], m["bound"]) for m in found["metrics"]] == [
        ("loss", "OBJECTIVE", None),
        ("latency", "CONSTRAINT", 5.0),
    ]
    lr, size, flag, n = found["parameters"]
    assert (lr["low"], lr["high"], lr["log"], lr["default"], lr["unit"]) == (1e-5, 0.1, True, 1e-3, "1/s")
    assert (size["values"], size["type"]) == ([16, 32], "int")
    assert (flag["values"], flag["type"]) == ([True, False], "bool")
    assert n["when"] == {"parameter": "flag", "values": [True]}


def test_what_is_not_there_is_left_out() -> None:
    assert set(trial_record(trial_pb2.Trial(name="studies/s/trials/1", state=trial_pb2.TRIAL_STATE_QUEUED))) <= {
        "number",
        "state",
        "attempt",
    }


def test_a_budget_and_what_is_spent_of_it() -> None:
    study = study_pb2.Study(name="studies/s", reached_limit=study_pb2.LIMIT_MAX_STEPS)
    study.spec.execution.max_steps, study.spent.steps, study.spent.seconds = 540, 542, 3.5
    found = study_record(study)
    assert (found["maxSteps"], found["maxSeconds"], found["reachedLimit"]) == (540, None, "MAX_STEPS")
    assert found["spent"] == {"steps": 542, "seconds": 3.5}
