"""The diagnosis of a study, on planted ones: a pressed edge, a wasted part, a parameter that doesn't matter."""

import json
import random
from dataclasses import replace

import bo_client
import pytest
from bo_client import diagnosis
from bo_client.cli.main import main
from bo_client.diagnosis_words import study_findings, trial_lines
from bo_client.insight import Analysis, Estimate, ParameterImportance
from bo_client.testing import InProcessServer
from click.testing import CliRunner

SPACE = bo_client.SearchSpace([
    bo_client.FloatParameter("lr", 1e-4, 1e-1, scale="log"),
    bo_client.CategoricalParameter("norm", ["batch", "none"]),
    bo_client.FloatParameter("seed", 0.0, 1.0),
    bo_client.DiscreteParameter("groups", [2, 4, 8], activation=bo_client.Activation("norm", ["batch"])),
])  # fmt: skip


def planted(server: InProcessServer, loss, space=SPACE, goal: str = "minimize", count: int = 30) -> bo_client.Study:
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
    (edge,) = found(planted(InProcessServer(), lambda p: 1 - u(p) + 0.01 * noise(p))).pressed
    assert (edge.parameter, edge.edge, edge.bound) == ("lr", "high", 1e-1)
    assert edge.near >= 3


def test_the_goal_turns_it_around() -> None:
    (edge,) = found(planted(InProcessServer(), lambda p: 1 - u(p) + 0.01 * noise(p), goal="maximize")).pressed
    assert (edge.parameter, edge.edge, edge.bound) == ("lr", "low", 1e-4)


def test_a_best_in_the_middle_presses_nowhere() -> None:
    assert found(planted(InProcessServer(), lambda p: abs(u(p) - 0.5) + 0.01 * noise(p))).pressed == ()


def test_a_category_in_which_nothing_is_good_is_a_waste() -> None:
    told = found(planted(InProcessServer(), lambda p: (2.0 if p["norm"] == "none" else 1.0) + 0.1 * noise(p)))
    assert [(w.parameter, w.part) for w in told.wasted] == [("norm", "= none")]
    assert told.wasted[0].best == pytest.approx(2.0, abs=0.1)
    assert told.wasted[0].failed == 0


def test_a_part_in_which_all_fail_is_a_waste_too() -> None:
    told = found(planted(InProcessServer(), lambda p: None if u(p) > 2 / 3 else 1.0 + noise(p)))
    (part,) = [w for w in told.wasted if w.parameter == "lr"]
    assert part.part.startswith("in its highest third (")
    assert part.failed == part.trials >= 4
    assert part.best is None
    assert told.failed >= part.failed


def test_noise_alone_is_neither() -> None:
    rng = random.Random(1)
    told = found(planted(InProcessServer(), lambda _: rng.random()))
    assert (told.pressed, told.wasted) == ((), ())


def test_what_ails_trials_is_counted() -> None:
    told = found(planted(InProcessServer(), noise))
    assert told.ailments == {"overfitting": 10, "dead_units": 10}


def analyzed(
    study: bo_client.Study, shares: dict[str, float], error: float = 0.01, better: dict[str, float] | None = None,
    explained: float = 0.6,
) -> Analysis:  # fmt: skip
    """An analysis with these total shares over the whole space, and over its better quarter."""
    (metric,) = study.analyze().metrics
    regions = []
    for region, found in zip(metric.importance, (shares, better or shares), strict=True):
        told = tuple(ParameterImportance(n, Estimate(v, error), Estimate(v, error)) for n, v in found.items())
        regions.append(replace(region, parameters=told))
    calibration = replace(metric.calibration, explained=explained)
    return Analysis((replace(metric, importance=tuple(regions), calibration=calibration),), 30)


def advised(study: bo_client.Study, analysis: Analysis | None) -> dict[str, str]:
    return dict(diagnosis.diagnose(study.info(), list(study.trials()), analysis).advice)


SHARES = {"lr": 0.9, "norm": 0.2, "seed": 0.01}


def by_lr(parameters) -> float:
    return abs(u(parameters) - 0.5)


