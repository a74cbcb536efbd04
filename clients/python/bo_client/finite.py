"""Spaces with a last configuration: all of them, and whether all have been tried."""

from collections.abc import Iterable, Iterator, Sequence

from bo_client.constraints import Configuration
from bo_client.parameters import CategoricalParameter, DiscreteParameter, FloatParameter, IntParameter, Parameter, Value
from bo_client.space import SearchSpace, is_active

MOST = 10_000
"""Configurations that are looked at."""


def every_configuration(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """All configurations of a finite space, none of one with floats."""
    if not any(isinstance(p, FloatParameter) for p in space.parameters):
        yield from _extensions({}, tuple(space.parameters))


def is_exhausted(space: SearchSpace, tried: Iterable[Configuration]) -> bool:
    """Whether every configuration that fulfills the constraints is among those tried; never of more than MOST."""
    if any(isinstance(p, FloatParameter) for p in space.parameters):
        return False
    known, found = {_key(c) for c in tried}, 0
    for count, configuration in enumerate(every_configuration(space)):
        if count == MOST:
            return False
        if space.is_feasible(configuration):
            if _key(configuration) not in known:
                return False
            found += 1
    return found > 0


def _key(configuration: Configuration) -> frozenset[tuple[str, str, Value]]:
    """Equal where the configurations are: True is not 1."""
    return frozenset((name, type(value).__name__, value) for name, value in configuration.items())


def _extensions(found: dict[str, Value], rest: tuple[Parameter, ...]) -> Iterator[dict[str, Value]]:
    if not rest:
        yield found
    elif not is_active(rest[0], found):
        yield from _extensions(found, rest[1:])
    else:
        for value in _values(rest[0]):
            yield from _extensions({**found, rest[0].name: value}, rest[1:])


def _values(parameter: Parameter) -> Sequence[Value]:
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return parameter.values
    assert isinstance(parameter, IntParameter)
    return range(parameter.low, parameter.high + 1)
