"""Search spaces: what may be tuned, when each parameter exists, and which combinations are allowed.

The server has the last word on what is valid; `SearchSpace.faults` finds the same mistakes without one.
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
    conform,
    described,
    listed,
    parameter_faults,
    parse,
    plain,
    same,
)

MAX_PARAMETERS = 256
MAX_CONSTRAINTS = 64


@dataclass(frozen=True)
class SearchSpace:
    """Everything that may be tried. Any sequence is accepted, and kept as a tuple."""

    parameters: Sequence[Parameter]
    constraints: Sequence[Constraint] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "constraints", tuple(self.constraints))

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name. Raises KeyError."""
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
        """The space with this parameter in the place of the one of its name. Raises InvalidRequest."""
        self._require([parameter.name])
        return replace(self, parameters=[parameter if p.name == parameter.name else p for p in self.parameters])

    def with_parameters(self, parameters: Sequence[Parameter], *others: "SearchSpace") -> "SearchSpace":
        """Return a space of these parameters, with its own constraints and those of the others that fit them.

        A constraint of another space fits where each parameter that it names is there and admits the value named.
        """
        known = {p.name: p for p in parameters}
        constraints = [*self.constraints]
        for constraint in (c for other in others for c in other.constraints):
            if constraint not in constraints and not any(constraint.faults(known)):
                constraints.append(constraint)
        return SearchSpace(parameters, constraints)

    def pin(self, values: Mapping[str, object]) -> "SearchSpace":
        """The space in which these parameters are constants, with a domain of one value.

        Parameters that can no longer become active are left out, and so are constraints that can no longer be broken.

        Raises:
            InvalidRequest: a name that the space lacks, or a value that the parameter doesn't admit.
        """
        self._require(values)
        constants = self.conform(values)
        faults = [_misfit(self[n], v) for n, v in constants.items() if not admits(self[n], v)]
        if faults:
            raise InvalidRequest.listing(faults)
        kept: dict[str, Parameter] = {}
        for parameter in self.parameters:
            name = parameter.name
            narrowed = _reachable(_pinned(parameter, constants[name]) if name in constants else parameter, kept)
            if narrowed is not None:
                kept[name] = narrowed
        return SearchSpace(tuple(kept.values()), [c for c in self.constraints if _can_be_broken(c, kept)])

    def parse(self, texts: Mapping[str, str]) -> dict[str, Value]:
        """Values from text, as on a command line, each by the kind of its parameter. Raises InvalidRequest."""
        self._require(texts)
        return {name: parse(self[name], text) for name, text in texts.items()}

    def conform(self, configuration: Mapping[str, object]) -> dict[str, Value]:
        """The configuration in Python's own types, with whole numbers as floats where the parameter is a float.

        Raises:
            InvalidRequest: a value that is no number, string or boolean. What the space admits is the server's to say.
        """
        known = {p.name: p for p in self.parameters}
        return {n: conform(known[n], v) if n in known else plain(n, v) for n, v in configuration.items()}

    def active(self, configuration: Configuration) -> tuple[Parameter, ...]:
        """The parameters that exist under this configuration."""
        kept: dict[str, Value] = {}
        found = []
        for parameter in self.parameters:
            if is_active(parameter, kept):
                found.append(parameter)
                if parameter.name in configuration:
                    kept[parameter.name] = configuration[parameter.name]
        return tuple(found)

    def is_feasible(self, configuration: Configuration) -> bool:
        """Whether the configuration fulfills every constraint."""
        return all(c.holds(configuration) for c in self.constraints)

    def configuration_faults(self, configuration: Configuration) -> list[Violation]:
        """Why this is no configuration of the space: missing, unknown, inactive and invalid values."""
        active = {p.name: p for p in self.active(configuration)}
        faults = [Violation(n, f"is missing; give {described(p)}") for n, p in active.items() if n not in configuration]
        for name, value in configuration.items():
            if name not in self:
                faults.append(Violation(name, f"is not a parameter of this study; it has {listed(sorted(self.names))}"))
            elif name not in active:
                faults.append(Violation(name, f"exists only where {_condition(self[name])}; leave it out"))
            elif not admits(active[name], value):
                faults.append(_misfit(active[name], value))
        return faults

    def faults(self) -> list[Violation]:
        """Everything that makes this no valid space, with fields such as `parameters[0].low`."""
        return [*self._parameter_faults(), *self._constraint_faults()]

    def _parameter_faults(self) -> Iterator[Violation]:
        count = len(self.parameters)
        if not 1 <= count <= MAX_PARAMETERS:
            yield Violation("parameters", f"has {count}; a space has 1 to {MAX_PARAMETERS} parameters")
        seen: dict[str, Parameter] = {}
        for i, parameter in enumerate(self.parameters):
            at = f"parameters[{i}]"
            yield from (f.inside(at) for f in parameter_faults(parameter))
            if parameter.name in seen:
                yield Violation(f"{at}.name", f"{parameter.name!r} occurs twice; names must be distinct: rename one")
            yield from (f.inside(f"{at}.activation") for f in _activation_faults(parameter, seen))
            seen[parameter.name] = parameter

    def _constraint_faults(self) -> Iterator[Violation]:
        count = len(self.constraints)
        if count > MAX_CONSTRAINTS:
            yield Violation("constraints", f"has {count}; at most {MAX_CONSTRAINTS} are allowed")
        known = {p.name: p for p in self.parameters}
        for i, constraint in enumerate(self.constraints):
            yield from (f.inside(f"constraints[{i}]") for f in constraint.faults(known))

    def _require(self, names: Iterable[str]) -> None:
        unknown = [n for n in names if n not in self]
        if unknown:
            allowed = f"is not a parameter of this space; it has {listed(sorted(self.names))}"
            raise InvalidRequest.listing([Violation(n, allowed) for n in unknown])


