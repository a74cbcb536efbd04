"""Whether the best is best: against brute force with scikit-learn's regressor, and against what is true."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.insight.analysis import analyze
from bo_service.optimizer.insight.best import (
    CONFIDENCE,
    INDIFFERENT,
    MOST_REPEATS,
    JointPosterior,
    judge_best,
    repeats_to_tell,
)
from bo_service.optimizer.insight.results import BestFinding
from bo_service.optimizer.insight.surrogate_view import SurrogateView


def judged(inputs: OptimizerInput) -> BestFinding:
    return judge_best(SurrogateView.of(inputs))


def bump(c) -> float:
    return -((c["x0"] - 0.4) ** 2) - (c["x1"] - 0.6) ** 2


def test_probabilities_are_those_of_brute_force(studied, cube) -> None:
    view = SurrogateView.of(studied(cube(2), bump, 15, noise=0.05))
    found = judge_best(view)
    rng = np.random.default_rng(0)
    X = view.encoded.past_rows
    y = view.output_transform.forward(view.encoded.targets)
    drawn = []
    for process in view.ensemble:
        kernel = process.kernel + WhiteKernel(process.noise)
        regressor = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(X, y)
        mean, C = regressor.predict(X, return_cov=True)
        drawn.append(rng.multivariate_normal(mean, C - process.noise * np.eye(len(X)), 4000, check_valid="ignore"))
    F = np.concatenate(drawn)
    wins = np.bincount(F.argmax(axis=1), minlength=len(X)) / len(F)
    values = view.output_transform.backward(F)
    regret = values.max(axis=1).mean() - values.mean(axis=0)
    for contender in found.contenders:
        i = [t.number for t in view.encoded.observations].index(contender.trial)
        assert contender.probability == pytest.approx(wins[i], abs=0.02)
        assert contender.expected_regret == pytest.approx(regret[i], abs=0.1 * regret[i] + 2e-4)
    assert found.noise_std == pytest.approx(0.05, rel=0.6)


def certainty(gap: float, C: np.ndarray, noise: float, r: int) -> float:
    """Probability that the better of two is chosen after r repeats of each, by quadrature over what they would show."""
    contrast = np.array([1.0, -1.0])
    before = contrast @ C @ contrast
    after = contrast @ np.linalg.inv(np.linalg.inv(C) + r / noise * np.eye(2)) @ contrast
    evaluated = np.linspace(-8, 8, 20_001)
    shown = gap + evaluated * math.sqrt(before - after)
    right = norm.cdf((np.abs(shown) + INDIFFERENT * math.sqrt(noise)) / math.sqrt(after))
    return float(np.trapezoid(norm.pdf(evaluated) * right, evaluated))


@pytest.mark.parametrize(
    ("gap", "variances", "covariance", "noise"),
    [(0.2, (0.05, 0.08), 0.01, 0.02), (0.05, (0.2, 0.1), 0.0, 0.05), (0.1, (0.9, 0.8), -0.05, 1.0)],
)
def test_repeats_that_tell_two_apart(gap, variances, covariance, noise) -> None:
    C = np.array([[variances[0], covariance], [covariance, variances[1]]])
    normals = np.random.default_rng(0).standard_normal((2, 200_000, 2))
    found = repeats_to_tell([JointPosterior(np.array([gap, 0.0]), C, noise, normals)])
    assert 0 < found < MOST_REPEATS
    assert certainty(gap, C, noise, found) > CONFIDENCE - 0.003
    assert certainty(gap, C, noise, found - 1) < CONFIDENCE + 0.003


def test_what_is_known_or_as_good_as_equal_needs_no_repeats() -> None:
    normals = np.random.default_rng(0).standard_normal((2, 4000, 2))
    near = 1e-4 * np.eye(2)
    assert repeats_to_tell([JointPosterior(np.array([1.0, 0.0]), near, 0.1, normals)]) == 0
    assert repeats_to_tell([JointPosterior(np.array([1e-4, 0.0]), near, 0.1, normals)]) == 0
    assert repeats_to_tell([JointPosterior(np.array([0.0, 0.0]), np.eye(2), 1e-8, normals)]) == 1


@pytest.mark.slow
def test_probabilities_are_borne_out(cube) -> None:
    """Over noisy studies of random functions: how often the leader is best, and what choosing it costs."""
    space, told = cube(2), []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        waves, phases, heights = 3 * rng.standard_normal((30, 2)), rng.uniform(0, 6.3, 30), rng.standard_normal(30)
        P = rng.random((16, 2))
        truth = np.cos(P @ waves.T + phases) @ heights / np.sqrt(15)
        past = tuple(
            Observation(i, {"x0": float(p[0]), "x1": float(p[1])}, float(t + 0.3 * rng.standard_normal()))
            for i, (p, t) in enumerate(zip(P, truth, strict=True))
        )
        leader = judged(OptimizerInput(space, SuggestionSettings(), seed, past)).contenders[0]
        regret = truth.max() - truth[leader.trial]
        told.append((leader.probability, regret == 0.0, leader.expected_regret, regret))
    probability, is_best, expected, regret = np.array(told, dtype=float).T
    assert probability.mean() == pytest.approx(is_best.mean(), abs=3 * np.sqrt(0.25 / 40))
    assert expected.mean() == pytest.approx(regret.mean(), abs=3 * regret.std() / np.sqrt(40))


def test_repeated_configurations_are_one_contender(studied, cube) -> None:
    inputs = studied(cube(2), bump, 12, noise=0.2, seed=3)
    tops = sorted(inputs.observations, key=lambda t: -t.value)[:2]
    again = [Observation(100 + i, tops[i % 2].configuration, bump(tops[i % 2].configuration)) for i in range(6)]
    found = judged(replace(inputs, observations=(*inputs.observations, *again)))
    counts = {c.trial: c.observations for c in found.contenders}
    assert counts[tops[0].number] == 4
    assert sum(counts.values()) <= 18
    repeated = next(c for c in found.contenders if c.trial == tops[0].number)
    assert repeated.value == pytest.approx((tops[0].value + 3 * bump(tops[0].configuration)) / 4)


def test_a_lucky_trial_is_told_from_the_best(studied, cube) -> None:
    inputs = studied(cube(1), lambda c: -((c["x0"] - 0.4) ** 2), 15, seed=1)
    lucky = Observation(99, {"x0": 0.9}, 0.05)
    beside = tuple(Observation(200 + i, {"x0": 0.9 + 0.001 * i}, -0.25) for i in range(-6, 7) if i)
    found = judged(replace(inputs, observations=(*inputs.observations, *beside, lucky)))
    assert found.observed_best == 99
    assert found.contenders[0].trial != 99
    chance = next(c.probability for c in found.contenders if c.trial == 99)
    assert chance < 0.2
    assert "Trial 99 has the best observed value" in found.summary


def test_infeasible_configurations_are_no_contenders(studied, cube) -> None:
    found = judged(studied(cube(2), lambda c: None if c["x0"] > 0.5 else c["x0"], 16))
    inputs = studied(cube(2), lambda c: None if c["x0"] > 0.5 else c["x0"], 16)
    infeasible = {t.number for t in inputs.observations if t.value is None}
    assert infeasible
    assert not infeasible & {c.trial for c in found.contenders}


def test_many_configurations_are_thinned(studied, cube, monkeypatch) -> None:
    from bo_service.optimizer.insight import best

    inputs = studied(cube(2), bump, 40)
    whole = judged(inputs)
    monkeypatch.setattr(best, "MOST_CONFIGURATIONS", 10)
    assert judged(inputs).contenders[0].trial == whole.contenders[0].trial


def test_without_noise_the_best_seen_is_best(studied, cube) -> None:
    inputs = studied(cube(2), bump, 25)
    found = analyze(inputs).best
    assert found.contenders[0].trial == found.observed_best == max(inputs.observations, key=lambda t: t.value).number
    assert found.contenders[0].probability > 0.9
    assert found.contenders[0].repeats == 0
    assert "repeat each" not in found.summary
