"""The search space: parameters, their conditions, and constraints.

A configuration contains exactly the active parameters, in the user's units. `optimizer/encoding/encoding.py` encodes it
for the surrogate.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bo_service.domain.constraints import Configuration, Constraint, constraint_faults
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import MAX_COLUMNS, MAX_CONSTRAINTS, MAX_NAME, MAX_PARAMETERS
from bo_service.domain.parameter_types import CategoricalDomain, Domain, Value, format_values, strict_equal

NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_./-]{{0,{MAX_NAME - 1}}}")
LETTERS = f"a letter or '_', then letters, digits, or any of '_.-/', at most {MAX_NAME}"
NAME_FORM = f"it needs the form of a parameter's name: {LETTERS}"


@dataclass(frozen=True)
class Activation:
    """A condition: the parameter is active only while `parameter` has one of `values`."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Parameter:
    """The definition of a parameter."""

    name: str
    domain: Domain
    default: Value | None = None
    activation: Activation | None = None
    description: str = ""
    unit: str = ""

    def is_active(self, configuration: Configuration) -> bool:
        """Return whether the parameter is active.

        Args:
            configuration: values of at least the parameters before it.
        """
        rule = self.activation
        return rule is None or (
            rule.parameter in configuration and any(strict_equal(configuration[rule.parameter], v) for v in rule.values)
        )

    def faults(self) -> Iterator[Violation]:
        """Yield the violations of the definition."""
        if not NAME.fullmatch(self.name):
            yield Violation(
                "name",
                f"is {self.name[:140]!r}; give {LETTERS}",
            )
        violations = list(self.domain.faults())
        yield from violations
        if not violations and self.default is not None and not self.domain.admits(self.default):
            yield Violation("default_value", f"is {self.default!r}; it must be {self.domain}")


@dataclass(frozen=True)
class SearchSpace:
    """The set of all configurations.

    Raises:
        InvalidArgument: names every invalid parameter and constraint.
    """

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        faults = [*self._parameter_faults(), *self._constraint_faults()]
        if faults:
            raise InvalidArgument(faults)

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter with a name.

        Raises:
            KeyError: the space has no such parameter.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def active(self, configuration: Configuration) -> tuple[Parameter, ...]:
        """Return the parameters that are active in a configuration, which may contain inactive ones."""
        kept: dict[str, Value] = {}
        active = []
        for parameter in self.parameters:
            if parameter.is_active(kept):
                active.append(parameter)
                if parameter.name in configuration:
                    kept[parameter.name] = configuration[parameter.name]
        return tuple(active)

    def restrict(self, configuration: Configuration) -> dict[str, Value]:
        """Return the configuration without inactive parameters, in the space's order."""
        return {p.name: configuration[p.name] for p in self.active(configuration) if p.name in configuration}

    def coerce(self, configuration: Configuration) -> dict[str, Value]:
        """Return the configuration with integers converted to floats for parameters that hold floats."""
        floats = {p.name for p in self.parameters if p.domain.is_float}
        return {n: float(v) if n in floats and type(v) is int else v for n, v in configuration.items()}

    def faults(self, configuration: Configuration) -> list[Violation]:
        """Return the violations of a configuration: missing, unknown, inactive and invalid values."""
        faults = []
        active = {p.name: p for p in self.active(configuration)}
        names = {p.name for p in self.parameters}
        for name, parameter in active.items():
            if name not in configuration:
                faults.append(Violation(name, f"is missing; give {parameter.domain}"))
            elif not parameter.domain.admits(configuration[name]):
                faults.append(Violation(name, f"is {configuration[name]!r}; it must be {parameter.domain}"))
        for name in configuration:
            if name not in names:
                faults.append(
                    Violation(name, f"is not a parameter of this study; it has {format_values(sorted(names))}")
                )
            elif name not in active:
                rule = self[name].activation
                assert rule is not None
                faults.append(
                    Violation(name, f"exists only where {rule.parameter} is {format_values(rule.values)}; leave it out")
                )
        return faults

    def named(self, parameter: Parameter) -> tuple[Value, ...]:
        """Return the values of a parameter that the space mentions: as a default or in a condition."""
        rules = [p.activation for p in self.parameters if p.activation and p.activation.parameter == parameter.name]
        default = () if parameter.default is None else (parameter.default,)
        return (*default, *(v for rule in rules for v in rule.values))

    @property
    def columns(self) -> int:
        """Upper bound on the encoded dimensions: see `optimizer/encoding/encoding.py`."""
        return sum(map(_columns, self.parameters))

    def width_faults(self) -> Iterator[Violation]:
        """Yield a violation if the space has too many columns.

        It applies to new spaces only, as stored ones may have more.
        """
        if self.columns > MAX_COLUMNS:
            widest = max(self.parameters, key=_columns)
            yield Violation(
                "parameters",
                f"have {self.columns:,} columns, one for each categorical value, {_columns(widest):,} of them of "
                f"{widest.name!r}; a space has at most {MAX_COLUMNS:,}: leave values out, or give numbers as a "
                "discrete_parameter, which has one column",
            )

    def is_feasible(self, configuration: Configuration) -> bool:
        """Return whether the configuration satisfies every constraint."""
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
        domains = {p.name: p.domain for p in self.parameters}
        for i, constraint in enumerate(self.constraints):
            yield from (f.inside(f"constraints[{i}]") for f in constraint_faults(constraint, domains))


def _columns(parameter: Parameter) -> int:
    if isinstance(parameter.domain, CategoricalDomain):
        return len(parameter.domain.values)
    return 1 if parameter.activation is None else 2


def _activation_faults(rule: Activation, earlier: Mapping[str, Parameter]) -> Iterator[Violation]:
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
        if not parent.domain.admits(value):
            yield Violation("values", f"holds {value!r}; {rule.parameter!r} is {parent.domain}")
