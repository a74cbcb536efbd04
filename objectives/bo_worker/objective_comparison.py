"""Comparison of a worker's objective and options with the study's, and their reuse by `bo-worker best`."""

import hashlib
import inspect
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bo_client import ObjectiveSpec, Study
from bo_client.limits import MAX_OPTION_VALUE
from bo_client.objective import differences
from bo_objectives.base import Definition
from bo_objectives.discovery import canonical, find
from bo_objectives.errors import SetupError

from bo_worker.evaluation import EvaluationTask

COMMAND = "command"
KEPT_LENGTH = 1900
"""Characters kept of a longer value; a hash replaces the rest."""


def objective_spec(evaluation: EvaluationTask, definition: Definition) -> ObjectiveSpec:
    """Return the objective's name and the options that its metrics depend on.

    These are the options of its definition; if that has none, all options, with the factory's defaults.
    """
    declared = definition.options
    options = {**_defaults(evaluation.name), **dict(evaluation.options)} if declared is None else dict(declared)
    return ObjectiveSpec(canonical(evaluation.name), {key: _fitting(_text(options[key])) for key in sorted(options)})


def require_same(study: Study, actual: ObjectiveSpec) -> None:
    """Check that the study has this objective and these options.

    Raises:
        SetupError: lists each difference.
    """
    stored = study.info().objective_spec
    different = differences(stored, actual)
    if stored is None or not different:
        return
    raise SetupError(
        f"{study.name} has another objective: {'; '.join(different)}. Results of different options cannot be "
        f"compared: choose another --study, or give {_remedy(stored, actual)}"
    )


def _remedy(stored: ObjectiveSpec, actual: ObjectiveSpec) -> str:
    """Return the command-line arguments that select the study's objective."""
    if stored.name != actual.name:
        return f"--objective {stored.name}"
    if stored.name == COMMAND:
        return f"the study's own program: -- {stored.options.get('program', '')}"
    stored_options = stored.options
    other = [
        key for key in sorted({*stored_options, *actual.options}) if stored_options.get(key) != actual.options.get(key)
    ]
    arguments = [
        f"--option {key}={shlex.quote(stored_options[key])}" for key in other if key in stored_options and _is_own(key)
    ]
    described = [key for key in other if key in stored_options and not _is_own(key)]
    arguments += [f"an --option {_option(key)} with the same content" for key in described]
    stored_names = {_option(key) for key in stored_options}
    left_out = [_option(key) for key in other if key not in stored_options and _option(key) not in stored_names]
    if not arguments and left_out:
        return f"no --option {' or '.join(left_out)}"
    return " ".join(arguments)


def _option(key: str) -> str:
    """Return the option that a key belongs to."""
    return key.partition(".")[0]


def _is_own(key: str) -> bool:
    """Return whether the key is an option; others, such as data.contents, describe a file's content."""
    return key.isidentifier()


def completed(study: Study, name: str | None, options: Mapping[str, str | tuple[str, ...]]) -> EvaluationTask:
    """Return the evaluation of the study's objective; omitted options are taken from the study.

    Raises:
        SetupError: no objective is given or stored, or the given one differs.
    """
    stored = study.info().objective_spec
    if stored is None:
        if name is None:
            raise SetupError(f"{study.name} does not store its objective; give --objective and its options")
        return EvaluationTask(name, tuple(options.items()))
    if name is not None and canonical(name) != stored.name:
        require_same(study, ObjectiveSpec(canonical(name)))
    names = _names(stored.name)
    stored_options: dict[str, str | tuple[str, ...]] = {
        key: value for key, value in stored.options.items() if _is_own(key) and (names is None or key in names)
    }
    if "program" in stored_options and stored.name == COMMAND:
        stored_options["program"] = tuple(shlex.split(stored.options["program"]))
    return EvaluationTask(name or stored.name, tuple({**stored_options, **options}.items()))


def may_have_test_set(evaluation: EvaluationTask) -> bool:
    """Return whether the objective may have a test set, which a class tells without being instantiated."""
    factory = find(evaluation.name)
    return not inspect.isclass(factory) or hasattr(factory, "evaluate_test")


def check_given(study: Study, options: Mapping[str, str | tuple[str, ...]]) -> None:
    """Check that options do not contradict the study's, as far as their texts tell.

    Raises:
        SetupError: an option does.
    """
    stored = study.info().objective_spec
    if stored is not None:
        comparable = {key: _fitting(_text(value)) for key, value in options.items() if key in stored.options}
        require_same(study, replace(stored, options={**stored.options, **comparable}))


def _defaults(name: str) -> dict[str, object]:
    """Return the factory's defaults, as far as its signature tells."""
    return {p.name: p.default for p in _signature(name) if p.default not in (p.empty, None)}


def _names(name: str) -> set[str] | None:
    """Return the names of the factory's options; None if it takes any, or has no signature."""
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
    if len(text) <= MAX_OPTION_VALUE:
        return text
    return f"{text[:KEPT_LENGTH]} … (sha256 {hashlib.sha256(text.encode()).hexdigest()})"
