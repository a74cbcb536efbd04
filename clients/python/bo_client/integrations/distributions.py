"""Conversion between Optuna's distributions and the service's parameters."""

from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from bo_client.errors import InvalidRequest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.parameters import FloatParameter, IntParameter, Parameter
from bo_client.space import SearchSpace


def translated(search_space: Mapping[str, BaseDistribution]) -> Translation:
    """Return the service's parameters of Optuna's distributions.

    Raises:
        InvalidRequest: names a parameter that cannot be expressed.
    """
    return Translation(domain(name, d) for name, d in sorted(search_space.items()) if not d.single())


def domain(name: str, distribution: BaseDistribution) -> Domain:
    """Return the domain of one parameter.

    Raises:
        InvalidRequest: it cannot be expressed.
    """
    match distribution:
        case FloatDistribution(step=None):
            return domains.real(name, distribution.low, distribution.high, log=distribution.log)
        case FloatDistribution():
            return domains.stepped(name, distribution.low, distribution.high, distribution.step)
        case IntDistribution(step=1):
            return domains.whole(name, distribution.low, distribution.high, log=distribution.log)
        case IntDistribution():
            return domains.stepped(name, distribution.low, distribution.high, distribution.step)
        case CategoricalDistribution():
            return domains.chosen(name, distribution.choices)
    supported = "FloatDistribution, IntDistribution or CategoricalDistribution"
    raise InvalidRequest.of(name, f"has a {type(distribution).__name__}; give a {supported}")


def spaces_of(
    search_space: Mapping[str, BaseDistribution] | SearchSpace,
) -> tuple[dict[str, BaseDistribution], Translation]:
    """Return Optuna's distributions and their translation, from a space in either form.

    Raises:
        InvalidRequest: a parameter cannot be expressed.
    """
    if isinstance(search_space, SearchSpace):
        return {p.name: _distribution(p) for p in search_space.parameters}, Translation.of(search_space)
    return dict(search_space), translated(search_space)


def _distribution(parameter: Parameter) -> BaseDistribution:
    """Return the distribution with which the objective asks Optuna."""
    match parameter:
        case FloatParameter():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.scale == "log")
        case IntParameter():
            return IntDistribution(parameter.low, parameter.high, log=parameter.scale == "log")
    return CategoricalDistribution(parameter.values)
