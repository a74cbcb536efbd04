"""Conversion of KerasTuner's hyperparameters to the service's parameters, with their conditions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_tuner.engine import hyperparameters as kinds

from bo_client.errors import InvalidRequest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.parameters import Activation, Value, admits

Hyperparameter = Any
"""One of KerasTuner's Int, Float, Choice, Boolean, Fixed."""


class Hyperparameters:
    """A whole search space of KerasTuner. Hyperparameters with a single value are left to KerasTuner.

    Raises:
        InvalidRequest: names a hyperparameter that cannot be expressed.
    """

    def __init__(self, space: Sequence[Hyperparameter]) -> None:
        self._entries: list[tuple[Hyperparameter, Domain | None]] = []
        for hp in space:
            self._entries.append((hp, self._domain(hp)))
        self.translation = Translation(d for _, d in self._entries if d is not None)

    def from_service(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return the value of each hyperparameter that is active with these parameters."""
        values: dict[str, Any] = {}
        for hp, domain_of_hp in self._active(values):
            is_given = domain_of_hp is not None and domain_of_hp.parameter.name in parameters
            values[hp.name] = (
                domain_of_hp.from_service(parameters[domain_of_hp.parameter.name])
                if domain_of_hp and is_given
                else hp.default
            )
        return values

    def to_service(self, tuner_values: Mapping[str, Any]) -> dict[str, Value]:
        """Return the service's parameters of KerasTuner's values, with its defaults for missing ones."""
        values: dict[str, Any] = {}
        parameters: dict[str, Value] = {}
        for hp, domain_of_hp in self._active(values):
            values[hp.name] = tuner_values.get(hp.name, hp.default)
            if domain_of_hp is not None:
                parameters[domain_of_hp.parameter.name] = domain_of_hp.to_service(values[hp.name])
        return parameters

    def _active(self, values: Mapping[str, Any]) -> Iterator[tuple[Hyperparameter, Domain | None]]:
        """Yield the hyperparameters whose conditions hold for `values`, which the caller fills during the iteration."""
        for hp, domain_of_hp in self._entries:
            if all(condition.is_active(values) for condition in hp.conditions):
                yield hp, domain_of_hp

    def _domain(self, hp: Hyperparameter) -> Domain | None:
        plain = domain(hp)
        if plain is None:
            return None
        if any(other.name == hp.name for other, _ in self._entries):
            what = "is the name of two hyperparameters, in scopes of their own; KerasTuner keeps one value for both"
            raise InvalidRequest.of(hp.name, f"{what}: give each a name of its own")
        return plain.activated(self._activation(hp))

    def _activation(self, hp: Hyperparameter) -> Activation | None:
        """Return the innermost condition on a varying hyperparameter; the outer ones are its conditions."""
        domains_by_name = {
            parent.name: domain_of_parent for parent, domain_of_parent in self._entries if domain_of_parent is not None
        }
        for condition in reversed(hp.conditions):
            if condition.name in domains_by_name:
                parent = domains_by_name[condition.name]
                return Activation(parent.parameter.name, [parent.to_service(value) for value in condition.values])
        return None


def domain(hp: Hyperparameter) -> Domain | None:
    """Return the domain of a hyperparameter; None if it has a single value.

    Raises:
        InvalidRequest: it cannot be expressed.
    """
    match hp:
        case kinds.Fixed():
            return None
        case kinds.Boolean():
            converted = domains.chosen(hp.name, [False, True])
        case kinds.Choice():
            if len(hp.values) == 1:
                return None
            converted = domains.chosen(hp.name, hp.values, ordered=hp.ordered)
        case kinds.Int() | kinds.Float():
            if hp.min_value == hp.max_value:
                return None
            converted = _numeric(hp)
        case _:
            what = f"is a {type(hp).__name__}; the service knows Int, Float, Choice, Boolean and Fixed"
            raise InvalidRequest.of(hp.name, what)
    return _with_default(converted, hp)


def _numeric(hp: Hyperparameter) -> Domain:
    is_int = isinstance(hp, kinds.Int)
    if hp.sampling == "linear" and (hp.step is None or (is_int and hp.step == 1)):
        return (domains.whole if is_int else domains.real)(hp.name, hp.min_value, hp.max_value)
    if hp.sampling == "linear":
        return domains.stepped(hp.name, hp.min_value, hp.max_value, hp.step)
    if hp.step is not None:  # a factor
        values = {int(value) if is_int else float(value) for value in hp.values}
        return domains.numbers(hp.name, sorted(values), log=hp.sampling == "log")
    if hp.sampling == "log":
        return (domains.whole if is_int else domains.real)(hp.name, hp.min_value, hp.max_value, log=True)
    return domains.mirrored(hp.name, hp.min_value, hp.max_value)


def _with_default(converted: Domain, hp: Hyperparameter) -> Domain:
    """Return the domain with the hypermodel's default, if it has one, which is tried first."""
    if hp._default is None or not admits(converted.parameter, converted.to_service(hp._default)):
        return converted
    return converted.with_default(hp._default)
