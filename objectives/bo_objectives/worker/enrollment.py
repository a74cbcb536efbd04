"""The study that a worker runs: created where it doesn't exist, checked where it does."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bo_client import (
    BoClientError,
    Client,
    InvalidRequest,
    Metric,
    NotFound,
    ObjectiveSpec,
    Parameter,
    SearchSpace,
    Study,
    StudySettings,
    Value,
)
from bo_client.parameters import admits, parse
from bo_client.specfile import Base, StudyFile, load

from bo_objectives.base import TEXTBOOK_ROLE, Definition
from bo_objectives.errors import SetupError
from bo_objectives.worker import pythonfile
from bo_objectives.worker.compared import require_same

logger = logging.getLogger("bo_objectives")


@dataclass(frozen=True)
class Enrollment:
    """What the worker was told about the study."""

    study_id: str
    pins: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are constants, as texts."""
    file: Path | None = None
    """A space, metrics and settings instead of the objective's own."""
    max_trials: int | None = None
    """Of the study in all, where the worker creates it; where it exists, of this worker."""


def enroll(client: Client, definition: Definition, asked: Enrollment, objective: ObjectiveSpec | None = None) -> Study:
    """The study, ready to run. `objective` is what the values of this worker depend on; None compares nothing.

    Raises:
        SetupError: the study exists with another space, other metrics or another objective, or a pin or the file is
            wrong.
        BoClientError: the server refuses or isn't there.
    """
    try:
        wanted, settings = _wanted(definition, asked)
        space, constants = _pinned(wanted, asked.pins)
    except InvalidRequest as error:
        raise SetupError(str(error)) from error
    try:
        study = client.study(asked.study_id)
    except NotFound:
        study = client.create_study(
            asked.study_id, space, wanted.metrics, labels=_labels(wanted), objective=objective, **settings
        )
        logger.info(
            "created %s: %d parameters, %s",
            study.name,
            len(space.parameters),
            _limit_words(study.definition.max_trials),
        )
    if objective is not None:
        require_same(study, objective)
    _check(study, space, wanted.metrics)
    _tell_limit(study, asked.max_trials)
    if wanted.defaults is not None and not sum(study.info().counts.values()):
        _enqueue_textbook(study, space, {**wanted.defaults, **constants})
    return study


def _wanted(definition: Definition, asked: Enrollment) -> tuple[Definition, StudySettings]:
    """What the study would be, and its settings."""
    settings = StudySettings()
    if asked.file is not None:
        file = _file(asked.file, definition)
        settings = file.settings
        definition = replace(definition, space=file.space, metrics=file.metrics or definition.metrics)
    if asked.max_trials is not None:
        settings = {**settings, "max_trials": asked.max_trials}
    return definition, settings


def _labels(definition: Definition) -> dict[str, str]:
    steps = {} if definition.steps is None else {"steps": str(definition.steps)}
    return {"step": definition.step, **steps}


def _file(path: Path, definition: Definition) -> StudyFile:
    if path.suffix == ".py":
        return pythonfile.load(path, definition)
    return load(path, extends=Base(definition.space, definition.whole or definition.space))


def _pinned(wanted: Definition, pins: Mapping[str, str]) -> tuple[SearchSpace, dict[str, Value]]:
    """The space with constants. What it lacks is taken from the whole of what the objective knows."""
    if not pins:
        return wanted.space, {}
    space, whole = wanted.space, wanted.whole
    if whole is not None and not _holds(space, pins):
        space = _widened(space, whole, pins)
    constants = space.parse(pins)
    return space.pin(constants), constants


def _holds(space: SearchSpace, pins: Mapping[str, str]) -> bool:
    """Whether each pin is a value of the space."""
    try:
        return all(name in space and admits(space[name], parse(space[name], text)) for name, text in pins.items())
    except InvalidRequest:
        return False


def _widened(space: SearchSpace, whole: SearchSpace, pins: Mapping[str, str]) -> SearchSpace:
    """With the whole's own version of what is pinned; what else exists, does so where it does in the whole."""
    kept = {p.name: p for p in space.parameters}
    found: list[Parameter] = []
    for parameter in whole.parameters:
        if parameter.name in pins:
            found.append(parameter)
        elif parameter.name in kept:
            found.append(replace(kept[parameter.name], activation=parameter.activation))
    theirs = [p for p in space.parameters if p.name not in whole]
    return space.with_parameters([*found, *theirs], whole)


def _check(study: Study, space: SearchSpace, metrics: tuple[Metric, ...]) -> None:
    found = study.definition
    if found.space != space:
        raise SetupError(
            f"{study.name} exists with another search space ({_difference(found.space, space)}); choose another "
            "--study, or the same --objective, --option, --pin and --space as before"
        )
    if [(m.name, m.goal, m.role, m.bound) for m in found.metrics] != [
        (m.name, m.goal, m.role, m.bound) for m in metrics
    ]:
        names = ", ".join(m.name for m in found.metrics)
        raise SetupError(f"{study.name} exists with other metrics or bounds ({names}); choose another --study")


def _difference(there: SearchSpace, here: SearchSpace) -> str:
    theirs, ours = ({p.name: p for p in space.parameters} for space in (there, here))
    names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    return f"they differ in {', '.join(names)}" if names else "they differ in order or constraints"


def _limit_words(max_trials: int | None) -> str:
    """Return how many trials a new study has, in words."""
    if max_trials is not None:
        return f"max_trials {max_trials}"
    return "no limit of trials (max_trials): it goes on until it is ended, by Ctrl-C or `bo finish`"


def _tell_limit(study: Study, max_trials: int | None) -> None:
    """Says that a study keeps its own limit: other workers count on it."""
    theirs = study.definition.max_trials
    if max_trials is not None and theirs != max_trials:
        kept = "no max_trials" if theirs is None else f"max_trials {theirs}"
        change = f"`bo resume {study.id} --max-trials {max_trials}` changes it"
        logger.info("%s has %s, and keeps it (%s); this worker runs at most %d", study.name, kept, change, max_trials)


def _enqueue_textbook(study: Study, space: SearchSpace, defaults: Mapping[str, Value]) -> None:
    """Once, however many workers begin at the same time: they make the same request."""
    names = {p.name for p in space.parameters}
    fitting = {name: value for name, value in defaults.items() if name in names}
    begun = study.definition.create_time
    request_id = f"textbook-{study.id}-{begun.timestamp() if begun else 0:.6f}"
    try:
        study.enqueue(fitting, TEXTBOOK_ROLE, request_id)
    except InvalidRequest as error:
        logger.warning("the textbook defaults are no configuration of %s, and are left out: %s", study.name, error)
    except BoClientError as error:
        logger.warning("the textbook defaults were not queued: %s", error)
