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


def to_repeat(tried: Sequence[tuple[Configuration, tuple[float, ...] | None]]) -> list[Configuration]:
    """Return what the server may suggest again once all configurations of a finite space have been tried.

    Nothing where all results are equal, or where several of one configuration are and none differ. Otherwise each
    configuration that always had a result: the least tried first, then in the order of `tried`.

    Args:
        tried: configurations of the ended trials and the values of their objectives, None where there are none.
    """
    results: dict[frozenset[tuple[str, str, Value]], list[tuple[float, ...] | None]] = {}
    for configuration, values in tried:
        results.setdefault(_key(configuration), []).append(values)
    found = [{v for v in values if v is not None} for values in results.values()]
    is_noisy = any(len(values) > 1 for values in found)
    is_known = any(sum(v is not None for v in values) > 1 for values in results.values())
    if len(set().union(*found)) < 2 or (is_known and not is_noisy):
        return []
    every = {_key(configuration): configuration for configuration, _ in tried}
    return [every[key] for key in sorted(every, key=lambda key: len(results[key])) if None not in results[key]]


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
