"""Ray's param_space as the service's parameters: nested dictionaries and lists, and choices that hold domains.

A parameter's name is its path, joined by '/', such as model/layers; what an option of a choice holds has the option's
number in its path, and exists only while that option is chosen.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ray.tune.search.sample import Categorical, Float, Integer, LogUniform, Quantized, Uniform
from ray.tune.search.sample import Domain as RayDomain

from bo_client.errors import InvalidRequest
from bo_client.integrations import domains
from bo_client.integrations.domains import Domain, Translation
from bo_client.parameters import MAX_VALUES, Activation, Value
from bo_client.space import SearchSpace

KNOWN = "uniform, loguniform, randint, lograndint, choice, or one of these quantized"


class Node(Protocol):
    """A part of a param_space."""

    def domains(self) -> Iterator[Domain]:
        """The parameters in it, each after what it depends on."""

    def inward(self, values: Mapping[str, Value]) -> Any:
        """The part of a config, by the service's values."""

    def outward(self, config: Any) -> dict[str, Value]:
        """The service's values, by the part of a config. Raises InvalidRequest where it is none of this space."""


@dataclass(frozen=True)
class Constant:
    """A value that is the same in each trial."""

    path: str
    value: Any

    def domains(self) -> Iterator[Domain]:
        """None."""
        yield from ()

    def inward(self, values: Mapping[str, Value]) -> Any:  # noqa: ARG002 - the protocol's shape
        """The value."""
        return self.value

    def outward(self, config: Any) -> dict[str, Value]:
        """Raises InvalidRequest where it is another one."""
        if config is not self.value and not domains.equal(config, self.value):
            raise InvalidRequest.of(self.path, f"is {config!r}; it must be {self.value!r}")
        return {}


@dataclass(frozen=True)
class Leaf:
    """A parameter whose values hold no other."""

    domain: Domain

    def domains(self) -> Iterator[Domain]:
        """The one."""
        yield self.domain

    def inward(self, values: Mapping[str, Value]) -> Any:
        """Its value."""
        return self.domain.inward(values[self.domain.parameter.name])

    def outward(self, config: Any) -> dict[str, Value]:
        """Its value. Raises InvalidRequest."""
        return {self.domain.parameter.name: self.domain.outward(config)}


@dataclass(frozen=True)
class Branch:
    """A dictionary, by key, or a list or tuple, by position."""

    path: str
    kind: type
    parts: Mapping[Any, Node]

    def domains(self) -> Iterator[Domain]:
        """Those of all parts."""
        for part in self.parts.values():
            yield from part.domains()

    def inward(self, values: Mapping[str, Value]) -> Any:
        """A dictionary, list or tuple like the one that was given."""
        found = {key: part.inward(values) for key, part in self.parts.items()}
        return found if self.kind is dict else self.kind(found.values())

    def outward(self, config: Any) -> dict[str, Value]:
        """What is missing in the config, or more than this space has, is for the service to judge."""
        if not isinstance(config, Mapping if self.kind is dict else list | tuple):
            raise InvalidRequest.of(self.path or "config", f"is {config!r}; it must be a {self.kind.__name__}")
        keys = config if isinstance(config, Mapping) else range(len(config))
        values: dict[str, Value] = {}
        for key in keys:
            if key in self.parts:
                values.update(self.parts[key].outward(config[key]))
            elif self.kind is not dict:
                raise InvalidRequest.of(self.path, f"has {len(config)} elements; it must have {len(self.parts)}")
        return values


@dataclass(frozen=True)
class Options:
    """A choice of which some options hold domains."""

    domain: Domain
    options: Sequence[Node]

    def domains(self) -> Iterator[Domain]:
        """Which option it is, and then what is in each, under the condition that it is that one."""
        yield self.domain
        for label, option in zip(_labels(self.options), self.options, strict=True):
            for one in option.domains():
                is_outer = one.parameter.activation is None
                yield one.activated(Activation(self.domain.parameter.name, [label])) if is_outer else one

    def inward(self, values: Mapping[str, Value]) -> Any:
        """The option that is chosen, filled in."""
        chosen = self.domain.inward(values[self.domain.parameter.name])
        return self.options[_labels(self.options).index(chosen)].inward(values)

    def outward(self, config: Any) -> dict[str, Value]:
        """The first option that has all that the config has."""
        for label, option in zip(_labels(self.options), self.options, strict=True):
            if isinstance(option, Branch) and isinstance(config, Mapping) and set(config) != set(option.parts):
                continue
            try:
                return {self.domain.parameter.name: label, **option.outward(config)}
            except InvalidRequest:
                continue
        raise InvalidRequest.of(self.domain.name, f"is {config!r}; it is like none of the options")


