"""Equalities, narrow regions and their ends, from a definition to the last trial, through a real server."""

import logging
import math
import random
from collections.abc import Mapping, Sequence

import bo_client
import grpc
import numpy as np
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_client import specfile


def floats(*names: str, low: float = 0.0, high: float = 1.0, scale: str = "linear") -> list[bo_client.FloatParameter]:
    return [bo_client.FloatParameter(name, low, high, scale) for name in names]


def band(terms: Mapping[str, float], low: float, high: float) -> list[bo_client.LinearConstraint]:
    return [
        bo_client.LinearConstraint(terms, high),
        bo_client.LinearConstraint({name: -c for name, c in terms.items()}, -low),
    ]


def distance(parameters: Mapping[str, bo_client.Value]) -> float:
    return sum((float(parameters[n]) - c) ** 2 for n, c in {"x": 0.2, "y": 0.5, "z": 0.3}.items())


def numbers(study: bo_client.Study) -> np.ndarray:
    """The parameters of all trials, each of which fulfills the space's constraints and differs from the others."""
    space, trials = study.info().space, list(study.trials())
    assert all(space.is_feasible(trial.parameters) for trial in trials)
    assert len({tuple(sorted(trial.parameters.items())) for trial in trials}) == len(trials)
    return np.array([[float(trial.parameters[n]) for n in space.names] for trial in trials])


@pytest.fixture
def client(server: str):  # type: ignore[no-untyped-def]
    with bo_client.connect(server) as client:
        yield client


SUM = {"x": 1.0, "y": 1.0, "z": 1.0}


@pytest.mark.parametrize(
    "constraints",
    [
        pytest.param([bo_client.EqualityConstraint(SUM, 1.0)], id="an equality", marks=pytest.mark.slow),
        pytest.param(band(SUM, 1.0, 1.0), id="two inequalities"),
    ],
)
def test_a_mixture_of_three_is_searched(client: bo_client.Client, constraints: Sequence[bo_client.Constraint]) -> None:
    space = bo_client.SearchSpace(floats("x", "y", "z"), constraints)
    study = client.create_study("mixture", space, "loss", goal="minimize", seed=1)
    assert study.info().space == space
    best = study.optimize(distance, n_trials=25)
    assert best is not None
    assert best.final_measurement is not None
    assert best.final_measurement.metrics["loss"] < 0.01
    found = numbers(study)
    assert len(found) == 25
    assert (found.std(axis=0) > 0.05).all()
    assert (found.max(axis=1) < 0.999).sum() >= 15  # not at a vertex


def test_the_line_of_two_that_are_equal_is_searched(client: bo_client.Client) -> None:
    space = bo_client.SearchSpace(floats("x", "y"), band({"x": 1.0, "y": -1.0}, 0.0, 0.0))
    study = client.create_study("line", space, "loss", goal="minimize", seed=2)
    best = study.optimize(lambda p: (p["x"] - 0.37) ** 2 + (p["y"] - 0.37) ** 2, n_trials=15)
    assert best is not None
    assert best.parameters["x"] == pytest.approx(0.37, abs=0.01)
    assert len(numbers(study)) == 15


def test_ten_shares_within_a_millionth_are_searched(client: bo_client.Client, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"x{i}" for i in range(10)]
    space = bo_client.SearchSpace(floats(*names), band(dict.fromkeys(names, 1.0), 1.0 - 1e-6, 1.0 + 1e-6))
    study = client.create_study("shares", space, "loss", goal="minimize", algorithm="quasi_random")
    study.optimize(lambda p: p["x0"], n_trials=25)
    found = numbers(study)
    assert len(found) == 25
    assert (found.std(axis=0) > 0.02).all()
    warnings = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert [w for w in warnings if not w.startswith("no response")] == []  # a busy machine answers late


def test_categories_of_which_little_is_left_are_found(client: bo_client.Client) -> None:
    kinds = [bo_client.CategoricalParameter(f"k{i}", ["a", "b", "c", "d"]) for i in range(8)]
    rules = [bo_client.ForbiddenCombination({f"k{i}": v}) for i in range(8) for v in "abd"]
    study = client.create_study("kinds", bo_client.SearchSpace([*floats("x"), *kinds], rules), "loss", goal="minimize")
    assert study.optimize(lambda p: (p["x"] - 0.3) ** 2, n_trials=12) is not None
    trials = list(study.trials())
    assert len(trials) == 12
    assert all(set(t.parameters.values()) - {"c"} == {t.parameters["x"]} for t in trials)


def test_small_sums_of_logarithms_are_kept(client: bo_client.Client) -> None:
    space = bo_client.SearchSpace(
        floats("a", "b", low=1e-12, scale="log"), [bo_client.LinearConstraint({"a": 1.0, "b": 1.0}, 1e-10)]
    )
    study = client.create_study("small", space, "loss", goal="minimize")
    study.optimize(lambda p: math.log10(p["a"]) ** 2 + math.log10(p["b"]) ** 2, n_trials=25)
    assert (numbers(study).sum(axis=1) <= 1e-10 * (1.0 + 1e-9)).all()


@pytest.mark.slow
def test_a_large_space_is_answered_within_the_deadline(server: str) -> None:
    rng = random.Random(0)
    names = [f"x{i}" for i in range(256)]
    rules = []
    for _ in range(64):
        terms = {name: rng.uniform(-1.0, 1.0) for name in names}
        rules.append(bo_client.LinearConstraint(terms, 0.5 * sum(terms.values()) + 0.1))
    with bo_client.connect(server) as client:
        space = bo_client.SearchSpace(floats(*names), rules)
        study = client.create_study("large", space, "loss", goal="minimize")
        with grpc.insecure_channel(server) as channel:
            stub = rpc.OptimizationServiceStub(channel)
            request = pb.SuggestTrialsRequest(parent=study.name, count=2, worker_id="w")
            answer = stub.SuggestTrials(request, timeout=30)
    assert len(answer.trials) == 2
    for trial in answer.trials:
        assert space.is_feasible({name: value.float_value for name, value in trial.parameters.items()})


