"""The kernel: against scikit-learn's Matérn, its gradients against finite differences."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from bo_service.core.kernels import GroupedMatern, matern52

rng = np.random.default_rng(0)
X, Y = rng.random((7, 4)), rng.random((5, 4))
LENGTHS = np.array([0.3, 0.8, 2.0])
OWNER = np.array([0, 1, 1, 2])


def test_agrees_with_scikit_learns_matern() -> None:
    theirs = Matern(LENGTHS[OWNER], nu=2.5)
    ours = GroupedMatern(LENGTHS, OWNER)
    np.testing.assert_allclose(ours(X, Y), theirs(X, Y))
    np.testing.assert_allclose(ours(X), theirs(X))
    np.testing.assert_allclose(ours.diag(X), 1.0)


def test_gradient_by_hyperparameters() -> None:
    kernel = GroupedMatern(LENGTHS, OWNER)
    _, gradient = kernel(X, eval_gradient=True)
    step = 1e-6
    for i in range(3):
        moved = [kernel.clone_with_theta(kernel.theta + sign * step * np.eye(3)[i])(X) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, :, i], (moved[0] - moved[1]) / (2 * step), atol=1e-8)


def test_gradient_by_input() -> None:
    kernel = GroupedMatern(LENGTHS, OWNER)
    value, gradient = kernel.with_gradient(X[0], Y)
    np.testing.assert_allclose(value, kernel(X[:1], Y)[0])
    step = 1e-6
    for i in range(4):
        moved = [kernel((X[0] + sign * step * np.eye(4)[i])[None], Y)[0] for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, i], (moved[0] - moved[1]) / (2 * step), atol=1e-8)


def test_the_gradient_vanishes_where_the_points_meet() -> None:
    value, gradient = GroupedMatern(LENGTHS, OWNER).with_gradient(X[0], X[:1])
    assert value[0] == 1.0
    assert np.array_equal(gradient, np.zeros((1, 4)))


def test_slope_by_squared_distance() -> None:
    r2 = np.array([0.01, 0.5, 3.0])
    numeric = (matern52(r2 + 1e-6)[0] - matern52(r2 - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(-matern52(r2)[1], numeric, rtol=1e-6)


def test_is_a_scikit_learn_kernel() -> None:
    kernel = ConstantKernel(2.0) * GroupedMatern(LENGTHS, OWNER)
    copy = clone(kernel)
    np.testing.assert_allclose(copy.theta, np.log([2.0, *LENGTHS]))
    np.testing.assert_allclose(copy(X), kernel(X))
    with pytest.raises(ValueError, match="Y = None"):
        GroupedMatern(LENGTHS, OWNER)(X, Y, eval_gradient=True)
