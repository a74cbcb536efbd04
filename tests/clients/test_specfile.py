"""Studies in files: everything they may say, and every mistake with its place."""

import json
from pathlib import Path

import bo_client
import pytest
from bo_client import specfile

WHOLE = """
parameters:
  lr: {type: float, low: 1e-5, high: 0.1, scale: log, default: 1e-3, unit: 1/step}
  layers: {type: int, low: 1, high: 4}
  optimizer: {type: categorical, values: [adam, sgd]}
  batch_size: {type: discrete, values: [16, 32, 64]}
  momentum: {type: float, low: 0, high: 0.99, when: {optimizer: [sgd]}}
constraints:
  - linear: {coefficients: {layers: 1, momentum: 2}, upper_bound: 5}
  - forbidden: {optimizer: sgd, batch_size: 64}
  - equality: {coefficients: {layers: 2, momentum: 0}, value: 4}
metrics: {loss: minimize, accuracy: information}
settings: {max_trials: 30, seed: 1, lease_duration: 60}
"""


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str, name: str = "space.yaml") -> specfile.StudyFile:
        (tmp_path / name).write_text(text)
        return specfile.load(tmp_path / name)

    return load


def test_all_that_a_file_may_say(load) -> None:
    found = load(WHOLE)
    assert found.space == bo_client.SearchSpace(
        [
            bo_client.FloatParameter("lr", 1e-5, 0.1, scale="log", default=1e-3, unit="1/step"),
            bo_client.IntParameter("layers", 1, 4),
            bo_client.CategoricalParameter("optimizer", ["adam", "sgd"]),
            bo_client.DiscreteParameter("batch_size", [16, 32, 64]),
            bo_client.FloatParameter("momentum", 0, 0.99, activation=bo_client.Activation("optimizer", ["sgd"])),
        ],
        [
            bo_client.LinearConstraint({"layers": 1, "momentum": 2}, 5),
            bo_client.ForbiddenCombination({"optimizer": "sgd", "batch_size": 64}),
            bo_client.EqualityConstraint({"layers": 2, "momentum": 0}, 4),
        ],
    )
    assert [(m.name, m.goal, m.role) for m in found.metrics] == [
        ("loss", "minimize", "objective"),
        ("accuracy", None, "information"),
    ]
    assert found.settings == {"max_trials": 30, "seed": 1, "lease_duration": 60}


BOUNDED = """
parameters: {x: {type: int, low: 1, high: 2}}
metrics:
  loss: minimize
  score: {goal: maximize, unit: "%"}
  latency: {at_most: 50, unit: ms}
  recall: {at_least: 0.5}
  size: {goal: minimize, role: constraint, bound: 7}
"""


def test_bounds_in_short_and_in_full(load) -> None:
    assert list(load(BOUNDED).metrics) == [
        bo_client.Metric("loss", "minimize"),
        bo_client.Metric("score", "maximize", unit="%"),
        bo_client.Metric.at_most("latency", 50.0, "ms"),
        bo_client.Metric.at_least("recall", 0.5),
        bo_client.Metric("size", "minimize", "constraint", 7.0),
    ]


def test_how_suggestions_are_made(load) -> None:
    found = load(WHOLE.replace("seed: 1", "acquisition: portfolio, per_cost: true")).settings
    assert (found["acquisition"], found["per_cost"]) == ("portfolio", True)


def test_training_in_parts(load) -> None:
    found = load(WHOLE.replace("lease_duration: 60", "fidelity: {metric: epoch, max: 27, min: 3}"))
    assert found.settings["fidelity"] == {"metric": "epoch", "max": 27, "min": 3}


