"""Grids: some values of each parameter, of which every combination is tried."""

import math
from collections.abc import Iterable
from dataclasses import replace

from bo_service.domain.limits import MAX_GRID_SIZE
from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.domain.search_space import SearchSpace

DEFAULT_POINTS = 5
"""Values of each interval where a study says nothing."""


def on_grid(space: SearchSpace, points: int) -> SearchSpace:
    """Return the space with lists of values in place of intervals.

    Args:
        space: a search space.
        points: how many values of each float, and of each integer that has more; values of integers that conditions
            name are added. Lists and categories stay as they are.
    """
    return SearchSpace(
        tuple(
            replace(p, domain=_on_grid(p.domain, points, _named(space, p.name)), default=None) for p in space.parameters
        ),
        space.constraints,
    )


def grid_size(space: SearchSpace, points: int) -> int:
    """Return how many combinations the grid has, constraints and conditions aside; at most one above MAX_GRID_SIZE."""
    size = 1
    for parameter in space.parameters:
        domain = _on_grid(parameter.domain, points, _named(space, parameter.name))
        size *= domain.high - domain.low + 1 if isinstance(domain, IntDomain) else len(domain.values)
        if size > MAX_GRID_SIZE:
            return MAX_GRID_SIZE + 1
    return size


def _named(space: SearchSpace, name: str) -> list[Value]:
    """Return the values of a parameter that conditions name."""
    rules = (p.activation for p in space.parameters)
    return [value for rule in rules if rule and rule.parameter == name for value in rule.values]


def _on_grid(domain: Domain, points: int, named: Iterable[Value]) -> IntDomain | DiscreteDomain | CategoricalDomain:
    if isinstance(domain, FloatDomain):
        return DiscreteDomain(tuple(sorted({*_levels(domain, points)})), domain.scale)
    if isinstance(domain, IntDomain) and domain.high - domain.low >= points:
        levels = {min(max(round(x), domain.low), domain.high) for x in _levels(domain, points)}
        return DiscreteDomain(tuple(sorted({*levels, *(v for v in named if isinstance(v, int))})), domain.scale)
    return domain


def _levels(domain: FloatDomain | IntDomain, points: int) -> list[float]:
    """Return values from low to high, evenly spaced on the domain's scale: 0.001 rather than 0.0010000000000000002."""
    low, high = float(domain.low), float(domain.high)
    shares = [i / (points - 1) for i in range(1, points - 1)]
    if domain.scale is Scale.LOG:
        between = [math.exp((1.0 - s) * math.log(low) + s * math.log(high)) for s in shares]
    else:
        between = [(1.0 - s) * low + s * high for s in shares]
    return [low, *(min(max(float(f"{x:.12g}"), low), high) for x in between), high]