@pytest.mark.parametrize(("width", "rules"), [(96, 24), pytest.param(256, 64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [bo_client.LinearConstraint, bo_client.EqualityConstraint])
def test_a_large_space_is_answered_at_last_however_short_the_deadline(
    server: str, kind: type, width: int, rules: int
) -> None:
    """Points that are ready after a deadline are handed out by a later call: the machine may be as slow as it will.

    Until then a call ends by its deadline, or is told that it passed while an earlier call worked on the study.
    """
    rng = random.Random(1)
    names = [f"x{i}" for i in range(width)]
    terms = [{name: rng.uniform(-1.0, 1.0) for name in names} for _ in range(rules)]
    space = bo_client.SearchSpace(floats(*names), [kind(t, 0.5 * sum(t.values())) for t in terms])
    with bo_client.connect(server) as client, grpc.insecure_channel(server) as channel:
        study = client.create_study("short", space, "loss", goal="minimize")
        stub, trials = rpc.OptimizationServiceStub(channel), []
        while not trials:
            request = pb.SuggestTrialsRequest(parent=study.name, count=2, worker_id="w")
            try:
                trials = list(stub.SuggestTrials(request, timeout=0.5).trials)
            except grpc.RpcError as error:
                is_late = "this call's deadline has passed; nothing was changed" in (error.details() or "")
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED and not is_late:
                    raise
    assert all(space.is_feasible({name: v.float_value for name, v in t.parameters.items()}) for t in trials)


def test_an_end_before_the_last_trial_is_told(client: bo_client.Client, caplog: pytest.LogCaptureFixture) -> None:
    space = bo_client.SearchSpace(floats("x", "y"), [bo_client.LinearConstraint({"x": 1.0, "y": 1.0}, 0.0)])
    study = client.create_study("point", space, "loss", goal="minimize")
    with caplog.at_level(logging.WARNING):
        study.optimize(lambda p: p["x"], n_trials=5)
    assert "ended after 1 of 5 trials" in caplog.text
    assert "no configuration of the search space is left" in caplog.text
    assert study.suggest().shortfall is bo_client.Shortfall.SPACE_EXHAUSTED


def test_what_is_not_found_and_not_disproved_is_refused(client: bo_client.Client) -> None:
    uneven = [*range(0, 1996, 2), 2000]
    space = bo_client.SearchSpace(
        [bo_client.DiscreteParameter(f"d{i}", uneven) for i in range(10)],
        [bo_client.EqualityConstraint({f"d{i}": 1.0 for i in range(10)}, 5001.0, "an odd sum of even numbers")],
    )
    study = client.create_study("doubtful", space, "loss", goal="minimize")
    with pytest.raises(bo_client.FailedPrecondition, match="an odd sum of even numbers") as refused:
        study.suggest()
    assert refused.value.reason == "NO_CONFIGURATION_FOUND"
    with pytest.raises(bo_client.FailedPrecondition):
        study.optimize(lambda p: 0.0, n_trials=3)


def test_contradictions_are_refused_by_name(client: bo_client.Client) -> None:
    rules = [
        bo_client.LinearConstraint({"z": 1.0}, 0.5),
        bo_client.EqualityConstraint({"x": 1.0, "y": 1.0}, 1.0, description="shares"),
        bo_client.EqualityConstraint({"x": 2.0, "y": 2.0}, 3.0),
    ]
    with pytest.raises(bo_client.InvalidRequest, match="shares") as refused:
        client.create_study("s", bo_client.SearchSpace(floats("x", "y", "z"), rules), "loss", goal="minimize")
    assert [v.field for v in refused.value.violations] == [f"study.spec.space.constraints[{i}]" for i in (1, 2)]


def test_what_was_suggested_may_be_given_back(client: bo_client.Client) -> None:
    space = bo_client.SearchSpace(
        [*floats("x", "y"), bo_client.IntParameter("n", 0, 9)],
        [bo_client.EqualityConstraint({"x": 3.0, "y": 1.0, "n": 0.1}, 1.7)],
    )
    first = client.create_study("first", space, "loss", goal="minimize", algorithm="quasi_random")
    second = client.create_study("second", space, "loss", goal="minimize")
    for trial in first.suggest(20):
        second.enqueue(trial.parameters)
    with pytest.raises(bo_client.InvalidRequest, match="constraint"):
        second.enqueue({"x": 0.5, "y": 0.2 + 1e-8, "n": 0})


def test_a_file_says_equalities(client: bo_client.Client) -> None:
    given = specfile.parse(
        """
        parameters:
          x: {type: float, low: 0, high: 1}
          y: {type: float, low: 0, high: 1}
        constraints:
          - equality: {coefficients: {x: 1, y: 1}, value: 1}
            description: shares
        metrics: {loss: minimize}
        """
    )
    study = client.create_study("file", given.space, given.metrics, **given.settings)
    assert study.info().space.constraints == (bo_client.EqualityConstraint({"x": 1.0, "y": 1.0}, 1.0, "shares"),)
    (trial,) = study.suggest()
    assert trial.parameters["x"] + trial.parameters["y"] == pytest.approx(1.0)
