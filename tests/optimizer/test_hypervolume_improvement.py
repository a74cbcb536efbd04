"""Expected hypervolume improvement: Monte Carlo, single EI, 80 digits, finite differences, and the far tails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.optimizer.acquisition.analytic import log_ei
from bo_service.optimizer.acquisition.hypervolume import log_ehvi
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.pareto import hypervolume, non_dominated_boxes

TWO = np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0]])
THREE = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [2.0, 2.0, 2.0], [1.5, 1.5, 2.5]])
SEEDS = st.integers(0, 10**6)


def value(mean: Array, std: Array, low: Array, high: Array) -> float:
    return float(log_ehvi(mean[None], std[None], low, high).value[0])


def drawn(seed: int, rows: int = 6) -> tuple[Array, Array, Array]:
    """A random set of values (rows, k), and the mean and std (k,) of a point."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 4))
    return rng.random((rows, k)), rng.uniform(-1.5, 1.5, k), rng.uniform(0.05, 1.0, k)


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        (TWO, [1.5, 2.5], [0.5, 1.0]),
        (TWO, [0.5, 0.5], [1.0, 1.5]),
        (TWO, [4.0, 4.0], [0.3, 0.1]),
        (THREE, [2.0, 1.0, 1.5], [1.0, 0.5, 0.7]),
        (THREE, [0.0, 0.5, 3.5], [1.0, 1.0, 0.2]),
    ],
)
def test_it_agrees_with_monte_carlo(values: Array, mean: list[float], std: list[float]) -> None:
    reference = np.zeros(values.shape[1])
    draws = np.random.default_rng(0).normal(mean, std, (8000, len(mean)))
    before = hypervolume(values, reference)
    gains = [hypervolume(np.vstack([values, y]), reference) - before for y in draws]
    expected = np.exp(value(np.array(mean), np.array(std), *non_dominated_boxes(values, reference)))
    assert expected == pytest.approx(np.mean(gains), abs=4.0 * float(np.std(gains)) / np.sqrt(len(gains)))
    assert expected == pytest.approx(np.mean(gains), rel=0.1)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ([0.5, 1.5], [0.7, 0.4], -5.516655501113657),
        ([-20.0, -30.0], [0.5, 2.0], -950.9601085822317),
        ([-1.0, -60.0], [0.001, 1.0], -502015.3481705486),
        ([2.5, -4.0], [0.001, 0.01], -125018.6464840964),
    ],
)
def test_it_agrees_with_80_digits(mean: list[float], std: list[float], expected: float) -> None:
    found = value(np.array(mean), np.array(std), *non_dominated_boxes(TWO, np.zeros(2)))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(SEEDS, st.floats(0.0, 60.0))
