"""Search spaces: parameters, their conditions, and constraints.

The server validates spaces; `SearchSpace.faults` finds the same violations locally, except those of sizes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bo_client.constraints import Configuration, Constraint, ForbiddenCombination
from bo_client.errors import InvalidRequest, Violation
from bo_client.parameters import (
    CategoricalParameter,
    DiscreteParameter,
    Parameter,
    Value,
    admits,
    coerce,
    described,
    format_values,
    parameter_faults,
    parse,
    strict_equal,
    to_python,
)


@dataclass(frozen=True)
class SearchSpace:
    """The set of all configurations. Any sequences are accepted, and stored as tuples."""

    parameters: Sequence[Parameter]
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "constraints", tuple(self.constraints))

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter with a name.

        Raises:
            KeyError: the space has no such parameter.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(p.name for p in self.parameters)

    def replace(self, parameter: Parameter) -> "SearchSpace":
        """Return the space with the parameter of the same name replaced.

        Raises:
            InvalidRequest: the space has no such parameter.
        """
        self._require([parameter.name])
        return replace(self, parameters=[parameter if p.name == parameter.name else p for p in self.parameters])

    def with_parameters(self, parameters: Sequence[Parameter], *others: "SearchSpace") -> "SearchSpace":
        """Return a space of these parameters, with its own constraints and those of the others that apply.

        A constraint of another space applies if all its parameters exist and admit its values.
        """
        domains = {p.name: p for p in parameters}
        constraints = [*self.constraints]
        for constraint in (c for other in others for c in other.constraints):
            if constraint not in constraints and not any(constraint.faults(domains)):
                constraints.append(constraint)
        return SearchSpace(parameters, constraints)

    def pin(self, values: Mapping[str, object]) -> "SearchSpace":
        """Return the space with some parameters constant, as domains of one value.

        Parameters that can no longer become active, and constraints that can no longer be violated, are dropped.

        Raises:
            InvalidRequest: the space lacks a name, or a value is not allowed.
        """
        self._require(values)
        constants = self.coerce(values)
        faults = [_misfit(self[n], v) for n, v in constants.items() if not admits(self[n], v)]
        if faults:
            raise InvalidRequest.listing(faults)
        pinned: dict[str, Parameter] = {}
        for parameter in self.parameters:
            name = parameter.name
            narrowed = _reachable(_pinned(parameter, constants[name]) if name in constants else parameter, pinned)
            if narrowed is not None:
                pinned[name] = narrowed
        return SearchSpace(tuple(pinned.values()), [c for c in self.constraints if _can_be_broken(c, pinned)])

    def parse(self, texts: Mapping[str, str]) -> dict[str, Value]:
        """Return values of texts, as on a command line, by the parameters' types.

        Raises:
            InvalidRequest: the space lacks a name, or a text is no value of its parameter.
        """
        self._require(texts)
        return {name: parse(self[name], text) for name, text in texts.items()}

    def coerce(self, configuration: Mapping[str, object]) -> dict[str, Value]:
        """Return the configuration as Python types, with integers as floats if the parameter holds floats.

        The server validates the values.

        Raises:
            InvalidRequest: it is no dict of values by name, or a value is neither number, string nor boolean.
        """
        if not isinstance(configuration, Mapping) or not all(isinstance(name, str) for name in configuration):
            raise InvalidRequest.of("parameters", f"are {configuration!r}; give a dict with a value for each name")
        parameters = {p.name: p for p in self.parameters}
        return {n: coerce(parameters[n], v) if n in parameters else to_python(n, v) for n, v in configuration.items()}

    def active(self, configuration: Configuration) -> tuple[Parameter, ...]:
        """Return the parameters that are active in a configuration."""
        values: dict[str, Value] = {}
        active = []
        for parameter in self.parameters:
            if is_active(parameter, values):
                active.append(parameter)
                if parameter.name in configuration:
                    values[parameter.name] = configuration[parameter.name]
        return tuple(active)

    def is_feasible(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies every constraint."""
        return all(c.holds(configuration) for c in self.constraints)

    def configuration_faults(self, configuration: Configuration) -> list[Violation]:
        """Return the violations of a configuration: missing, unknown, inactive and invalid values."""
        active = {p.name: p for p in self.active(configuration)}
        faults = [Violation(n, f"is missing; give {described(p)}") for n, p in active.items() if n not in configuration]
        for name, value in configuration.items():
            if name not in self:
                faults.append(
                    Violation(name, f"is not a parameter of this study; it has {format_values(sorted(self.names))}")
                )
            elif name not in active:
                faults.append(Violation(name, f"exists only where {_condition(self[name])}; leave it out"))
            elif not admits(active[name], value):
                faults.append(_misfit(active[name], value))
        return faults

    def faults(self) -> list[Violation]:
        """Return the violations of the space, with fields such as `parameters[0].low`."""
        return [*self._parameter_faults(), *self._constraint_faults()]

    def _parameter_faults(self) -> Iterator[Violation]:
        if not self.parameters:
            yield Violation("parameters", "is empty; give at least one")
        seen: dict[str, Parameter] = {}
        for i, parameter in enumerate(self.parameters):
            at = f"parameters[{i}]"
            yield from (f.inside(at) for f in parameter_faults(parameter))
            if parameter.name in seen:
                yield Violation(f"{at}.name", f"{parameter.name!r} occurs twice; names must be distinct: rename one")
            yield from (f.inside(f"{at}.activation") for f in _activation_faults(parameter, seen))
            seen[parameter.name] = parameter

    def _constraint_faults(self) -> Iterator[Violation]:
        parameters = {p.name: p for p in self.parameters}
        for i, constraint in enumerate(self.constraints):
            yield from (f.inside(f"constraints[{i}]") for f in constraint.faults(parameters))

    def _require(self, names: Iterable[str]) -> None:
        unknown = [n for n in names if n not in self]
        if unknown:
            allowed = f"is not a parameter of this space; it has {format_values(sorted(self.names))}"
            raise InvalidRequest.listing([Violation(n, allowed) for n in unknown])


