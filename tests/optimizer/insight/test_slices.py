"""Slices: the predictions that one would ask for by hand, on grids that need no knowledge of encodings."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.constraints import ForbiddenCombination
from bo_service.domain.errors import NotEnoughData
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.optimizer.inputs import OptimizerInput, Predictions
from bo_service.optimizer.insight.results import Slice, SliceRequest
from bo_service.optimizer.insight.slices import predict_slice
from bo_service.optimizer.suggest import predict

SPACE = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-4, 1.0, Scale.LOG)),
        Parameter("norm", CategoricalDomain(("batch", "group", "none"))),
        Parameter("groups", IntDomain(1, 4), default=3, activation=Activation("norm", ("group",))),
        Parameter("batch", DiscreteDomain((16, 32, 64), Scale.LOG)),
    ),
    (ForbiddenCombination({"norm": "none", "batch": 64}),),
)


@pytest.fixture(scope="module")
def inputs(studied) -> OptimizerInput:
    return studied(SPACE, lambda c: -abs(c["lr"] - 0.1) + {"batch": 0.5, "group": 0.1, "none": 0.0}[c["norm"]], 20)


def sliced(inputs: OptimizerInput, *names: str, size: int = 5, base=None):
    return predict_slice(inputs, SliceRequest(names, size, base))


def means(found: Slice | Predictions) -> list[float]:
    return [p.expected[0].mean for p in found.points]


def stds(found: Slice | Predictions) -> list[float]:
    return [p.expected[0].std for p in found.points]


def test_a_line(inputs) -> None:
    found = sliced(inputs, "lr")
    best = max(inputs.observations, key=lambda t: t.value)
    assert (found.base, found.base_trial, found.observation_count) == (best.configuration, best.number, 20)
    (axis,) = found.axes
    assert axis.values == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0))
    by_hand = predict(inputs, [{**best.configuration, "lr": lr} for lr in axis.values])
    assert means(found) == pytest.approx(means(by_hand))
    assert stds(found) == pytest.approx(stds(by_hand))
    assert found.acquisition == by_hand.acquisition


def test_a_surface_with_the_infeasible_marked(inputs) -> None:
    base = {"lr": 0.1, "norm": "batch", "batch": 16}
    found = sliced(inputs, "norm", "batch", base=base)
    assert [axis.values for axis in found.axes] == [("batch", "group", "none"), (16, 32, 64)]
    places = list(product(*(axis.values for axis in found.axes)))
    assert [p for p, is_feasible in zip(places, found.feasible, strict=True) if not is_feasible] == [("none", 64)]
    with_groups = [{**base, "norm": n, "batch": b} | ({"groups": 3} if n == "group" else {}) for n, b in places]
    assert means(found) == pytest.approx(means(predict(inputs, with_groups)))
    assert found.base_trial is None


def test_a_parameter_that_is_not_active_is_made_so(inputs) -> None:
    found = sliced(inputs, "groups", base={"lr": 0.1, "norm": "batch", "batch": 16})
    assert found.axes[0].values == (1, 2, 3, 4)
    assert found.base == {"lr": 0.1, "norm": "group", "groups": 3, "batch": 16}


def test_a_parameter_and_what_decides_on_it(inputs) -> None:
    found = sliced(inputs, "groups", "norm", base={"lr": 0.1, "norm": "none", "batch": 16})
    assert found.base["norm"] == "none"
    assert len({round(m, 9) for m in means(found)[0::3]}) == 1  # batch: no groups
    assert len({round(m, 9) for m in means(found)[1::3]}) == 4


def test_chains_of_conditions(studied) -> None:
    space = SearchSpace(
        (
            Parameter("a", CategoricalDomain((False, True))),
            Parameter("b", IntDomain(1, 3), activation=Activation("a", (True,))),
            Parameter("c", FloatDomain(0.0, 1.0), activation=Activation("b", (3,))),
        )
    )
    found = sliced(studied(space, lambda c: c.get("c", 0.0) + c.get("b", 0), 10), "c", base={"a": False})
    assert found.base == {"a": True, "b": 3, "c": 0.5}


def test_without_a_result_there_is_no_slice(studied) -> None:
    with pytest.raises(NotEnoughData, match="0 finished trials"):
        sliced(studied(SPACE, lambda c: None, 3), "lr")


def test_any_space(spaces, studied) -> None:
    @given(spaces, st.data())
    def check(space: SearchSpace, data: st.DataObject) -> None:
        inputs = studied(space, lambda c: float(len(repr(c))), 4)
        if len(inputs.observations) < 2:
            return
        names = [p.name for p in space.parameters]
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        found = sliced(inputs, *chosen, size=data.draw(st.integers(2, 9)))
        assert not space.faults(found.base)
        count = 1
        for axis in found.axes:
            assert all(space[axis.parameter].domain.admits(v) for v in axis.values)
            assert len(set(axis.values)) == len(axis.values)
            count *= len(axis.values)
        assert len(found.points) == len(found.feasible) == count

    check()
