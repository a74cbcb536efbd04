"""Studies in files: the search space and the metrics, as YAML or JSON.

    parameters:
      lr: {type: float, low: 1e-5, high: 0.1, scale: log, default: 1e-3}
      layers: {type: int, low: 1, high: 4}
      optimizer: {type: categorical, values: [adam, sgd]}
      batch_size: {type: discrete, values: [16, 32, 64]}
      momentum: {type: float, low: 0.0, high: 0.99, when: {optimizer: [sgd]}}
    constraints:
      - linear: {coefficients: {layers: 1, momentum: 2}, upper_bound: 5}
      - equality: {coefficients: {left: 1, right: 1}, value: 1}
      - forbidden: {optimizer: sgd, batch_size: 64}
    metrics: {loss: minimize, latency: {at_most: 50, unit: ms}, accuracy: information}
    settings: {max_trials: 30, seed: 1, lease_duration: 60, stopping: median}

`extends: objective`, where a worker brings an objective, keeps the objective's own parameters beside those named here,
which replace theirs; `drop: [names]` leaves some out, `add: [names]` takes in others that the objective knows, and
`metrics` may be left out.

`constraints` and `settings` may be left out. Up to three metrics may be minimized or maximized; others may be kept to a
bound by `at_most` or `at_least`. Every mistake in a file is told at once, each with its place.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bo_client.constraints import Constraint, EqualityConstraint, ForbiddenCombination, LinearConstraint
from bo_client.errors import InvalidRequest, Violation
from bo_client.models import Metric
from bo_client.parameters import (
    Activation,
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Value,
    format_values,
)
from bo_client.settings import ACQUISITIONS, STOPPING_RULES, StudySettings
from bo_client.space import SearchSpace
from bo_client.textfile import parse as parsed
from bo_client.textfile import read

MOST_FAULTS, MOST_SHOWN = 50, 200
"""Maximum number of violations reported; maximum characters of a value in a message."""


@dataclass(frozen=True)
class StudyFile:
    """The content of a file."""

    space: SearchSpace
    metrics: tuple[Metric, ...]
    settings: StudySettings
    """Keyword arguments of Client.create_study."""


@dataclass(frozen=True)
class Base:
    """The parameters of an objective that a file may extend."""

    space: SearchSpace
    """The objective's default space."""
    whole: SearchSpace
    """All parameters of the objective."""


def load(path: str | Path, extends: Base | None = None) -> StudyFile:
    """Read a study's file.

    Raises:
        InvalidRequest: the violations have paths such as `parameters.lr.low`.
    """
    return _studied(read(path), str(path), extends)


def parse(text: str, name: str = "the text") -> StudyFile:
    """Read a study's file from its text.

    Args:
        text: the content.
        name: name of the file in messages.

    Raises:
        InvalidRequest: as in `load`.
    """
    return _studied(parsed(text, name), name, None)


def _studied(content: object, name: str, extends: Base | None) -> StudyFile:
    reader = _SpecReader(extends)
    study = reader.study(content)
    if reader.faults or study is None:
        faults = reader.faults[:MOST_FAULTS]
        if len(reader.faults) > MOST_FAULTS:
            more = len(reader.faults) - MOST_FAULTS
            faults.append(Violation("the file", f"has {more} more mistakes; correct these first"))
        raise InvalidRequest("; ".join(f"{name}: {f.field}: {f.description}" for f in faults), violations=faults)
    return study


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


@dataclass(frozen=True)
class _Field:
    """A key of a mapping, with its allowed values."""

    allowed: str
    fits: Callable[[object], bool]
    required: bool = False

    @property
    def needed(self) -> "_Field":
        return _Field(self.allowed, self.fits, required=True)


def _choice(*options: str) -> _Field:
    return _Field(f"one of {', '.join(options)}", lambda given: given in options)


