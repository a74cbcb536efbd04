"""Finite spaces: all their configurations, and whether all were tried."""

from collections.abc import Iterable, Iterator, Sequence

from bo_client.constraints import Configuration
from bo_client.parameters import CategoricalParameter, DiscreteParameter, FloatParameter, IntParameter, Parameter, Value
from bo_client.space import SearchSpace, is_active

MAX_CONFIGURATIONS = 10_000
"""Maximum number of configurations inspected."""


def every_configuration(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """Yield all configurations of a finite space; none of a space with floats."""
    if not any(isinstance(p, FloatParameter) for p in space.parameters):
        yield from _extensions({}, tuple(space.parameters))


def is_exhausted(space: SearchSpace, tried: Iterable[Configuration]) -> bool:
    """Return whether all feasible configurations were tried; False for more than MAX_CONFIGURATIONS."""
    if any(isinstance(p, FloatParameter) for p in space.parameters):
        return False
    tried_keys, num_feasible = {_key(c) for c in tried}, 0
    for count, configuration in enumerate(every_configuration(space)):
        if count == MAX_CONFIGURATIONS:
            return False
        if space.is_feasible(configuration):
            if _key(configuration) not in tried_keys:
                return False
            num_feasible += 1
    return num_feasible > 0


def to_repeat(
    tried: Sequence[tuple[Configuration, tuple[float, ...] | None]],
    short: Sequence[tuple[Configuration, tuple[float, ...]]] = (),
    best: Configuration | None = None,
) -> list[Configuration]:
    """Return the configurations that the server may repeat after all of a finite space were tried.

    There are none if all values are equal, or if several values of one configuration exist and no results differ. Else
    they are the configurations that always had a result, least tried first, then in the order of `tried`.

    Args:
        tried: configurations of the ended trials with the values of their objectives, None without a result.
        short: configurations of the trials that were paused or cut short, with the values expected of them.
        best: the configuration of the best trial, which is not repeated if such a trial is of it too.
    """
    results: dict[frozenset[tuple[str, str, Value]], list[tuple[float, ...] | None]] = {}
    for configuration, values in tried:
        results.setdefault(_key(configuration), []).append(values)
    distinct_results = [{v for v in values if v is not None} for values in results.values()]
    is_noisy = any(len(values) > 1 for values in distinct_results)
    is_repeated = any(sum(v is not None for v in values) > 1 for values in results.values())
    is_repeated |= best is not None and any(_key(configuration) == _key(best) for configuration, _ in short)
    if len(set().union(*distinct_results, (values for _, values in short))) < 2 or (is_repeated and not is_noisy):
        return []
    every = {_key(configuration): configuration for configuration, _ in tried}
    return [every[key] for key in sorted(every, key=lambda key: len(results[key])) if None not in results[key]]


def _key(configuration: Configuration) -> frozenset[tuple[str, str, Value]]:
    """Return a key that is equal for equal configurations; True differs from 1."""
    return frozenset((name, type(value).__name__, value) for name, value in configuration.items())


def _extensions(configuration: dict[str, Value], rest: tuple[Parameter, ...]) -> Iterator[dict[str, Value]]:
    if not rest:
        yield configuration
    elif not is_active(rest[0], configuration):
        yield from _extensions(configuration, rest[1:])
    else:
        for value in _values(rest[0]):
            yield from _extensions({**configuration, rest[0].name: value}, rest[1:])


def _values(parameter: Parameter) -> Sequence[Value]:
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return parameter.values
    assert isinstance(parameter, IntParameter)
    return range(parameter.low, parameter.high + 1)
