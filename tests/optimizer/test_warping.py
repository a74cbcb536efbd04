"""The output warp: against scikit-learn's PowerTransformer, round trips, and extreme values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import PowerTransformer

from bo_service.optimizer.gp.output_transform import OutputTransform, yeo_johnson, yeo_johnson_inverse


@pytest.mark.parametrize("power", [-1.3, 0.0, 0.7, 1.0, 2.0, 3.1])
def test_yeo_johnson_agrees_with_scikit_learn(power: float) -> None:
    t = np.linspace(-3, 3, 21)
    theirs = PowerTransformer(standardize=False).fit(t[:, None])
    theirs.lambdas_ = np.array([power])
    np.testing.assert_allclose(yeo_johnson(t, power), theirs.transform(t[:, None])[:, 0], atol=1e-12)
    np.testing.assert_allclose(yeo_johnson_inverse(yeo_johnson(t, power), power), t, atol=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_observed_values_come_back(values: list[float]) -> None:
    y = np.array(values)
    output_transform = OutputTransform.fit(y)
    assert np.isfinite(output_transform.forward(y)).all()
    spread = np.ptp(y)
    near = (
        np.abs(y - output_transform.center * output_transform.unit)
        < 1e3 * output_transform.spread * output_transform.unit
    )
    np.testing.assert_allclose(
        output_transform.backward(output_transform.forward(y))[near], y[near], atol=1e-4 * spread + 1e-12
    )


def test_order_is_kept() -> None:
    y = np.sort(np.random.default_rng(0).standard_cauchy(50))
    assert (np.diff(OutputTransform.fit(y).forward(y)) > 0).all()


def test_skewed_losses_become_nearly_normal() -> None:
    y = -np.exp(np.random.default_rng(0).normal(0.0, 2.0, 200))
    w = OutputTransform.fit(y).forward(y)
    assert w.mean() == pytest.approx(0.0, abs=1e-9)
    assert w.std() == pytest.approx(1.0)
    assert abs((w**3).mean()) < 1.0 < 3.0 < abs((((y - y.mean()) / y.std()) ** 3).mean())


def test_moments_agree_with_monte_carlo() -> None:
    output_transform = OutputTransform.fit(-np.exp(np.random.default_rng(0).normal(0.0, 1.0, 60)))
    draws = output_transform.backward(np.random.default_rng(1).normal(0.2, 0.4, 200_000))
    mean, std = output_transform.moments(np.array([0.2]), np.array([0.4]))
    assert mean[0] == pytest.approx(draws.mean(), rel=0.01)
    assert std[0] == pytest.approx(draws.std(), rel=0.02)


@pytest.mark.parametrize(
    "values",
    [
        [5.0],
        [3.0, 3.0, 3.0],
        [0.0, 0.0],
        [1e300, -1e300, 3.0],
        [-1.7e308, 1.7e308],
        [1e-300, 2e-300, 5e-300],
        [5e-324, 0.0],
        [0.0] * 30 + [1.0],
        [-1e300, *np.linspace(0, 1, 20)],
    ],
    ids=lambda v: f"{v[0]:g} and {len(v) - 1} more",
)
def test_extreme_values(values: list[float]) -> None:
    y = np.array(values)
    output_transform = OutputTransform.fit(y)
    mean, std = output_transform.moments(np.array([-3.0, 0.0, 3.0]), np.array([0.1, 1.0, 3.0]))
    assert np.isfinite([*output_transform.forward(y), *mean, *std]).all()
    assert (std >= 0).all()
