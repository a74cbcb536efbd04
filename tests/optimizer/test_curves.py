"""The surrogate of curves: its kernel by finite differences, its posterior against a dense one written here."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from bo_service.optimizer.curves.data import CurveData, spaced_steps
from bo_service.optimizer.curves.fitting import kernel_with, learn, prior_of, teaching_part
from bo_service.optimizer.curves.kernel import CurveKernel, falls, wander
from bo_service.optimizer.curves.posterior import condition_on_curves

rng = np.random.default_rng(0)
OWNER = np.array([0, 1, 1])
LENGTHS = np.array([0.4, 0.9])


def kernel() -> CurveKernel:
    return CurveKernel(LENGTHS, OWNER, 0.7, 0.6, 0.3, 1.4, np.array([0.5, 0.3, 0.8]), 0.2, 0.01)


def curves(count: int = 6) -> CurveData:
    """Return curves of various lengths, the first of them whole, and the last two at the same place."""
    X = rng.random((count, 3))
    X[-1] = X[-2]
    ends = [6, 6, 4, 1, 3, 2, 5][:count]
    steps = np.array([1, 2, 4, 7, 14, 27]) / 27
    return CurveData.of(X, [[(float(u), float(rng.normal())) for u in steps[:end]] for end in ends])


def test_the_kernel_is_the_sum_in_its_formula() -> None:
    made, data = kernel(), curves()
    rows, _ = data.rows()
    K = made(rows)
    shape = Matern(1.4 * LENGTHS[OWNER], nu=2.5)
    for a, p in enumerate(rows):
        for b, q in enumerate(rows):
            expected = made.final(p[None, :3], q[None, :3])[0, 0]
            k_b = 1.0 + shape(p[None, :3], q[None, :3])[0, 0]
            expected += sum(v * x * y * k_b for v, x, y in zip((0.5, 0.3, 0.8), falls(p[3]), falls(q[3]), strict=True))
            expected += 0.2 * (p[4] == q[4]) * min(-np.log(p[3]), -np.log(q[3])) + 0.01 * (a == b)
            assert K[a, b] == pytest.approx(expected)
    np.testing.assert_allclose(made.diag(rows), K.diagonal())
    np.testing.assert_allclose(made(rows, rows), K - 0.01 * np.eye(len(K)))


def test_at_the_end_of_a_trial_its_value_is_the_final_one() -> None:
    np.testing.assert_allclose(falls(np.array(1.0)), 0.0, atol=1e-15)
    assert wander(np.array(1.0), np.array(0.1)) == 0.0
    assert (np.diff(falls(np.linspace(0.01, 1, 50)), axis=0) < 0).all()


def test_the_gradient_of_the_kernel() -> None:
    made, (rows, _) = kernel(), curves().rows()
    value, gradient = made(rows, eval_gradient=True)
    np.testing.assert_allclose(value, made(rows))
    assert gradient.shape[2] == len(made.theta) == 11
    for i, unit in enumerate(np.eye(11)):
        up, down = (made.clone_with_theta(made.theta + sign * 1e-6 * unit)(rows) for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, :, i], (up - down) / 2e-6, atol=1e-8)


def test_scikit_learn_takes_the_kernel() -> None:
    rows, y = curves().rows()
    fitted = GaussianProcessRegressor(clone(kernel()), alpha=1e-10, optimizer=None).fit(rows, y)
    at = np.column_stack([rng.random((4, 3)), np.ones(4), 100 + np.arange(4)])
    posterior = condition_on_curves(kernel(), curves_of(rows, y)).posterior(at[:, :3])
    np.testing.assert_allclose(posterior.mean, fitted.predict(at), atol=1e-6)


def curves_of(rows: np.ndarray, y: np.ndarray) -> CurveData:
    numbers = np.unique(rows[:, 4])
    first = [rows[rows[:, 4] == i][0, :3] for i in numbers]
    points = [[(float(r[3]), float(v)) for r, v in zip(rows, y, strict=True) if r[4] == i] for i in numbers]
    return CurveData.of(np.array(first), points)


class Dense:
    """The joint normal distribution of everything, conditioned by plain linear algebra: an oracle of its own."""

    def __init__(self, data: CurveData, believed: np.ndarray) -> None:
        self.kernel = kernel()
        self.rows, self.y = data.rows()
        self.K = self.kernel(self.rows)
        if len(believed):
            f = np.column_stack([believed, np.ones(len(believed)), -1 - np.arange(len(believed))])
            cross = self.kernel(self.rows, f)
            own = self.kernel(f)
            means = cross.T @ np.linalg.solve(self.K, self.y)
            self.K = np.block([[self.K, cross], [cross.T, own]])
            self.rows, self.y = np.vstack([self.rows, f]), np.append(self.y, means)

    def joint(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance, without noise, of rows (q, 5)."""
        cross = self.kernel(self.rows, at)
        solved = np.linalg.solve(self.K, cross)
        return solved.T @ self.y, self.kernel(at, at) - cross.T @ solved


