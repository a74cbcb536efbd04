"""The search space: its parameters, when each exists, and which combinations are allowed.

A configuration holds exactly the active parameters, in the user's units; `encoding.py` turns it into numbers for the
surrogate.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_service.core.constraints import Configuration, Constraint, constraint_faults
from bo_service.core.domains import Domain, Value, listed, same
from bo_service.core.errors import InvalidArgument, Violation
from bo_service.core.limits import MAX_CONSTRAINTS, MAX_NAME, MAX_PARAMETERS

NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_./-]{{0,{MAX_NAME - 1}}}")


@dataclass(frozen=True)
class Activation:
    """The parameter exists only while `parameter` has one of `values`."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """The definition of one tuned quantity."""

    name: str
    domain: Domain
    default: Value | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""

    def is_active(self, configuration: Configuration) -> bool:
        """Whether it exists, given the values of the parameters before it."""
        rule = self.activation
        return rule is None or (
            rule.parameter in configuration and any(same(configuration[rule.parameter], v) for v in rule.values)
        )

    def faults(self) -> Iterator[Violation]:
        if not NAME.fullmatch(self.name):
            yield Violation(
                "name",
                f"is {self.name[:140]!r}; give a letter or '_', then letters, digits, or any of '_.-/', at most 128",
            )
        wrong = list(self.domain.faults())
        yield from wrong
        if not wrong and self.default is not None and not self.domain.admits(self.default):
            yield Violation("default_value", f"is {self.default!r}; it must be {self.domain}")


@dataclass(frozen=True)
class SearchSpace:
    """Everything that may be tried.

    Raises:
        InvalidArgument: naming every parameter and constraint at fault.
    """

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        faults = [*self._parameter_faults(), *self._constraint_faults()]
        if faults:
            raise InvalidArgument(faults)

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name. Raises KeyError."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def active(self, configuration: Configuration) -> tuple[Parameter, ...]:
        """The parameters that exist under this (complete or larger) configuration."""
        kept: dict[str, Value] = {}
        found = []
        for parameter in self.parameters:
            if parameter.is_active(kept):
                found.append(parameter)
                if parameter.name in configuration:
                    kept[parameter.name] = configuration[parameter.name]
        return tuple(found)

    def restrict(self, configuration: Configuration) -> dict[str, Value]:
        """The configuration without the values of parameters that are not active in it, in the space's order."""
        return {p.name: configuration[p.name] for p in self.active(configuration) if p.name in configuration}

    def coerce(self, configuration: Configuration) -> dict[str, Value]:
        """The configuration with whole numbers made floats where the parameter holds floats."""
        floats = {p.name for p in self.parameters if p.domain.is_float}
        return {n: float(v) if n in floats and type(v) is int else v for n, v in configuration.items()}

    def faults(self, configuration: Configuration) -> list[Violation]:
        """Why this is no configuration of the space: missing, unknown, inactive and invalid values."""
        faults = []
        active = {p.name: p for p in self.active(configuration)}
        known = {p.name for p in self.parameters}
        for name, parameter in active.items():
            if name not in configuration:
                faults.append(Violation(name, f"is missing; give {parameter.domain}"))
            elif not parameter.domain.admits(configuration[name]):
                faults.append(Violation(name, f"is {configuration[name]!r}; it must be {parameter.domain}"))
        for name in configuration:
            if name not in known:
                faults.append(Violation(name, f"is not a parameter of this study; it has {listed(sorted(known))}"))
            elif name not in active:
                rule = self[name].activation
                assert rule is not None
                faults.append(
                    Violation(name, f"exists only where {rule.parameter} is {listed(rule.values)}; leave it out")
                )
        return faults

    def named(self, parameter: Parameter) -> tuple[Value, ...]:
        """The values of a parameter that the space itself names: its default, and those that decide on others."""
        rules = [p.activation for p in self.parameters if p.activation and p.activation.parameter == parameter.name]
        default = () if parameter.default is None else (parameter.default,)
        return (*default, *(v for rule in rules for v in rule.values))

    def is_feasible(self, configuration: Configuration) -> bool:
        """Whether the configuration fulfills every constraint."""
        return all(c.holds(configuration) for c in self.constraints)

    def _parameter_faults(self) -> Iterator[Violation]:
        count = len(self.parameters)
        if not 1 <= count <= MAX_PARAMETERS:
            yield Violation("parameters", f"has {count}; a space has 1 to {MAX_PARAMETERS} parameters")
        seen: dict[str, Parameter] = {}
        for i, parameter in enumerate(self.parameters):
            at = f"parameters[{i}]"
            yield from (fault.inside(at) for fault in parameter.faults())
            if parameter.name in seen:
                yield Violation(f"{at}.name", f"{parameter.name!r} occurs twice; names must be distinct: rename one")
            if parameter.activation is not None:
                yield from (f.inside(f"{at}.activation") for f in _activation_faults(parameter.activation, seen))
            seen[parameter.name] = parameter

    def _constraint_faults(self) -> Iterator[Violation]:
        if len(self.constraints) > MAX_CONSTRAINTS:
            yield Violation("constraints", f"has {len(self.constraints)}; at most {MAX_CONSTRAINTS} are allowed")
        known = {p.name: p.domain for p in self.parameters}
        for i, constraint in enumerate(self.constraints):
            yield from (f.inside(f"constraints[{i}]") for f in constraint_faults(constraint, known))


def _activation_faults(rule: Activation, earlier: Mapping[str, Parameter]) -> Iterator[Violation]:
    decider = earlier.get(rule.parameter)
    if decider is None:
        there = f": {listed(list(earlier))}" if earlier else ", and this one is the first: put it below the other"
        yield Violation("parameter", f"is {rule.parameter!r}; it must be a parameter earlier in the list{there}")
        return
    if not rule.values:
        yield Violation("values", f"is empty; give at least one value of {rule.parameter!r}")
    for value in rule.values:
        if not decider.domain.admits(value):
            yield Violation("values", f"holds {value!r}; {rule.parameter!r} is {decider.domain}")
