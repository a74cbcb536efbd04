"""Importance on functions whose Sobol indices are known, through the surrogate of a study of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bo_service.domain.constraints import LinearConstraint
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.insight.analysis import analyze
from bo_service.optimizer.insight.importance import importances
from bo_service.optimizer.insight.results import ParameterImportance, RegionImportance
from bo_service.optimizer.insight.surrogate_view import SurrogateView


def regions(inputs: OptimizerInput) -> tuple[RegionImportance, ...]:
    return importances(SurrogateView.of(inputs))


def by_name(region: RegionImportance) -> dict[str, ParameterImportance]:
    return {p.parameter: p for p in region.parameters}


def test_ishigami(studied, cube) -> None:
    def f(c) -> float:
        return math.sin(c["x0"]) + 7 * math.sin(c["x1"]) ** 2 + 0.1 * c["x2"] ** 4 * math.sin(c["x0"])

    whole, _ = regions(studied(cube(3, -math.pi, math.pi), f, 150))
    found = by_name(whole)
    for name, first, total in (("x0", 0.3139, 0.5576), ("x1", 0.4424, 0.4424), ("x2", 0.0, 0.2437)):
        assert found[name].first.value == pytest.approx(first, abs=0.06)
        assert found[name].total.value == pytest.approx(total, abs=0.07)
        assert abs(found[name].total.value - total) < 4 * found[name].total.error
    assert whole.interactions[0].parameters == ("x0", "x2")
    assert whole.interactions[0].share.value == pytest.approx(0.2437, abs=0.1)


@pytest.mark.slow
def test_an_additive_function(studied, cube) -> None:
    whole, _ = regions(studied(cube(5), lambda c: sum((4 - i) * c[f"x{i}"] for i in range(5)), 60))
    found = by_name(whole)
    assert [p.parameter for p in whole.parameters] == ["x0", "x1", "x2", "x3", "x4"]
    for i in range(5):
        expected = (4 - i) ** 2 / 30
        assert found[f"x{i}"].first.value == pytest.approx(expected, abs=0.04)
        assert found[f"x{i}"].total.value == pytest.approx(expected, abs=0.04)
    assert whole.interactions == ()
    assert whole.std == pytest.approx(math.sqrt(30 / 12), rel=0.15)


def test_parameters_of_every_kind_are_shared_out_by_levels(studied) -> None:
    space = SearchSpace(
        (
            Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)),
            Parameter("kind", CategoricalDomain(("a", "b", "c"))),
            Parameter("layers", IntDomain(1, 4)),
            Parameter("batch", DiscreteDomain((16, 32, 64), Scale.LOG)),
            Parameter("alone", CategoricalDomain(("only",))),
        )
    )
    effect = {"a": 0.0, "b": 1.0, "c": 2.0}
    whole, _ = regions(studied(space, lambda c: math.log10(c["lr"]) + effect[c["kind"]] + c["layers"] / 2, 80))
    variances = {"lr": 16 / 12, "kind": 2 / 3, "layers": (16 - 1) / 12 / 4, "batch": 0.0, "alone": 0.0}
    found = by_name(whole)
    for name, variance in variances.items():
        assert found[name].first.value == pytest.approx(variance / sum(variances.values()), abs=0.06)


def test_a_parameter_matters_where_it_is_active(studied) -> None:
    """f = b where kind is "on", else 1/2: V = Var b / 2, and b alone makes (b + 1/2) / 2, of which V is Var b / 4."""
    space = SearchSpace(
        (
            Parameter("kind", CategoricalDomain(("on", "off"))),
            Parameter("b", FloatDomain(0.0, 1.0), activation=Activation("kind", ("on",))),
            Parameter("c", FloatDomain(0.0, 1.0), activation=Activation("kind", ("off",))),
        )
    )
    whole, _ = regions(studied(space, lambda c: c.get("b", 0.5), 60))
    found = by_name(whole)
    assert found["b"].first.value == pytest.approx(0.5, abs=0.05)
    assert found["b"].total.value == pytest.approx(1.0, abs=0.05)
    assert found["kind"].first.value == pytest.approx(0.0, abs=0.05)
    assert found["kind"].total.value == pytest.approx(0.5, abs=0.06)
    assert found["c"].total.value < 0.03


def test_the_better_quarter_tells_what_is_left_to_tune(studied, cube) -> None:
    """x0 decides between good and hopeless; among the good, x1 is all there is."""
    whole, better = regions(studied(cube(2), lambda c: -20 * max(0.0, c["x0"] - 0.4) ** 2 + c["x1"], 80))
    assert whole.parameters[0].parameter == "x0"
    assert by_name(whole)["x0"].total.value > 0.7
    assert better.parameters[0].parameter == "x1"
    assert by_name(better)["x1"].total.value > 0.6
    assert better.bound == pytest.approx(0.5, abs=0.3)
    assert better.std < 0.3 * whole.std


def test_what_violates_constraints_does_not_count(studied) -> None:
    space = SearchSpace(
        (Parameter("a", FloatDomain(0.0, 1.0)), Parameter("b", FloatDomain(0.0, 1.0))),
        (LinearConstraint({"b": 1.0}, 0.05),),
    )
    whole, _ = regions(studied(space, lambda c: c["a"] + c["b"], 30))
    assert by_name(whole)["a"].total.value > 0.9
    assert by_name(whole)["b"].total.value < 0.1


def test_a_narrow_region(studied) -> None:
    """A thousandth of the space is feasible."""
    space = SearchSpace(
        tuple(Parameter(n, FloatDomain(0.0, 1.0)) for n in "abc"), (LinearConstraint({"a": 1, "b": 1, "c": 1}, 0.18),)
    )
    for region in regions(studied(space, lambda c: c["a"], 30)):
        assert region.parameters[0].parameter == "a"
        assert region.parameters[0].total.value > 0.4


def test_disasters_do_not_hide_everything(studied, cube) -> None:
    def f(c) -> float:
        return -1e6 if c["x2"] > 0.9 and c["x3"] > 0.5 else -((c["x0"] - 0.3) ** 2)

    whole, _ = regions(studied(cube(4), f, 60))
    assert by_name(whole)["x0"].total.value > 0.2


@pytest.mark.parametrize("value", [0.0, 1e300, -1e-300])
def test_equal_values_give_no_importance(studied, cube, value) -> None:
    found = analyze(studied(cube(2), lambda c: value, 8))
    assert all(p.total.value <= 0.01 for p in found.importance[0].parameters)
    assert found.best.contenders[0].expected_regret >= 0.0


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_values_of_any_size(studied, cube, size) -> None:
    found = analyze(studied(cube(2), lambda c: size * (c["x0"] - 0.5), 12))
    numbers = [p.total.value for r in found.importance for p in r.parameters]
    numbers += [found.best.noise_std, found.best.contenders[0].mean, found.importance[0].std]
    assert np.isfinite(numbers).all()
    assert found.importance[0].parameters[0].parameter == "x0"


def test_the_order_of_trials_makes_no_difference(studied, cube) -> None:
    inputs = studied(cube(2), lambda c: c["x0"], 10)
    again = replace(inputs, observations=inputs.observations[::-1], pending=({"x0": 0.5, "x1": 0.5},))
    assert analyze(again) == analyze(inputs)  # nor what is pending