@pytest.mark.parametrize("believed", [0, 2])
def test_the_posterior_of_final_values_is_the_dense_one(believed: int) -> None:
    data, pending, Q = curves(), rng.random((believed, 3)), rng.random((5, 3))
    dense = Dense(data, pending)
    ours = condition_on_curves(kernel(), data).condition_on_mean(pending)
    for points in (Q, data.X):
        at = np.column_stack([points, np.ones(len(points)), np.full(len(points), -9.0)])
        mean, cov = dense.joint(at)
        posterior = ours.posterior(points)
        np.testing.assert_allclose(posterior.mean, mean, atol=1e-5)
        np.testing.assert_allclose(posterior.std, np.sqrt(np.maximum(cov.diagonal(), 0)), atol=1e-4)


def test_hyperparameters_are_learned_and_explain_the_curves() -> None:
    """Curves of a known kind: the asymptote is smooth, and the start says nothing about it."""
    X = np.linspace(0, 1, 20)[:, None]
    steps = np.array([1, 3, 9, 27]) / 27
    fall = np.where(np.arange(20) % 2, 1.0, 3.0)
    made = [
        [
            (float(u), float(np.sin(5 * x[0]) - b * (np.exp(-u / 0.2) - np.exp(-5.0))))
            for u in steps[: 4 if k % 2 else 2]
        ]
        for k, (x, b) in enumerate(zip(X, fall, strict=True))
    ]
    data = CurveData.of(X, made)
    owner = np.array([0])
    theta = learn(teaching_part(data), 1, owner, np.random.default_rng(1))
    assert len(theta) == 10
    process = condition_on_curves(kernel_with(theta, 1, owner), data)
    posterior = process.posterior(X)
    assert np.abs(posterior.mean - np.sin(5 * X[:, 0])).max() < 0.3
    assert np.array_equal(theta, learn(teaching_part(data), 1, owner, np.random.default_rng(1)))


def test_hyperparameters_are_learned_from_what_stays() -> None:
    data = curves(7)
    longer = CurveData(data.X, data.u.copy(), data.y.copy(), data.mask.copy())
    longer.mask[2, 4], longer.u[2, 4], longer.y[2, 4] = True, 14 / 27, 0.5
    before, after = teaching_part(data).rows(), teaching_part(longer).rows()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_six_steps_are_kept() -> None:
    assert spaced_steps(range(1, 28)) == [1, 2, 4, 7, 14, 27]
    assert spaced_steps([3, 9]) == [3, 9]
    assert spaced_steps(range(1000))[0] == 0
    assert len(spaced_steps(range(1, 1000))) == 6


def test_theta_is_in_the_order_of_scikit_learn() -> None:
    made = kernel_with(kernel().theta, 2, OWNER)
    np.testing.assert_allclose(made.theta, kernel().theta)


def test_the_prior_has_a_place_for_each_hyperparameter() -> None:
    prior = prior_of(2)
    assert len(prior.mean) == len(prior.low) == len(kernel().theta)
    assert (prior.low < prior.mean).all()
    assert (prior.mean < prior.high).all()
