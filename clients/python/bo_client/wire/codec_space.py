"""Conversion of search spaces to and from messages. The messages are in the namespace `pb`."""

from collections.abc import Iterable, Mapping, Sequence

from bo_api.v1 import space_pb2 as pb

from bo_client.constraints import Constraint, EqualityConstraint, ForbiddenCombination, LinearConstraint
from bo_client.errors import InvalidRequest, UnexpectedError
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scale,
    Value,
    coerce,
    to_python,
)
from bo_client.space import SearchSpace
from bo_client.wire.codec_plain import build_or_raise


def value_to_wire(value: Value, field: str = "value") -> pb.ParameterValue:
    """Return the message.

    Raises:
        InvalidRequest: the value is neither number, string nor boolean, or exceeds 64 bits.
    """
    converted = to_python(field, value)
    if isinstance(converted, bool):
        return pb.ParameterValue(bool_value=converted)
    if isinstance(converted, int):
        return build_or_raise(field, converted, lambda: pb.ParameterValue(int_value=converted))
    if isinstance(converted, float):
        return pb.ParameterValue(float_value=converted)
    return pb.ParameterValue(string_value=converted)


def value_from_wire(message: pb.ParameterValue) -> Value:
    """Return the value.

    Raises:
        UnexpectedError: its kind is unknown.
    """
    kind = message.WhichOneof("value")
    if kind is None:
        raise UnexpectedError("the server sent a parameter value of an unknown kind; upgrade the client")
    value: Value = getattr(message, kind)
    return value


def values_to_wire(values: Mapping[str, Value]) -> dict[str, pb.ParameterValue]:
    """Return the messages by name."""
    return {name: value_to_wire(value, name) for name, value in values.items()}


def values_from_wire(messages: Mapping[str, pb.ParameterValue]) -> dict[str, Value]:
    """Return the values sorted by name, as messages have no order."""
    return {name: value_from_wire(messages[name]) for name in sorted(messages)}


def space_to_wire(space: SearchSpace) -> pb.SearchSpace:
    """Return the message.

    Raises:
        InvalidRequest: names a field that cannot be encoded.
    """
    return pb.SearchSpace(
        parameters=[_parameter_to_wire(p, f"space.parameters[{i}]") for i, p in enumerate(space.parameters)],
        constraints=[_constraint_to_wire(c, f"space.constraints[{i}]") for i, c in enumerate(space.constraints)],
    )


def space_from_wire(message: pb.SearchSpace) -> SearchSpace:
    """Return the search space.

    Raises:
        UnexpectedError: the kind of a parameter or constraint is unknown.
    """
    return SearchSpace(
        [_parameter_from_wire(p) for p in message.parameters], [_constraint_from_wire(c) for c in message.constraints]
    )


def _parameter_to_wire(parameter: Parameter, at: str) -> pb.Parameter:
    message = build_or_raise(
        at,
        parameter,
        lambda: pb.Parameter(name=parameter.name, description=parameter.description, unit=parameter.unit),
    )
    match parameter:
        case FloatParameter(low=low, high=high):
            scale = _scale_to_wire(parameter.scale, at)
            kind = build_or_raise(f"{at}.low", (low, high), lambda: pb.FloatParameter(low=low, high=high, scale=scale))
            message.float_parameter.CopyFrom(kind)
        case IntParameter(low=low, high=high):
            scale = _scale_to_wire(parameter.scale, at)
            for field, bound in (("low", low), ("high", high)):
                if isinstance(bound, int) and not -(2**63) <= bound < 2**63:  # a message can't hold it
                    what = f"is {bound}; whole numbers are allowed from -2^53 to 2^53"
                    raise InvalidRequest.of(f"{at}.{field}", what)
            whole = build_or_raise(f"{at}.low", (low, high), lambda: pb.IntParameter(low=low, high=high, scale=scale))
            message.int_parameter.CopyFrom(whole)
        case CategoricalParameter(values=values):
            message.categorical_parameter.CopyFrom(pb.CategoricalParameter(values=_list_to_wire(values, at)))
        case DiscreteParameter(values=values):
            scale = _scale_to_wire(parameter.scale, at)
            message.discrete_parameter.CopyFrom(pb.DiscreteParameter(values=_list_to_wire(values, at), scale=scale))
        case _:
            raise InvalidRequest.of(at, f"is {parameter!r}; give a Float-, Int-, Categorical- or DiscreteParameter")
    if parameter.default is not None:
        message.default_value.CopyFrom(value_to_wire(coerce(parameter, parameter.default), f"{at}.default_value"))
    if parameter.activation is not None:
        rule = parameter.activation
        message.activation.CopyFrom(pb.Activation(parameter=rule.parameter, values=_list_to_wire(rule.values, at)))
    return message


