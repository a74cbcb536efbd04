"""Search spaces, metrics and goals in the forms in which users of other tools write them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from bo_client.errors import InvalidRequest, Violation
from bo_client.limits import MAX_VALUES
from bo_client.metric_values import GOALS
from bo_client.models import Goal, Metric
from bo_client.parameters import (
    CategoricalParameter,
    DiscreteParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Scale,
    to_python,
)
from bo_client.space import SearchSpace

KINDS = (FloatParameter, IntParameter, CategoricalParameter, DiscreteParameter)
FORMS = (
    "(low, high) for numbers, (low, high, 'log') for a log scale, range(low, high, step), a list of values, or a "
    "parameter such as bo_client.FloatParameter"
)

MAX_SHOWN = 100
"""Maximum number of characters of a value in a message."""

SpaceLike = SearchSpace | Mapping[str, Any] | Sequence[Parameter]


def goal_of(goal: str | None, direction: str | None = None) -> Goal | None:
    """Return the goal of a metric from `goal` or its alias `direction`; None if neither is given.

    Raises:
        InvalidRequest: both are given, or it is neither "minimize" nor "maximize".
    """
    if goal is not None and direction is not None:
        raise InvalidRequest.of("direction", "is another name of goal; give one of them")
    field, given = ("direction", direction) if goal is None else ("goal", goal)
    if given is None:
        return None
    if not isinstance(given, str) or given.lower() not in GOALS:
        raise InvalidRequest.of(field, f'is {given!r}; give "minimize" or "maximize"')
    return GOALS[given.lower()]


def space_of(given: SpaceLike) -> SearchSpace:
    """Return the search space of what a user gave: a SearchSpace, a dict of parameters by name, or a list of them.

    Categories that are numbers become a discrete parameter, whose values are ordered.

    Raises:
        InvalidRequest: a parameter has none of the forms; the message names it and the forms.
    """
    if isinstance(given, SearchSpace):
        return SearchSpace([_ordered(parameter) for parameter in given.parameters], given.constraints)
    if isinstance(given, Mapping):
        faults = list(_name_faults(given))
        parameters: list[Parameter] = []
        for name, form in given.items():
            try:
                parameters.append(_parameter(str(name), form))
            except InvalidRequest as error:
                faults += error.violations
        if faults:
            raise InvalidRequest.listing(faults)
        return SearchSpace(parameters)
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if is_list and all(isinstance(parameter, KINDS) for parameter in given):
        return SearchSpace([_ordered(parameter) for parameter in given])
    example = "bo_client.SearchSpace([bo_client.FloatParameter('x', 0.0, 1.0)]), or a dict such as {'x': (0.0, 1.0)}"
    raise InvalidRequest.of("space", f"is a {type(given).__name__}; give a SearchSpace, such as {example}")


def _name_faults(given: Mapping[Any, Any]) -> Iterator[Violation]:
    for name, form in given.items():
        if not isinstance(name, str):
            yield Violation(f"space[{name!r}]", "is no name; give each parameter a name, as text")
        elif isinstance(form, KINDS) and form.name != name:
            yield Violation(f"space[{name!r}]", f"holds a parameter named {form.name!r}; give both the same name")


def _parameter(name: str, form: Any) -> Parameter:
    """Return the parameter that a value of a dict describes."""
    if isinstance(form, KINDS):
        return _ordered(form)
    if isinstance(form, range):
        return _stepped(name, form.start, form.stop - 1, form.step)
    if isinstance(form, list | set | frozenset):
        return _choice(name, sorted(form, key=str) if not isinstance(form, list) else form)
    if isinstance(form, tuple):
        return _interval(name, form)
    if isinstance(form, Mapping):
        return _described(name, form)
    raise _formless(name, form)


def _interval(name: str, form: tuple[Any, ...]) -> Parameter:
    low, high = (to_python(f"space[{name!r}]", bound) for bound in form[:2]) if len(form) in (2, 3) else ("", "")
    scale = form[2] if len(form) == 3 else "linear"
    numbers = [bound for bound in (low, high) if isinstance(bound, int | float) and not isinstance(bound, bool)]
    if len(numbers) != 2 or scale not in ("linear", "log"):
        raise _formless(name, form)
    if all(isinstance(bound, int) for bound in numbers):
        return IntParameter(name, cast(int, low), cast(int, high), cast(Scale, scale))
    return FloatParameter(name, float(numbers[0]), float(numbers[1]), cast(Scale, scale))


def _choice(name: str, values: Sequence[Any]) -> Parameter:
    plain = [to_python(f"space[{name!r}]", value) for value in values]
    return _ordered(CategoricalParameter(name, plain))


def _described(name: str, form: Mapping[str, Any]) -> Parameter:
    """Return the parameter of a dict such as those of a study's file, or with `log` and `step`."""
    from bo_client import specfile  # which parses YAML, needed by few

    fields = dict(form)
    if "log" in fields:
        fields["scale"] = "log" if fields.pop("log") else "linear"
    step = fields.pop("step", None)
    document = {"parameters": {name: fields}, "metrics": {"value": "minimize"}}
    try:
        parameter = specfile.parse(json.dumps(document, default=str)).space.parameters[0]
    except InvalidRequest as error:
        faults = [Violation(v.field.replace("parameters", "space", 1), v.description) for v in error.violations]
        raise InvalidRequest.listing(faults) from None
    if step is None:
        return parameter
    if not isinstance(parameter, IntParameter) or parameter.scale == "log":
        raise InvalidRequest.of(f"space[{name!r}].step", "applies to whole numbers on a linear scale; list the values")
    return _stepped(name, parameter.low, parameter.high, step)


