"""What the values of a study depend on: compared when a worker joins it, and read back by `bo-worker best`."""

import hashlib
import inspect
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bo_client import ObjectiveSpec, Study
from bo_client.objective import differences

from bo_objectives.base import Definition
from bo_objectives.discovery import canonical, find
from bo_objectives.errors import SetupError
from bo_objectives.worker.evaluation import Recipe

COMMAND = "command"
MOST_CHARACTERS = 2048
"""Of an option's value, as the server takes it."""
KEPT = 1900
"""Of a longer one; the rest is a hash."""


def objective_spec(recipe: Recipe, definition: Definition) -> ObjectiveSpec:
    """Return what the values of the recipe's objective depend on.

    These are the options that its definition names; where it names none, all options, with the defaults of the factory.
    """
    given = definition.options
    options = {**_defaults(recipe.name), **dict(recipe.options)} if given is None else dict(given)
    return ObjectiveSpec(canonical(recipe.name), {key: _fitting(_text(options[key])) for key in sorted(options)})


def require_same(study: Study, ours: ObjectiveSpec) -> None:
    """Raises SetupError, listing each difference, where the study is of another objective or of other options."""
    kept = study.info().objective_spec
    different = differences(kept, ours)
    if kept is None or not different:
        return
    raise SetupError(
        f"{study.name} is of another objective: {'; '.join(different)}. Results of different options can't be "
        f"compared: choose another --study, or give {_remedy(kept, ours)}"
    )


def _remedy(kept: ObjectiveSpec, ours: ObjectiveSpec) -> str:
    """What to put on the command line to be of the study's objective."""
    if kept.name != ours.name:
        return f"--objective {kept.name}"
    if kept.name == COMMAND:
        return f"the study's own program: -- {kept.options.get('program', '')}"
    theirs = kept.options
    other = [key for key in sorted({*theirs, *ours.options}) if theirs.get(key) != ours.options.get(key)]
    found = [f"--option {key}={shlex.quote(theirs[key])}" for key in other if key in theirs and _is_own(key)]
    found += [f"an --option {key.partition('.')[0]} with the same content" for key in other if not _is_own(key)]
    left_out = [key for key in other if key not in theirs and _is_own(key)]
    if not found and left_out:
        return f"no --option {' or '.join(left_out)}"
    return " ".join(found)


def _is_own(key: str) -> bool:
    """Whether an option has this name: others, such as data.contents, tell what a file holds."""
    return key.isidentifier()


def completed(study: Study, name: str | None, options: Mapping[str, str | tuple[str, ...]]) -> Recipe:
    """Return the recipe of the study's objective: what isn't given is taken from the study.

    Raises:
        SetupError: neither says the objective, or the one given is another than the study's.
    """
    kept = study.info().objective_spec
    if kept is None:
        if name is None:
            raise SetupError(f"{study.name} doesn't say which objective it is of; give --objective, and its options")
        return Recipe(name, tuple(options.items()))
    if name is not None and canonical(name) != kept.name:
        require_same(study, ObjectiveSpec(canonical(name)))
    known = _names(kept.name)
    theirs: dict[str, str | tuple[str, ...]] = {
        key: value for key, value in kept.options.items() if _is_own(key) and (known is None or key in known)
    }
    if "program" in theirs and kept.name == COMMAND:
        theirs["program"] = tuple(shlex.split(kept.options["program"]))
    return Recipe(name or kept.name, tuple({**theirs, **options}.items()))


def is_examined(recipe: Recipe) -> bool:
    """Whether the recipe's objective may have data held back: a class tells without being made."""
    factory = find(recipe.name)
    return not inspect.isclass(factory) or hasattr(factory, "examine")


def check_given(study: Study, options: Mapping[str, str | tuple[str, ...]]) -> None:
    """Raises SetupError where options contradict the study's, as far as their texts tell."""
    kept = study.info().objective_spec
    if kept is not None:
        given = {key: _fitting(_text(value)) for key, value in options.items() if key in kept.options}
        require_same(study, replace(kept, options={**kept.options, **given}))


def _defaults(name: str) -> dict[str, object]:
    """The factory's own, as far as its signature tells them."""
    return {p.name: p.default for p in _signature(name) if p.default not in (p.empty, None)}


def _names(name: str) -> set[str] | None:
    """The options that there are; None where the factory takes any, or doesn't tell."""
    parameters = _signature(name)
    if not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}


def _signature(name: str) -> Sequence[inspect.Parameter]:
    try:
        return tuple(inspect.signature(find(name)).parameters.values())
    except ValueError:  # some classes written in C tell no signature
        return ()


def _text(value: object) -> str:
    return shlex.join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _fitting(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:KEPT]} … (sha256 {hashlib.sha256(text.encode()).hexdigest()})"
