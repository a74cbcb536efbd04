"""What a point is worth, term by term: Monte Carlo for the values, finite differences for the gradients."""

from collections.abc import Callable

import numpy as np
import pytest

from bo_service.optimizer.acquisition.analytic import UCB, LogEI, LogPI
from bo_service.optimizer.acquisition.base import AcquisitionFunction, TotalAcquisition
from bo_service.optimizer.acquisition.cost import CostPenalty
from bo_service.optimizer.acquisition.feasibility import LogProbabilityOfFeasibility
from bo_service.optimizer.acquisition.hypervolume import LogEHVI
from bo_service.optimizer.acquisition.noisy import LogNEI
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.pareto import non_dominated_boxes, reference_point
from tests.optimizer.processes import conditioned, fitted

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


def noisy(surrogate: GaussianProcess, draws: int) -> LogNEI:
    X = surrogate.X[:8]
    fantasies = surrogate.fantasize(X, draws, np.random.default_rng(0))
    return LogNEI(LogEI(surrogate, 0.0), fantasies, fantasies.values.max(axis=0))


PARETO = LogEHVI((WAVE, SLOPE), *non_dominated_boxes(FRONT, reference_point(FRONT)))
TERMS: dict[str, AcquisitionFunction] = {
    **{kind.name: kind(WAVE, 1.0, 2.0, 0.1) for kind in (LogEI, UCB, LogPI)},
    "noisy improvement": noisy(NOISE, 16),
    "pareto": PARETO,
    "fulfillment": LogProbabilityOfFeasibility(SLOPE, 0.7),
    "mild fulfillment": LogProbabilityOfFeasibility(SLOPE, 0.2, 1.0),
    "hopeless fulfillment": LogProbabilityOfFeasibility(SLOPE, 8.0),
    "thrift": CostPenalty(BOWL, 0.8),
    "thrift at the least": CostPenalty(BOWL, 0.8, least=float(BOWL.means.max()) + 1.0),
    "total": TotalAcquisition(PARETO, (LogProbabilityOfFeasibility(BOWL, -0.3), CostPenalty(SLOPE, 1.5))),
}


@pytest.mark.parametrize("name", TERMS)
def test_gradients(name: str) -> None:
    term = TERMS[name]
    for x in np.random.default_rng(5).random((6, 3)):
        value, gradient = term.value_and_gradient(x)
        near = term.value(x + 1e-6 * np.vstack([np.eye(3), -np.eye(3), np.zeros(3)]))
        assert value == pytest.approx(near[6], rel=1e-9)
        assert gradient == pytest.approx((near[:3] - near[3:6]) / 2e-6, rel=1e-4, abs=1e-4)


def test_fulfillment_is_the_chance_to_reach_the_threshold() -> None:
    X = np.random.default_rng(3).random((4, 3))
    at = SLOPE.posterior(X)
    draws = np.random.default_rng(0).normal(at.mean, at.std, (200_000, 4))
    assert np.exp(LogProbabilityOfFeasibility(SLOPE, 0.2).value(X)) == pytest.approx(
        (draws >= 0.2).mean(axis=0), abs=0.005
    )


def test_the_sum_is_of_independent_factors() -> None:
    """The improvement to expect of what counts only where the constraint holds, per what it costs."""
    x = np.array([[0.4, 0.8, 0.6]])
    best, threshold = 0.5, 0.1
    total = TotalAcquisition(LogEI(WAVE, best), (LogProbabilityOfFeasibility(SLOPE, threshold), CostPenalty(BOWL, 2.0)))
    rng = np.random.default_rng(0)
    wave, slope = (rng.normal(p.posterior(x).mean, p.posterior(x).std, 400_000) for p in (WAVE, SLOPE))
    gain = np.where(slope >= threshold, np.maximum(wave - best, 0.0), 0.0).mean()
    cost = np.exp(2.0 * BOWL.posterior(x).mean[0])
    assert np.exp(total.value(x)[0]) == pytest.approx(gain / cost, rel=0.02)


def test_thrift_halves_what_costs_twice() -> None:
    cheap, dear = np.array([[0.9, 0.9, 0.9]]), np.array([[0.5, 0.2, 0.5]])
    scale = np.log(2.0) / float((BOWL.posterior(dear).mean - BOWL.posterior(cheap).mean)[0])
    term = CostPenalty(BOWL, scale)
    assert np.exp(term.value(dear) - term.value(cheap)) == pytest.approx(0.5)


def test_no_configuration_is_expected_to_be_cheaper_than_the_cheapest_observed() -> None:
    X = np.random.default_rng(2).random((50, 3))
    least = float(np.median(BOWL.posterior(X).mean))
    seconds = CostPenalty(BOWL, 2.0, center=np.log(60.0), least=least).seconds(X)
    assert seconds.min() == pytest.approx(60.0 * np.exp(2.0 * least))
    assert seconds == pytest.approx(60.0 * np.exp(2.0 * np.maximum(BOWL.posterior(X).mean, least)))


def test_noisy_improvement_is_over_the_best_of_what_is_uncertain() -> None:
    """Monte Carlo of all values together, from the posterior's own formula."""
    assert NOISE.noise_to_signal > 1e-2
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
    fantasies = NOISE.fantasize(points, 5000, rng)
    at = NOISE.posterior(points)
    assert fantasies.values.mean(axis=1) == pytest.approx(at.mean, abs=0.05)
    assert fantasies.values.std(axis=1) == pytest.approx(at.std, rel=0.05)
    known = fantasies.posterior(points)
    assert known.means == pytest.approx(fantasies.values, abs=0.02)
    assert (known.std < 0.02).all()
    far = NOISE.posterior(np.array([[0.0, 0.0, 0.0]]))
    draws = fantasies.posterior(np.array([[0.0, 0.0, 0.0]]))
    assert draws.means.mean() == pytest.approx(far.mean[0], abs=0.05)
    assert draws.means.var() + draws.std[0] ** 2 == pytest.approx(far.std[0] ** 2, rel=0.05)


def test_without_noise_noisy_improvement_is_improvement() -> None:
    exact = with_noise(WAVE, 1e-8)
    best = exact.X[np.argmax(exact.mean(exact.X))]
    X = best + 0.3 * np.random.default_rng(3).standard_normal((30, 3))
    fantasies = exact.fantasize(exact.X, 16, np.random.default_rng(0))
    over_draws = LogNEI(LogEI(exact, 0.0), fantasies, fantasies.values.max(axis=0))
    plain = LogEI(exact, float(exact.means.max())).value(X)
    likely = plain > -15.0
    assert likely.sum() > 8
    assert over_draws.value(X)[likely] == pytest.approx(plain[likely], abs=0.2)