def test_one_objective_is_log_ei(seed: int, away: float) -> None:
    rng = np.random.default_rng(seed)
    values, mean, std = rng.random((5, 1)), rng.normal(size=(100, 1)) - away, rng.uniform(0.05, 2.0, (100, 1))
    joint = log_ehvi(mean, std, *non_dominated_boxes(values, np.array([-1.0])))
    single = log_ei(mean[:, 0], std[:, 0], values.max())
    np.testing.assert_allclose(joint.value, single.value, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(joint.d_mean[:, 0], single.d_mean, rtol=1e-7)
    np.testing.assert_allclose(joint.d_std[:, 0], single.d_std, rtol=1e-7)


@given(SEEDS, st.floats(0.0, 200.0))
def test_without_a_front_the_improvements_multiply(seed: int, away: float) -> None:
    _, mean, std = drawn(seed)
    reference = np.zeros(len(mean))
    found = value(mean - away, std, *non_dominated_boxes(np.empty((0, len(mean))), reference))
    assert found == pytest.approx(log_ei(mean - away, std, 0.0).value.sum(), rel=1e-9, abs=1e-9)


@given(SEEDS, st.sampled_from([0.0, 3.0, 300.0]))
def test_derivatives(seed: int, away: float) -> None:
    values, mean, std = drawn(seed)
    mean = mean - away
    ends = non_dominated_boxes(values, np.full(len(mean), -0.1))
    worth, step = log_ehvi(mean[None], std[None], *ends), 1e-6
    for j, unit in enumerate(np.eye(len(mean)) * step):
        d_mean = (value(mean + unit, std, *ends) - value(mean - unit, std, *ends)) / (2 * step)
        d_std = (value(mean, std + unit, *ends) - value(mean, std - unit, *ends)) / (2 * step)
        assert worth.d_mean[0, j] == pytest.approx(d_mean, rel=1e-3, abs=1e-6)
        assert worth.d_std[0, j] == pytest.approx(d_std, rel=1e-3, abs=1e-6)


@given(SEEDS, st.floats(1e-30, 1e-3))
def test_boxes_of_no_width_do_no_harm(seed: int, gap: float) -> None:
    values, mean, std = drawn(seed)
    reference = np.full(len(mean), -0.1)
    crowded = np.vstack([values, values + gap * np.random.default_rng(seed).random(values.shape)])
    plain, thin = (log_ehvi(mean[None], std[None], *non_dominated_boxes(v, reference)) for v in (values, crowded))
    assert thin.value[0] <= plain.value[0] + 1e-12
    if gap < 1e-12:
        for a, b in ((plain.value, thin.value), (plain.d_mean, thin.d_mean), (plain.d_std, thin.d_std)):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("values", [TWO, THREE])
def test_the_way_to_the_front_rises_without_a_step(values: Array) -> None:
    k = values.shape[1]
    away = np.concatenate([np.linspace(0.0, 40.0, 4001), np.logspace(np.log10(40.1), 7, 500)])
    worth = log_ehvi(
        -away[:, None] + np.zeros(k), np.full((len(away), k), 0.5), *non_dominated_boxes(values, np.zeros(k))
    )
    assert np.isfinite(worth.value).all()
    assert (np.diff(worth.value) < 0.0).all()
    assert (worth.d_mean > 0.0).all()
    slope = -worth.d_mean.sum(axis=1)
    climbed = (slope[:4000] + slope[1:4001]) / 2.0 * 0.01
    # Where sums give way to logarithms, the values still differ by the slopes between them.
    np.testing.assert_allclose(np.diff(worth.value[:4001]), climbed, rtol=1e-4)


@given(SEEDS)
def test_certainty_is_the_volume_gained(seed: int) -> None:
    values, mean, _ = drawn(seed)
    reference = np.zeros(len(mean))
    gained = hypervolume(np.vstack([values, mean]), reference) - hypervolume(values, reference)
    for std in (0.0, 1e-320, 1e-14):
        worth = log_ehvi(mean[None], np.full((1, len(mean)), std), *non_dominated_boxes(values, reference))
        assert not np.isnan(worth.d_mean).any()
        assert not np.isnan(worth.d_std).any()
        assert np.exp(worth.value[0]) == pytest.approx(gained, abs=1e-12)
    if gained == 0.0:
        assert value(mean, np.zeros(len(mean)), *non_dominated_boxes(values, reference)) == -np.inf


def test_certainty_in_one_objective_alone() -> None:
    ends = non_dominated_boxes(TWO, np.zeros(2))
    worth = log_ehvi(np.array([[2.5, -30.0], [-1.0, 5.0]]), np.array([[0.0, 0.5], [0.0, 0.5]]), *ends)
    # 2.5 stands above the front from 2 on at the second objective's 1, and nothing is sure to be won at -1.
    assert worth.value[0] == pytest.approx(np.log(0.5) + log_ei(np.array([-30.0]), np.array([0.5]), 1.0).value[0])
    assert worth.d_mean[0, 0] == pytest.approx(2.0)
    assert worth.value[1] == -np.inf
    assert worth.d_mean[1].tolist() == worth.d_std[1].tolist() == [0.0, 0.0]


@given(SEEDS, st.sampled_from([1e-200, 1e-100, 1e-9, 1e9, 1e100, 1e200]))
def test_units_do_not_matter(seed: int, unit: float) -> None:
    values, mean, std = drawn(seed)
    reference = np.full(len(mean), -0.1)
    low, high = non_dominated_boxes(values, reference)
    scaled = log_ehvi(mean[None] * unit, std[None] * unit, low * unit, high * unit)
    plain = log_ehvi(mean[None], std[None], low, high)
    assert scaled.value[0] == pytest.approx(plain.value[0] + len(mean) * np.log(unit), abs=1e-8)
    np.testing.assert_allclose(scaled.d_mean * unit, plain.d_mean, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(scaled.d_std * unit, plain.d_std, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("m", [0, 1, 64, 150])
def test_points_are_valued_one_by_one(m: int) -> None:
    rng = np.random.default_rng(m)
    mean, std = rng.normal(scale=30.0, size=(m, 3)), rng.uniform(0.01, 2.0, (m, 3))
    ends = non_dominated_boxes(THREE, np.zeros(3))
    worth = log_ehvi(mean, std, *ends)
    assert worth.d_mean.shape == worth.d_std.shape == (m, 3)
    np.testing.assert_allclose(worth.value, [value(*point, *ends) for point in zip(mean, std, strict=True)], rtol=1e-12)