def _parameter_from_wire(message: pb.Parameter) -> Parameter:
    kind = message.WhichOneof("kind")
    default = value_from_wire(message.default_value) if message.HasField("default_value") else None
    rule = message.activation if message.HasField("activation") else None
    activation = Activation(rule.parameter, _list_from_wire(rule.values)) if rule else None
    rest = (activation, message.description, message.unit)
    if kind == "float_parameter":
        real = message.float_parameter
        center = None if default is None else float(default)
        return FloatParameter(message.name, real.low, real.high, _scale_from_wire(real.scale), center, *rest)
    if kind == "int_parameter":
        whole = message.int_parameter
        start = None if default is None else int(default)
        return IntParameter(message.name, whole.low, whole.high, _scale_from_wire(whole.scale), start, *rest)
    if kind == "categorical_parameter":
        values = _list_from_wire(message.categorical_parameter.values)
        return CategoricalParameter(message.name, values, default, *rest)
    if kind == "discrete_parameter":
        ordered = message.discrete_parameter
        values = _list_from_wire(ordered.values)
        return DiscreteParameter(message.name, values, _scale_from_wire(ordered.scale), default, *rest)
    raise UnexpectedError(f"parameter {message.name!r} is of a kind that this client doesn't know; upgrade the client")


def _constraint_to_wire(constraint: Constraint, at: str) -> pb.Constraint:
    if isinstance(constraint, LinearConstraint):
        terms, bound = constraint.coefficients, constraint.upper_bound
        linear = build_or_raise(at, constraint, lambda: pb.LinearConstraint(coefficients=terms, upper_bound=bound))
        return pb.Constraint(linear=linear, description=constraint.description)
    if isinstance(constraint, EqualityConstraint):
        terms, value = constraint.coefficients, constraint.value
        equality = build_or_raise(at, constraint, lambda: pb.EqualityConstraint(coefficients=terms, value=value))
        return pb.Constraint(equality=equality, description=constraint.description)
    if isinstance(constraint, ForbiddenCombination):
        forbidden = pb.ForbiddenCombination(parameters=values_to_wire(constraint.parameters))
        return pb.Constraint(forbidden=forbidden, description=constraint.description)
    raise InvalidRequest.of(at, f"is {constraint!r}; give a Linear- or EqualityConstraint or a ForbiddenCombination")


def _constraint_from_wire(message: pb.Constraint) -> Constraint:
    kind = message.WhichOneof("kind")
    if kind == "linear":
        linear = message.linear
        return LinearConstraint(_sorted(linear.coefficients), linear.upper_bound, message.description)
    if kind == "equality":
        return EqualityConstraint(_sorted(message.equality.coefficients), message.equality.value, message.description)
    if kind == "forbidden":
        return ForbiddenCombination(values_from_wire(message.forbidden.parameters), message.description)
    raise UnexpectedError("a constraint is of a kind that this client doesn't know; upgrade the client")


def _sorted(terms: Mapping[str, float]) -> dict[str, float]:
    return {name: terms[name] for name in sorted(terms)}


def _list_to_wire(values: Sequence[Value], at: str) -> list[pb.ParameterValue]:
    return [value_to_wire(value, f"{at}.values[{i}]") for i, value in enumerate(values)]


def _list_from_wire(messages: Iterable[pb.ParameterValue]) -> tuple[Value, ...]:
    return tuple(value_from_wire(m) for m in messages)


def _scale_to_wire(scale: str, at: str) -> pb.Scale:
    if scale not in ("linear", "log"):
        raise InvalidRequest.of(f"{at}.scale", f'is {scale!r}; give "linear" or "log"')
    return pb.SCALE_LOG if scale == "log" else pb.SCALE_LINEAR


def _scale_from_wire(scale: pb.Scale) -> Scale:
    return "log" if scale == pb.SCALE_LOG else "linear"
