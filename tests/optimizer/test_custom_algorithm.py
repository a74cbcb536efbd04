"""Algorithms of users: found by entry point, asked until there are enough, and checked."""

import itertools
from pathlib import Path

import pytest

from bo_service.domain.constraints import Configuration, LinearConstraint
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, IntDomain
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.domain.study import Algorithm, SuggestionSettings
from bo_service.domain.trial import Origin
from bo_service.optimizer.inputs import Observation, OptimizerInput, Suggestion
from bo_service.optimizer.suggest import suggest
from tests.packages import install

SPACE = SearchSpace(
    (
        Parameter("a", FloatDomain(0.0, 1.0)),
        Parameter("n", IntDomain(1, 9)),
        Parameter("kind", CategoricalDomain(("x", "y"))),
        Parameter("only_x", FloatDomain(0.0, 1.0), activation=Activation("kind", ("x",))),
    ),
    (LinearConstraint({"a": 1.0, "n": 1.0}, 8.5),),
)
FINITE = SearchSpace((Parameter("n", IntDomain(1, 3)),))
PROJECT = """
[project]
name = "own-{name}"
version = "1.0"
[project.entry-points."bo_service.algorithms"]
{name} = "own_{name}:Own"
"""
names = (f"algorithm_{number}" for number in itertools.count())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install an algorithm whose `suggest(self, inputs, count)` has this body; its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(body: str, head: str = "") -> str:
        name = next(names)
        lines = "".join(f"        {line}\n" for line in body.splitlines())
        source = f"{head}\nclass Own:\n    def suggest(self, inputs, count):\n{lines}"
        install(tmp_path, {f"own_{name}.py": source}, PROJECT.format(name=name))
        return name

    return installed


def study(name: str, space: SearchSpace = SPACE, past: tuple[Configuration, ...] = (), **more) -> OptimizerInput:
    settings = SuggestionSettings(Algorithm.CUSTOM, custom_algorithm=name)
    return OptimizerInput(space, settings, 1, tuple(Observation(i, c, 0.5 * i) for i, c in enumerate(past, 1)), **more)


def valid(number: int) -> Configuration:
    return {"a": 0.25, "n": number, "kind": "y"}


def assert_filled_up(made: list[Suggestion], *words: str) -> None:
    """Whether they are space-filling points that say why."""
    for suggestion in made:
        assert suggestion.origin in (Origin.DEFAULT, Origin.QUASI_RANDOM)
        for word in words:
            assert word in suggestion.fault
            assert word in suggestion.summary
        assert SPACE.faults(suggestion.configuration) == []
        assert SPACE.is_feasible(suggestion.configuration)


def test_what_it_suggests_is_handed_on_as_it_stands(installed) -> None:
    name = installed("return [{'kind': 'x', 'a': 0.1, 'n': 3, 'only_x': 0.30000000000000004}]")
    (made,) = suggest(study(name, past=(valid(2),)), 1)
    assert made.configuration == {"a": 0.1, "n": 3, "kind": "x", "only_x": 0.30000000000000004}
    assert list(made.configuration) == ["a", "n", "kind", "only_x"]
    assert (made.origin, made.fault, made.nearest_trial) == (Origin.CUSTOM_ALGORITHM, "", 1)
    assert repr(name) in made.summary


def test_numbers_of_numpy_and_whole_numbers_for_floats_are_taken(installed) -> None:
    name = installed(
        "yield {'a': numpy.float64(0.5), 'n': numpy.int64(3), 'kind': numpy.str_('y')}\n"
        "yield {'a': 1, 'n': 2, 'kind': 'y'}",
        "import numpy",
    )
    first, second = suggest(study(name), 2)
    assert {type(value) for value in first.configuration.values()} == {float, int, str}
    assert (first.fault, second.fault, type(second.configuration["a"])) == ("", "", float)


def test_it_sees_the_trials_in_their_order_whatever_the_order_of_reports(installed) -> None:
    name = installed(
        "numbers = [o.number for o in inputs.observations]\n"
        "assert numbers == sorted(numbers) and len(inputs.pending) == 1\n"
        "return [{'a': inputs.observations[-1].value / 10, 'n': 1, 'kind': 'y'}]"
    )
    inputs = study(name, past=(valid(2), valid(3), valid(4)), pending=(valid(5),))
    turned = OptimizerInput(SPACE, inputs.settings, 1, inputs.observations[::-1], inputs.pending)
    for each in (inputs, turned):
        (made,) = suggest(each, 1)
        assert (made.fault, made.configuration["a"]) == ("", 0.15)


