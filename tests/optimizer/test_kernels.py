"""The kernel: against scikit-learn's own, its gradients against finite differences."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, RationalQuadratic

from bo_service.optimizer.gp.kernels import MainEffectsMatern, matern52, rational

rng = np.random.default_rng(0)
X, Y = rng.random((7, 4)), rng.random((5, 4))
LENGTHS = np.array([0.3, 0.8, 2.0])
OWNER = np.array([0, 1, 1, 2])
SCALES = {"main_length_ratio": 0.6, "interaction_variance": 0.7, "main_effect_variance": 0.4}


def kernel() -> MainEffectsMatern:
    return MainEffectsMatern(LENGTHS, OWNER, **SCALES)


def test_agrees_with_scikit_learns_kernels() -> None:
    together = 0.7 * Matern(LENGTHS[OWNER], nu=2.5)(X, Y)
    each = [
        RationalQuadratic(0.6 * LENGTHS[k], alpha=2.0)(X[:, k == OWNER], Y[:, k == OWNER]) for k in range(len(LENGTHS))
    ]
    np.testing.assert_allclose(kernel()(X, Y), together + 0.4 / 3 * sum(each))
    np.testing.assert_allclose(kernel()(X).diagonal(), kernel().diag(X))


def test_gradient_by_hyperparameters() -> None:
    ours = kernel()
    value, gradient = ours(X, eval_gradient=True)
    np.testing.assert_allclose(value, ours(X))
    step = 1e-6
    assert len(ours.theta) == 6
    for i, unit in enumerate(np.eye(6)):
        moved = [ours.clone_with_theta(ours.theta + sign * step * unit)(X) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, :, i], (moved[0] - moved[1]) / (2 * step), atol=1e-8)


def test_gradient_by_input() -> None:
    value, gradient = kernel().with_gradient(X[0], Y)
    np.testing.assert_allclose(value, kernel()(X[:1], Y)[0])
    step = 1e-6
    for i in range(4):
        moved = [kernel()((X[0] + sign * step * np.eye(4)[i])[None], Y)[0] for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, i], (moved[0] - moved[1]) / (2 * step), atol=1e-8)


def test_the_gradient_vanishes_where_the_points_meet() -> None:
    value, gradient = kernel().with_gradient(X[0], X[:1])
    assert value[0] == pytest.approx(kernel().variance)
    assert np.array_equal(gradient, np.zeros((1, 4)))


@pytest.mark.parametrize("function", [matern52, rational])
def test_slope_by_squared_distance(function) -> None:
    r2 = np.array([0.01, 0.5, 3.0])
    numeric = (function(r2 + 1e-6)[0] - function(r2 - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(-function(r2)[1], numeric, rtol=1e-6)


def test_is_a_scikit_learn_kernel() -> None:
    product = ConstantKernel(2.0) * kernel()
    copy = clone(product)
    np.testing.assert_allclose(copy.theta, np.log([2.0, 0.7, *LENGTHS, 0.4, 0.6]))
    np.testing.assert_allclose(copy(X), product(X))
    with pytest.raises(ValueError, match="Y = None"):
        kernel()(X, Y, eval_gradient=True)