def _stepped(name: str, low: int, high: int, step: int) -> Parameter:
    if type(step) is not int or step < 1:
        raise InvalidRequest.of(f"space[{name!r}].step", f"is {step!r}; give a whole number from 1")
    if step == 1:
        return IntParameter(name, low, high)
    values = range(low, high + 1, step)
    if len(values) > MAX_VALUES:
        why = f"is {step}, which gives {len(values)} values; at most {MAX_VALUES} are allowed: give (low, high) instead"
        raise InvalidRequest.of(f"space[{name!r}].step", why)
    return DiscreteParameter(name, list(values))


def _ordered(parameter: Parameter) -> Parameter:
    """Return a discrete parameter for categories that are all numbers, and any other parameter as it is."""
    if not isinstance(parameter, CategoricalParameter) or not parameter.values:
        return parameter
    kinds = {type(value) for value in parameter.values}
    if not kinds <= {int, float}:
        return parameter
    is_float = float in kinds
    values = sorted(float(value) if is_float else value for value in parameter.values)
    default = float(parameter.default) if is_float and parameter.default is not None else parameter.default
    return DiscreteParameter(
        parameter.name, values, "linear", default, parameter.activation, parameter.description, parameter.unit
    )


def _formless(name: str, form: object) -> InvalidRequest:
    text = repr(form)
    shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
    return InvalidRequest.of(f"space[{name!r}]", f"is {shown}; give {FORMS}")


def metric_list(metrics: str | Mapping[str, str] | Sequence[Metric], goal: Goal | None) -> list[Metric]:
    """Return the metrics of a study, from the name of one, from goals by name, or from values.

    Args:
        metrics: The name of the only objective, the goals of several, or metrics with their goals and roles.
        goal: Whether the only objective is minimized or maximized; None where `metrics` say it.

    Raises:
        InvalidRequest: the goal is missing or superfluous, or a metric has none of these forms.
    """
    if isinstance(metrics, str):
        if goal is None:
            raise InvalidRequest.of("goal", f'is missing; is {metrics!r} to "minimize" or "maximize"?')
        return [Metric(metrics, goal)]
    if goal is not None:
        raise InvalidRequest.of("goal", "applies to a single metric given by name; Metric values have their own")
    if isinstance(metrics, Mapping):
        return [Metric(name, goal_of(str(its_goal))) for name, its_goal in metrics.items()]
    listed = list(metrics) if isinstance(metrics, Iterable) else [metrics]
    if not all(isinstance(metric, Metric) for metric in listed):
        how = 'give a name with its goal, a dict such as {"loss": "minimize"}, or a list of bo_client.Metric'
        raise InvalidRequest.of("metrics", f"are {metrics!r}; {how}")
    return listed
