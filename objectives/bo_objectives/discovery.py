"""Finds objectives by name, and makes them with options.

A name is that of an entry point in the group `bo_objectives`, which is how the bundled objectives are known and how
any installed package adds its own; or `module:attribute`, of a class or function that makes an objective.
"""

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from bo_objectives.base import Objective
from bo_objectives.errors import SetupError

GROUP = "bo_objectives"
BUNDLED = "bo_objectives."
BUNDLED_NEEDS = "; pip install 'bo-service[tensorflow-cpu]' brings what the bundled objectives need"

Factory = Callable[..., Objective]


@dataclass(frozen=True)
class Available:
    """An objective that can be asked for by its name."""

    name: str
    description: str
    """The first line of the factory's docstring; or why the factory can't be loaded."""


def available() -> list[Available]:
    """Every objective with an entry point, by name. One that can't be loaded is listed with the reason."""
    return [Available(name, _described(name)) for name in sorted({point.name for point in _points()})]


def make(name: str, options: Mapping[str, str | Sequence[str]]) -> Objective:
    """The objective of that name, made with these options.

    Raises:
        SetupError: there is no such objective, it can't be loaded, or an option is unknown, missing or not allowed.
    """
    factory = find(name)
    _check_options(name, factory, options)
    try:
        objective = factory(**options)
    except SetupError:
        raise
    except Exception as error:
        given = ", ".join(f"{k}={v!r}" for k, v in options.items()) or "no options"
        raise SetupError(f"objective {name} can't be made with {given}: {_told(error)}") from error
    missing = [method for method in ("define", "evaluate") if not callable(getattr(objective, method, None))]
    if missing:
        lacks = " and ".join(missing)
        raise SetupError(
            f"objective {name} made a {type(objective).__name__}, which lacks {lacks}: an objective has the methods "
            "define() and evaluate(parameters, run)"
        )
    return objective


def find(name: str) -> Factory:
    """What makes the objective of that name.

    Raises:
        SetupError: there is no such objective, or it can't be loaded.
    """
    if ":" in name:
        return _by_path(name)
    points = {point.value: point for point in _points() if point.name == name}
    if not points:
        raise SetupError(_unknown(name))
    if len(points) > 1:
        raise SetupError(f"objective {name} is offered by {' and by '.join(sorted(points))}; give the one you mean")
    (point,) = points.values()
    try:
        return _callable(name, point.load())
    except SetupError:
        raise
    except Exception as error:
        remedy = BUNDLED_NEEDS if isinstance(error, ModuleNotFoundError) and point.module.startswith(BUNDLED) else ""
        raise SetupError(f"objective {name} can't be loaded from {point.value}: {_told(error)}{remedy}") from error


def canonical(name: str) -> str:
    """Return the objective's shortest name: that of its entry point, where `module:attribute` is one's."""
    names = [point.name for point in _points() if point.value == name]
    return names[0] if names else name


def _points() -> Sequence[EntryPoint]:
    return tuple(entry_points(group=GROUP))


def _unknown(name: str) -> str:
    names = sorted({point.name for point in _points()})
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]}? There are" if near else "there are"
    own = "or give your own as module:attribute, such as my_objective:Parabola"
    return f"no objective is called {name!r}; {meant} {', '.join(names) or 'none installed'}; {own}"


def _by_path(path: str) -> Factory:
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise SetupError(f"objective {path!r} must have the form module:attribute, such as my_objective:Parabola")
    found: object = _imported(path, module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise SetupError(f"objective {path}: module {module_name} has no {attribute}") from None
    return _callable(path, found)


def _imported(path: str, module_name: str) -> ModuleType:
    """The module, from the current directory too, as with `python -m`."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SetupError(f"objective {path}: importing {module_name} failed: {_told(error)}") from error
        raise SetupError(
            f"objective {path}: there is no module {error.name}, neither installed nor in {here}; start in the folder "
            "that holds it, or install it"
        ) from None
    except Exception as error:
        raise SetupError(f"objective {path}: importing {module_name} failed: {_told(error)}") from error


def _callable(name: str, found: object) -> Factory:
    if not callable(found):
        raise SetupError(
            f"objective {name} is {type(found).__name__}; give a class or function that makes the objective"
        )
    return found


def _check_options(name: str, factory: Factory, options: Mapping[str, object]) -> None:
    """Refuses options that the factory's signature doesn't have, and tells those that it needs."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some classes written in C tell no signature
        return
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [option for option in options if option not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        has = f"has {', '.join(known)}" if known else "takes none"
        raise SetupError(f"unknown option {', '.join(unknown)}; objective {name} {has}")
    missing = [p.name for p in parameters if p.name in known and p.default is p.empty and p.name not in options]
    if missing:
        raise SetupError(f"objective {name} needs the option {', '.join(missing)}")


def _described(name: str) -> str:
    try:
        documentation = inspect.getdoc(find(name)) or ""
    except SetupError as error:
        return str(error)
    return documentation.partition("\n")[0]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
