"""Optuna's distributions as the service's parameters, and the other way round."""

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
    """Optuna's distributions as the service's parameters. Raises InvalidRequest, naming the parameter."""
    return Translation(domain(name, d) for name, d in sorted(search_space.items()) if not d.single())


def domain(name: str, distribution: BaseDistribution) -> Domain:
    """One parameter. Raises InvalidRequest."""
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
    known = "FloatDistribution, IntDistribution or CategoricalDistribution"
    raise InvalidRequest.of(name, f"has a {type(distribution).__name__}; give a {known}")


def given(
    search_space: Mapping[str, BaseDistribution] | SearchSpace,
) -> tuple[dict[str, BaseDistribution], Translation]:
    """What Optuna, and what the service is asked for, by a space in the words of either. Raises InvalidRequest."""
    if isinstance(search_space, SearchSpace):
        return {p.name: _distribution(p) for p in search_space.parameters}, Translation.of(search_space)
    return dict(search_space), translated(search_space)


def _distribution(parameter: Parameter) -> BaseDistribution:
    """What the objective will ask Optuna for."""
    match parameter:
        case FloatParameter():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.scale == "log")
        case IntParameter():
            return IntDistribution(parameter.low, parameter.high, log=parameter.scale == "log")
    return CategoricalDistribution(parameter.values)
