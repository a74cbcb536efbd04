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
        ],
    )
    assert [(m.name, m.goal, m.role) for m in found.metrics] == [
        ("loss", "minimize", "objective"),
        ("accuracy", None, "information"),
    ]
    assert found.settings == {"max_trials": 30, "seed": 1, "lease_duration": 60}


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
        (("max_trials: 30", "max_trials: many"), "settings.max_trials"),
        (("max_trials: 30", "trials: 30"), "settings"),
        (("forbidden: {optimizer", "forbiden: {optimizer"), "constraints[1]"),
        (("upper_bound: 5", "bound: 5"), "constraints[0]"),
    ],
)
def test_a_mistake_is_told_with_its_place(load, change, place) -> None:
    old, new = change
    assert old in WHOLE
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        load(WHOLE.replace(old, new))
    assert any(violation.field.startswith(place) for violation in refusal.value.violations), refusal.value
    assert "space.yaml" in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "parameters: {x: ", "just words"])
def test_files_that_are_no_studies(load, text) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=r"space\.yaml"):
        load(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="nowhere"):
        specfile.load(tmp_path / "nowhere.yaml")
