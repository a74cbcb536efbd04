"""Noise that differs from place to place is found where repeats show it, and nowhere else."""

import numpy as np
import pytest

from bo_service.domain.parameter_types import FloatDomain
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.heteroscedastic import extra_noise_variance
from bo_service.optimizer.inputs import Observation, OptimizerInput
from bo_service.optimizer.suggest import predict
from tests.optimizer.processes import fitted

OWNER = np.arange(2)
SQUARE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "ab"))


def observed(seed: int, ratio: float, places: int = 20, times: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (n, 2), values (n,) and true noise variances (n,), which grow by `ratio` from left to right."""
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.random((places, 2)), times, axis=0)
    variances = 0.01 * ratio ** X[:, 0]
    y = np.sin(3 * X[:, 0]) + X[:, 1] + np.sqrt(variances) * rng.standard_normal(len(X))
    return X, y, variances


def found(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return extra_noise_variance(EncodedData(OptimizerInput(SQUARE, SuggestionSettings(), 0)), X, y, 1)


@pytest.mark.parametrize("seed", range(3))
def test_growing_noise_is_found(seed: int) -> None:
    X, y, variances = observed(seed, 400.0)
    further = found(X, y)
    assert further.min() == 0.0
    quiet, loud = X[:, 0] < 0.4, X[:, 0] > 0.7
    assert further[loud].mean() > 5 * further[quiet].mean()
    assert further[loud].mean() == pytest.approx(variances[loud].mean(), rel=0.7)


def test_even_noise_is_left_to_the_likelihood() -> None:
    assert sum(found(*observed(seed, 1.0)[:2]).any() for seed in range(40)) <= 2  # one in a hundred, by chance


def test_without_repeats_there_is_nothing_to_find() -> None:
    X, y, _ = observed(0, 400.0, places=40, times=1)
    assert not found(X, y).any()
    assert not found(np.repeat(X[:3], 9, axis=0), np.arange(27.0)).any()  # too few places
    assert not found(np.repeat(X, 3, axis=0), np.repeat(y, 3)).any()  # repeats that all agree


def test_bartletts_test_agrees_with_scipy() -> None:
    from scipy.stats import bartlett

    from bo_service.optimizer.gp.heteroscedastic import _chance_of_equal

    rng = np.random.default_rng(0)
    groups = [rng.normal(0, s, n) for s, n in ((1.0, 5), (2.0, 8), (1.5, 3), (0.7, 6))]
    variances, freedom = np.array([g.var(ddof=1) for g in groups]), np.array([len(g) - 1.0 for g in groups])
    assert _chance_of_equal(variances, freedom) == pytest.approx(bartlett(*groups).pvalue)


def test_what_is_known_of_the_noise_makes_the_posterior_truer() -> None:
    """The quiet side is believed more closely, the loud side less, than with one noise for both."""
    X, y, _ = observed(1, 3000.0, places=16)
    y = (y - y.mean()) / y.std()
    even, told = (fitted(X, y, OWNER, known) for known in (None, found(X, y)))
    quiet, loud = X[X[:, 0] < 0.3], X[X[:, 0] > 0.8]
    assert told.posterior(quiet).std.mean() < even.posterior(quiet).std.mean()
    assert told.posterior(loud).std.mean() > even.posterior(loud).std.mean()


def test_predictions_of_a_study_use_it() -> None:
    space = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "ab"))
    X, y, _ = observed(1, 3000.0, places=16)
    past = tuple(
        Observation(i, {"a": float(a), "b": float(b)}, float(v)) for i, ((a, b), v) in enumerate(zip(X, y, strict=True))
    )
    points = [{"a": a, "b": 0.5} for a in (0.1, 0.95)]
    quiet, loud = (
        p.expected[0].std for p in predict(OptimizerInput(space, SuggestionSettings(), 0, past), points).points
    )
    assert loud > 2 * quiet
