"""The diagnosis of a study, on planted ones: a pressed edge, a wasted part, a parameter that doesn't matter."""

import json
import random

import bo_client
import pytest
from bo_client import diagnosis
from bo_client.cli import main
from bo_client.insight import Estimate, ParameterImportance
from bo_client.testing import FakeServer
from click.testing import CliRunner

SPACE = bo_client.SearchSpace([
    bo_client.FloatParameter("lr", 1e-4, 1e-1, scale="log"),
    bo_client.CategoricalParameter("norm", ["batch", "none"]),
    bo_client.FloatParameter("seed", 0.0, 1.0),
    bo_client.DiscreteParameter("groups", [2, 4, 8], activation=bo_client.Activation("norm", ["batch"])),
])  # fmt: skip


def planted(server: FakeServer, loss, space=SPACE, goal: str = "minimize", count: int = 30) -> bo_client.Study:
    """A study of random configurations with these losses; None fails."""
    rng = random.Random(0)
    study = server.client().create_study("s", space, "loss", goal=goal)
    for i in rng.sample(range(count), count):
        norm = rng.choice(["batch", "none"])
        given = {"lr": 10 ** (-4 + 3 * (i + 0.5) / count), "norm": norm, "seed": rng.random()}
        if norm == "batch":
            given["groups"] = rng.choice([2, 4, 8])
        study.enqueue(given)
        (trial,) = study.suggest(1)
        value = loss(trial.parameters)
        labels = {"diagnosis": "healthy" if i % 3 else "overfitting, dead_units", "diagnosis.dead_units": "80 % are 0"}
        if value is None:
            trial.fail("DIVERGED", "nan", labels)
        else:
            trial.complete({"loss": value}, labels=labels)
    return study


def found(study: bo_client.Study) -> diagnosis.StudyDiagnosis:
    return diagnosis.diagnose(study.info(), list(study.trials()), None)


def u(parameters) -> float:
    place = diagnosis.position(SPACE["lr"], parameters["lr"])
    assert place is not None
    return place


def noise(parameters) -> float:
    return parameters["seed"]


def test_an_edge_that_the_best_press_against_is_told_and_others_are_not() -> None:
    (edge,) = found(planted(FakeServer(), lambda p: 1 - u(p) + 0.01 * noise(p))).pressed
    assert (edge.parameter, edge.edge, edge.bound) == ("lr", "high", 1e-1)
    assert edge.near >= 3


def test_the_goal_turns_it_around() -> None:
    (edge,) = found(planted(FakeServer(), lambda p: 1 - u(p) + 0.01 * noise(p), goal="maximize")).pressed
    assert (edge.parameter, edge.edge, edge.bound) == ("lr", "low", 1e-4)


def test_a_best_in_the_middle_presses_nowhere() -> None:
    assert found(planted(FakeServer(), lambda p: abs(u(p) - 0.5) + 0.01 * noise(p))).pressed == ()


def test_a_category_in_which_nothing_is_good_is_a_waste() -> None:
    told = found(planted(FakeServer(), lambda p: (2.0 if p["norm"] == "none" else 1.0) + 0.1 * noise(p)))
    assert [(w.parameter, w.part) for w in told.wasted] == [("norm", "= none")]
    assert told.wasted[0].best == pytest.approx(2.0, abs=0.1)
    assert told.wasted[0].failed == 0


def test_a_part_in_which_all_fail_is_a_waste_too() -> None:
    told = found(planted(FakeServer(), lambda p: None if u(p) > 2 / 3 else 1.0 + noise(p)))
    (part,) = [w for w in told.wasted if w.parameter == "lr"]
    assert part.part.startswith("in its highest third (")
    assert part.failed == part.trials >= 4
    assert part.best is None
    assert told.failed >= part.failed


def test_noise_alone_is_neither() -> None:
    rng = random.Random(1)
    told = found(planted(FakeServer(), lambda _: rng.random()))
    assert (told.pressed, told.wasted) == ((), ())


def test_what_ails_trials_is_counted() -> None:
    told = found(planted(FakeServer(), noise))
    assert told.ailments == {"overfitting": 10, "dead_units": 10}


def test_what_matters_is_the_surrogates_to_say() -> None:
    study = planted(FakeServer(), noise)
    analysis = study.analyze()
    region = analysis.metrics[0].importance[0]
    shares = {"lr": 0.9, "norm": 0.2, "seed": 0.01}
    told = tuple(ParameterImportance(n, Estimate(v, 0.01), Estimate(v, 0.01)) for n, v in shares.items())
    from dataclasses import replace

    metric = replace(analysis.metrics[0], importance=(replace(region, parameters=told),))
    result = diagnosis.diagnose(study.info(), list(study.trials()), replace(analysis, metrics=(metric,)))
    assert result.matters == shares
    assert result.idle == ("seed",)


def test_the_command_tells_it_all() -> None:
    server = FakeServer()
    planted(server, lambda p: 1 - u(p) + 3 * (u(p) < 1 / 3))
    text = " ".join(CliRunner().invoke(main, ["diagnose", "s"], obj=server.client()).output.split())
    assert "lie at its high edge, 0.1; move that edge out" in text
    assert "lr in its lowest third" in text
    assert "overfitting: 10 of 30" in text
    content = json.loads(CliRunner().invoke(main, ["diagnose", "s", "--json"], obj=server.client()).output)
    assert content["ailments"]["overfitting"] == 10
    assert {p["parameter"] for p in content["pressed"]} == {"lr"}


def test_a_study_without_results_is_told_as_such() -> None:
    server = FakeServer()
    planted(server, lambda _: None, count=2)
    done = CliRunner().invoke(main, ["diagnose", "s"], obj=server.client())
    assert done.exit_code == 0
    assert "0 results, 2 without" in done.output
    assert "can't be told yet" in done.output


def test_the_trials_own_diagnosis_is_shown_with_it() -> None:
    server = FakeServer()
    planted(server, noise, count=2)
    listed = CliRunner().invoke(main, ["show", "s"], obj=server.client()).output
    assert "diagnosis=overfitting, dead_units" in listed
    assert "80 % are 0" not in listed
    assert "diagnosis.dead_units: 80 % are 0" in CliRunner().invoke(main, ["best", "s"], obj=server.client()).output
