"""Spaces with a last configuration."""

import bo_client
from bo_client.enumeration import MAX_CONFIGURATIONS, every_configuration, is_exhausted, to_repeat

KIND = bo_client.CategoricalParameter("kind", ["a", "b"])
N = bo_client.IntParameter("n", 1, 3, activation=bo_client.Activation("kind", ["a"]))


def test_every_configuration_once() -> None:
    space = bo_client.SearchSpace([KIND, N, bo_client.DiscreteParameter("d", [0.5, 1.0])])
    found = list(every_configuration(space))
    assert len(found) == 8
    assert all(not space.configuration_faults(c) for c in found)
    assert len({tuple(sorted(c.items())) for c in found}) == 8


def test_exhausted_is_when_nothing_that_is_allowed_is_left() -> None:
    space = bo_client.SearchSpace([KIND, N], [bo_client.ForbiddenCombination({"kind": "a", "n": 3})])
    tried = [{"kind": "a", "n": 1}, {"kind": "b"}, {"kind": "b"}]
    assert not is_exhausted(space, tried)
    assert is_exhausted(space, [*tried, {"kind": "a", "n": 2}])


def test_what_has_no_end_or_no_beginning_is_never_exhausted() -> None:
    assert not is_exhausted(bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)]), [{"x": 0.5}])
    many = bo_client.SearchSpace([bo_client.IntParameter("n", 0, MAX_CONFIGURATIONS)])
    assert not is_exhausted(many, [{"n": n} for n in range(MAX_CONFIGURATIONS + 1)])
    nothing = bo_client.SearchSpace([KIND], [bo_client.ForbiddenCombination({"kind": k}) for k in "ab"])
    assert not is_exhausted(nothing, [])


def test_what_may_be_repeated_is_known_from_the_results() -> None:
    a, b, c = ({"kind": "a", "n": n} for n in (1, 2, 3))
    once = [(a, (1.0,)), (b, (2.0,)), (c, None)]
    assert to_repeat(once) == [a, b]
    assert to_repeat([*once, (a, (1.0,))]) == []
    assert to_repeat([*once, (a, (1.5,))]) == [b, a]
    assert to_repeat([*once, (a, None)]) == [b]
    assert to_repeat([(a, (1.0,))], [(b, (2.0,))]) == [a]
    assert to_repeat([(a, (1.0,))], [(b, (1.0,))]) == []
    assert to_repeat([(a, (1.0,))], [(b, (2.0,)), (a, (1.0,))], a) == []
    assert to_repeat([(a, (1.0,)), (b, (2.0,))], [(b, (2.0,))], a) == [a, b]
    assert to_repeat([(a, (1.0,)), (b, (1.0,))]) == []
    assert to_repeat([(a, (1.0, 2.0)), (b, (1.0, 2.5)), (b, (1.0, 2.0))]) == [a, b]