_NUMBER = _Field("a number", _is_number)
_WHOLE = _Field("a whole number", _is_whole)
_TEXT = _Field("text", lambda given: isinstance(given, str))
_LIST = _Field("a list such as [a, b]", lambda given: isinstance(given, list))
_MAPPING = _Field("a mapping such as {name: …}", lambda given: isinstance(given, dict))
_ANY = _Field("a value", lambda given: isinstance(given, int | float | str))
_SCALE = _choice("linear", "log")
_COMMON = {"type": _ANY, "default": _ANY, "when": _MAPPING, "description": _TEXT, "unit": _TEXT}
_KINDS: dict[str, dict[str, _Field]] = {
    "float": {**_COMMON, "low": _NUMBER.needed, "high": _NUMBER.needed, "scale": _SCALE, "default": _NUMBER},
    "int": {**_COMMON, "low": _WHOLE.needed, "high": _WHOLE.needed, "scale": _SCALE, "default": _WHOLE},
    "categorical": {**_COMMON, "values": _LIST.needed},
    "discrete": {**_COMMON, "values": _LIST.needed, "scale": _SCALE},
}
_SUMS: dict[str, dict[str, _Field]] = {
    "linear": {"coefficients": _MAPPING.needed, "upper_bound": _NUMBER.needed},
    "equality": {"coefficients": _MAPPING.needed, "value": _NUMBER.needed},
}
_CONSTRAINTS = (*_SUMS, "forbidden")
EXAMPLE = "{equality: {coefficients: {x: 1, y: 1}, value: 1}} for x + y = 1"
_METRIC = {
    "goal": _choice("minimize", "maximize"),
    "role": _choice("objective", "constraint", "information"),
    "bound": _NUMBER,
    "at_most": _NUMBER,
    "at_least": _NUMBER,
    "unit": _TEXT,
}
_BOUNDS = {"at_most": Metric.at_most, "at_least": Metric.at_least}
_OF_TYPE: dict[Any, _Field] = {
    int: _WHOLE,
    float: _NUMBER,
    str: _TEXT,
    bool: _Field("true or false", lambda given: isinstance(given, bool)),
}
_SETTINGS = {name: _OF_TYPE[kind] for name, kind in StudySettings.__annotations__.items() if kind in _OF_TYPE} | {
    "lease_duration": _Field("a number of seconds", _is_number),
    "acquisition": _choice(*ACQUISITIONS),
    "warm_start_studies": _Field("a list of studies' ids such as [first]", _is_texts),
    "stopping": _choice(*STOPPING_RULES),
    "fidelity": _MAPPING,
}
_FIDELITY = {"metric": _TEXT, "max": _WHOLE.needed, "min": _WHOLE, "promotion": _choice("asha", "forecast", "none")}

_FILE = {"parameters": _MAPPING.needed, "metrics": _MAPPING.needed, "constraints": _LIST, "settings": _MAPPING}
_NAMES = _Field("a list of parameters such as [lr, momentum]", _is_texts)
_EXTENSION = {
    "extends": _choice("objective"),
    "parameters": _MAPPING,
    "drop": _NAMES,
    "add": _NAMES,
    "metrics": _MAPPING,
    "constraints": _LIST,
    "settings": _MAPPING,
}


