"""Algorithms of users: found by entry point, run with what they may know, and checked.

A package that is installed beside the server declares `[project.entry-points."bo_service.algorithms"]`, such as
`hill_climb = "hill_climb:HillClimb"`: a class that is called without arguments and has the method of `CustomAlgorithm`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from itertools import islice
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, Protocol

import numpy as np

from bo_service.domain.constraints import Configuration
from bo_service.domain.trial import Origin
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import without_surrogate
from bo_service.optimizer.inputs import OptimizerInput, Suggestion

GROUP = "bo_service.algorithms"
MAX_REFUSED = 100
"""Configurations of one answer that may be refused, before the rest is left unread."""
MAX_FAULT = 300
"""Characters of a message about an algorithm."""


class CustomAlgorithm(Protocol):
    """What an entry point is, once it has been called."""

    def suggest(self, inputs: OptimizerInput, count: int) -> Iterable[Configuration]:
        """Return configurations to try, best first: feasible, and none that has been tried or is pending.

        Up to `count` are used. Where there are fewer it is called again, with these among `inputs.pending`.
        """


@cache
def installed_algorithms() -> tuple[str, ...]:
    """Return the names of the entry points in this interpreter, in their order. Nothing of them is loaded."""
    return tuple(sorted(entry_points(group=GROUP).names))


class Custom:
    """The algorithm that `custom_algorithm` names. What it fails to suggest is filled up with space-filling points."""

    def suggest(self, encoded: EncodedData, count: int) -> list[Suggestion]:
        """Return what the algorithm suggests, as far as that is sound, and then space-filling points that say why.

        It is asked again while it suggests less than `count`, with what it has suggested among what is pending.
        """
        name = encoded.inputs.settings.custom_algorithm
        suggestions: list[Suggestion] = []
        fault = ""
        try:
            algorithm = _loaded(name)
            while not fault and len(suggestions) < count:
                pending = (*encoded.pending, *(s.configuration for s in suggestions))
                inputs = replace(encoded.inputs, observations=encoded.observations, pending=pending)
                fault = _take(encoded, algorithm.suggest(inputs, count - len(suggestions)), suggestions, count)
        except MemoryError:
            raise  # whoever runs this replaces the process
        except (Exception, SystemExit) as error:
            at = extract_tb(error.__traceback__)[-1]
            fault = f"failed with {type(error).__name__}: {error} ({PurePath(at.filename).name}:{at.lineno})"
        plain = "".join(c if c.isprintable() else " " for c in fault[:MAX_FAULT])
        fault = f"The algorithm {name!r} {plain}."
        others = without_surrogate(encoded, count - len(suggestions))
        return suggestions + [replace(s, summary=f"{fault} Instead: {s.summary}", fault=fault) for s in others]


def _loaded(name: str) -> CustomAlgorithm:
    for entry_point in entry_points(group=GROUP, name=name):
        algorithm: CustomAlgorithm = entry_point.load()()
        return algorithm
    raise LookupError("it is not installed")


def _take(encoded: EncodedData, configurations: Iterable[Any], suggestions: list[Suggestion], count: int) -> str:
    """Add the sound ones of the configurations until there are `count`; where there are none, return why."""
    before, first = len(suggestions), "suggested nothing"
    for i, given in enumerate(islice(configurations, count + MAX_REFUSED)):
        fault = "" if isinstance(given, Mapping) else f"is a {type(given).__name__}; it must be a dict of values"
        configuration = {} if fault else {n: v.item() if isinstance(v, np.generic) else v for n, v in given.items()}
        configuration = encoded.inputs.space.coerce(configuration)
        fault = fault or _fault(encoded, configuration)
        if not fault:
            suggestions.append(_suggestion(encoded, configuration))
            if len(suggestions) == count:
                break
        elif i == 0:
            first = f"suggested {_shown(given)}, which {fault}"
    return "" if len(suggestions) > before else first


def _fault(encoded: EncodedData, configuration: Configuration) -> str:
    """Return why a configuration can't be suggested; empty where it can."""
    space = encoded.inputs.space
    wrong = space.faults(configuration)
    if wrong:
        return f"is no configuration of the study: {wrong[0].field} {wrong[0].description}"
    broken = [str(c.description or c) for c in space.constraints if not c.holds(configuration)]
    if broken:
        return f"breaks a constraint: {broken[0]}"
    return "has been tried, or is pending" if encoded.evaluated.has(encoded.encoding.encode([configuration])[0]) else ""


def _suggestion(encoded: EncodedData, configuration: Configuration) -> Suggestion:
    """Return the suggestion of a sound configuration, which is pending from now on."""
    row = encoded.encoding.encode([configuration])[0]
    encoded.evaluated.add(row)
    ((number, distance),) = encoded.nearest_to_each(row[None])
    return Suggestion(
        configuration=encoded.inputs.space.restrict(configuration),
        origin=Origin.CUSTOM_ALGORITHM,
        summary=f"Chosen by the algorithm {encoded.inputs.settings.custom_algorithm!r}.",
        nearest_trial=number,
        nearest_distance=distance,
    )


def _shown(configuration: Any) -> str:
    text = repr(configuration)
    return text if len(text) <= 120 else f"{text[:119]}…"