def test_it_is_asked_again_while_it_suggests_less_than_wanted(installed) -> None:
    name = installed("return [{'a': 0.5, 'n': 1 + len(inputs.pending), 'kind': 'y'}]")
    made = suggest(study(name, pending=(valid(9),)), 4)
    assert [s.configuration["n"] for s in made] == [2, 3, 4, 5]
    assert [s.fault for s in made] == [""] * 4


def test_what_is_unsound_is_passed_over_where_others_are_sound(installed) -> None:
    name = installed("return [{'a': 7.0}, *({'a': 0.25, 'n': n, 'kind': 'y'} for n in range(1, 9))]")
    made = suggest(study(name, past=(valid(1),), pending=(valid(2),)), 2)
    assert [s.configuration["n"] for s in made] == [3, 4]


@pytest.mark.parametrize(
    ("body", "words"),
    {
        "outside": ("return [{'a': 7.0, 'n': 1, 'kind': 'y'}]", ["'a': 7.0", "a number from 0.0 to 1.0"]),
        "missing": ("return [{'a': 0.5, 'n': 1}]", ["kind is missing"]),
        "inactive": ("return [{'a': 0.5, 'n': 1, 'kind': 'y', 'only_x': 0.5}]", ["only_x exists only where"]),
        "unknown": ("return [{'a': 0.5, 'n': 1, 'kind': 'y', 'z': 0.5}]", ["z is not a parameter"]),
        "no number": ("return [{'a': float('nan'), 'n': 1, 'kind': 'y'}]", ["nan"]),
        "infeasible": ("return [{'a': 0.5, 'n': 9, 'kind': 'y'}]", ["breaks a constraint"]),
        "tried": ("return [{'a': 0.25, 'n': 2, 'kind': 'y'}]", ["has been tried"]),
        "twice": ("return [{'a': 0.25, 'n': 3, 'kind': 'y'}]", ["has been tried, or is pending"]),
        "no dict": ("return ['best']", ["is a str"]),
        "nothing": ("return []", ["suggested nothing"]),
        "None": ("return None", ["TypeError"]),
        "an exception": ("raise ValueError('no idea')", ["ValueError: no idea", ".py:4"]),
        "an exception on the way": ("yield {'a': 0.5, 'n': 1, 'kind': 'y'}\n1 / 0", ["ZeroDivisionError"]),
        "an odd message": ("raise ValueError('no\\0\\ud800\\nidea')", ["ValueError: no   idea"]),
        "an exit": ("import sys\nsys.exit('done')", ["SystemExit: done"]),
        "without end": ("import itertools\nreturn itertools.repeat({'a': 2.0})", ["suggested {'a': 2.0}"]),
    }.values(),
)
def test_what_it_fails_to_suggest_is_filled_up_and_says_why(installed, body: str, words: list[str]) -> None:
    made = suggest(study(installed(body), past=(valid(2),), pending=(valid(3),)), 3)
    assert len({tuple(sorted(s.configuration.items())) for s in made}) == 3
    assert_filled_up([s for s in made if s.fault], *words)
    assert [s for s in made if s.fault]


def test_what_it_suggested_before_it_failed_counts(installed) -> None:
    name = installed("yield {'a': 0.5, 'n': 1, 'kind': 'y'}\n1 / 0")
    first, second = suggest(study(name), 2)
    assert (first.configuration["n"], first.fault) == (1, "")
    assert_filled_up([second], "ZeroDivisionError")


@pytest.mark.parametrize("head", ["import nothing_of_this_name", "raise OSError('no license')", "class"])
def test_one_that_cannot_be_loaded_is_a_fault_too(installed, head: str) -> None:
    assert_filled_up(suggest(study(installed("return []", head)), 2), "failed with")


def test_one_that_is_not_installed_is_a_fault_too() -> None:
    assert_filled_up(suggest(study("nowhere"), 2), "'nowhere'", "not installed")


def test_an_exhausted_space_is_no_fault_that_stops_anything(installed) -> None:
    name = installed("return [{'n': 1}]")
    made = suggest(study(name, FINITE, past=({"n": 2},)), 5)
    assert [s.configuration["n"] for s in made] == [1, 3]
    assert suggest(study(name, FINITE, past=({"n": 1}, {"n": 2}, {"n": 3})), 2) == []


def test_it_chooses_from_the_first_trial_on_and_always_takes_a_computation() -> None:
    inputs = study("any")
    assert inputs.needs_surrogate(1)
    assert not inputs.can_be_fitted
