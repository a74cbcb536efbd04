"""Conversion of scikit-learn's search spaces: lists, scipy's distributions, and several dictionaries of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import rv_continuous, rv_discrete

from bo_client.errors import InvalidRequest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Labeled, Translation
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Value,
)
from bo_client.space import SearchSpace

QUANTILES = (0.001, 0.999)
"""Quantiles between which an unbounded distribution is searched."""
LOG_RATIO = 100.0
"""Ratio of the quantiles from which a distribution of positive numbers is searched on a log scale."""
SUPPORTED = (
    "a list of values, a range, a distribution of scipy.stats such as uniform(0, 1), loguniform(1e-3, 1e3) or "
    "randint(1, 10), or a parameter of bo_client"
)


class SeveralSpaces(Translation):
    """Several dictionaries; an additional parameter selects the one of a candidate, and the others depend on that."""

    def __init__(self, spaces: Sequence[Mapping[str, Any]]) -> None:
        names = {name for space in spaces for name in space}
        self._which = next(name for name in ("space", "search_space", "space_of_candidate") if name not in names)
        values = [str(i) for i in range(len(spaces))]
        super().__init__([Domain(self._which, CategoricalParameter(self._which, values)), *self._conditional(spaces)])

    def from_service(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return scikit-learn's values of the service's values."""
        return {name: value for name, value in super().from_service(parameters).items() if name != self._which}

    def _conditional(self, spaces: Sequence[Mapping[str, Any]]) -> list[Domain]:
        """Return the domains: one for equal domains of several dictionaries, several for different ones of one name."""
        domains_found: list[tuple[Domain, list[int]]] = []
        for i, space in enumerate(spaces):
            for name, definition in space.items():
                new = domain(name, definition)
                shared = next((at for one, at in domains_found if _is_same(one, new)), None)
                if shared is None:
                    domains_found.append((new, [i]))
                else:
                    shared.append(i)
        names = [one.name for one, _ in domains_found]
        several = [_renamed(one, at[0]) if names.count(one.name) > 1 else one for one, at in domains_found]
        return [
            one if len(at) == len(spaces) else one.activated(Activation(self._which, [str(i) for i in at]))
            for one, (_, at) in zip(several, domains_found, strict=True)
        ]


def translated(spaces: Mapping[str, Any] | Sequence[Mapping[str, Any]] | SearchSpace) -> Translation:
    """Return the translation to the service's parameters.

    Raises:
        InvalidRequest: names a parameter that cannot be expressed.
    """
    if isinstance(spaces, SearchSpace):
        return Translation.of(spaces)
    if isinstance(spaces, Mapping):
        return Translation(domain(name, definition) for name, definition in spaces.items())
    if not spaces or not all(isinstance(space, Mapping) for space in spaces):
        raise InvalidRequest.of("search_spaces", f"is {spaces!r}; give a dictionary, or a list of dictionaries")
    return translated(spaces[0]) if len(spaces) == 1 else SeveralSpaces(spaces)


def domain(name: str, definition: Any) -> Domain:
    """Return the domain of a parameter.

    Raises:
        InvalidRequest: it cannot be expressed.
    """
    if isinstance(definition, FloatParameter | IntParameter | CategoricalParameter | DiscreteParameter):
        return domains.checked(Domain(name, replace(definition, name=domains.service_name(name))))
    if isinstance(definition, range) and len(definition) > 0:
        low, high = min(definition[0], definition[-1]), max(definition[0], definition[-1])
        is_dense = abs(definition.step) == 1
        return domains.whole(name, low, high) if is_dense else domains.stepped(name, low, high, abs(definition.step))
    if isinstance(definition, list | np.ndarray):
        return domains.chosen(
            name, np.asarray(definition).tolist() if isinstance(definition, np.ndarray) else definition
        )
    if hasattr(definition, "rvs"):
        return _distributed(name, definition() if isinstance(definition, rv_continuous | rv_discrete) else definition)
    raise InvalidRequest.of(name, f"is {definition!r}; give {SUPPORTED}")


def _distributed(name: str, distribution: Any) -> Domain:
    """Return the bounds of a frozen distribution: its support, or quantiles if that is infinite."""
    kind = str(getattr(getattr(distribution, "dist", None), "name", type(distribution).__name__))
    if not (hasattr(distribution, "support") and hasattr(distribution, "ppf")):
        raise InvalidRequest.of(name, f"is {kind}, which has no quantiles; give {SUPPORTED}")
    low, high = (float(bound) for bound in distribution.support())
    is_bounded = math.isfinite(low) and math.isfinite(high)
    if not is_bounded:
        low, high = (float(bound) for bound in distribution.ppf(QUANTILES))
    if not (math.isfinite(low) and math.isfinite(high)):
        what = f"has the distribution {kind} with arguments for which it has no quantiles"
        raise InvalidRequest.of(name, f"{what}; give {SUPPORTED}")
    log = kind in ("loguniform", "reciprocal") or (not is_bounded and low > 0 and high >= LOG_RATIO * low)
    if hasattr(distribution, "pmf"):
        return domains.whole(name, math.ceil(low), math.floor(high), log=log)
    return domains.real(name, low, high, log=log)


def _is_same(a: Domain, b: Domain) -> bool:
    if a.name != b.name or a.parameter != b.parameter:
        return False
    if isinstance(a, Labeled) and isinstance(b, Labeled):
        return all(x is y or repr(x) == repr(y) or domains.equal(x, y) for x, y in zip(a.values, b.values, strict=True))
    return type(a) is type(b)


def _renamed(one: Domain, number: int) -> Domain:
    """Return the domain with the number of its dictionary in the parameter's name."""
    return replace(one, parameter=replace(one.parameter, name=domains.service_name(one.parameter.name, str(number))))
