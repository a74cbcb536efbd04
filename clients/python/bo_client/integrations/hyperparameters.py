"""KerasTuner's hyperparameters as the service's parameters, with their conditions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_tuner.engine import hyperparameters as kinds

from bo_client.errors import InvalidRequest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.parameters import Activation, Value, admits

Hyperparameter = Any
"""One of KerasTuner's: Int, Float, Choice, Boolean, Fixed."""


class Hyperparameters:
    """A whole search space of KerasTuner's. What can have one value only is left to KerasTuner.

    Raises:
        InvalidRequest: naming the hyperparameter that can't be expressed.
    """

    def __init__(self, space: Sequence[Hyperparameter]) -> None:
        self._entries: list[tuple[Hyperparameter, Domain | None]] = []
        for hp in space:
            self._entries.append((hp, self._domain(hp)))
        self.translation = Translation(d for _, d in self._entries if d is not None)

    def inward(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """The value of each hyperparameter that is active by these parameters."""
        values: dict[str, Any] = {}
        for hp, known in self._active(values):
            given = known is not None and known.parameter.name in parameters
            values[hp.name] = known.inward(parameters[known.parameter.name]) if known and given else hp.default
        return values

    def outward(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """The service's parameters by KerasTuner's values, with its defaults where one is missing."""
        values: dict[str, Any] = {}
        found: dict[str, Value] = {}
        for hp, known in self._active(values):
            values[hp.name] = given.get(hp.name, hp.default)
            if known is not None:
                found[known.parameter.name] = known.outward(values[hp.name])
        return found

    def _active(self, values: Mapping[str, Any]) -> Iterator[tuple[Hyperparameter, Domain | None]]:
        """Those whose conditions hold by `values`, which the caller fills meanwhile."""
        for hp, known in self._entries:
            if all(condition.is_active(values) for condition in hp.conditions):
                yield hp, known

    def _domain(self, hp: Hyperparameter) -> Domain | None:
        plain = domain(hp)
        if plain is None:
            return None
        if any(other.name == hp.name for other, _ in self._entries):
            what = "is the name of two hyperparameters, in scopes of their own; KerasTuner keeps one value for both"
            raise InvalidRequest.of(hp.name, f"{what}: give each a name of its own")
        return plain.activated(self._activation(hp))

    def _activation(self, hp: Hyperparameter) -> Activation | None:
        """By the innermost condition on something that varies: the outer ones are those of what it is on."""
        known = {parent.name: found for parent, found in self._entries if found is not None}
        for condition in reversed(hp.conditions):
            if condition.name in known:
                parent = known[condition.name]
                return Activation(parent.parameter.name, [parent.outward(value) for value in condition.values])
        return None


def domain(hp: Hyperparameter) -> Domain | None:
    """One hyperparameter; None where it has only one value. Raises InvalidRequest."""
    match hp:
        case kinds.Fixed():
            return None
        case kinds.Boolean():
            found = domains.chosen(hp.name, [False, True])
        case kinds.Choice():
            if len(hp.values) == 1:
                return None
            found = domains.chosen(hp.name, hp.values, ordered=hp.ordered)
        case kinds.Int() | kinds.Float():
            if hp.min_value == hp.max_value:
                return None
            found = _numeric(hp)
        case _:
            what = f"is a {type(hp).__name__}; the service knows Int, Float, Choice, Boolean and Fixed"
            raise InvalidRequest.of(hp.name, what)
    return _with_default(found, hp)


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


def _with_default(found: Domain, hp: Hyperparameter) -> Domain:
    """The first configuration is the hypermodel's own, where it says one."""
    if hp._default is None or not admits(found.parameter, found.outward(hp._default)):
        return found
    return found.with_default(hp._default)
