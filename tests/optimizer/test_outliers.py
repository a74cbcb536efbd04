"""Values that are huge but finite, and values that differ in their last digits: neither hides the others."""

import numpy as np
import pytest
from scipy.stats import qmc, spearmanr

from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.gp.output_transform import OutputTransform
from bo_service.optimizer.inputs import Observation, OptimizerInput, Source
from bo_service.optimizer.suggest import predict, suggest

SPACE = SearchSpace(tuple(Parameter(name, FloatDomain(0.0, 1.0)) for name in "xyz"))
COUNT = 40


def loss(U: np.ndarray) -> np.ndarray:
    """(n,), from 0.1 to 1, at U (n, 3)."""
    return np.asarray(0.1 + 0.75 * ((U[:, 0] - 0.3) ** 2 + 0.5 * (U[:, 1] - 0.6) ** 2 + 0.2 * np.sin(4.0 * U[:, 2])))


def configurations(U: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip("xyz", map(float, u), strict=True)) for u in U]


def drawn(share: float, size: float, is_constant: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Points, and losses that have about that size in so large a part of the space, beginning at the end of x."""
    U = qmc.Sobol(3, rng=0).random(COUNT)
    values, is_bad = loss(U), U[:, 0] >= 1.0 - share
    factors = 1.0 if is_constant else np.exp(np.random.default_rng(1).normal(size=is_bad.sum()))
    values[is_bad] = size * factors
    return U, values


def held_out(share: float) -> np.ndarray:
    U = np.random.default_rng(2).random((300, 3))
    return U[U[:, 0] < 1.0 - share][:60]


def agreement(inputs: OptimizerInput, share: float, objective: int = 0) -> float:
    """Rank correlation of what is predicted of good configurations with the truth."""
    U = held_out(share)
    points = predict(inputs, configurations(U)).points
    return float(spearmanr([p.expected[objective].mean for p in points], -loss(U)).statistic)


def evidence_of(past: tuple[Observation, ...], sources: tuple[Source, ...] = ()) -> OptimizerInput:
    return OptimizerInput(SPACE, SuggestionSettings(), 0, past, sources=sources)


def trials(U: np.ndarray, values: np.ndarray) -> tuple[Observation, ...]:
    return tuple(
        Observation(i, c, -float(v)) for i, (c, v) in enumerate(zip(configurations(U), values, strict=True), 1)
    )


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("size", [1e3, 1e6, 1e12])
@pytest.mark.parametrize("share", [0.05, 0.15, 0.22, 0.25, 0.33, 0.5, 0.6])
def test_good_values_are_told_apart_beside_huge_ones(share: float, size: float) -> None:
    assert agreement(evidence_of(trials(*drawn(share, size))), share) > 0.8
    assert agreement(evidence_of(trials(*drawn(share, size, is_constant=True))), share) > 0.8


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("share", [0.25, 0.6])
def test_so_they_are_of_a_second_objective(share: float) -> None:
    U, values = drawn(share, 1e6)
    past = tuple(
        Observation(i, c, float(c["y"]), secondary_values=(-float(v),))
        for i, (c, v) in enumerate(zip(configurations(U), values, strict=True))
    )
    assert agreement(evidence_of(past), share, objective=1) > 0.8


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_margins_near_their_bound_are_told_apart_beside_huge_ones_on_either_side(share: float, sign: float) -> None:
    U, values = drawn(share, 1e6)
    margins = np.where(values > 10.0, sign * values, 0.3 - values)
    past = tuple(
        Observation(i, c, float(c["y"]), margins=(float(m),))
        for i, (c, m) in enumerate(zip(configurations(U), margins, strict=True))
    )
    assert agreement(evidence_of(past), share, objective=1) > 0.8


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("share", [0.25, 0.6])
def test_an_earlier_study_with_huge_values_is_trusted(share: float) -> None:
    """Its ranking of the good configurations is used: few trials of this study are enough."""
    past = trials(U := held_out(share)[-6:], loss(U))
    source = Source("before", 0, trials(*drawn(share, 1e6)))
    assert agreement(evidence_of(past, (source,)), share) > 0.8


@pytest.mark.parametrize("offset", [0.0, 1e9, -1e9])
def test_differences_count_however_small_beside_the_values(offset: float) -> None:
    """The optimum is found where the loss is the offset and a thousandth of a quadratic."""
    inputs = OptimizerInput(SearchSpace(SPACE.parameters[:2]), SuggestionSettings(), 3)
    best = np.inf
    for number in range(1, 26):
        (made,) = suggest(inputs, 1)
        x, y = made.configuration["x"], made.configuration["y"]
        quadratic = (x - 0.2) ** 2 + (y - 0.7) ** 2
        best = min(best, quadratic)
        trial = Observation(number, made.configuration, -(offset + 1e-3 * quadratic))
        inputs = OptimizerInput(inputs.space, inputs.settings, 3, (*inputs.observations, trial))
    assert best < 1e-3


@pytest.mark.parametrize("values", [[1.0, np.nextafter(1.0, 2.0)], [1e300, 1e300 * (1 + 1e-15)], [5e-324, 1e-323]])
def test_neighboring_floats_are_two_values(values: list[float]) -> None:
    warped = OutputTransform.fit(np.array(values)).forward(np.array(values))
    assert warped[1] - warped[0] == pytest.approx(2.0, rel=0.01)


def test_what_is_bounded_keeps_its_order_and_comes_back() -> None:
    y = np.concatenate([-np.geomspace(1e7, 1e3, 15), np.linspace(-1.0, 0.0, 15)])
    for about in (None, -0.5):
        output_transform = OutputTransform.fit(y, about)
        assert output_transform.is_bounded
        assert (np.diff(output_transform.forward(y)) > 0).all()
        np.testing.assert_allclose(
            output_transform.backward(output_transform.forward(y))[15:], y[15:], rtol=1e-6, atol=1e-6
        )
        assert (output_transform.extra_noise_variance(y) > 0.0).tolist() == [True] * 15 + [False] * 15


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_errors_of_rounding_are_not_what_good_values_are_told_apart_by(share: float) -> None:
    """Many values at the best possible one, but for the last digits, as products with the cosine of a right angle."""
    rng = np.random.default_rng(0)
    U = rng.random((COUNT, 3))
    values = np.maximum(U[:, 0] - np.quantile(U[:, 0], share), 0.0) * (1.0 + U[:, 1])
    rounded = values + np.where(values == 0.0, rng.random(COUNT) * 1e-16, 0.0)
    exact, output_transform = OutputTransform.fit(-values), OutputTransform.fit(-rounded)
    assert not output_transform.is_bounded
    assert output_transform.forward(-rounded) == pytest.approx(exact.forward(-values), abs=1e-6)


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("size", [1e16, 1e30])
def test_values_of_any_size_are_huge(size: float) -> None:
    assert agreement(evidence_of(trials(*drawn(0.33, size))), 0.33) > 0.8


MIXED = SearchSpace(
    (
        Parameter("rate", FloatDomain(1e-5, 1.0, Scale.LOG)),
        Parameter("layers", IntDomain(1, 8)),
        Parameter("drop", FloatDomain(0.0, 1.0)),
        Parameter("kind", CategoricalDomain(("a", "b", "c", "d"))),
    )
)


def mixed_loss(U: np.ndarray) -> np.ndarray:
    """(n,), from 0.3 to 2, at U (n, 4)."""
    kind = np.array([0.3, 0.1, 0.0, 0.5])[(U[:, 3] * 4).astype(int)]
    layers = 0.05 * np.abs((U[:, 1] * 8).astype(int) - 4)
    return np.asarray(0.3 + 0.9 * (0.075 * (5.0 * U[:, 0] - 2.0) ** 2 + kind + layers + 0.6 * (U[:, 2] - 0.35) ** 2))


def mixed_configurations(U: np.ndarray) -> list[Configuration]:
    return [
        {
            "rate": float(1e-5 ** (1.0 - u[0])),
            "layers": 1 + int(u[1] * 8),
            "drop": float(u[2]),
            "kind": "abcd"[int(u[3] * 4)],
        }
        for u in U
    ]


def diverges(pattern: str, share: float, U: np.ndarray) -> np.ndarray:
    """(n,): where the mixed loss diverges: anywhere, above a threshold of two parameters, or with some categories."""
    if pattern == "scattered":
        return np.argsort(np.argsort(np.random.default_rng(7).random(len(U)))) < round(share * len(U))
    if pattern == "threshold":
        return np.asarray(U[:, 0] + U[:, 1] > (2.0 - np.sqrt(2.0 * share) if share <= 0.5 else 1.0))
    return np.asarray(U[:, 3] >= 1.0 - max(share, 0.25))


def mixed_agreement(values: np.ndarray, U: np.ndarray, healthy: np.ndarray) -> float:
    """Rank correlation of what is predicted at healthy points with the mixed loss, from values (n,) at U (n, 4)."""
    told = zip(mixed_configurations(U), values, strict=True)
    past = tuple(Observation(i, c, -float(v)) for i, (c, v) in enumerate(told, 1))
    points = predict(OptimizerInput(MIXED, SuggestionSettings(), 0, past), mixed_configurations(healthy)).points
    return float(spearmanr([p.expected[0].mean for p in points], -mixed_loss(healthy)).statistic)


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("size", [20.0, 1e3, 1e300])
@pytest.mark.parametrize(
    ("pattern", "share"),
    [("scattered", s) for s in (0.05, 0.1, 0.25, 0.4)]
    + [("threshold", s) for s in (0.05, 0.1, 0.25, 0.4)]
    + [("category", s) for s in (0.25, 0.5)],
)
def test_diverging_losses_anywhere_in_the_space_leave_the_others_told_apart(
    pattern: str, share: float, size: float
) -> None:
    U = qmc.Sobol(4, rng=0).random(50)
    values, is_bad = mixed_loss(U), diverges(pattern, share, U)
    values[is_bad] = size * np.exp(np.abs(np.random.default_rng(1).normal(size=is_bad.sum())))
    rest = np.random.default_rng(2).random((400, 4))
    healthy = rest if pattern == "scattered" else rest[~diverges(pattern, share, rest)]
    assert mixed_agreement(values, U, healthy[:80]) > 0.8


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("seed", range(3))
def test_a_heavy_tail_without_a_gap_leaves_the_others_told_apart(seed: int) -> None:
    """To each loss the exponential of a Cauchy variable is added, which is large at times and sometimes huge."""
    U = qmc.Sobol(4, rng=0).random(50)
    noise = 0.03 * np.exp(np.minimum(np.random.default_rng(seed).standard_cauchy(len(U)), 690.0))
    assert mixed_agreement(mixed_loss(U) + noise, U, np.random.default_rng(2).random((80, 4))) > 0.8


@pytest.mark.filterwarnings("ignore:The balance properties")
def test_an_earlier_study_with_scattered_huge_values_is_trusted() -> None:
    U, values = drawn(0.0, 1.0)
    values[::8] = 1e3
    past = trials(few := held_out(0.0)[-6:], loss(few))
    assert agreement(evidence_of(past, (Source("before", 0, trials(U, values)),)), 0.0) > 0.8


@pytest.mark.parametrize("values", [[1e5, 1e6], [1e6, 1e7, 1e12], [1e200, 1e300]])
def test_of_huge_good_values_the_better_one_stays_the_better(values: list[float]) -> None:
    ordinary = -np.random.default_rng(0).uniform(0.3, 2.0, 30)
    y = np.concatenate([ordinary, values])
    output_transform = OutputTransform.fit(y)
    w = output_transform.forward(y)
    assert (np.diff(w[30:]) > 0.01).all()
    assert w[30] - w[:30].max() > 0.5
    assert np.ptp(w[:30]) > 1.0
    np.testing.assert_allclose(output_transform.backward(w), y, rtol=1e-6)


def test_the_search_goes_where_a_huge_good_value_was_found() -> None:
    U = np.random.default_rng(0).random((30, 3))
    values = loss(U)
    best = int(np.argmin(U[:, 0]))
    values[best] = -1e6
    (made,) = suggest(evidence_of(trials(U, values)), 1)
    distances = np.linalg.norm(U - [made.configuration[name] for name in "xyz"], axis=1)
    assert distances[best] < np.median(distances)


def test_moments_of_ordinary_predictions_are_right_beside_huge_values() -> None:
    y = -np.concatenate([np.random.default_rng(0).uniform(0.3, 2.0, 30), [1e300, 2e300]])
    output_transform = OutputTransform.fit(y)
    at = output_transform.forward(np.array([-0.8]))
    draws = output_transform.backward(np.random.default_rng(1).normal(at[0], 0.02, 100_000))
    mean, std = output_transform.moments(at, np.array([0.02]))
    assert mean[0] == pytest.approx(draws.mean(), rel=0.01)
    assert std[0] == pytest.approx(draws.std(), rel=0.02)
