"""Joint posteriors, draws as functions and leave-one-out, against scikit-learn's own regressor."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.gp.kernels import MainEffectsMatern
from bo_service.optimizer.gp.leave_one_out import leave_one_out
from bo_service.optimizer.insight.joint_posterior import joint, matrix_sqrt, paths
from tests.optimizer.processes import conditioned

NOISE = 0.02
LENGTHS = [0.4, 0.9]
STRETCH, JOINT, MAIN = 0.7, 0.9, 0.4


def data(n: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.random((n, 2))
    return X, np.sin(5 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(n)


def ours(X: np.ndarray, y: np.ndarray) -> GaussianProcess:
    return conditioned(np.log([*LENGTHS, STRETCH, JOINT, MAIN, NOISE]), X, y, np.array([0, 1]))


def theirs(X: np.ndarray, y: np.ndarray) -> GaussianProcessRegressor:
    kernel = MainEffectsMatern(LENGTHS, [0, 1], STRETCH, JOINT, MAIN) + WhiteKernel(NOISE)
    return GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(X, y)


def test_joint_posterior() -> None:
    X, y = data()
    Q = np.random.default_rng(1).random((7, 2))
    mean, C = joint(ours(X, y), Q)
    expected, covariance = theirs(X, y).predict(Q, return_cov=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-8)
    np.testing.assert_allclose(C, covariance - NOISE * np.eye(7), atol=1e-8)  # theirs counts the noise in


def test_roots() -> None:
    A = np.random.default_rng(0).random((5, 3))
    C = matrix_sqrt(A @ A.T)  # of rank 3
    np.testing.assert_allclose(C @ C.T, A @ A.T, atol=1e-12)


def test_leaving_one_out_is_refitting_without_it() -> None:
    X, y = data()
    observed, mean, std = leave_one_out(ours(X, y))
    np.testing.assert_allclose(observed, y, rtol=1e-9)
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        expected, spread = theirs(X[rest], y[rest]).predict(X[i : i + 1], return_std=True)
        assert mean[i] == pytest.approx(expected[0], rel=1e-7)
        assert std[i] == pytest.approx(spread[0], rel=1e-7)  # the noise counted in by both


def test_draws_as_functions_are_distributed_as_the_posterior() -> None:
    X, y = data()
    process = ours(X, y)
    Q = np.array([[0.1, 0.2], [0.12, 0.25], [0.9, 0.1], [1.5, 1.5]])
    drawn = np.concatenate([paths(process, 250, np.random.default_rng(i))(Q)[:, 1:] for i in range(40)], axis=1)
    mean, C = joint(process, Q)
    np.testing.assert_allclose(paths(process, 0, np.random.default_rng(0))(Q)[:, 0], mean, rtol=1e-10)
    np.testing.assert_allclose(drawn.mean(axis=1), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn), C, atol=0.06)


def test_a_draw_is_one_function_wherever_it_is_asked() -> None:
    f = paths(ours(*data()), 3, np.random.default_rng(0))
    Q = np.random.default_rng(1).random((9, 2))
    np.testing.assert_allclose(f(Q)[4:6], f(Q[4:6]), rtol=1e-4, atol=1e-5)
    assert f(Q[:0]).shape == (0, 4)
