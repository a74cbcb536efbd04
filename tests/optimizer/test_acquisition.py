"""Acquisition functions: Monte Carlo for the values, finite differences for the derivatives, and the far tails."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Acquisition, SuggestionSettings
from bo_service.optimizer.acquisition.analytic import UCB, LogPI, ValueAndGradient, log_ei, log_h
from bo_service.optimizer.acquisition.fitted_models import FittedModels
from bo_service.optimizer.acquisition.registry import build_acquisition, find_acquisition
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.numerics.array import Array
from tests.optimizer.processes import fitted

WAVE = fitted(np.linspace(0, 1, 6)[:, None], np.sin(5 * np.linspace(0, 1, 6)), np.zeros(1, dtype=np.intp))
POINTS = st.tuples(st.floats(-3, 3), st.floats(0.05, 3))


@pytest.mark.parametrize(
    ("mean", "std", "best", "xi"), [(0.3, 0.7, 0.5, 0.0), (-1.0, 0.9, 0.2, 0.1), (2.0, 0.3, 0.1, 0)]
)
def test_log_ei_agrees_with_monte_carlo(mean: float, std: float, best: float, xi: float) -> None:
    draws = np.random.default_rng(0).normal(mean, std, 400_000)
    value = log_ei(np.array([mean]), np.array([std]), best, xi).value[0]
    assert np.exp(value) == pytest.approx(np.maximum(draws - best - xi, 0).mean(), rel=0.02)


@given(POINTS)
def test_derivatives_of_log_ei(point: tuple[float, float]) -> None:
    mean, std = (np.array([v]) for v in point)
    worth = log_ei(mean, std, 0.4, 0.05)
    step = 1e-6
    d_mean = (log_ei(mean + step, std, 0.4, 0.05).value - log_ei(mean - step, std, 0.4, 0.05).value) / (2 * step)
    d_std = (log_ei(mean, std + step, 0.4, 0.05).value - log_ei(mean, std - step, 0.4, 0.05).value) / (2 * step)
    np.testing.assert_allclose(worth.d_mean, d_mean, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(worth.d_std, d_std, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("z", "expected"),
    # log(φ(z) + z Φ(z)) in 50 digits
    [
        (3.0, 1.0987390416),
        (0.0, -0.9189385332),
        (-1.0, -2.4851209),
        (-5.0, -16.7443011627),
        (-30.0, -457.7246559847),
    ],
)
def test_log_h(z: float, expected: float) -> None:
    assert log_h(np.array([z]))[0] == pytest.approx(expected, rel=1e-6)


def test_log_h_is_smooth_and_rising_everywhere() -> None:
    z = np.concatenate([-np.logspace(8, 0, 4001), np.linspace(-1, 30, 4001)[1:]])
    value = log_h(z)
    assert np.isfinite(value).all()
    assert (np.diff(value) > 0).all()
    for seam in (-1.0, -1e3):
        below, above = log_h(np.array([seam * (1 + 1e-9), seam * (1 - 1e-9)]))
        assert above - below == pytest.approx(0.0, abs=1e-4 * abs(seam))


def test_log_ei_can_be_climbed_where_ei_is_zero() -> None:
    worth = log_ei(np.array([-100.0]), np.array([0.5]), 0.0)
    assert np.isfinite(worth.value[0])
    assert worth.d_mean[0] > 1.0


def test_log_ei_without_uncertainty() -> None:
    worth = log_ei(np.array([1.0, 0.0, -1.0]), np.zeros(3), 0.0)
    assert worth.value.tolist() == [0.0, -np.inf, -np.inf]
    assert worth.d_mean.tolist() == [1.0, 0.0, 0.0]
    assert worth.d_std.tolist() == [0.0, 0.0, 0.0]


def test_ucb() -> None:
    worth = UCB(WAVE, 0.0, beta=3.0).of_posterior(np.array([1.0, 2.0]), np.array([0.5, 0.0]))
    assert worth.value.tolist() == [2.5, 2.0]
    assert worth.d_mean.tolist() == [1.0, 1.0]
    assert worth.d_std.tolist() == [3.0, 3.0]


def log_pi_at(mean: Array, std: Array, best: float, xi: float = 0.0) -> ValueAndGradient:
    return LogPI(WAVE, best, xi=xi).of_posterior(mean, std)


@pytest.mark.parametrize(
    ("mean", "std", "best", "xi"), [(0.3, 0.7, 0.5, 0.0), (-1.0, 0.9, 0.2, 0.1), (2.0, 0.3, 0.1, 0)]
)
def test_log_pi_agrees_with_monte_carlo(mean: float, std: float, best: float, xi: float) -> None:
    draws = np.random.default_rng(0).normal(mean, std, 400_000)
    value = log_pi_at(np.array([mean]), np.array([std]), best, xi).value[0]
    assert np.exp(value) == pytest.approx((draws > best + xi).mean(), rel=0.02)


@given(POINTS)
def test_derivatives_of_log_pi(point: tuple[float, float]) -> None:
    mean, std = (np.array([v]) for v in point)
    worth = log_pi_at(mean, std, 0.4, 0.05)
    step = 1e-6
    d_mean = (log_pi_at(mean + step, std, 0.4, 0.05).value - log_pi_at(mean - step, std, 0.4, 0.05).value) / (2 * step)
    d_std = (log_pi_at(mean, std + step, 0.4, 0.05).value - log_pi_at(mean, std - step, 0.4, 0.05).value) / (2 * step)
    np.testing.assert_allclose(worth.d_mean, d_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(worth.d_std, d_std, rtol=1e-4, atol=1e-6)


def test_log_pi_where_there_is_no_doubt() -> None:
    worth = log_pi_at(np.array([1.0, 0.0]), np.zeros(2), 0.5)
    assert worth.value.tolist() == [0.0, -np.inf]
    assert worth.d_mean.tolist() == worth.d_std.tolist() == [0.0, 0.0]


def named(settings: SuggestionSettings, count: int = 12) -> Any:
    """What the settings of a study with so many observations choose."""
    inputs = OptimizerInput(SearchSpace((Parameter("a", FloatDomain(0.0, 1.0)),)), settings, 0)
    drawn = enumerate(quasi_random(inputs, count), 1)
    past = tuple(Observation(n, s.configuration, -((float(s.configuration["a"]) - 0.3) ** 2)) for n, s in drawn)
    return build_acquisition(FittedModels.of(EncodedData(replace(inputs, observations=past)))).named


def test_the_settings_choose() -> None:
    assert named(SuggestionSettings()).name == "log_ei"
    assert (named(SuggestionSettings()).xi, named(SuggestionSettings(xi=0.5)).xi) == (0.0, 0.5)
    bold = named(SuggestionSettings(acquisition=Acquisition.UCB, beta=7.0))
    assert (bold.name, bold.beta) == ("ucb", 7.0)
    assert named(SuggestionSettings(acquisition=Acquisition.UCB)).beta == 2.0


def test_the_members_of_a_portfolio_take_turns() -> None:
    settings = SuggestionSettings(acquisition=Acquisition.PORTFOLIO)
    assert [named(settings, 6 + turn).name for turn in range(6)] == ["log_ei", "ucb", "log_pi"] * 2


@pytest.mark.parametrize("kind", Acquisition)
def test_every_acquisition_of_the_contract_is_found_by_its_name(kind: Acquisition) -> None:
    assert find_acquisition(kind.value).name == kind.value


def test_an_unknown_acquisition_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(LookupError, match=r"no acquisition function 'luck'; .* has .*log_ei.*ucb"):
        find_acquisition("luck")
