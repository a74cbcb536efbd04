"""Conversion of Ray's param_space to the service's parameters: nested dictionaries and lists, and choices of domains.

A parameter's name is its path, joined by '/', such as model/layers. The parameters of an option of a choice have the
option's number in their paths, and are active only while that option is chosen.
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
from bo_client.limits import MAX_VALUES
from bo_client.parameters import Activation, Value
from bo_client.space import SearchSpace

SUPPORTED = "uniform, loguniform, randint, lograndint, choice, or one of these quantized"


class Node(Protocol):
    """The interface of a part of a param_space."""

    def domains(self) -> Iterator[Domain]:
        """Yield the domains of the part, each after those that it depends on."""

    def from_service(self, values: Mapping[str, Value]) -> Any:
        """Return the part of a config for the service's values."""

    def to_service(self, config: Any) -> dict[str, Value]:
        """Return the service's values for the part of a config.

        Raises:
            InvalidRequest: the config does not belong to this space.
        """


@dataclass(frozen=True)
class Constant:
    """A constant value."""

    path: str
    value: Any

    def domains(self) -> Iterator[Domain]:
        """Yield nothing."""
        yield from ()

    def from_service(self, values: Mapping[str, Value]) -> Any:  # noqa: ARG002 - signature of the protocol
        """Return the constant."""
        return self.value

    def to_service(self, config: Any) -> dict[str, Value]:
        """Return no values.

        Raises:
            InvalidRequest: the config has another value.
        """
        if config is not self.value and not domains.equal(config, self.value):
            raise InvalidRequest.of(self.path, f"is {config!r}; it must be {self.value!r}")
        return {}


@dataclass(frozen=True)
class Leaf:
    """A single parameter."""

    domain: Domain

    def domains(self) -> Iterator[Domain]:
        """Yield the parameter's domain."""
        yield self.domain

    def from_service(self, values: Mapping[str, Value]) -> Any:
        """Return the parameter's value."""
        return self.domain.from_service(values[self.domain.parameter.name])

    def to_service(self, config: Any) -> dict[str, Value]:
        """Return the parameter's value.

        Raises:
            InvalidRequest: the value is invalid.
        """
        return {self.domain.parameter.name: self.domain.to_service(config)}


@dataclass(frozen=True)
class Branch:
    """A dictionary by key, or a list or tuple by position."""

    path: str
    kind: type
    parts: Mapping[Any, Node]

    def domains(self) -> Iterator[Domain]:
        """Yield the domains of all parts."""
        for part in self.parts.values():
            yield from part.domains()

    def from_service(self, values: Mapping[str, Value]) -> Any:
        """Return a dictionary, list or tuple of the original type."""
        values_by_key = {key: part.from_service(values) for key, part in self.parts.items()}
        return values_by_key if self.kind is dict else self.kind(values_by_key.values())

    def to_service(self, config: Any) -> dict[str, Value]:
        """Return the values of all parts; the service validates missing and unknown keys."""
        if not isinstance(config, Mapping if self.kind is dict else list | tuple):
            raise InvalidRequest.of(self.path or "config", f"is {config!r}; it must be a {self.kind.__name__}")
        keys = config if isinstance(config, Mapping) else range(len(config))
        values: dict[str, Value] = {}
        for key in keys:
            if key in self.parts:
                values.update(self.parts[key].to_service(config[key]))
            elif self.kind is not dict:
                raise InvalidRequest.of(self.path, f"has {len(config)} elements; it must have {len(self.parts)}")
        return values


@dataclass(frozen=True)
class Options:
    """A choice with options that contain domains."""

    domain: Domain
    options: Sequence[Node]

    def domains(self) -> Iterator[Domain]:
        """Yield the domain of the choice, then those of each option, under the condition that it is chosen."""
        yield self.domain
        for label, option in zip(_labels(self.options), self.options, strict=True):
            for inner in option.domains():
                is_outer = inner.parameter.activation is None
                yield inner.activated(Activation(self.domain.parameter.name, [label])) if is_outer else inner

    def from_service(self, values: Mapping[str, Value]) -> Any:
        """Return the chosen option with its values."""
        label = self.domain.from_service(values[self.domain.parameter.name])
        return self.options[_labels(self.options).index(label)].from_service(values)

    def to_service(self, config: Any) -> dict[str, Value]:
        """Return the values of the first option that matches the config."""
        number, values = self.match(config)
        return {self.domain.parameter.name: _labels(self.options)[number], **values}

    def match(self, config: Any) -> tuple[int, dict[str, Value]]:
        """Return the number of the first option that matches the config, and the option's values.

        Raises:
            InvalidRequest: none matches.
        """
        for number, option in enumerate(self.options):
            if isinstance(option, Branch) and isinstance(config, Mapping) and set(config) != set(option.parts):
                continue
            try:
                return number, option.to_service(config)
            except InvalidRequest:
                continue
        raise InvalidRequest.of(self.domain.name, f"is {config!r}; it matches none of the options")


