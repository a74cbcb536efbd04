"""Acquisition functions: Monte Carlo for the values, finite differences for the derivatives, and the far tails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.core.acquisitions.acquisition import Criterion, log_ei, log_h, log_pi, ucb
from bo_service.core.study import Acquisition, SuggestionSettings

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
    by_mean = (log_ei(mean + step, std, 0.4, 0.05).value - log_ei(mean - step, std, 0.4, 0.05).value) / (2 * step)
    by_std = (log_ei(mean, std + step, 0.4, 0.05).value - log_ei(mean, std - step, 0.4, 0.05).value) / (2 * step)
    np.testing.assert_allclose(worth.by_mean, by_mean, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(worth.by_std, by_std, rtol=1e-4, atol=1e-8)


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
    assert worth.by_mean[0] > 1.0


def test_log_ei_without_uncertainty() -> None:
    worth = log_ei(np.array([1.0, 0.0, -1.0]), np.zeros(3), 0.0)
    assert worth.value.tolist() == [0.0, -np.inf, -np.inf]
    assert worth.by_mean.tolist() == [1.0, 0.0, 0.0]
    assert worth.by_std.tolist() == [0.0, 0.0, 0.0]


def test_ucb() -> None:
    worth = ucb(np.array([1.0, 2.0]), np.array([0.5, 0.0]), beta=3.0)
    assert worth.value.tolist() == [2.5, 2.0]
    assert worth.by_mean.tolist() == [1.0, 1.0]
    assert worth.by_std.tolist() == [3.0, 3.0]


def test_the_settings_choose() -> None:
    mean, std = np.array([0.1]), np.array([0.2])
    assert Criterion.of(SuggestionSettings(), 0.3)(mean, std).value == log_ei(mean, std, 0.3).value
    asked = SuggestionSettings(acquisition=Acquisition.UCB, beta=7.0)
    assert Criterion.of(asked, 0.3)(mean, std).value[0] == pytest.approx(1.5)
    assert Criterion.of(SuggestionSettings(acquisition=Acquisition.UCB), 0.3).beta == 2.0
    assert Criterion.of(SuggestionSettings(xi=0.5), 0.3)(mean, std).value == log_ei(mean, std, 0.3, 0.5).value


@pytest.mark.parametrize(
    ("mean", "std", "best", "xi"), [(0.3, 0.7, 0.5, 0.0), (-1.0, 0.9, 0.2, 0.1), (2.0, 0.3, 0.1, 0)]
)
def test_log_pi_agrees_with_monte_carlo(mean: float, std: float, best: float, xi: float) -> None:
    draws = np.random.default_rng(0).normal(mean, std, 400_000)
    value = log_pi(np.array([mean]), np.array([std]), best, xi).value[0]
    assert np.exp(value) == pytest.approx((draws > best + xi).mean(), rel=0.02)


@given(POINTS)
def test_derivatives_of_log_pi(point: tuple[float, float]) -> None:
    mean, std = (np.array([v]) for v in point)
    worth = log_pi(mean, std, 0.4, 0.05)
    step = 1e-6
    by_mean = (log_pi(mean + step, std, 0.4, 0.05).value - log_pi(mean - step, std, 0.4, 0.05).value) / (2 * step)
    by_std = (log_pi(mean, std + step, 0.4, 0.05).value - log_pi(mean, std - step, 0.4, 0.05).value) / (2 * step)
    np.testing.assert_allclose(worth.by_mean, by_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(worth.by_std, by_std, rtol=1e-4, atol=1e-6)


def test_log_pi_where_there_is_no_doubt() -> None:
    worth = log_pi(np.array([1.0, 0.0]), np.zeros(2), 0.5)
    assert worth.value.tolist() == [0.0, -np.inf]
    assert worth.by_mean.tolist() == worth.by_std.tolist() == [0.0, 0.0]


def test_the_members_of_a_portfolio_take_turns() -> None:
    settings = SuggestionSettings(acquisition=Acquisition.PORTFOLIO)
    kinds = [Criterion.of(settings, 0.0, turn).kind for turn in range(6)]
    assert kinds == [Acquisition.LOG_EI, Acquisition.UCB, Acquisition.LOG_PI] * 2
