"""Likelihood, prior and posterior: against scikit-learn's GaussianProcessRegressor and finite differences."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from bo_service.optimizer.gp import fitting
from bo_service.optimizer.gp.gaussian_process import GaussianProcess, condition
from bo_service.optimizer.gp.kernels import MainEffectsMatern
from bo_service.optimizer.gp.likelihood import Likelihood, fit_hyperparameters
from bo_service.optimizer.gp.observations import TrainingData
from bo_service.optimizer.gp.priors import Prior
from tests.optimizer.processes import conditioned, fitted

OWNER = np.array([0, 1, 1])
THETA = np.array([np.log(0.4), np.log(0.9), -0.5, 0.3, -0.2, np.log(1e-2)])
"""Logarithms of two length scales, the stretch, both variances and the noise's."""


def data(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.random((n, 3))
    y = np.sin(5 * X[:, 0]) + X[:, 1] * X[:, 2]
    return X, (y - y.mean()) / y.std()


KNOWN = np.random.default_rng(5).random(12)


def oracle(X: np.ndarray, y: np.ndarray, known: np.ndarray | float = 0.0) -> GaussianProcessRegressor:
    noisy = MainEffectsMatern(np.exp(THETA[:2]), OWNER, *np.exp(THETA[2:5])) + WhiteKernel(np.exp(THETA[5]))
    return GaussianProcessRegressor(noisy, optimizer=None, alpha=known).fit(X, y)


def test_likelihood_agrees_with_scikit_learn() -> None:
    X, y = data()
    value, gradient = Likelihood(X, y, OWNER, 2).with_gradient(THETA)
    theirs = oracle(X, y)
    expected, slope = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient, slope[[1, 2, 4, 0, 3, 5]], rtol=1e-6)  # theirs are sorted by name