def is_active(parameter: Parameter, configuration: Configuration) -> bool:
    """Return whether the parameter is active, given the values of the active parameters before it."""
    rule = parameter.activation
    if rule is None:
        return True
    return rule.parameter in configuration and any(strict_equal(configuration[rule.parameter], v) for v in rule.values)


def _condition(parameter: Parameter) -> str:
    rule = parameter.activation
    assert rule is not None
    return f"{rule.parameter} is {format_values(tuple(rule.values))}"


def _misfit(parameter: Parameter, value: Value) -> Violation:
    return Violation(parameter.name, f"is {value!r}; it must be {described(parameter)}")


def _pinned(parameter: Parameter, value: Value) -> Parameter:
    kind = CategoricalParameter if isinstance(parameter, CategoricalParameter) else DiscreteParameter
    return kind(
        parameter.name,
        (value,),
        activation=parameter.activation,
        description=parameter.description,
        unit=parameter.unit,
    )


def _reachable(parameter: Parameter, parents: Mapping[str, Parameter]) -> Parameter | None:
    """Return the parameter with its condition narrowed to possible values; None if it can never be active."""
    rule = parameter.activation
    if rule is None:
        return parameter
    parent = parents.get(rule.parameter)
    values = [v for v in rule.values if parent is not None and admits(parent, v)]
    return replace(parameter, activation=replace(rule, values=values)) if values else None


def _can_be_broken(constraint: Constraint, parents: Mapping[str, Parameter]) -> bool:
    if any(name not in parents for name in constraint.names):
        return False
    if isinstance(constraint, ForbiddenCombination):
        return all(admits(parents[n], v) for n, v in constraint.parameters.items())
    return True


def _activation_faults(parameter: Parameter, earlier: Mapping[str, Parameter]) -> Iterator[Violation]:
    rule = parameter.activation
    if rule is None:
        return
    parent = earlier.get(rule.parameter)
    if parent is None:
        options = (
            f": {format_values(list(earlier))}" if earlier else ", and this one is the first: put it below the other"
        )
        yield Violation("parameter", f"is {rule.parameter!r}; it must be a parameter earlier in the list{options}")
        return
    if not rule.values:
        yield Violation("values", f"is empty; give at least one value of {rule.parameter!r}")
    for value in rule.values:
        if not admits(parent, value):
            yield Violation("values", f"holds {value!r}; {rule.parameter!r} is {described(parent)}")