class RaySpace:
    """A whole param_space, or a SearchSpace.

    Raises:
        InvalidRequest: names the path of a part that cannot be expressed.
    """

    def __init__(self, space: Mapping[str, Any] | SearchSpace) -> None:
        if isinstance(space, SearchSpace):
            self.space = space
            self._root: Node | None = None
            self._ours = Translation.of(space)
            return
        self._root = _build_node("", space)
        self._ours = Translation(self._root.domains())
        self.space = self._ours.space

    def from_service(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return a config for the service's values; for a SearchSpace, names with '/' are nested."""
        if self._root is None:
            return _nested(self._ours.from_service(parameters))
        config: dict[str, Any] = self._root.from_service(parameters)
        return config

    def to_service(self, config: Mapping[str, Any]) -> dict[str, Value]:
        """Return the service's values of a config.

        Raises:
            InvalidRequest: the config does not belong to this space.
        """
        if self._root is None:
            return self._ours.to_service(_flat(config))
        return self._root.to_service(config)

    def unknown(self, config: Mapping[str, Any]) -> list[str]:
        """Return the paths in a config of this space that the space lacks."""
        if self._root is None:
            return [name for name in _flat(config) if name not in self.space.names]
        return list(_unknown(self._root, config))


def domain(name: str, ray_domain: RayDomain) -> Domain:
    """Return the domain of a parameter.

    Raises:
        InvalidRequest: it cannot be expressed.
    """
    sampler = ray_domain.get_sampler()
    step = sampler.q if isinstance(sampler, Quantized) else None
    inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    log = isinstance(inner, LogUniform)
    if isinstance(ray_domain, Categorical) and isinstance(inner, Uniform):
        return domains.chosen(name, ray_domain.categories)
    if isinstance(ray_domain, Float) and isinstance(inner, Uniform | LogUniform):
        return (
            _numbers(name, ray_domain, step, log)
            if step
            else domains.real(name, ray_domain.lower, ray_domain.upper, log=log)
        )
    if isinstance(ray_domain, Integer) and isinstance(inner, Uniform | LogUniform):
        if step is None or step == 1:
            return domains.whole(name, ray_domain.lower, ray_domain.upper - 1, log=log)
        return _numbers(name, ray_domain, step, log)
    kind = f"{type(ray_domain).__name__.lower()} by {type(inner).__name__.strip('_').lower()}"
    raise InvalidRequest.of(name, f"is a {kind}; give tune's {SUPPORTED}: the service needs bounds or values")


def _build_node(path: str, node: Any) -> Node:
    if isinstance(node, Mapping) and len(node) == 1 and set(node) <= {"grid_search", "eval"}:
        fix = "give tune.choice, whose values are all tried where they are few"
        fix = fix if "grid_search" in node else f"give tune's {SUPPORTED}: the service needs bounds or values"
        raise InvalidRequest.of(path or "param_space", f"is a {next(iter(node))}; {fix}")
    if isinstance(node, Categorical) and isinstance(node.get_sampler(), Uniform) and any(map(_varies, node.categories)):
        chosen = domains.chosen(path, _labels(node.categories))
        options = [_build_node(f"{path}/{i}", option) for i, option in enumerate(node.categories)]
        return Options(chosen, options)
    if isinstance(node, RayDomain):
        return Leaf(domain(path, node))
    if isinstance(node, Mapping) and (_varies(node) or not path):
        return Branch(path, dict, {key: _build_node(_join(path, key), value) for key, value in node.items()})
    if isinstance(node, set | frozenset) and any(map(_varies, node)):
        raise InvalidRequest.of(path, "is a set with a distribution inside, and sets have no order; give a list")
    if isinstance(node, list | tuple) and _varies(node):
        kind = list if isinstance(node, list) else tuple
        return Branch(path, kind, {i: _build_node(_join(path, i), value) for i, value in enumerate(node)})
    return Constant(path, node)


def _varies(node: Any) -> bool:
    """Return whether the node contains something that Ray would resolve."""
    if isinstance(node, Mapping):
        return (len(node) == 1 and set(node) <= {"grid_search", "eval"}) or any(map(_varies, node.values()))
    if isinstance(node, list | tuple):
        return any(map(_varies, node))
    return isinstance(node, RayDomain)


def _labels(options: Sequence[Any]) -> list[str]:
    return [f"option {i}" for i in range(len(options))]


def _join(path: str, key: Any) -> str:
    if "/" in str(key):
        raise InvalidRequest.of(f"{path}/{key}" if path else str(key), "has '/' in its name; give it another one")
    return f"{path}/{key}" if path else str(key)


def _unknown(node: Node, config: Any) -> Iterator[str]:
    if isinstance(node, Options):
        yield from _unknown(node.options[node.match(config)[0]], config)
    elif isinstance(node, Branch):
        for key, value in config.items() if isinstance(config, Mapping) else enumerate(config):
            if key in node.parts:
                yield from _unknown(node.parts[key], value)
            else:
                yield f"{node.path}/{key}" if node.path else str(key)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        at = nested
        for key in path:
            at = at.setdefault(key, {})
        at[last] = value
    return nested


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        flat.update(_flat(value, f"{name}/") if isinstance(value, Mapping) and value else {name: value})
    return flat


def _numbers(name: str, ray_domain: Any, step: float, log: bool) -> Domain:
    """Return the domain of the multiples of `step` within the bounds."""
    first, last = math.ceil(ray_domain.lower / step - 1e-9), math.floor(ray_domain.upper / step + 1e-9)
    if not log:
        return domains.stepped(name, first * step, last * step, step)
    if not 0 < last - first < MAX_VALUES:
        what = f"has {last - first + 1} multiples of {step!r}; a logarithmic scale takes 2 to {MAX_VALUES}"
        raise InvalidRequest.of(name, f"{what}: take a larger step, or none")
    return domains.numbers(name, [i * step for i in range(first, last + 1)], log=True)
