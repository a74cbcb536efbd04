"""What was computed before saves time and changes nothing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.gp import fitting, gaussian_process
from bo_service.optimizer.gp.fitting import fit
from bo_service.optimizer.gp.gaussian_process import condition
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.refit_schedule import EVERY_ONE, MOST_APART, last_refit_size
from bo_service.optimizer.inputs import Observation, OptimizerInput, Source
from bo_service.optimizer.numerics.cholesky import extended, factor
from bo_service.optimizer.numerics.computation_cache import CholeskyCache, ComputationCache
from bo_service.optimizer.suggest import suggest, suggest_with

SPACE = SearchSpace(
    (
        Parameter("rate", FloatDomain(1e-5, 1.0, Scale.LOG)),
        Parameter("depth", IntDomain(1, 8)),
        Parameter("norm", CategoricalDomain(("batch", "layer", "none"))),
    )
)
OWNER = np.arange(3)


def loss(configuration: Mapping[str, Any]) -> float:
    best = {"batch": 3.0, "layer": 2.0, "none": 4.0}[configuration["norm"]]
    return -((np.log10(configuration["rate"]) + best) ** 2) - 0.1 * configuration["depth"]


def inputs(n: int, **options: Any) -> OptimizerInput:
    rng = np.random.default_rng(n)
    drawn = [
        {"rate": 10 ** rng.uniform(-5, 0), "depth": int(rng.integers(1, 9)), "norm": str(rng.choice(["batch", "none"]))}
        for _ in range(n)
    ]
    return OptimizerInput(
        SPACE, SuggestionSettings(), 7, tuple(Observation(i, c, loss(c)) for i, c in enumerate(drawn, 1)), **options
    )


def failing(given: OptimizerInput) -> OptimizerInput:
    return replace(
        given, observations=tuple(replace(t, value=None) if t.number % 9 == 0 else t for t in given.observations)
    )


def with_two_objectives(given: OptimizerInput) -> OptimizerInput:
    past = tuple(
        replace(t, secondary_values=(float(t.configuration["depth"]),), seconds=1.0 + t.number)
        for t in given.observations
    )
    return replace(given, observations=past, settings=SuggestionSettings(per_cost=True))


def with_limits_and_doubts(given: OptimizerInput) -> OptimizerInput:
    past = tuple(
        replace(t, margins=(loss(t.configuration) + 4.0,), std=0.1 * (t.number % 3)) for t in given.observations
    )
    return replace(given, observations=past)


def with_a_source(given: OptimizerInput) -> OptimizerInput:
    return replace(given, sources=(Source("before", 0, inputs(30).observations),))


def noisy(given: OptimizerInput) -> OptimizerInput:
    """Each configuration four times, with noise that grows from place to place."""
    rng = np.random.default_rng(0)
    past = [
        replace(t, configuration=given.observations[i // 4].configuration) for i, t in enumerate(given.observations)
    ]
    told = [replace(t, value=loss(t.configuration) + 0.01 * 1.3**i * rng.standard_normal()) for i, t in enumerate(past)]
    return replace(given, observations=tuple(told))


KINDS = [lambda given: given, failing, with_two_objectives, with_limits_and_doubts, with_a_source, noisy]


@pytest.mark.parametrize("n", [20, pytest.param(EVERY_ONE + 1, marks=pytest.mark.slow), 2 * EVERY_ONE + 3])
@pytest.mark.parametrize("kind", KINDS)
def test_suggestions_are_the_same_with_what_was_learned_before(kind: Any, n: int) -> None:
    now = replace(kind(inputs(n)), pending=({"rate": 0.01, "depth": 3, "norm": "layer"},))
    factors = CholeskyCache()
    first = suggest_with(now, 2, factors)
    kept = {
        key: tuple(theta) for key, theta in json.loads(json.dumps(first.hyperparameters)).items()
    }  # as a database would
    again = suggest_with(replace(now, hyperparameters=kept), 2, factors)
    assert again == first
    assert suggest(now, 2) == first.suggestions
    assert len(first.hyperparameters) >= 1


@pytest.mark.parametrize("kind", KINDS[:5])
def test_between_milestones_nothing_is_learned(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kind(inputs(2 * EVERY_ONE + 3))
    learned = suggest_with(
        replace(whole, observations=whole.observations[: 2 * EVERY_ONE]), 1, CholeskyCache()
    ).hyperparameters

    def fail(*_: object) -> None:
        raise AssertionError("hyperparameters are learned anew")

    monkeypatch.setattr(fitting, "fit_hyperparameters", fail)
    found = suggest_with(replace(whole, hyperparameters=learned), 1, CholeskyCache())
    assert found.hyperparameters == learned
    with pytest.raises(AssertionError, match="learned anew"):
        suggest(whole, 1)


def test_factors_are_found_between_milestones(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, factors = inputs(2 * EVERY_ONE + 3), CholeskyCache()
    before = suggest_with(replace(whole, observations=whole.observations[: 2 * EVERY_ONE]), 1, factors)
    sizes: list[int] = []

    def counted(K: np.ndarray, jitter: float) -> np.ndarray:
        sizes.append(len(K))
        return factor(K, jitter)

    monkeypatch.setattr(gaussian_process, "factor", counted)
    suggest_with(replace(whole, hyperparameters=before.hyperparameters), 1, factors)
    assert sizes == []
    suggest_with(replace(whole, hyperparameters=before.hyperparameters), 1, CholeskyCache())
    assert sizes == [2 * EVERY_ONE]


def test_other_observations_are_learned_from_anew() -> None:
    first = inputs(20)
    learned = suggest_with(first, 1, CholeskyCache()).hyperparameters
    other = replace(first, observations=(replace(first.observations[0], value=5.0), *first.observations[1:]))
    for changed in (other, replace(first, seed=8), replace(first, observations=first.observations[:19])):
        found = suggest_with(replace(changed, hyperparameters=learned), 1, CholeskyCache())
        assert found.hyperparameters.keys() & learned.keys() == set()
        assert found.suggestions == suggest(changed, 1)


def test_factors_that_were_used_longest_ago_are_forgotten() -> None:
    factors, made = CholeskyCache(most_bytes=3 * 800), []

    def use(name: str) -> None:
        def make() -> np.ndarray:
            made.append(name)
            return np.zeros((10, 10))

        assert ComputationCache({}, factors).factor([np.array([ord(name)])], make).shape == (10, 10)

    for name in "abcadab":
        use(name)
    assert made == list("abcdb")  # c and then b were used longest ago


def test_a_study_keeps_the_factors_of_its_last_request_alone() -> None:
    factors, made = CholeskyCache(), []

    def request(study: str, *names: int) -> None:
        cache = ComputationCache({}, factors)
        for name in names:
            cache.factor([np.array([name])], lambda name=name: made.append(name) or np.zeros((2, 2)))
        factors.evict_unused(study, frozenset(cache.used_factors))

    request("a", 1, 2)
    request("b", 3)
    request("a", 2, 4)
    request("a", 2, 4)
    request("b", 3)
    assert made == [1, 2, 3, 4]
    request("a", 1)
    request("a", 2)
    assert made == [1, 2, 3, 4, 1, 2]


def test_memory_stays_with_the_last_milestone() -> None:
    whole, factors = inputs(3 * EVERY_ONE), CholeskyCache()
    for n in range(2 * EVERY_ONE, 3 * EVERY_ONE, 4):
        suggest_with(replace(whole, observations=whole.observations[:n]), 1, factors)
    assert factors.nbytes <= 8 * (3 * EVERY_ONE) ** 2


def test_milestones() -> None:
    found = [last_refit_size(n) for n in range(20_000)]
    assert found == sorted(found)
    assert all(m <= n and last_refit_size(m) == m for n, m in enumerate(found))
    assert found[: EVERY_ONE + 1] == list(range(EVERY_ONE + 1))
    assert max(n - m for n, m in enumerate(found)) == MOST_APART - 1
    assert all(n - m <= 0.03 * n for n, m in enumerate(found))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 100))
def test_an_extended_factor_is_the_factor_of_the_whole(n: int, b: int, seed: int) -> None:
    half = np.random.default_rng(seed).standard_normal((n + b, n + b))
    K = half @ half.T + np.eye(n + b)
    found = extended(factor(K[:n, :n], 0.0), K[:n, n:], K[n:, n:], 0.0)
    np.testing.assert_allclose(found, np.linalg.cholesky(K), rtol=1e-7, atol=1e-9)


def test_observations_after_the_milestone_count_like_all_others() -> None:
    rng = np.random.default_rng(0)
    X, Q = rng.random((40, 3)), rng.random((9, 3))
    data = TrainingData(X, np.sin(5 * X[:, 0]) + X[:, 1], rng.random(40) * 0.1)
    theta = np.log([0.3, 0.5, 0.8, 0.7, 0.5, 0.3, 1e-3])
    whole, later = condition(theta, data, OWNER).posterior(Q), condition(theta, data, OWNER, 31).posterior(Q)
    np.testing.assert_allclose(later.mean, whole.mean, rtol=1e-9)
    np.testing.assert_allclose(later.std, whole.std, rtol=1e-9)


@pytest.mark.parametrize("noise", [1e-8, 1e-2])
@pytest.mark.parametrize("times", [1, 3])
def test_means_are_those_of_the_posterior_at_what_was_observed(noise: float, times: int) -> None:
    rng = np.random.default_rng(1)
    X = np.repeat(rng.random((30, 3)), times, axis=0)
    data = TrainingData(X, np.sin(5 * X[:, 0]), np.where(X[:, 1] < 0.5, 0.1, 0.0))
    process = condition(np.log([9.0, 9.0, 9.0, 1.0, 0.5, 0.3, noise]), data, OWNER).condition_on_mean(
        rng.random((2, 3))
    )
    np.testing.assert_allclose(process.means, process.mean(process.X), rtol=1e-5, atol=1e-6)


def test_far_beyond_the_most_that_is_kept_the_newest_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_CONDITIONED", 50)
    rng = np.random.default_rng(0)
    X = rng.random((EVERY_ONE * 4 + 7, 3))
    y = X[:, 0] - 0.5
    m = last_refit_size(len(y))
    data, early = TrainingData.exact(X, y), TrainingData.exact(X[:m], y[:m])
    process = fit(data, early, OWNER, 3, (0,), ComputationCache({}, CholeskyCache()))
    assert m < len(y)
    np.testing.assert_array_equal(process.X[50:], X[m:])