class _SpecReader:
    """A reader that continues after a violation, to report all of them."""

    def __init__(self, extends: Base | None) -> None:
        self.faults: list[Violation] = []
        self._base = extends

    def study(self, given: object) -> StudyFile | None:
        whole = given if isinstance(given, dict) else {}
        allowed = _EXTENSION if "extends" in whole else _FILE
        if "extends" in whole and self._base is None:
            self._fault("extends", "needs an objective, which `bo-worker run --objective` brings; leave it out here")
        self._fields("the file", given, allowed)
        content = {key: whole[key] for key, field in allowed.items() if key in whole and field.fits(whole[key])}
        parameters = [self._parameter(name, raw) for name, raw in content.get("parameters", {}).items()]
        constraints = [self._constraint(i, raw) for i, raw in enumerate(content.get("constraints", []))]
        metrics = [self._metric(name, raw) for name, raw in content.get("metrics", {}).items()]
        settings = self._fields("settings", content.get("settings", {}), _SETTINGS) or {}
        if "fidelity" in settings:
            self._fields("settings.fidelity", settings["fidelity"], _FIDELITY)
        if self.faults:
            return None
        space = SearchSpace([p for p in parameters if p], [c for c in constraints if c])
        if "extends" in content and self._base is not None:
            space = self._extended(self._base, space, content.get("drop", []), content.get("add", []))
        self.faults += [Violation(_place(f.field, space), f.description) for f in space.faults()]
        is_own = "extends" not in content or bool(metrics)
        if is_own and not any(m is not None and m.role == "objective" for m in metrics):
            self._fault("metrics", "names none to optimize; say `loss: minimize` or `accuracy: maximize`")
        return StudyFile(space, tuple(m for m in metrics if m), cast(StudySettings, settings))

    def _extended(self, base: Base, own: SearchSpace, drop: Sequence[str], add: Sequence[str]) -> SearchSpace:
        """Return the objective's parameters in its order, replaced by the file's, and then the file's own."""
        for key, names in (("drop", drop), ("add", add)):
            for name in names:
                if name not in base.whole:
                    self._fault(key, f"names {name!r}; the objective has {format_values(sorted(base.whole.names))}")
        wanted = ({*base.space.names, *add} - {*drop}) | {*own.names}
        given = {p.name: p for p in (*base.space.parameters, *own.parameters)}
        theirs = [given.get(p.name, p) for p in base.whole.parameters if p.name in wanted]
        others = [p for p in own.parameters if p.name not in base.whole]
        return own.with_parameters([*theirs, *others], base.space, base.whole)

    def _parameter(self, name: object, given: object) -> Parameter | None:
        at = f"parameters.{name}"
        kind = given.get("type") if isinstance(given, dict) else None
        if not isinstance(kind, str) or kind not in _KINDS:
            self._fault(
                f"{at}.type", f"is {'missing' if kind is None else _shown(kind)}; give one of {', '.join(_KINDS)}"
            )
            return None
        fields = self._fields(at, given, _KINDS[kind])
        rule = self._activation(f"{at}.when", fields["when"]) if fields and "when" in fields else None
        if fields is None:
            return None
        if not isinstance(name, str):
            self._fault(at, "has a name that is no text; put it in quotes")
            return None
        rest = {"activation": rule, "description": fields.get("description", ""), "unit": fields.get("unit", "")}
        return _built(kind, name, fields, rest)

    def _activation(self, at: str, given: Mapping[Any, Any]) -> Activation | None:
        if len(given) != 1:
            self._fault(at, f"names {len(given)} parameters; give one, as in `when: {{optimizer: [sgd]}}`")
            return None
        ((name, values),) = given.items()
        return Activation(str(name), values if isinstance(values, list) else [values])

    def _constraint(self, number: int, given: object) -> Constraint | None:
        at = f"constraints[{number}]"
        if isinstance(given, str):  # a formula, perhaps
            self._fault(at, f"is {_shown(given)}; give a mapping, such as {EXAMPLE}, or one with linear or forbidden")
            return None
        fields = self._fields(at, given, {**dict.fromkeys(_CONSTRAINTS, _MAPPING), "description": _TEXT})
        if fields is None:
            return None
        kinds = [kind for kind in _CONSTRAINTS if kind in fields]
        if len(kinds) != 1:
            self._fault(at, "must have one of `linear`, `equality` and `forbidden`")
            return None
        (kind,), description = kinds, fields.get("description", "")
        if kind == "forbidden":
            return ForbiddenCombination(fields["forbidden"], description)
        arguments = self._fields(f"{at}.{kind}", fields[kind], _SUMS[kind])
        if arguments is None:
            return None
        terms = arguments["coefficients"]
        wild = [name for name, value in terms.items() if not _is_number(value)]
        if wild:
            self._fault(f"{at}.{kind}.coefficients.{wild[0]}", f"is {_shown(terms[wild[0]])}; give a number")
            return None
        if kind == "equality":
            return EqualityConstraint(terms, arguments["value"], description)
        return LinearConstraint(terms, arguments["upper_bound"], description)

    def _metric(self, name: object, given: object) -> Metric | None:
        at = f"metrics.{name}"
        if isinstance(given, str):
            if given not in ("minimize", "maximize", "information"):
                self._fault(at, f"is {_shown(given)}; give one of minimize, maximize, information")
                return None
            given = {"role": given} if given == "information" else {"goal": given}
        fields = self._fields(at, given, _METRIC)
        if fields is None:
            return None
        bounds = [key for key in _BOUNDS if key in fields]
        if bounds:
            return self._limit(str(name), fields, bounds[0])
        if "goal" not in fields and fields.get("role") != "information":
            self._fault(f"{at}.goal", "is missing; give minimize or maximize, or a bound: at_most or at_least")
            return None
        if "bound" not in fields and fields.get("role") == "constraint":
            self._fault(f"{at}.bound", "is missing; give a number")
            return None
        return Metric(str(name), **fields)

    def _limit(self, name: str, fields: Mapping[str, Any], bound: str) -> Metric | None:
        """Return a constraint metric of the short form at_most or at_least."""
        beside = [key for key in fields if key not in (bound, "unit")]
        if beside:
            self._fault(f"metrics.{name}.{beside[0]}", f"can't stand beside {bound}, which says it all; leave it out")
            return None
        return _BOUNDS[bound](name, float(fields[bound]), fields.get("unit", ""))

    def _fields(self, at: str, given: object, allowed: Mapping[str, _Field]) -> dict[str, Any] | None:
        """Return the mapping, if every key is known and valid and none is missing."""
        before = len(self.faults)
        if not isinstance(given, dict):
            self._fault(at, f"is {_shown(given)}; give a mapping with {', '.join(allowed)}")
            return None
        for key, value in given.items():
            place = key if at == "the file" else f"{at}.{key}"
            if key not in allowed:
                self._fault(str(place), f"is not known here; there are {', '.join(allowed)}")
            elif not allowed[key].fits(value):
                self._fault(str(place), f"is {_shown(value)}; give {allowed[key].allowed}")
        for key, field in allowed.items():
            if field.required and key not in given:
                self._fault(key if at == "the file" else f"{at}.{key}", f"is missing; give {field.allowed}")
        return given if len(self.faults) == before else None

    def _fault(self, at: str, description: str) -> None:
        self.faults.append(Violation(at, description))


