"""Space-filling configurations, and how far two of them are apart.

N configurations, d parameters; u in [0, 1) is a place along one parameter, in its own scale.
"""

import math

import numpy as np
from numpy.typing import NDArray

from bo_service.domain.constraints import Configuration
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

SOBOL_SEED = 2026


def sobol(space: SearchSpace, count: int) -> list[dict[str, Value]]:
    """Return the first `count` configurations of a scrambled Sobol sequence; more of them begin with the same ones."""
    from scipy.stats import qmc

    power = max(math.ceil(math.log2(count)), 0)
    points = qmc.Sobol(len(space.parameters), rng=np.random.default_rng(SOBOL_SEED)).random_base2(power)
    return [configuration_at(space, row) for row in points[:count]]


def configuration_at(space: SearchSpace, row: NDArray[np.float64]) -> dict[str, Value]:
    """Return the configuration at a point of the unit cube, (d,); what is not active there is left out."""
    values = {p.name: value_at(p.domain, float(u)) for p, u in zip(space.parameters, row, strict=True)}
    return space.restrict(values)


def value_at(domain: Domain, u: float) -> Value:
    """Return the value at u."""
    if isinstance(domain, CategoricalDomain | DiscreteDomain):
        return domain.values[min(int(u * len(domain.values)), len(domain.values) - 1)]
    half = 0.5 if isinstance(domain, IntDomain) else 0.0
    low, high = domain.low - half, domain.high + half
    is_log = domain.scale is Scale.LOG
    value = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if is_log else low + u * (high - low)
    value = min(max(value, domain.low), domain.high)
    return value if isinstance(domain, FloatDomain) else round(value)


def place_of(domain: Domain, value: Value) -> float:
    """Return u of a value; the middle of its share where the values are few."""
    if isinstance(domain, CategoricalDomain | DiscreteDomain):
        return (domain.values.index(value) + 0.5) / len(domain.values)
    half = 0.5 if isinstance(domain, IntDomain) else 0.0
    ends = (domain.low - half, domain.high + half, float(value))
    low, high, at = (math.log(v) for v in ends) if domain.scale is Scale.LOG else ends
    return (at - low) / (high - low)


def places(space: SearchSpace, configuration: Configuration) -> NDArray[np.float64]:
    """Return u of each parameter, (d,); NaN where it is not active."""
    return np.array(
        [place_of(p.domain, configuration[p.name]) if p.name in configuration else math.nan for p in space.parameters]
    )


def distances(space: SearchSpace, rows: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared distances (N,) of `rows` (N, d) to `row` (d,).

    Two unequal categories are 1 apart, and so are a value and a parameter that is not active.
    """
    apart = np.abs(rows - row)
    unordered = [isinstance(p.domain, CategoricalDomain) for p in space.parameters]
    apart[:, unordered] = np.where(apart[:, unordered] > 1e-9, 1.0, apart[:, unordered])
    both_inactive = np.isnan(rows) & np.isnan(row)
    apart = np.where(both_inactive, 0.0, np.where(np.isnan(apart), 1.0, apart))
    return np.asarray((apart**2).sum(axis=1))