def test_what_matters_is_the_surrogates_to_say() -> None:
    study = planted(InProcessServer(), by_lr)
    result = diagnosis.diagnose(study.info(), list(study.trials()), analyzed(study, SHARES))
    assert result.matters == SHARES
    assert result.errors["lr"] == 0.01
    assert result.idle == ("seed",)
    assert result.advice["seed"].startswith("pin it")


@pytest.mark.parametrize(
    "given",
    [
        {"error": 0.1},
        {"better": {**SHARES, "seed": 0.4}},
        {"explained": -0.1},
    ],
    ids=["a wide interval", "it matters among the good", "nothing is predicted"],
)
def test_a_parameter_is_not_pinned_without_evidence(given) -> None:
    study = planted(InProcessServer(), by_lr)
    assert "seed" not in advised(study, analyzed(study, SHARES, **given))


def nine_parameters(count: int) -> bo_client.Study:
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(9)])
    study = InProcessServer().client().create_study("s", space, "loss", goal="minimize")
    for trial in study.suggest(count):
        trial.complete({"loss": trial.parameters["x0"]})
    return study


def test_six_results_of_nine_parameters_are_too_early() -> None:
    study = nine_parameters(6)
    shares = {"x0": 0.54, **{f"x{i}": 0.001 for i in range(1, 9)}}
    result = diagnosis.diagnose(study.info(), list(study.trials()), analyzed(study, shares, 0.12))
    assert (result.idle, result.results_missing, dict(result.advice)) == ((), 21, {})
    first = next(study_findings(result, None)).lines
    assert first[0] == "too few results: there are 6 results for 9 parameters; run about 21 more trials"
    assert "x0 54% ± 24%" in first[1]


def test_with_enough_results_it_is_told() -> None:
    study = nine_parameters(30)
    shares = {"x0": 0.9, **{f"x{i}": 0.001 for i in range(1, 9)}}
    result = diagnosis.diagnose(study.info(), list(study.trials()), analyzed(study, shares))
    assert result.results_missing == 0
    assert "x0" not in result.idle
    assert result.idle


def test_a_parameter_that_the_best_press_against_is_not_pinned() -> None:
    """Both can't be right: an idle parameter has no edge to be moved."""
    study = planted(InProcessServer(), lambda p: 1 - u(p) + 0.01 * noise(p))
    told = advised(study, analyzed(study, {"seed": 0.9, "norm": 0.5, "lr": 0.03}))
    assert told["lr"].startswith("move its high edge, 0.1, out")
    assert "pin" not in told["lr"]


def test_what_the_best_share_by_chance_is_no_advice() -> None:
    """A search repeats what it takes for good, in parameters without an effect as well."""
    study = planted(InProcessServer(), lambda p: 1 - u(p) + 3 * (p["norm"] == "none"))
    shares = {"seed": 0.9, "norm": 0.2, "lr": 0.2, "groups": 0.1}
    assert set(advised(study, analyzed(study, shares))) == {"norm"}
    assert advised(study, analyzed(study, shares, error=0.15)) == {}


def test_a_part_in_which_all_fail_is_left_out_whatever_the_surrogate_predicts() -> None:
    study = planted(InProcessServer(), lambda p: None if u(p) > 2 / 3 else 1.0 + noise(p))
    assert "lr" in advised(study, analyzed(study, {"seed": 0.9, "norm": 0.1, "lr": 0.0}, error=0.2))


def test_failed_and_stopped_trials_mixed_in_are_no_evidence_by_chance() -> None:
    """Of twelve trials a third failed and a third was stopped, whatever their parameters."""
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(3)])
    study = InProcessServer().client().create_study("s", space, "loss", goal="minimize")
    for i, trial in enumerate(study.suggest(12)):
        if i % 3 == 0:
            trial.fail("DIVERGED", "nan")
            continue
        trial.report({"loss": 1.0}, step=1)
        if i % 3 == 1:
            study.stop_trial(trial.number, "slow")
        trial.complete({"loss": 0.9 if i % 3 == 1 else trial.parameters["x0"]})
    told = diagnosis.diagnose(study.info(), list(study.trials()), study.analyze())
    assert (told.results, told.failed, told.results_missing) == (8, 4, 2)
    assert dict(told.advice) == {}


