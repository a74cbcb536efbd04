"""A configuration of one search space, said in another."""

from bo_service.domain.constraints import Configuration
from bo_service.domain.parameter_types import Value
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.optimizer.encoding.axes import axis_of


def convert_configuration(configuration: Configuration, space: SearchSpace) -> Configuration | None:
    """Convert to the nearest configuration of another space; None where one of its values isn't allowed here.

    Parameters that it lacks get their defaults, or the centers of their domains; those that `space` lacks are dropped.
    """
    known = {p.name for p in space.parameters}
    usual = {p.name: p.default if p.default is not None else _center(p) for p in space.parameters}
    given = {name: value for name, value in configuration.items() if name in known}
    found = space.coerce(space.restrict({**usual, **given}))
    return None if space.faults(found) else found


def _center(parameter: Parameter) -> Value:
    axis = axis_of(parameter.domain)
    return axis.value(axis.center)