def test_json_says_the_same(load) -> None:
    spec = {"parameters": {"x": {"type": "int", "low": 1, "high": 2}}, "metrics": {"loss": "minimize"}}
    found = load(json.dumps(spec), "space.json")
    assert found.space == bo_client.SearchSpace([bo_client.IntParameter("x", 1, 2)])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("type: float, low: 1e-5", "type: flot, low: 1e-5"), "parameters.lr.type"),
        (("low: 1e-5, high: 0.1", "low: tiny, high: 0.1"), "parameters.lr.low"),
        (("low: 1e-5, high: 0.1", "low: 1.0, high: 0.1"), "parameters.lr.low"),
        (("low: 1e-5, high: 0.1", "low: 0, high: 0.1"), "parameters.lr.low"),
        (("values: [adam, sgd]", "values: []"), "parameters.optimizer.values"),
        (("values: [adam, sgd]", "values: [adam, adam]"), "parameters.optimizer.values"),
        (("scale: log", "scale: cubic"), "parameters.lr.scale"),
        (("unit: 1/step", "color: red"), "parameters.lr"),
        (("when: {optimizer: [sgd]}", "when: {optimzer: [sgd]}"), "parameters.momentum"),
        (("loss: minimize", "loss: downwards"), "metrics.loss"),
        (("loss: minimize", "loss: information"), "metrics"),
        (("loss: minimize", "loss: minimize, size: {at_most: small}"), "metrics.size.at_most"),
        (("loss: minimize", "loss: minimize, size: {at_most: 5, at_least: 1}"), "metrics.size.at_least"),
        (("loss: minimize", "loss: minimize, size: {at_most: 5, goal: minimize}"), "metrics.size.goal"),
        (("loss: minimize", "loss: minimize, size: {goal: minimize, role: constraint}"), "metrics.size.bound"),
        (("seed: 1", "acquisition: luck"), "settings.acquisition"),
        (("seed: 1", "per_cost: 1"), "settings.per_cost"),
        (("max_trials: 30", "max_trials: many"), "settings.max_trials"),
        (("max_trials: 30", "trials: 30"), "settings"),
        (("lease_duration: 60", "warm_start_studies: first"), "settings.warm_start_studies"),
        (("lease_duration: 60", "warm_start_studies: [1]"), "settings.warm_start_studies"),
        (("forbidden: {optimizer", "forbiden: {optimizer"), "constraints[1]"),
        (("upper_bound: 5", "bound: 5"), "constraints[0]"),
        (("lease_duration: 60", "fidelity: 27"), "settings.fidelity"),
        (("lease_duration: 60", "fidelity: {metric: epoch}"), "settings.fidelity.max"),
        (("lease_duration: 60", "fidelity: {max: 27, mini: 1}"), "settings.fidelity"),
        (("lease_duration: 60", "fidelity: {max: 2.5}"), "settings.fidelity.max"),
    ],
)
def test_a_mistake_is_told_with_its_place(load, change, place) -> None:
    old, new = change
    assert old in WHOLE
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        load(WHOLE.replace(old, new))
    assert any(violation.field.startswith(place) for violation in refusal.value.violations), refusal.value
    assert "space.yaml" in str(refusal.value)


def test_a_formula_is_answered_with_an_example(load) -> None:
    text = "parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\nconstraints: ['x + y == 1']\n"
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        load(text)
    told = str(refusal.value)
    assert "constraints[0]: is 'x + y == 1'; give a mapping, such as {equality: {coefficients: {x: 1, y: 1}" in told


def test_a_condition_on_a_later_parameter_says_where_it_belongs(load) -> None:
    text = """
parameters:
  m: {type: float, low: 0, high: 1, when: {opt: [sgd]}}
  opt: {type: categorical, values: [adam, sgd]}
metrics: {loss: minimize}
"""
    with pytest.raises(bo_client.InvalidRequest, match="earlier in the list, and this one is the first: put it below"):
        load(text)


def test_studies_to_start_from(load) -> None:
    found = load(WHOLE.replace("lease_duration: 60", "warm_start_studies: [first, second]"))
    assert found.settings["warm_start_studies"] == ["first", "second"]


@pytest.mark.parametrize("text", ["", "[1, 2]", "parameters: {x: ", "just words"])
def test_files_that_are_no_studies(load, text) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=r"space\.yaml"):
        load(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="nowhere"):
        specfile.load(tmp_path / "nowhere.yaml")


SHORT = "parameters: {{lr: {{type: float, low: {low}, high: 1}}}}\nmetrics: {{loss: minimize}}\n"


@pytest.mark.parametrize("low", ["1e-3", "1.0e-3", "0.001", ".001", "+1E-3"])
def test_numbers_are_read_as_people_write_them(load, low) -> None:
    assert load(SHORT.format(low=low)).space["lr"].low == 0.001


def test_words_stay_words(load) -> None:
    found = load("parameters: {x: {type: categorical, values: [on, off, yes, no]}}\nmetrics: {loss: minimize}")
    assert found.space["x"].values == ("on", "off", "yes", "no")


def test_numbers_of_a_discrete_parameter_are_of_one_kind(load) -> None:
    found = load("parameters: {x: {type: discrete, values: [1, 2.5], default: 1}}\nmetrics: {loss: minimize}")
    assert [type(v) for v in (*found.space["x"].values, found.space["x"].default)] == [float, float, float]


def test_every_mistake_is_told_at_once(load) -> None:
    text = """
        parameters:
          lr: {type: float, low: 1}
          norm: {type: categorical, values: batch}
        metrics: {loss: downwards}
        settings: {seed: many}
        extra: 1
    """
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        load(text)
    places = {violation.field for violation in refusal.value.violations}
    assert places == {"parameters.lr.high", "parameters.norm.values", "metrics.loss", "settings.seed", "extra"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("twice.yaml", "parameters: {}\nparameters: {}\n"),
        ("twice.yaml", "parameters:\n  lr: {type: int, low: 1, low: 2}\n"),
        ("twice.json", '{"parameters": {}, "parameters": {}}'),
    ],
)
def test_a_key_that_occurs_twice_is_told(load, name, text) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="occurs twice"):
        load(text, name)


def test_a_broken_file_is_told_with_its_line(load) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=r"line 2"):
        load("parameters: {a: 1}\nmetrics: }\n")
    with pytest.raises(bo_client.InvalidRequest, match=r"no valid JSON.*line 1"):
        load("{'parameters'}", "broken.json")


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(bo_client.InvalidRequest, match="can't be read as text"):
        specfile.load(tmp_path / "space.yaml")


def test_no_object_is_made_from_a_file(load) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="no valid YAML"):
        load("parameters: !!python/object/apply:os.system [echo]\n")