def test_known_noise_agrees_with_scikit_learn() -> None:
    X, y = data()
    value, gradient = Likelihood(X, y, OWNER, 2, KNOWN).with_gradient(THETA)
    theirs = oracle(X, y, KNOWN)
    expected, slope = theirs.log_marginal_likelihood(theirs.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(expected)
    np.testing.assert_allclose(gradient, slope[[1, 2, 4, 0, 3, 5]], rtol=1e-6)
    Q = np.random.default_rng(1).random((9, 3))
    ours = condition(THETA, TrainingData(X, y, KNOWN), OWNER).posterior(Q)
    mean, std = theirs.predict(Q, return_std=True)
    np.testing.assert_allclose(ours.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(ours.std**2, std**2 - np.exp(THETA[5]), rtol=1e-7)


def test_likelihood_gradient() -> None:
    likelihood = Likelihood(*data(), OWNER, 2)
    step = 1e-5
    numeric = [
        (likelihood.value(THETA + step * e) - likelihood.value(THETA - step * e)) / (2 * step) for e in np.eye(6)
    ]
    np.testing.assert_allclose(likelihood.with_gradient(THETA)[1], numeric, rtol=1e-5, atol=1e-6)


def test_prior_gradient() -> None:
    prior = Prior.over(2)
    step = 1e-6
    moved = [[prior.log_density(THETA + sign * step * e)[0] for sign in (1, -1)] for e in np.eye(6)]
    numeric = [(up - down) / (2 * step) for up, down in moved]
    np.testing.assert_allclose(prior.log_density(THETA)[1], numeric, rtol=1e-5)


def test_length_scales_are_expected_to_grow_with_the_square_root_of_the_dimension() -> None:
    for d in (1, 4, 9):
        np.testing.assert_allclose(np.exp(Prior.over(d).mean[:d]), 0.5 * np.sqrt(d))


def test_posterior_agrees_with_scikit_learn() -> None:
    X, y = data()
    Q = np.random.default_rng(1).random((9, 3))
    ours = conditioned(THETA, X, y, OWNER).posterior(Q)
    mean, std = oracle(X, y).predict(Q, return_std=True)
    np.testing.assert_allclose(ours.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(ours.std**2, std**2 - np.exp(THETA[5]), rtol=1e-7)  # theirs counts the noise in


def assert_slopes(model: GaussianProcess) -> None:
    x = np.array([0.31, 0.62, 0.17])
    at = model.posterior_with_gradient(x)
    here = model.posterior(x[None])
    assert (at.mean, at.std) == (pytest.approx(here.mean[0]), pytest.approx(here.std[0]))
    step = 1e-6
    for i in range(3):
        up, down = (model.posterior((x + sign * step * np.eye(3)[i])[None]) for sign in (1, -1))
        assert at.d_mean[i] == pytest.approx((up.mean[0] - down.mean[0]) / (2 * step), rel=1e-4)
        assert at.d_std[i] == pytest.approx((up.std[0] - down.std[0]) / (2 * step), rel=1e-4)


def test_gradients_by_input() -> None:
    model = conditioned(THETA, *data(), OWNER)
    assert_slopes(model)
    assert_slopes(model.condition_on_mean(np.random.default_rng(5).random((3, 3))))


def test_believing_equals_conditioning_on_the_mean() -> None:
    X, y = data()
    rng = np.random.default_rng(2)
    pending, Q = rng.random((2, 3)), rng.random((6, 3))
    model = conditioned(THETA, X, y, OWNER)
    believed = model.condition_on_mean(pending)
    again = conditioned(THETA, np.vstack([X, pending]), np.append(y, model.posterior(pending).mean), OWNER)
    np.testing.assert_allclose(believed.posterior(Q).mean, again.posterior(Q).mean, rtol=1e-8)
    np.testing.assert_allclose(believed.posterior(Q).std, again.posterior(Q).std, rtol=1e-8)
    assert (believed.posterior(pending).std < 0.5 * model.posterior(pending).std).all()


def test_fitting_finds_which_parameters_matter() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((40, 3))
    y = np.sin(6 * X[:, 0])
    lengths = np.asarray(fitted(X, (y - y.mean()) / y.std(), np.arange(3)).kernel.length_scale)
    assert lengths[0] < 0.3 * lengths[1:].min()


def test_fitting_finds_the_noise() -> None:
    rng = np.random.default_rng(0)
    X = rng.random((80, 1))
    y = np.sin(6 * X[:, 0]) + 0.3 * rng.standard_normal(80)
    found = fitted(X, (y - y.mean()) / y.std(), np.zeros(1, dtype=int))
    assert found.noise == pytest.approx(0.09 / y.var(), rel=0.5)
    assert found.means.max() < (y.max() - y.mean()) / y.std()


def test_fitting_climbs_above_its_starts() -> None:
    X, y = data(25)
    likelihood, prior = Likelihood(X, y, OWNER, 2), Prior.over(2)

    def density(theta: np.ndarray) -> float:
        return likelihood.value(theta) + prior.log_density(theta)[0]

    theta = fit_hyperparameters(likelihood, likelihood, prior, np.random.default_rng(0))
    assert density(theta) > max(density(start) for start in prior.starts(50, np.random.default_rng(1)))


def test_a_matrix_that_is_singular_is_mended() -> None:
    theta = np.array([np.log(200.0), np.log(200.0), 0.0, 0.0, 0.0, np.log(1e-8)])
    X = np.repeat(data(3)[0], 30, axis=0)
    posterior = conditioned(theta, X, np.zeros(90), OWNER).posterior(X[:1])
    assert np.isfinite([posterior.mean, posterior.std]).all()


def test_many_observations_are_thinned_with_the_best_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_FIT", 10)
    monkeypatch.setattr(fitting, "MAX_CONDITIONED", 20)
    X, y = data(50)
    model = fitted(X, y, OWNER)
    assert len(model.X) == 20
    assert all((X[i] == model.X).all(axis=1).any() for i in np.argsort(-y)[:10])
