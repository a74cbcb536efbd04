"""Values that are huge but finite, and values that differ in their last digits: neither hides the others."""

import numpy as np
import pytest
from scipy.stats import qmc, spearmanr

from bo_service.core.domains import FloatDomain
from bo_service.core.evidence import Evidence, PastTrial, Source
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import SuggestionSettings
from bo_service.core.suggest import predict, suggest
from bo_service.core.surrogates.warping import Warp

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


def agreement(evidence: Evidence, share: float, objective: int = 0) -> float:
    """Rank correlation of what is predicted of good configurations with the truth."""
    U = held_out(share)
    points = predict(evidence, configurations(U)).points
    return float(spearmanr([p.expected[objective].mean for p in points], -loss(U)).statistic)


def evidence_of(past: tuple[PastTrial, ...], sources: tuple[Source, ...] = ()) -> Evidence:
    return Evidence(SPACE, SuggestionSettings(), 0, past, sources=sources)


def trials(U: np.ndarray, values: np.ndarray) -> tuple[PastTrial, ...]:
    return tuple(PastTrial(i, c, -float(v)) for i, (c, v) in enumerate(zip(configurations(U), values, strict=True), 1))


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
        PastTrial(i, c, float(c["y"]), further=(-float(v),))
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
        PastTrial(i, c, float(c["y"]), margins=(float(m),))
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
    evidence = Evidence(SearchSpace(SPACE.parameters[:2]), SuggestionSettings(), 3)
    best = np.inf
    for number in range(1, 26):
        (made,) = suggest(evidence, 1)
        x, y = made.configuration["x"], made.configuration["y"]
        quadratic = (x - 0.2) ** 2 + (y - 0.7) ** 2
        best = min(best, quadratic)
        trial = PastTrial(number, made.configuration, -(offset + 1e-3 * quadratic))
        evidence = Evidence(evidence.space, evidence.settings, 3, (*evidence.past, trial))
    assert best < 1e-3


@pytest.mark.parametrize("values", [[1.0, np.nextafter(1.0, 2.0)], [1e300, 1e300 * (1 + 1e-15)], [5e-324, 1e-323]])
def test_neighboring_floats_are_two_values(values: list[float]) -> None:
    warped = Warp.fit(np.array(values)).forward(np.array(values))
    assert warped[1] - warped[0] == pytest.approx(2.0, rel=0.01)


def test_what_is_bounded_keeps_its_order_and_comes_back() -> None:
    y = np.concatenate([-np.geomspace(1e7, 1e3, 15), np.linspace(-1.0, 0.0, 15)])
    for about in (None, -0.5):
        warp = Warp.fit(y, about)
        assert warp.is_bounded
        assert (np.diff(warp.forward(y)) > 0).all()
        np.testing.assert_allclose(warp.backward(warp.forward(y))[15:], y[15:], rtol=1e-6, atol=1e-6)
        assert (warp.further_noise(y) > 0.0).tolist() == [True] * 15 + [False] * 15


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_errors_of_rounding_are_not_what_good_values_are_told_apart_by(share: float) -> None:
    """Many values at the best possible one, but for the last digits, as products with the cosine of a right angle."""
    rng = np.random.default_rng(0)
    U = rng.random((COUNT, 3))
    values = np.maximum(U[:, 0] - np.quantile(U[:, 0], share), 0.0) * (1.0 + U[:, 1])
    rounded = values + np.where(values == 0.0, rng.random(COUNT) * 1e-16, 0.0)
    exact, warp = Warp.fit(-values), Warp.fit(-rounded)
    assert not warp.is_bounded
    assert warp.forward(-rounded) == pytest.approx(exact.forward(-values), abs=1e-6)


@pytest.mark.filterwarnings("ignore:The balance properties")
@pytest.mark.parametrize("size", [1e16, 1e30])
def test_values_of_any_size_are_huge(size: float) -> None:
    assert agreement(evidence_of(trials(*drawn(0.33, size))), 0.33) > 0.8