def is_active(parameter: Parameter, configuration: Configuration) -> bool:
    """Whether the parameter exists, given the values of the active parameters before it."""
    rule = parameter.activation
    if rule is None:
        return True
    return rule.parameter in configuration and any(same(configuration[rule.parameter], v) for v in rule.values)


def _condition(parameter: Parameter) -> str:
    rule = parameter.activation
    assert rule is not None
    return f"{rule.parameter} is {listed(tuple(rule.values))}"


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


def _reachable(parameter: Parameter, kept: Mapping[str, Parameter]) -> Parameter | None:
    """The parameter with its activation narrowed to what can still happen; None where nothing can."""
    rule = parameter.activation
    if rule is None:
        return parameter
    decider = kept.get(rule.parameter)
    values = [v for v in rule.values if decider is not None and admits(decider, v)]
    return replace(parameter, activation=replace(rule, values=values)) if values else None


def _can_be_broken(constraint: Constraint, kept: Mapping[str, Parameter]) -> bool:
    if any(name not in kept for name in constraint.names):
        return False
    if isinstance(constraint, ForbiddenCombination):
        return all(admits(kept[n], v) for n, v in constraint.parameters.items())
    return True


def _activation_faults(parameter: Parameter, earlier: Mapping[str, Parameter]) -> Iterator[Violation]:
    rule = parameter.activation
    if rule is None:
        return
    decider = earlier.get(rule.parameter)
    if decider is None:
        there = f": {listed(list(earlier))}" if earlier else ", and this one is the first: put it below the other"
        yield Violation("parameter", f"is {rule.parameter!r}; it must be a parameter earlier in the list{there}")
        return
    if not rule.values:
        yield Violation("values", f"is empty; give at least one value of {rule.parameter!r}")
    for value in rule.values:
        if not admits(decider, value):
            yield Violation("values", f"holds {value!r}; {rule.parameter!r} is {described(decider)}")
