"""The estimators on functions whose indices are known, in parts of the cube that are boxes and parts that are none."""

import numpy as np
import pytest

from bo_service.optimizer.insight import sobol_indices

EVERYTHING = staticmethod(lambda Z, F: np.ones(len(Z), dtype=bool))


def ishigami(Z: np.ndarray) -> np.ndarray:
    x = np.pi * (2 * Z - 1)
    return (np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0]))[:, None]


FIRST, TOTAL = [0.3139, 0.4424, 0.0], [0.5576, 0.4424, 0.2437]  # Ishigami and Homma 1990, a = 7, b = 0.1


def sample(f, rng: np.random.Generator, p: int, inside=EVERYTHING, replicates: int = 8, n: int = 1024):
    found = []
    for _ in range(replicates):
        Z = rng.random((n, p))
        F = f(Z)
        kept = inside(Z, F)
        found.append(sobol_indices.Sample(Z[kept], F[kept], (Z[kept] * 16).astype(np.intp)))
    return found


def sections(f, rng: np.random.Generator, p: int, inside=EVERYTHING, bases: int = 100, redraws: int = 3):
    return sobol_indices.Sections(f, lambda m: rng.random((m, p)), inside, bases, redraws)


def test_ishigami() -> None:
    rng = np.random.default_rng(0)
    samples = sample(ishigami, rng, 3)
    V = sobol_indices.variance(samples)
    assert V[0] == pytest.approx(13.845, rel=0.05)
    np.testing.assert_allclose(sobol_indices.first_order(samples, V).mean(axis=0)[:, 0], FIRST, atol=0.03)
    np.testing.assert_allclose(
        sobol_indices.total(samples, sections(ishigami, rng, 3), V).mean(axis=0)[:, 0], TOTAL, atol=0.05
    )
    pairs = sobol_indices.second_order(samples, V, [0, 1, 2])
    found = {pair: float(share.mean()) for pair, share in pairs.items()}
    assert found[0, 2] == pytest.approx(0.2437, abs=0.05)
    assert abs(found[0, 1]) < 0.03
    assert abs(found[1, 2]) < 0.03


def test_indices_of_inputs_without_effect_are_neither_raised_nor_lowered() -> None:
    """The mean over many draws: chance alone must not make effects."""
    rng = np.random.default_rng(1)
    samples = sample(lambda Z: Z[:, :1], rng, 2, replicates=200, n=64)
    S = sobol_indices.first_order(samples, sobol_indices.variance(samples))[:, 1, 0]
    assert abs(S.mean()) < 3 * S.std() / np.sqrt(len(S))


def test_several_functions_at_once_are_as_each_alone() -> None:
    f = lambda Z: np.column_stack([ishigami(Z), Z[:, 2]])  # noqa: E731
    samples = sample(f, np.random.default_rng(0), 3)
    S = sobol_indices.first_order(samples, sobol_indices.variance(samples)).mean(axis=0)
    alone = sample(ishigami, np.random.default_rng(0), 3)
    np.testing.assert_allclose(
        S[:, 0], sobol_indices.first_order(alone, sobol_indices.variance(alone)).mean(axis=0)[:, 0]
    )
    np.testing.assert_allclose(S[:, 1], [0, 0, 1], atol=0.02)


def test_a_constant_has_no_indices() -> None:
    rng = np.random.default_rng(0)
    f = lambda Z: np.full((len(Z), 1), 3.0)  # noqa: E731
    samples = sample(f, rng, 2)
    V = sobol_indices.variance(samples)
    assert not sobol_indices.first_order(samples, V).any()
    assert not sobol_indices.total(samples, sections(f, rng, 2), V).any()


def test_dependent_inputs() -> None:
    """z0 + z1 over the triangle z0 + z1 < 1, by hand: V = 1/18, Var E[f | z0] = 1/4 Var z0 = 1/72, so S = 1/4;
    E Var(f | z1) = E (1 - z1)²/12 = 1/24, so T = 3/4."""
    rng = np.random.default_rng(0)
    f = lambda Z: Z.sum(axis=1, keepdims=True)  # noqa: E731
    inside = lambda Z, F: F[:, 0] < 1.0  # noqa: E731
    samples = sample(f, rng, 2, inside, n=4096)
    V = sobol_indices.variance(samples)
    assert V[0] == pytest.approx(1 / 18, rel=0.03)
    np.testing.assert_allclose(sobol_indices.first_order(samples, V).mean(axis=0)[:, 0], [0.25, 0.25], atol=0.03)
    T = sobol_indices.total(samples, sections(f, rng, 2, inside, bases=400, redraws=24), V).mean(axis=0)[:, 0]
    np.testing.assert_allclose(T, [0.75, 0.75], atol=0.06)
