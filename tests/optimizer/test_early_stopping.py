"""Early stopping: planted curves, what no rule may do, and whether the extrapolation knows how much it doesn't know."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtr

from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.optimizer.early_stopping.curves import Curve, OtherTrial
from bo_service.optimizer.early_stopping.decision import should_stop, step_to_judge
from bo_service.optimizer.early_stopping.extrapolation import extrapolate
from bo_service.optimizer.early_stopping.forecast import Forecast, student_t
from bo_service.optimizer.early_stopping.regression import A0, regress
from bo_service.optimizer.early_stopping.rules import StoppingContext

RULES = [StoppingRule.MEDIAN, StoppingRule.SUCCESSIVE_HALVING, StoppingRule.CURVE]
LAST = 50


def falling(final: float, start: float = 0.0, time: float = 8.0, steps: int = LAST) -> list[float]:
    """A curve that comes from `start` to about `final`, exponentially; larger is better."""
    return [final - (final - start) * math.exp(-t / time) for t in range(1, steps + 1)]


def case(rule, mine, others, step=None, last_step=LAST, **settings) -> StoppingContext:
    """The trial with values `mine` at steps 1, 2 …, judged beside whole trials with the curves `others`."""
    step = len(mine) if step is None else step
    peers = tuple(OtherTrial(curve[min(step, len(curve)) - 1], True, curve[-1]) for curve in others)
    curve = Curve.of(enumerate(mine, 1))
    finals = tuple(curve[-1] for curve in others)
    return StoppingContext(
        StoppingSettings(rule, **settings), "loss", step, curve, peers, finals, last_step, lambda v: f"{-v:.4g}"
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_bad_curve_is_stopped_with_its_numbers(rule) -> None:
    found = should_stop(case(rule, falling(0.2, steps=15), [falling(0.8 + i / 100) for i in range(8)]))
    assert found is not None
    assert "step 15" in found.reason
    assert "-0.1693" in found.reason or "expected to end at" in found.reason
    assert found.expected is not None
    assert found.expected.mean == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [1, 5, 20, 49])
def test_a_good_curve_is_never_stopped(rule, steps) -> None:
    assert should_stop(case(rule, falling(0.9, steps=steps), [falling(0.2 + i / 20) for i in range(8)])) is None


@pytest.mark.parametrize("rule", RULES)
def test_few_others_stop_nobody(rule) -> None:
    assert should_stop(case(rule, falling(0.1, steps=15), [falling(0.9)] * 4)) is None
    assert should_stop(case(rule, falling(0.1, steps=15), [falling(0.9)] * 4, min_trials=4)) is not None
    assert should_stop(case(rule, falling(0.1, steps=15), [])) is None


values = st.floats(-1e6, 1e6) | st.sampled_from([1e300, -1e300, 1e-300, 0.0])
curves = st.lists(values, min_size=1, max_size=12)


@given(
    st.sampled_from(RULES), curves, st.lists(curves, max_size=12), st.integers(1, 3), st.none() | st.integers(13, 99)
)
def test_the_best_so_far_is_never_stopped_and_ties_go_on(rule, mine, others, min_trials, last_step) -> None:
    given_case = case(rule, mine, others, last_step=last_step, min_trials=min_trials)
    found = should_stop(given_case)
    if max(mine) >= max((max(curve) for curve in others), default=-math.inf):
        assert found is None
    if found is not None:
        assert len(others) >= min_trials
        assert found.reason.endswith(".")


@given(st.sampled_from(RULES), st.floats(-100, 100), st.integers(1, 12), st.integers(1, 20))
def test_trials_that_are_all_alike_go_on(rule, value, steps, count) -> None:
    assert should_stop(case(rule, [value] * steps, [[value] * 12] * count, min_trials=1)) is None


@given(st.sampled_from(RULES), curves, st.lists(curves, min_size=3, max_size=8), st.randoms())
def test_the_order_of_the_others_does_not_matter(rule, mine, others, random) -> None:
    first = should_stop(case(rule, mine, others, min_trials=1))
    random.shuffle(others)
    second = should_stop(case(rule, mine, others, min_trials=1))
    assert (first is None) == (second is None)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-9), (1e9, 1e6), (-5.0, 1.0)])
def test_units_do_not_matter(rule, shift, scale) -> None:
    def turned(curve):
        return [shift + scale * v for v in curve]

    others = [falling(0.8 + i / 100) for i in range(8)]
    for final in (0.2, 0.95):
        mine = falling(final, steps=15)
        assert (should_stop(case(rule, mine, others)) is None) == (
            should_stop(case(rule, turned(mine), [turned(o) for o in others])) is None
        )


def test_a_curve_of_points_in_any_order_with_gaps_and_holes() -> None:
    curve = Curve.of([(7, 1.0), (2, math.nan), (30, math.inf), (3, 0.5), (7, 2.0)])
    assert curve == Curve((3, 7), (0.5, 2.0))
    assert (curve.at(1), curve.at(6), curve.at(99)) == (0.5, 0.5, 2.0)
    assert curve.until(6) == Curve((3,), (0.5,))


def test_peers_that_have_not_come_so_far_are_no_median() -> None:
    given_case = case(StoppingRule.MEDIAN, [0.1] * 10, [[0.5] * 20] * 5)
    assert should_stop(given_case) is not None
    early = tuple(OtherTrial(0.05, False) for _ in range(100))
    assert should_stop(StoppingContext(**{**vars(given_case), "peers": given_case.peers + early})) is not None


@pytest.mark.parametrize(
    ("settings", "before", "now", "last_step", "judged_at"),
    [
        (StoppingSettings(), -1, 9, 10, None),
        (StoppingSettings(StoppingRule.MEDIAN), -1, 9, None, None),
        (StoppingSettings(StoppingRule.MEDIAN), 1, 2, 30, None),
        (StoppingSettings(StoppingRule.MEDIAN), 2, 3, 30, 3),
        (StoppingSettings(StoppingRule.MEDIAN), 3, 30, 30, None),
        (StoppingSettings(StoppingRule.MEDIAN, min_step=0), -1, 0, None, 0),
        (StoppingSettings(StoppingRule.SUCCESSIVE_HALVING), 2, 3, 27, 3),
        (StoppingSettings(StoppingRule.SUCCESSIVE_HALVING), 3, 4, 27, None),
        (StoppingSettings(StoppingRule.SUCCESSIVE_HALVING), 3, 20, 27, 9),
        (StoppingSettings(StoppingRule.SUCCESSIVE_HALVING), 20, 26, 27, None),
        (
            StoppingSettings(StoppingRule.SUCCESSIVE_HALVING, min_step=1000, reduction_factor=1.5),
            1000,
            1600,
            None,
            1500,
        ),
        (StoppingSettings(StoppingRule.SUCCESSIVE_HALVING, min_step=0), -1, 1, None, 1),
    ],
)
def test_when_a_trial_is_judged(settings, before, now, last_step, judged_at) -> None:
    assert step_to_judge(settings, before, now, last_step) == judged_at


@given(st.integers(0, 2**53), st.integers(1, 2**53), st.floats(1.001, 100), st.integers(1, 2**53))
def test_rungs_lie_between(first, now, factor, last_step) -> None:
    settings = StoppingSettings(StoppingRule.SUCCESSIVE_HALVING, min_step=first, reduction_factor=factor)
    rung = step_to_judge(settings, -1, now, last_step)
    assert rung is None or first <= rung <= now < last_step


def test_halving_lets_the_best_third_go_on() -> None:
    others = [[v] for v in np.linspace(0, 1, 8)]  # nine trials with this one: three go on
    goes_on = [
        v for v in np.linspace(0, 1, 41) if should_stop(case(StoppingRule.SUCCESSIVE_HALVING, [v], others)) is None
    ]
    assert min(goes_on) == pytest.approx(others[5][0], abs=0.03)


@pytest.mark.parametrize("v", [2, 3, 4, 7, 30, 67])
def test_student_t_against_scipy(v) -> None:
    t = np.linspace(-40, 40, 401)
    np.testing.assert_allclose(student_t(t, v), stdtr(v, t), atol=1e-14)


def test_a_forecasts_moments_and_chances_against_draws() -> None:
    forecast = Forecast(np.array([0.3, 0.7]), np.array([0.0, 2.0]), np.array([1.0, 0.5]), np.array([7.0, 9.0]))
    rng = np.random.default_rng(0)
    which = rng.random(400_000) < 0.7
    draws = np.where(which, 2.0 + 0.5 * rng.standard_t(9, which.size), rng.standard_t(7, which.size))
    assert forecast.mean == pytest.approx(draws.mean(), abs=0.01)
    assert forecast.std == pytest.approx(draws.std(), rel=0.01)
    assert forecast.probability_above(1.5) == pytest.approx((draws > 1.5).mean(), abs=0.005)
    assert forecast.scaled(3.0, -1.0).probability_above(3.5) == pytest.approx(
        forecast.probability_above(1.5), abs=1e-12
    )


def test_the_regression_against_draws_from_its_prior() -> None:
    """Self-normalized importance sampling: draws of the prior, weighted by the likelihood of what was observed."""
    rng = np.random.default_rng(1)
    X, y, center, spread = (
        np.array([[1.0, -0.5], [1.0, 0.4], [1.0, 1.0]]),
        np.array([0.3, 0.1, -0.4]),
        [0.2, 0.0],
        [2, 3],
    )
    count = 600_000
    variance = A0 * 0.5**2 / rng.gamma(A0, 1.0, count)
    c = np.array(center) + rng.normal(size=(count, 2)) * np.sqrt(variance)[:, None] * np.array(spread)
    log_weight = -0.5 * ((y - c @ X.T) ** 2).sum(axis=1) / variance - 1.5 * np.log(variance)
    weight = np.exp(log_weight - log_weight.max())
    new = c[:, 0] + rng.normal(size=count) * np.sqrt(variance)
    found = regress(X[None], y, np.array(center), np.array(spread, dtype=float), 0.5)
    for value in (-0.5, 0.0, 0.5, 1.0):
        assert found.probability_above(value) == pytest.approx(weight[new > value].sum() / weight.sum(), abs=0.01)


def drawn(rng: np.random.Generator) -> list[float]:
    """A noisy learning curve of a random family."""
    t = np.arange(1, LAST + 1)
    time = LAST * 10 ** rng.uniform(-1.7, 0.0)
    power = rng.uniform(0.4, 2.0)
    falls = [np.exp(-t / time), (1 + t / time) ** -power, 1 / (1 + np.log1p(t / time))][rng.integers(3)]
    return list(rng.uniform(0.6, 0.9) - rng.uniform(0.2, 0.6) * falls + rng.normal(0, 0.01, LAST))


@pytest.mark.parametrize("others", [5, 30])
@pytest.mark.parametrize("evaluated", [3, 10, 25, 40])
def test_the_extrapolation_is_calibrated(evaluated, others) -> None:
    rng = np.random.default_rng([evaluated, others])
    levels = []
    for _ in range(300):
        whole = [drawn(rng) for _ in range(others)]
        mine = drawn(rng)
        forecast = extrapolate(
            Curve.of(enumerate(mine[:evaluated], 1)), LAST, [(o[evaluated - 1], o[-1]) for o in whole]
        )
        levels.append(forecast.probability_above(mine[-1]))
    spread = np.abs(np.array(levels) - 0.5)
    assert 0.45 <= (spread < 0.25).mean() <= 0.8  # the 50 % interval, rather too wide than too narrow
    assert (spread < 0.45).mean() >= 0.87  # the 90 % interval
    assert np.mean(np.array(levels) > 0.95) <= 0.07  # what the rule would wrongly stop


def test_a_schedules_late_gain_is_learned_from_others() -> None:
    """Flat until the learning rate falls at 70 %: nothing in the curve tells of it, but the others do."""

    def scheduled(level: float) -> list[float]:
        return [level] * 35 + [level + 0.3] * 15

    forecast = extrapolate(
        Curve.of(enumerate(scheduled(0.5)[:20], 1)), LAST, [(0.4 + i / 20, 0.7 + i / 20) for i in range(8)]
    )
    assert forecast.probability_above(0.75) > 0.3
    alone = extrapolate(Curve.of(enumerate(scheduled(0.5)[:20], 1)), LAST, [])
    assert alone.probability_above(0.75) < 0.05


@given(curves, st.integers(13, 10**6), st.lists(st.tuples(values, values), max_size=6))
def test_any_curve_has_a_forecast(mine, last_step, others) -> None:
    with np.errstate(over="ignore"):
        forecast = extrapolate(Curve.of(enumerate(mine, 1)), last_step, others)
        assert 0.0 <= forecast.probability_above(0.0) <= 1.0
    assert not math.isnan(forecast.mean)
    assert forecast.std >= 0


def test_long_curves_are_thinned() -> None:
    forecast = extrapolate(Curve.of(enumerate(falling(0.7, time=2000.0, steps=9000), 1)), 10_000, [])
    assert forecast.mean == pytest.approx(falling(0.7, time=2000.0, steps=10_000)[-1], abs=0.01)
