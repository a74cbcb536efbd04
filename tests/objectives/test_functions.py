"""Classical functions: their minima are minima, and their trials behave as asked."""

import statistics

import numpy as np
import pytest
from bo_client import StopTrial
from bo_objectives.errors import SetupError
from bo_objectives.functions import Function, ackley, branin, hartmann6, rosenbrock
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

FUNCTIONS = [branin(), hartmann6(), ackley("1"), ackley("5"), rosenbrock(), rosenbrock("4")]
IDS = ["branin", "hartmann6", "ackley1", "ackley5", "rosenbrock2", "rosenbrock4"]


def at(function: Function, x) -> float:
    return function.value({f"x{i}": float(v) for i, v in enumerate(x, start=1)})


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_every_minimizer_is_in_the_space_and_reaches_the_minimum(function: Function) -> None:
    space = function.define().space
    assert space.faults() == []
    for minimizer in function.minimizers:
        assert space.configuration_faults(minimizer) == []
        assert function.value(minimizer) == pytest.approx(function.minimum, abs=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_a_local_search_from_beside_each_minimizer_comes_back_and_finds_nothing_less(function: Function) -> None:
    rng = np.random.default_rng(0)
    for minimizer in function.minimizers:
        x = np.array(list(minimizer.values()))
        start = x + rng.normal(0, 0.05, x.size)
        found = minimize(
            lambda x: at(function, x),
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-13, "maxfev": 9000},
        )
        assert found.fun == pytest.approx(function.minimum, abs=1e-6)
        assert found.fun >= function.minimum - 1e-12
        assert found.x == pytest.approx(x, abs=1e-3)


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
@given(data=st.data())
def test_nothing_in_the_space_is_less(function: Function, data: st.DataObject) -> None:
    x = [data.draw(st.floats(low, high)) for low, high in function.bounds]
    assert at(function, x) >= function.minimum - 1e-12


def test_published_values() -> None:
    """Anchors from elsewhere than this module's own formulas: worked by hand, or from the tables of the sources."""
    assert at(branin(), (0, 0)) == pytest.approx(36 + 10 * (1 - 1 / (8 * np.pi)) + 10)
    assert branin().minimum == pytest.approx(0.397887, abs=1e-6)
    assert hartmann6().minimum == pytest.approx(-3.32237, abs=1e-5)
    assert at(rosenbrock("3"), (-1, 1, 2)) == pytest.approx(4 + 100)
    assert at(ackley("2"), (1, 1)) == pytest.approx(20 - 20 * np.exp(-0.2))


def test_the_curve_falls_to_the_value(run) -> None:
    function = branin(steps="4")
    (minimizer, *_) = function.minimizers
    assert function.evaluate(minimizer, run) == {"value": function.value(minimizer)}
    assert [step for step, _, _ in run.reports] == [1, 2, 3, 4]
    values = [metrics["value"] for _, metrics, _ in run.reports]
    assert values == sorted(values, reverse=True)
    assert values[-1] == function.value(minimizer)


def test_noise_is_the_trials_own(make_run) -> None:
    function = ackley(noise="0.5")
    origin = function.minimizers[0]
    first, again, other = (function.evaluate(origin, make_run(number=n))["value"] for n in (1, 1, 2))
    assert first == again != other
    assert function.value(origin) == pytest.approx(0, abs=1e-12)
    draws = [function.evaluate(origin, make_run(number=n))["value"] for n in range(2000)]
    assert statistics.fmean(draws) == pytest.approx(0, abs=0.04)
    assert statistics.stdev(draws) == pytest.approx(0.5, rel=0.05)


def test_the_delay_is_spread_over_the_steps_so_that_a_trial_can_be_stopped(make_run, monkeypatch) -> None:
    run, slept = make_run(stop_at=2), []
    monkeypatch.setattr("bo_objectives.functions.time.sleep", slept.append)
    with pytest.raises(StopTrial):
        branin(delay="100", steps="1000").evaluate(branin().minimizers[0], run)
    assert slept == [0.1, 0.1]
    assert len(run.reports) == 2


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (ackley, {"dimensions": "two"}, r"dimensions is 'two'.*from 1 to 256"),
        (ackley, {"dimensions": "0"}, r"dimensions is '0'.*from 1"),
        (rosenbrock, {"dimensions": "1"}, r"dimensions is '1'.*from 2"),
        (branin, {"noise": "-1"}, r"noise is '-1'.*from 0"),
        (branin, {"noise": "nan"}, r"noise is 'nan'"),
        (hartmann6, {"delay": "inf"}, r"delay is 'inf'"),
        (hartmann6, {"steps": "1.5"}, r"steps is '1.5'.*whole number"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(make, options: dict[str, str], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        make(**options)
