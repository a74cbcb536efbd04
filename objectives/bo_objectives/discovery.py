"""Find objectives by name, and create them.

A name is an entry point in the group `bo_objectives`, with which installed packages register objectives, or
`module:attribute` of a class or function that creates an objective.
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
    """An objective that can be requested by name."""

    name: str
    description: str
    """The first line of the factory's docstring, or the reason why the factory cannot be imported."""


def available() -> list[Available]:
    """Return all objectives with entry points, sorted by name, including those that cannot be imported."""
    return [Available(name, _first_line(name)) for name in sorted({point.name for point in _points()})]


def make(name: str, options: Mapping[str, str | Sequence[str]]) -> Objective:
    """Create an objective.

    Args:
        name: its name.
        options: arguments of its factory.

    Raises:
        SetupError: the objective is unknown or cannot be imported, or an option is unknown, missing or invalid.
    """
    factory = find(name)
    _check_options(name, factory, options)
    try:
        objective = factory(**options)
    except SetupError:
        raise
    except Exception as error:
        options_text = ", ".join(f"{k}={v!r}" for k, v in options.items()) or "no options"
        raise SetupError(f"objective {name} cannot be created with {options_text}: {_describe(error)}") from error
    missing = [method for method in ("define", "evaluate") if not callable(getattr(objective, method, None))]
    if missing:
        lacks = " and ".join(missing)
        raise SetupError(
            f"objective {name} is a {type(objective).__name__}, which lacks {lacks}: an objective has the methods "
            "define() and evaluate(parameters, run)"
        )
    return objective


def find(name: str) -> Factory:
    """Return the factory of an objective.

    Raises:
        SetupError: the objective is unknown or cannot be imported.
    """
    if ":" in name:
        return _by_path(name)
    points = {point.value: point for point in _points() if point.name == name}
    if not points:
        raise SetupError(_unknown(name))
    if len(points) > 1:
        raise SetupError(f"objective {name} is ambiguous: {' and '.join(sorted(points))}; give one of these")
    (point,) = points.values()
    try:
        return _callable(name, point.load())
    except SetupError:
        raise
    except Exception as error:
        remedy = BUNDLED_NEEDS if isinstance(error, ModuleNotFoundError) and point.module.startswith(BUNDLED) else ""
        raise SetupError(f"objective {name} can't be loaded from {point.value}: {_describe(error)}{remedy}") from error


def canonical(name: str) -> str:
    """Return the objective's shortest name: that of its entry point instead of `module:attribute`, if there is one."""
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
    value: object = _imported(path, module_name)
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise SetupError(f"objective {path}: module {module_name} has no {attribute}") from None
    return _callable(path, value)


def _imported(path: str, module_name: str) -> ModuleType:
    """Import a module, also from the current directory, as `python -m` does."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise SetupError(f"objective {path}: importing {module_name} failed: {_describe(error)}") from error
        raise SetupError(
            f"objective {path}: there is no module {error.name}, neither installed nor in {here}; start in the folder "
            "that holds it, or install it"
        ) from None
    except Exception as error:
        raise SetupError(f"objective {path}: importing {module_name} failed: {_describe(error)}") from error


def _callable(name: str, value: object) -> Factory:
    if not callable(value):
        raise SetupError(
            f"objective {name} is {type(value).__name__}; give a class or function that makes the objective"
        )
    return value


def _check_options(name: str, factory: Factory, options: Mapping[str, object]) -> None:
    """Check options against the factory's signature.

    Raises:
        SetupError: an option is unknown or missing.
    """
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some classes written in C tell no signature
        return
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    unknown = [option for option in options if option not in names]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        accepted = f"has {', '.join(names)}" if names else "takes none"
        raise SetupError(f"unknown option {', '.join(unknown)}; objective {name} {accepted}")
    missing = [p.name for p in parameters if p.name in names and p.default is p.empty and p.name not in options]
    if missing:
        raise SetupError(f"objective {name} needs the option {', '.join(missing)}")


def _first_line(name: str) -> str:
    try:
        documentation = inspect.getdoc(find(name)) or ""
    except SetupError as error:
        return str(error)
    return documentation.partition("\n")[0]


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
