"""The study that a worker runs: created if it does not exist, and checked if it does."""

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
from bo_client.differences import metrics_difference, space_difference
from bo_client.models import Limit, StudyInfo
from bo_client.parameters import admits, parse
from bo_client.settings import Fidelity
from bo_client.specfile import Base, StudyFile, load
from bo_objectives.base import TEXTBOOK_ROLE, Definition
from bo_objectives.errors import SetupError

from bo_worker import python_file
from bo_worker.objective_comparison import require_same

logger = logging.getLogger("bo_objectives")

FEWEST_STEPS = 2
"""A trial of one step can't pause before its end."""


@dataclass(frozen=True)
class StudyRequest:
    """The study that a worker should run."""

    study_id: str
    pins: Mapping[str, str] = field(default_factory=dict)
    """Parameters that are constants, as texts."""
    file: Path | None = None
    """File with a space, metrics and settings that replace the objective's own."""
    max_trials: int | None = None
    """For a new study, its total number of trials; for an existing one, the number that this worker runs."""
    in_parts: bool = False
    """Whether the study has a fidelity: trials pause at their checkpoints, and only the promising ones go on."""


def get_or_create_study(
    client: Client, definition: Definition, study_request: StudyRequest, objective: ObjectiveSpec | None = None
) -> Study:
    """Return the study, and create it if it does not exist.

    Args:
        client: the client.
        definition: the objective's definition.
        study_request: the requested study.
        objective: the objective to compare with the study's; None to skip the comparison.

    Raises:
        SetupError: the study exists with another space, metrics or objective, or a pin or the file is invalid.
        BoClientError: the server rejects the request or is unavailable.
    """
    try:
        requested, settings = _requested(definition, study_request)
        space, constants = _pinned(requested, study_request.pins)
    except InvalidRequest as error:
        raise SetupError(str(error)) from error
    try:
        study = client.study(study_request.study_id)
    except NotFound:
        study = client.create_study(
            study_request.study_id, space, requested.metrics, labels=_labels(requested), objective=objective, **settings
        )
        logger.info(
            "created %s: %d parameters, %s",
            study.name,
            len(space.parameters),
            _limit_words(study.definition),
        )
    if objective is not None:
        require_same(study, objective)
    _check(study, space, requested.metrics)
    _check_fidelity(study, definition, study_request.in_parts)
    _log_limit(study, study_request.max_trials)
    if requested.defaults is not None and not sum(study.info().counts.values()):
        _enqueue_textbook(study, space, {**requested.defaults, **constants})
    return study


def _check_fidelity(study: Study, definition: Definition, in_parts: bool) -> None:
    """Check that the study has a fidelity if one is requested, and that a whole trial of it is one of the objective.

    Raises:
        SetupError: it isn't.
    """
    fidelity = study.definition.settings.get("fidelity")
    if in_parts and fidelity is None:
        raise SetupError(
            f"{study.name} exists without a fidelity, which never changes; choose another --study, or omit --in-parts"
        )
    if fidelity is not None and definition.can_resume and definition.steps not in (None, fidelity["max"]):
        raise SetupError(
            f"{study.name}: fidelity.max is {fidelity['max']}, and the objective trains {definition.steps} "
            f"{definition.step}s; give the objective as many, or create another study with max: {definition.steps}"
        )


def _requested(definition: Definition, study_request: StudyRequest) -> tuple[Definition, StudySettings]:
    """Return the requested definition and settings."""
    settings = StudySettings()
    if study_request.file is not None:
        file = _file(study_request.file, definition)
        settings = file.settings
        definition = replace(definition, space=file.space, metrics=file.metrics or definition.metrics)
    if study_request.max_trials is not None:
        settings = {**settings, "max_trials": study_request.max_trials}
    if study_request.in_parts and "fidelity" not in settings:
        settings = {**settings, "fidelity": _fidelity(definition)}
    return definition, settings


def _fidelity(definition: Definition) -> Fidelity:
    """Return the fidelity under which a whole trial is one of the objective.

    Raises:
        SetupError: the objective doesn't resume, or doesn't say how many steps a trial has.
    """
    if not definition.can_resume or definition.steps is None:
        raise SetupError(
            "--in-parts needs an objective that resumes from its checkpoints and says how many steps a trial has "
            "(Definition(can_resume=True, steps=…)); omit it, or write the fidelity into the file of --space"
        )
    if definition.steps < FEWEST_STEPS:
        raise SetupError(
            f"--in-parts needs trials of at least {FEWEST_STEPS} {definition.step}s; these have 1: omit it"
        )
    return {"metric": definition.step, "max": definition.steps}


