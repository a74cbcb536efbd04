"""A configuration of one search space, said in another."""

from bo_service.core.constraints import Configuration
from bo_service.core.domains import Value
from bo_service.core.encoded.axes import axis_of
from bo_service.core.space import Parameter, SearchSpace


def translated(configuration: Configuration, space: SearchSpace) -> Configuration | None:
    """The nearest thing to a configuration of another space; None where one of its values isn't allowed here.

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