class RaySpace:
    """A whole param_space, or a SearchSpace of ours.

    Raises:
        InvalidRequest: naming the path of what can't be expressed.
    """

    def __init__(self, space: Mapping[str, Any] | SearchSpace) -> None:
        if isinstance(space, SearchSpace):
            self.space = space
            self._root: Node | None = None
            self._ours = Translation.of(space)
            return
        self._root = _node("", space)
        self._ours = Translation(self._root.domains())
        self.space = self._ours.space

    def inward(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """A config, by the service's values; where the space is ours, names with '/' are nested."""
        if self._root is None:
            return _nested(self._ours.inward(parameters))
        config: dict[str, Any] = self._root.inward(parameters)
        return config

    def outward(self, config: Mapping[str, Any]) -> dict[str, Value]:
        """The service's values, by a config. Raises InvalidRequest."""
        if self._root is None:
            return self._ours.outward(_flat(config))
        return self._root.outward(config)

    def has(self, name: str) -> bool:
        """Whether a config may have this key."""
        if isinstance(self._root, Branch):
            return name in map(str, self._root.parts)
        return any(own == name or own.startswith(f"{name}/") for own in self.space.names)


def domain(name: str, given: RayDomain) -> Domain:
    """Returns one parameter. Raises InvalidRequest."""
    sampler = given.get_sampler()
    step = sampler.q if isinstance(sampler, Quantized) else None
    inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    log = isinstance(inner, LogUniform)
    if isinstance(given, Categorical) and isinstance(inner, Uniform):
        return domains.chosen(name, given.categories)
    if isinstance(given, Float) and isinstance(inner, Uniform | LogUniform):
        return _numbers(name, given, step, log) if step else domains.real(name, given.lower, given.upper, log=log)
    if isinstance(given, Integer) and isinstance(inner, Uniform | LogUniform):
        if step is None or step == 1:
            return domains.whole(name, given.lower, given.upper - 1, log=log)
        return _numbers(name, given, step, log)
    kind = f"{type(given).__name__.lower()} by {type(inner).__name__.strip('_').lower()}"
    raise InvalidRequest.of(name, f"is a {kind}; give tune's {KNOWN}: the service needs bounds or values")


def _node(path: str, given: Any) -> Node:
    if isinstance(given, Mapping) and len(given) == 1 and set(given) <= {"grid_search", "eval"}:
        fix = "give tune.choice, whose values are all tried where they are few"
        fix = fix if "grid_search" in given else f"give tune's {KNOWN}: the service needs bounds or values"
        raise InvalidRequest.of(path or "param_space", f"is a {next(iter(given))}; {fix}")
    if (
        isinstance(given, Categorical)
        and isinstance(given.get_sampler(), Uniform)
        and any(map(_varies, given.categories))
    ):
        chosen = domains.chosen(path, _labels(given.categories))
        options = [_node(f"{path}/{i}", option) for i, option in enumerate(given.categories)]
        return Options(chosen, options)
    if isinstance(given, RayDomain):
        return Leaf(domain(path, given))
    if isinstance(given, Mapping) and (_varies(given) or not path):
        return Branch(path, dict, {key: _node(_join(path, key), value) for key, value in given.items()})
    if isinstance(given, list | tuple) and _varies(given):
        kind = list if isinstance(given, list) else tuple
        return Branch(path, kind, {i: _node(_join(path, i), value) for i, value in enumerate(given)})
    return Constant(path, given)


def _varies(given: Any) -> bool:
    """Whether there is something in it that Ray would resolve."""
    if isinstance(given, Mapping):
        return (len(given) == 1 and set(given) <= {"grid_search", "eval"}) or any(map(_varies, given.values()))
    if isinstance(given, list | tuple):
        return any(map(_varies, given))
    return isinstance(given, RayDomain)


def _labels(options: Sequence[Any]) -> list[str]:
    return [f"option {i}" for i in range(len(options))]


def _join(path: str, key: Any) -> str:
    if "/" in str(key):
        raise InvalidRequest.of(f"{path}/{key}" if path else str(key), "has '/' in its name; give it another one")
    return f"{path}/{key}" if path else str(key)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        at = found
        for key in path:
            at = at.setdefault(key, {})
        at[last] = value
    return found


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found.update(_flat(value, f"{name}/") if isinstance(value, Mapping) and value else {name: value})
    return found


def _numbers(name: str, given: Any, step: float, log: bool) -> Domain:
    """The multiples of `step` within the bounds."""
    first, last = math.ceil(given.lower / step - 1e-9), math.floor(given.upper / step + 1e-9)
    if not log:
        return domains.stepped(name, first * step, last * step, step)
    if not 0 < last - first < MAX_VALUES:
        what = f"has {last - first + 1} multiples of {step!r}; a logarithmic scale takes 2 to {MAX_VALUES}"
        raise InvalidRequest.of(name, f"{what}: take a larger step, or none")
    return domains.numbers(name, [i * step for i in range(first, last + 1)], log=True)