def _labels(definition: Definition) -> dict[str, str]:
    steps = {} if definition.steps is None else {"steps": str(definition.steps)}
    return {"step": definition.step, **steps}


def _file(path: Path, definition: Definition) -> StudyFile:
    if path.suffix == ".py":
        return python_file.load(path, definition)
    return load(path, extends=Base(definition.space, definition.whole or definition.space))


def _pinned(requested: Definition, pins: Mapping[str, str]) -> tuple[SearchSpace, dict[str, Value]]:
    """Return the space with constants. Parameters that it lacks are taken from the objective's full space."""
    if not pins:
        return requested.space, {}
    space, whole = requested.space, requested.whole
    if whole is not None and not _holds(space, pins):
        space = _widened(space, whole, pins)
    constants = space.parse(pins)
    return space.pin(constants), constants


def _holds(space: SearchSpace, pins: Mapping[str, str]) -> bool:
    """Return whether each pin is a value of the space."""
    try:
        return all(name in space and admits(space[name], parse(space[name], text)) for name, text in pins.items())
    except InvalidRequest:
        return False


def _widened(space: SearchSpace, whole: SearchSpace, pins: Mapping[str, str]) -> SearchSpace:
    """Return the space with the pinned parameters of the full space; conditions are those of the full space."""
    own = {p.name: p for p in space.parameters}
    parameters: list[Parameter] = []
    for parameter in whole.parameters:
        if parameter.name in pins:
            parameters.append(parameter)
        elif parameter.name in own:
            parameters.append(replace(own[parameter.name], activation=parameter.activation))
    additional = [p for p in space.parameters if p.name not in whole]
    return space.with_parameters([*parameters, *additional], whole)


def _check(study: Study, space: SearchSpace, metrics: tuple[Metric, ...]) -> None:
    existing = study.definition
    if existing.space != space:
        different = space_difference(existing.space, space)
        raise SetupError(
            f"{study.name} exists with another search space ({different}); choose another --study, or "
            "the same --objective, --option, --pin and --space as before"
        )
    if [replace(m, unit="") for m in existing.metrics] != [replace(m, unit="") for m in metrics]:
        different = metrics_difference(existing.metrics, metrics)
        raise SetupError(f"{study.name} exists with other metrics ({different}); choose another --study")


def _limit_words(info: StudyInfo) -> str:
    """Return the limits of a new study in words."""
    limits = [f"{limit.setting} {info.settings[limit.setting]}" for limit in Limit if limit.setting in info.settings]  # type: ignore[literal-required]
    if limits:
        return ", ".join(limits)
    return "no limit of trials (max_trials): it continues until Ctrl-C or `bo study finish`"


def _log_limit(study: Study, max_trials: int | None) -> None:
    """Log that an existing study keeps its own limit, on which other workers rely."""
    existing_limit = study.definition.max_trials
    if max_trials is not None and existing_limit != max_trials:
        limit_text = "no max_trials" if existing_limit is None else f"max_trials {existing_limit}"
        change = f"`bo study resume {study.id} --max-trials {max_trials}` changes it"
        logger.info(
            "%s has %s, and keeps it (%s); this worker runs at most %d", study.name, limit_text, change, max_trials
        )


def _enqueue_textbook(study: Study, space: SearchSpace, defaults: Mapping[str, Value]) -> None:
    """Queue the textbook configuration once, as all workers use the same request id."""
    names = {p.name for p in space.parameters}
    fitting = {name: value for name, value in defaults.items() if name in names}
    begun = study.definition.create_time
    request_id = f"textbook-{study.id}-{begun.timestamp() if begun else 0:.6f}"
    try:
        study.enqueue(fitting, TEXTBOOK_ROLE, request_id)
    except InvalidRequest as error:
        logger.warning("skipped the textbook defaults, which are not a configuration of %s: %s", study.name, error)
    except BoClientError as error:
        logger.warning("the textbook defaults were not queued: %s", error)
