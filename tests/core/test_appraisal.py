"""What a point is worth, term by term: Monte Carlo for the values, finite differences for the gradients."""

from collections.abc import Callable

import numpy as np
import pytest

from bo_service.core.acquisitions.acquisition import Criterion
from bo_service.core.acquisitions.appraisal import (
    Appraisal,
    Fulfillment,
    Improvement,
    NoisyImprovement,
    ParetoImprovement,
    Thrift,
    Total,
)
from bo_service.core.numerics.array import Array
from bo_service.core.numerics.pareto import boxes, reference_point
from bo_service.core.study import Acquisition
from bo_service.core.surrogates.gaussian_process import GaussianProcess
from tests.core.processes import conditioned, fitted

OWNER = np.arange(3)


def process(of: Callable[[Array], Array], seed: int) -> GaussianProcess:
    """A surrogate of a function of X (n, 3), from 12 points."""
    rng = np.random.default_rng(seed)
    X = rng.random((12, 3))
    y = of(X)
    return fitted(X, (y - y.mean()) / y.std(), OWNER)


def with_noise(exact: GaussianProcess, noise: float) -> GaussianProcess:
    theta, y = np.append(exact.theta[:-1], np.log(noise)), exact.L @ (exact.L.T @ exact.a)
    return conditioned(theta, exact.X, y, OWNER)


WAVE = process(lambda X: np.sin(5 * X[:, 0]) + X[:, 1], 0)
SLOPE = process(lambda X: X[:, 2] - X[:, 0] ** 2, 1)
BOWL = process(lambda X: -((X[:, 0] - 0.5) ** 2) - (X[:, 1] - 0.2) ** 2, 2)
FRONT = np.column_stack([p.posterior(WAVE.X).mean for p in (WAVE, SLOPE)])
NOISE = with_noise(WAVE, 0.2)


def noisy(surrogate: GaussianProcess, draws: int) -> NoisyImprovement:
    X = surrogate.X[:8]
    imagined = surrogate.imagine(X, draws, np.random.default_rng(0))
    return NoisyImprovement(surrogate, imagined, imagined.values.max(axis=0), Criterion(Acquisition.LOG_NEI, 0.0))


PARETO = ParetoImprovement((WAVE, SLOPE), *boxes(FRONT, reference_point(FRONT)))
TERMS: dict[str, Appraisal] = {
    **{
        kind.value: Improvement(WAVE, Criterion(kind, 1.0, 2.0, 0.1))
        for kind in (Acquisition.LOG_EI, Acquisition.UCB, Acquisition.LOG_PI)
    },
    "noisy improvement": noisy(NOISE, 16),
    "pareto": PARETO,
    "fulfillment": Fulfillment(SLOPE, 0.7),
    "mild fulfillment": Fulfillment(SLOPE, 0.2, 1.0),
    "hopeless fulfillment": Fulfillment(SLOPE, 8.0),
    "thrift": Thrift(BOWL, 0.8),
    "total": Total((PARETO, Fulfillment(BOWL, -0.3), Thrift(SLOPE, 1.5))),
}


@pytest.mark.parametrize("name", TERMS)
def test_gradients(name: str) -> None:
    term = TERMS[name]
    for x in np.random.default_rng(5).random((6, 3)):
        value, gradient = term.slope(x)
        near = term.value(x + 1e-6 * np.vstack([np.eye(3), -np.eye(3), np.zeros(3)]))
        assert value == pytest.approx(near[6], rel=1e-9)
        assert gradient == pytest.approx((near[:3] - near[3:6]) / 2e-6, rel=1e-4, abs=1e-4)


def test_fulfillment_is_the_chance_to_reach_the_threshold() -> None:
    X = np.random.default_rng(3).random((4, 3))
    at = SLOPE.posterior(X)
    draws = np.random.default_rng(0).normal(at.mean, at.std, (200_000, 4))
    assert np.exp(Fulfillment(SLOPE, 0.2).value(X)) == pytest.approx((draws >= 0.2).mean(axis=0), abs=0.005)


