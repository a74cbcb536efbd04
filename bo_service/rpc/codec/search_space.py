"""Conversion of search spaces and configurations to and from messages. The messages are in the namespace `pb`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bo_api.v1 import space_pb2 as pb

from bo_service.domain.constraints import (
    Constraint,
    EqualityConstraint,
    ForbiddenCombination,
    LinearConstraint,
)
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import MAX_CONSTRAINTS, MAX_DESCRIPTION, MAX_PARAMETERS, MAX_UNIT, MAX_VALUES
from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.domain.search_space import Activation, Parameter, SearchSpace
from bo_service.rpc.codec.fields import (
    ViolationCollector,
    choice,
    configuration_from_wire,
    configuration_to_wire,
    each,
    text,
    value_from_wire,
    value_to_wire,
)

T = TypeVar("T")

SCALES = {pb.SCALE_UNSPECIFIED: Scale.LINEAR, pb.SCALE_LINEAR: Scale.LINEAR, pb.SCALE_LOG: Scale.LOG}
SCALES_TO_WIRE = {Scale.LINEAR: pb.SCALE_LINEAR, Scale.LOG: pb.SCALE_LOG}
INSIDE_KIND = re.compile(r"parameters\[(\d+)\]\.(low|high|values|scale)\b")


def space_to_wire(space: SearchSpace) -> pb.SearchSpace:
    """Return the message."""
    return pb.SearchSpace(
        parameters=[_parameter_to_wire(p) for p in space.parameters],
        constraints=[_constraint_to_wire(c) for c in space.constraints],
    )


def or_else(violations: ViolationCollector, decode: Callable[[], T], default: T) -> T:
    """Return what `decode` returns, or collect its violations and return the default."""
    try:
        return decode()
    except InvalidArgument as error:
        add_all(violations, error.violations)
        return default


def add_all(collector: ViolationCollector, violations: Iterable[Violation]) -> None:
    """Add violations to the collector."""
    for violation in violations:
        collector.add(violation.field, violation.description)


def space_from_wire(message: pb.SearchSpace, field: str) -> SearchSpace:
    """Return the search space.

    Rules that depend on an undecodable parameter are not checked.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    for name, elements, limit in (
        ("parameters", message.parameters, MAX_PARAMETERS),
        ("constraints", message.constraints, MAX_CONSTRAINTS),
    ):
        if len(elements) > limit:
            raise InvalidArgument.of(f"{field}.{name}", f"has {len(elements)}; at most {limit} are allowed")
    violations = ViolationCollector()
    parameters = [
        _parameter_from_wire(m, f"{field}.parameters[{i}]", violations) for i, m in enumerate(message.parameters)
    ]
    floats = {p.name for p in parameters if p is not None and p.domain.is_float}
    constraints = [
        _constraint_from_wire(m, f"{field}.constraints[{i}]", floats, violations)
        for i, m in enumerate(message.constraints)
    ]
    try:
        space = _validated_space([p and _with_float_rule(p, floats) for p in parameters], constraints)
    except InvalidArgument as error:
        add_all(violations, (_on_the_wire(v, message).inside(field) for v in error.violations))
    violations.check()
    return space


def _validated_space(parameters: Sequence[Parameter | None], constraints: Sequence[Constraint | None]) -> SearchSpace:
    """Return the space of the decoded parts.

    Raises:
        InvalidArgument: contains the violations of the parameters if one of them could not be decoded.
    """
    decoded = [p for p in parameters if p is not None]
    if len(decoded) < len(parameters):
        own = [f.inside(f"parameters[{i}]") for i, p in enumerate(parameters) if p is not None for f in p.faults()]
        raise InvalidArgument(own)
    readable = [c for c in constraints if c is not None]
    # Without one of the constraints the others' numbers would be wrong.
    return SearchSpace(tuple(decoded), tuple(readable) if len(readable) == len(constraints) else ())


def _on_the_wire(violation: Violation, message: pb.SearchSpace) -> Violation:
    """Return the violation with the field of the parameter's kind in its path, which the domain does not contain."""

    def add_kind(match: re.Match[str]) -> str:
        kind = message.parameters[int(match[1])].WhichOneof("kind")
        return f"parameters[{match[1]}].{kind}.{match[2]}"

    return Violation(INSIDE_KIND.sub(add_kind, violation.field), violation.description)


def _parameter_to_wire(parameter: Parameter) -> pb.Parameter:
    message = pb.Parameter(name=parameter.name, description=parameter.description, unit=parameter.unit)
    match parameter.domain:
        case FloatDomain(low, high, scale):
            message.float_parameter.CopyFrom(pb.FloatParameter(low=low, high=high, scale=SCALES_TO_WIRE[scale]))
        case IntDomain(low, high, scale):
            message.int_parameter.CopyFrom(pb.IntParameter(low=low, high=high, scale=SCALES_TO_WIRE[scale]))
        case CategoricalDomain(values):
            message.categorical_parameter.CopyFrom(pb.CategoricalParameter(values=_list_to_wire(values)))
        case DiscreteDomain(values, scale):
            ordered = pb.DiscreteParameter(values=_list_to_wire(values), scale=SCALES_TO_WIRE[scale])
            message.discrete_parameter.CopyFrom(ordered)
    if parameter.default is not None:
        message.default_value.CopyFrom(value_to_wire(parameter.default))
    if parameter.activation is not None:
        rule = parameter.activation
        message.activation.CopyFrom(pb.Activation(parameter=rule.parameter, values=_list_to_wire(rule.values)))
    return message


