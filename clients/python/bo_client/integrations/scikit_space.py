"""scikit-learn's search spaces as the service's: lists, scipy's distributions, and several dictionaries of them."""

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
"""Between which a distribution without bounds is searched."""
LOG_RATIO = 100.0
"""From this ratio of its quantiles on, a distribution of positive numbers is searched on a logarithmic scale."""
KNOWN = (
    "a list of values, a range, a distribution of scipy.stats such as uniform(0, 1), loguniform(1e-3, 1e3) or "
    "randint(1, 10), or a parameter of bo_client"
)


class SeveralSpaces(Translation):
    """Several dictionaries, of which each candidate has one: a parameter of ours says which, and the others depend."""

    def __init__(self, spaces: Sequence[Mapping[str, Any]]) -> None:
        taken = {name for space in spaces for name in space}
        self._which = next(name for name in ("space", "search_space", "space_of_candidate") if name not in taken)
        values = [str(i) for i in range(len(spaces))]
        super().__init__([Domain(self._which, CategoricalParameter(self._which, values)), *self._conditional(spaces)])

    def inward(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """The service's values, as scikit-learn has them."""
        return {name: value for name, value in super().inward(parameters).items() if name != self._which}

    def _conditional(self, spaces: Sequence[Mapping[str, Any]]) -> list[Domain]:
        """A domain that several dictionaries share is one parameter; different ones of one name are several."""
        found: list[tuple[Domain, list[int]]] = []
        for i, space in enumerate(spaces):
            for name, given in space.items():
                new = domain(name, given)
                shared = next((at for one, at in found if _is_same(one, new)), None)
                if shared is None:
                    found.append((new, [i]))
                else:
                    shared.append(i)
        names = [one.name for one, _ in found]
        several = [_renamed(one, at[0]) if names.count(one.name) > 1 else one for one, at in found]
        return [
            one if len(at) == len(spaces) else one.activated(Activation(self._which, [str(i) for i in at]))
            for one, (_, at) in zip(several, found, strict=True)
        ]


def translated(spaces: Mapping[str, Any] | Sequence[Mapping[str, Any]] | SearchSpace) -> Translation:
    """Returns the service's parameters. Raises InvalidRequest, naming the parameter."""
    if isinstance(spaces, SearchSpace):
        return Translation.of(spaces)
    if isinstance(spaces, Mapping):
        return Translation(domain(name, given) for name, given in spaces.items())
    if not spaces or not all(isinstance(space, Mapping) for space in spaces):
        raise InvalidRequest.of("search_spaces", f"is {spaces!r}; give a dictionary, or a list of dictionaries")
    return translated(spaces[0]) if len(spaces) == 1 else SeveralSpaces(spaces)


def domain(name: str, given: Any) -> Domain:
    """Returns one parameter. Raises InvalidRequest."""
    if isinstance(given, FloatParameter | IntParameter | CategoricalParameter | DiscreteParameter):
        return domains.checked(Domain(name, replace(given, name=domains.service_name(name))))
    if isinstance(given, range) and len(given) > 0:
        low, high = min(given[0], given[-1]), max(given[0], given[-1])
        is_dense = abs(given.step) == 1
        return domains.whole(name, low, high) if is_dense else domains.stepped(name, low, high, abs(given.step))
    if isinstance(given, list | np.ndarray):
        return domains.chosen(name, np.asarray(given).tolist() if isinstance(given, np.ndarray) else given)
    if hasattr(given, "rvs"):
        return _distributed(name, given() if isinstance(given, rv_continuous | rv_discrete) else given)
    raise InvalidRequest.of(name, f"is {given!r}; give {KNOWN}")


def _distributed(name: str, given: Any) -> Domain:
    """Bounds for a frozen distribution: its support, or its quantiles where that is infinite."""
    kind = str(getattr(getattr(given, "dist", None), "name", type(given).__name__))
    if not (hasattr(given, "support") and hasattr(given, "ppf")):
        raise InvalidRequest.of(name, f"is {kind}, which has no quantiles; give {KNOWN}")
    low, high = (float(bound) for bound in given.support())
    is_bounded = math.isfinite(low) and math.isfinite(high)
    if not is_bounded:
        low, high = (float(bound) for bound in given.ppf(QUANTILES))
    if not (math.isfinite(low) and math.isfinite(high)):
        what = f"has the distribution {kind} with arguments for which it has no quantiles"
        raise InvalidRequest.of(name, f"{what}; give {KNOWN}")
    log = kind in ("loguniform", "reciprocal") or (not is_bounded and low > 0 and high >= LOG_RATIO * low)
    if hasattr(given, "pmf"):
        return domains.whole(name, math.ceil(low), math.floor(high), log=log)
    return domains.real(name, low, high, log=log)


def _is_same(a: Domain, b: Domain) -> bool:
    if a.name != b.name or a.parameter != b.parameter:
        return False
    if isinstance(a, Labeled) and isinstance(b, Labeled):
        return all(x is y or repr(x) == repr(y) or domains.equal(x, y) for x, y in zip(a.values, b.values, strict=True))
    return type(a) is type(b)


def _renamed(one: Domain, number: int) -> Domain:
    """The same domain, as a parameter whose name tells in which dictionary it is."""
    return replace(one, parameter=replace(one.parameter, name=domains.service_name(one.parameter.name, str(number))))
