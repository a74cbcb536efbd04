"""Configurations of a space: the default one, random ones, and all of them where they are few."""

import math
import random
from collections.abc import Mapping, Sequence

from bo_client.constraints import Configuration, EqualityConstraint, ForbiddenCombination
from bo_client.finite import MOST, every_configuration
from bo_client.parameters import (
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    Parameter,
    Value,
)
from bo_client.space import SearchSpace, is_active

DRAWS = 200
"""Random tries for a new valid configuration before a finite space is searched in order."""
REPAIRS = 5
"""Rounds in which a draw is moved to fulfill the linear constraints."""


def default_configuration(space: SearchSpace, given: Configuration | None = None) -> dict[str, Value]:
    """What is given of the parameters; else defaults, and centers where there are none."""
    found: dict[str, Value] = {}
    for parameter in space.parameters:
        if is_active(parameter, found):
            default = parameter.default if parameter.default is not None else _at(parameter, 0.5)
            found[parameter.name] = (given or {}).get(parameter.name, default)
    return found


def new_configuration(
    space: SearchSpace, known: Sequence[Configuration], rng: random.Random
) -> dict[str, Value] | None:
    """A valid configuration that isn't among `known`; None where there is no other."""
    for _ in range(DRAWS):
        drawn = _repaired(space, random_configuration(space, rng), rng)
        if space.is_feasible(drawn) and drawn not in known:
            return drawn
    for count, listed in enumerate(every_configuration(space)):
        if count == MOST:
            break
        if space.is_feasible(listed) and listed not in known:
            return listed
    return None


def random_configuration(space: SearchSpace, rng: random.Random) -> dict[str, Value]:
    """Uniform along each active parameter's scale."""
    found: dict[str, Value] = {}
    for parameter in space.parameters:
        if is_active(parameter, found):
            found[parameter.name] = _at(parameter, rng.random())
    return found


def _repaired(space: SearchSpace, configuration: dict[str, Value], rng: random.Random) -> dict[str, Value]:
    """The configuration with numbers moved towards what broken linear constraints ask for."""
    found = dict(configuration)
    for _ in range(REPAIRS):
        broken = [c for c in space.constraints if not isinstance(c, ForbiddenCombination) and not c.holds(found)]
        if not broken:
            break
        for constraint in broken:
            target = constraint.value if isinstance(constraint, EqualityConstraint) else constraint.upper_bound
            for name in rng.sample(constraint.names, len(constraint.names)):
                _move(space[name], found, constraint.coefficients, target)
    return found


def _move(parameter: Parameter, found: dict[str, Value], terms: Mapping[str, float], target: float) -> None:
    """Moves one number as far as its bounds allow to where the sum is the target."""
    if isinstance(parameter, CategoricalParameter | DiscreteParameter) or not terms[parameter.name]:
        return
    missing = target - math.fsum(c * float(found[n]) for n, c in terms.items())
    value = float(found[parameter.name]) + missing / terms[parameter.name]
    value = min(max(value, float(parameter.low)), float(parameter.high))
    found[parameter.name] = value if isinstance(parameter, FloatParameter) else round(value)


def _at(parameter: Parameter, share: float) -> Value:
    """The value at `share`, from 0 to 1, of the way along the parameter's scale."""
    if isinstance(parameter, CategoricalParameter | DiscreteParameter):
        return parameter.values[min(int(share * len(parameter.values)), len(parameter.values) - 1)]
    low, high = float(parameter.low), float(parameter.high)
    if parameter.scale == "log":
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, low), high)
    return value if isinstance(parameter, FloatParameter) else round(value)


def evenly(parameter: Parameter, count: int) -> list[Value]:
    """At most so many values in order, evenly along the parameter's scale; of a category all."""
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.values)
    values = [_at(parameter, i / (count - 1)) for i in range(count)]
    if isinstance(parameter, FloatParameter):  # not to the last digit
        values[0], values[-1] = parameter.low, parameter.high
    return list(dict.fromkeys(values))