def test_the_sum_is_of_independent_factors() -> None:
    """The improvement to expect of what counts only where the constraint holds, per what it costs."""
    x = np.array([[0.4, 0.8, 0.6]])
    best, threshold = 0.5, 0.1
    total = Total(
        (Improvement(WAVE, Criterion(Acquisition.LOG_EI, best)), Fulfillment(SLOPE, threshold), Thrift(BOWL, 2.0))
    )
    rng = np.random.default_rng(0)
    wave, slope = (rng.normal(p.posterior(x).mean, p.posterior(x).std, 400_000) for p in (WAVE, SLOPE))
    gain = np.where(slope >= threshold, np.maximum(wave - best, 0.0), 0.0).mean()
    cost = np.exp(2.0 * BOWL.posterior(x).mean[0])
    assert np.exp(total.value(x)[0]) == pytest.approx(gain / cost, rel=0.02)


def test_thrift_halves_what_costs_twice() -> None:
    cheap, dear = np.array([[0.9, 0.9, 0.9]]), np.array([[0.5, 0.2, 0.5]])
    scale = np.log(2.0) / float((BOWL.posterior(dear).mean - BOWL.posterior(cheap).mean)[0])
    term = Thrift(BOWL, scale)
    assert np.exp(term.value(dear) - term.value(cheap)) == pytest.approx(0.5)


def test_noisy_improvement_is_over_the_best_of_what_is_uncertain() -> None:
    """Monte Carlo of all values together, from the posterior's own formula."""
    assert NOISE.noisiness > 1e-2
    x = np.array([[0.35, 0.4, 0.6]])
    Q = np.vstack([NOISE.X[:8], x])
    K = NOISE.kernel(NOISE.X) + NOISE.noise * np.eye(12)
    k = NOISE.kernel(NOISE.X, Q)
    covariance = NOISE.kernel(Q) - k.T @ np.linalg.solve(K, k)
    drawn = np.random.default_rng(1).multivariate_normal(NOISE.posterior(Q).mean, covariance, 400_000)
    expected = np.maximum(drawn[:, 8] - drawn[:, :8].max(axis=1), 0.0).mean()
    assert np.exp(noisy(NOISE, 4000).value(x)[0]) == pytest.approx(expected, rel=0.05)


def test_imagined_values_are_known_and_agree_with_the_posterior() -> None:
    points, rng = NOISE.X[:5], np.random.default_rng(0)
    imagined = NOISE.imagine(points, 5000, rng)
    at = NOISE.posterior(points)
    assert imagined.values.mean(axis=1) == pytest.approx(at.mean, abs=0.05)
    assert imagined.values.std(axis=1) == pytest.approx(at.std, rel=0.05)
    known = imagined.posterior(points)
    assert known.means == pytest.approx(imagined.values, abs=0.02)
    assert (known.std < 0.02).all()
    far = NOISE.posterior(np.array([[0.0, 0.0, 0.0]]))
    draws = imagined.posterior(np.array([[0.0, 0.0, 0.0]]))
    assert draws.means.mean() == pytest.approx(far.mean[0], abs=0.05)
    assert draws.means.var() + draws.std[0] ** 2 == pytest.approx(far.std[0] ** 2, rel=0.05)


def test_without_noise_noisy_improvement_is_improvement() -> None:
    exact = with_noise(WAVE, 1e-8)
    best = exact.X[np.argmax(exact.mean(exact.X))]
    X = best + 0.3 * np.random.default_rng(3).standard_normal((30, 3))
    imagined = exact.imagine(exact.X, 16, np.random.default_rng(0))
    over_draws = NoisyImprovement(exact, imagined, imagined.values.max(axis=0), Criterion(Acquisition.LOG_NEI, 0.0))
    plain = Improvement(exact, Criterion(Acquisition.LOG_EI, float(exact.means.max()))).value(X)
    likely = plain > -15.0
    assert likely.sum() > 8
    assert over_draws.value(X)[likely] == pytest.approx(plain[likely], abs=0.2)