def _parameter_from_wire(message: pb.Parameter, field: str, violations: ViolationCollector) -> Parameter | None:
    """Return the parameter; None if its domain cannot be decoded."""
    domain = violations.attempt(lambda: _domain_from_wire(message, field, violations))
    default = violations.attempt(lambda: _default_from_wire(message, f"{field}.default_value"))
    activation = violations.attempt(lambda: _activation_from_wire(message, f"{field}.activation"))
    description = or_else(violations, lambda: text(message.description, f"{field}.description", MAX_DESCRIPTION), "")
    unit = or_else(violations, lambda: text(message.unit, f"{field}.unit", MAX_UNIT), "")
    if domain is None:  # its name is judged beside any domain
        add_all(violations, (f.inside(field) for f in Parameter(message.name, FloatDomain(0.0, 1.0)).faults()))
        return None
    if default is not None:
        default = _as_float(default, domain.is_float)
    return Parameter(message.name, domain, default, activation, description, unit)


def _default_from_wire(message: pb.Parameter, field: str) -> Value | None:
    return value_from_wire(message.default_value, field) if message.HasField("default_value") else None


def _activation_from_wire(message: pb.Parameter, field: str) -> Activation | None:
    if not message.HasField("activation"):
        return None
    return Activation(message.activation.parameter, _list_from_wire(message.activation.values, f"{field}.values"))


def _domain_from_wire(message: pb.Parameter, field: str, violations: ViolationCollector) -> Domain:
    kind = message.WhichOneof("kind")
    at = f"{field}.{kind}"
    match kind:
        case "float_parameter":
            real = message.float_parameter
            return FloatDomain(real.low, real.high, _scale_from_wire(real.scale, at, violations))
        case "int_parameter":
            whole = message.int_parameter
            return IntDomain(whole.low, whole.high, _scale_from_wire(whole.scale, at, violations))
        case "categorical_parameter":
            return CategoricalDomain(_list_from_wire(message.categorical_parameter.values, f"{at}.values"))
        case "discrete_parameter":
            ordered = message.discrete_parameter
            scale = _scale_from_wire(ordered.scale, at, violations)
            domain = DiscreteDomain(_list_from_wire(ordered.values, f"{at}.values"), scale)
            if not domain.values:  # nobody could say whether it is of floats
                raise InvalidArgument([fault.inside(at) for fault in domain.faults()])
            return domain
    raise InvalidArgument.of(
        field, "has no kind; set float_parameter, int_parameter, categorical_parameter or discrete_parameter"
    )


def _scale_from_wire(number: int, at: str, violations: ViolationCollector) -> Scale:
    return or_else(violations, lambda: choice(number, f"{at}.scale", SCALES), Scale.LINEAR)


def _constraint_to_wire(constraint: Constraint) -> pb.Constraint:
    if isinstance(constraint, LinearConstraint):
        linear = pb.LinearConstraint(coefficients=constraint.coefficients, upper_bound=constraint.upper_bound)
        return pb.Constraint(linear=linear, description=constraint.description)
    if isinstance(constraint, EqualityConstraint):
        equality = pb.EqualityConstraint(coefficients=constraint.coefficients, value=constraint.value)
        return pb.Constraint(equality=equality, description=constraint.description)
    forbidden = pb.ForbiddenCombination(parameters=configuration_to_wire(constraint.parameters))
    return pb.Constraint(forbidden=forbidden, description=constraint.description)


def _constraint_from_wire(
    message: pb.Constraint, field: str, floats: set[str], violations: ViolationCollector
) -> Constraint | None:
    """Return the constraint; None if its condition cannot be decoded."""
    description = or_else(violations, lambda: text(message.description, f"{field}.description", MAX_DESCRIPTION), "")
    match message.WhichOneof("kind"):
        case "linear":
            return LinearConstraint(_sorted(message.linear.coefficients), message.linear.upper_bound, description)
        case "equality":
            return EqualityConstraint(_sorted(message.equality.coefficients), message.equality.value, description)
        case "forbidden":
            at = f"{field}.forbidden.parameters"
            configuration = violations.attempt(lambda: configuration_from_wire(message.forbidden.parameters, at))
            if configuration is None:
                return None
            values = {name: _as_float(value, name in floats) for name, value in configuration.items()}
            return ForbiddenCombination(values, description)
    violations.add(field, "has no kind; set linear, equality or forbidden")
    return None


def _sorted(terms: Mapping[str, float]) -> dict[str, float]:
    return {name: terms[name] for name in sorted(terms)}


def _with_float_rule(parameter: Parameter, floats: set[str]) -> Parameter:
    rule = parameter.activation
    if rule is None or rule.parameter not in floats:
        return parameter
    values = tuple(_as_float(value, True) for value in rule.values)
    return replace(parameter, activation=Activation(rule.parameter, values))


def _as_float(value: Value, is_float: bool) -> Value:
    """Return an integer as a float if a float is required."""
    return float(value) if is_float and type(value) is int else value


def _list_to_wire(values: Iterable[Value]) -> list[pb.ParameterValue]:
    return [value_to_wire(value) for value in values]


def _list_from_wire(messages: Sequence[pb.ParameterValue], field: str) -> tuple[Value, ...]:
    if len(messages) > MAX_VALUES:
        raise InvalidArgument.of(field, f"has {len(messages)}; at most {MAX_VALUES} values are allowed")
    return each(messages, field, value_from_wire)