def _built(kind: str, name: str, fields: Mapping[str, Any], rest: Mapping[str, Any]) -> Parameter:
    scale, default = fields.get("scale", "linear"), fields.get("default")
    if kind == "float":
        center = None if default is None else float(default)
        return FloatParameter(name, float(fields["low"]), float(fields["high"]), scale, center, **rest)
    if kind == "int":
        return IntParameter(name, fields["low"], fields["high"], scale, default, **rest)
    if kind == "categorical":
        return CategoricalParameter(name, fields["values"], default, **rest)
    values = _alike(fields["values"])
    if default is not None and isinstance(values[0] if values else None, float) and _is_whole(default):
        default = float(default)
    return DiscreteParameter(name, values, scale, default, **rest)


def _alike(values: Sequence[Value]) -> Sequence[Value]:
    """Return the numbers as floats if one of them is a float."""
    if all(_is_number(v) for v in values) and any(isinstance(v, float) for v in values):
        return [float(v) for v in values]
    return values


_PLACES = {"default_value": "default", "activation.parameter": "when", "activation.values": "when"}


def _place(field: str, space: SearchSpace) -> str:
    """Return the path in the file of a field such as `parameters[0].default_value`."""
    match = re.fullmatch(r"parameters\[(\d+)\]\.(.+)", field)
    if match is None:
        return field
    return f"parameters.{space.parameters[int(match[1])].name}.{_PLACES.get(match[2], match[2])}"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    text = format_values(value) if isinstance(value, list) else repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