def test_equal_values_advise_nothing() -> None:
    study = planted(InProcessServer(), lambda _: 1.0)
    assert advised(study, analyzed(study, {"lr": 0.0, "norm": 0.0, "seed": 0.0, "groups": 0.0})) == {}


def test_many_equal_best_values_press_nowhere() -> None:
    """Which of them count as the best would be chance."""
    assert found(planted(InProcessServer(), lambda p: float(u(p) > 0.95))).pressed == ()


def test_a_conditional_parameter_is_judged_where_it_is_active() -> None:
    """Its share of the whole is small because it is seldom there."""
    study = planted(InProcessServer(), by_lr)
    assert "groups" not in advised(study, analyzed(study, {**SHARES, "groups": 0.06}))


def test_a_parameter_with_one_value_is_not_pinned() -> None:
    space = bo_client.SearchSpace([*SPACE.parameters, bo_client.CategoricalParameter("data", ["emoji"])])
    study = InProcessServer().client().create_study("s", space, "loss", goal="minimize")
    for trial in study.suggest(30):
        trial.complete({"loss": by_lr(trial.parameters)})
    assert "data" not in advised(study, analyzed(study, {**SHARES, "data": 0.0}))


def test_several_objectives_that_disagree_advise_nothing_about_the_edge() -> None:
    server = InProcessServer()
    metrics = [bo_client.Metric("loss", goal="minimize"), bo_client.Metric("seconds", goal="minimize")]
    study = server.client().create_study("s", SPACE, metrics)
    for i in range(30):
        place = (i + 0.5) / 30
        study.enqueue({"lr": 10 ** (-4 + 3 * place), "norm": "none", "seed": (7 * i % 30) / 30})
        (trial,) = study.suggest(1)
        trial.complete({"loss": 1 - place, "seconds": place})
    told = found(study)
    assert (told.pressed, told.wasted, dict(told.advice)) == ((), (), {})


def test_the_command_tells_it_all() -> None:
    server = InProcessServer()
    planted(server, lambda p: 1 - u(p) + 3 * (u(p) < 1 / 3))
    text = " ".join(CliRunner().invoke(main, ["diagnose", "s"], obj=server.client()).output.split())
    assert "lie at its high edge, 0.1 " in text
    assert "lr in its lowest third" in text
    assert "lr: move its high edge, 0.1, out; leave out its lowest third" in text
    assert "overfitting: 10 of 30" in text
    content = json.loads(CliRunner().invoke(main, ["diagnose", "s", "--json"], obj=server.client()).output)
    assert content["ailments"]["overfitting"] == 10
    assert {p["parameter"] for p in content["pressed"]} == {"lr"}


def test_notes_are_shown_beside_the_findings() -> None:
    server = InProcessServer()
    study = server.client().create_study("s", SPACE, "loss", goal="minimize")
    (trial,) = study.suggest(1)
    trial.complete({"loss": 1.0}, labels={"diagnosis": "healthy", "note.still_improving": "it still fell"})
    assert list(trial_lines(study.trial(1))) == ["healthy", "still_improving (note): it still fell"]


def test_a_part_without_a_result_is_told_as_such() -> None:
    server = InProcessServer()
    planted(server, lambda p: None if u(p) > 2 / 3 else 1.0 + noise(p))
    text = " ".join(CliRunner().invoke(main, ["diagnose", "s"], obj=server.client()).output.split())
    assert "of them without a result What to change" in text


def test_a_study_without_results_is_told_as_such() -> None:
    server = InProcessServer()
    planted(server, lambda _: None, count=2)
    done = CliRunner().invoke(main, ["diagnose", "s"], obj=server.client())
    assert done.exit_code == 0
    assert "0 results, 2 without" in done.output
    assert "unknown: run more trials" in done.output


def test_the_trials_own_diagnosis_is_shown_with_it() -> None:
    server = InProcessServer()
    planted(server, noise, count=2)
    listed = CliRunner().invoke(main, ["show", "s"], obj=server.client()).output
    assert "diagnosis=overfitting, dead_units" in listed
    assert "80 % are 0" not in listed
    assert "diagnosis.dead_units: 80 % are 0" in CliRunner().invoke(main, ["best", "s"], obj=server.client()).output
