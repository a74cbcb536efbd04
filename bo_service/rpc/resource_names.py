"""Resource names: `studies/{study}`, `studies/{study}/trials/{trial}`, and `…/artifacts/{artifact}` of a trial."""

import re

from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_ARTIFACT_ID, MAX_STUDY_ID

STUDY_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_STUDY_ID - 1}}}")
ARTIFACT_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_ARTIFACT_ID - 1}}}")
TRIAL = re.compile(r"studies/([^/]*)/trials/([1-9][0-9]{0,17})")


def check_study_id(study_id: str, field: str) -> str:
    """Return the study id.

    Raises:
        InvalidArgument: it has another form.
    """
    if not STUDY_ID.fullmatch(study_id):
        raise InvalidArgument.of(
            field,
            f"is {study_id[:80]!r}; give 1 to {MAX_STUDY_ID} letters, digits, '-', '_' or '.', "
            "beginning with a letter or digit",
        )
    return study_id


def study_id_of(name: str, field: str) -> str:
    """Return the id in `studies/{study}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    collection, _, study_id = name.partition("/")
    if collection != "studies" or not STUDY_ID.fullmatch(study_id):
        raise InvalidArgument.of(field, f"is {name[:120]!r}; give studies/STUDY, such as studies/first")
    return study_id


def trial_of(name: str, field: str) -> tuple[str, int]:
    """Return the study id and the number in `studies/{study}/trials/{trial}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    match = TRIAL.fullmatch(name)
    if not match or not STUDY_ID.fullmatch(match[1]):
        raise InvalidArgument.of(
            field, f"is {name[:160]!r}; give studies/STUDY/trials/NUMBER, such as studies/first/trials/1"
        )
    return match[1], int(match[2])


def artifact_of(name: str, field: str) -> tuple[str, int, str]:
    """Return study id, trial number and artifact id in `studies/{study}/trials/{trial}/artifacts/{artifact}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    trial, separator, artifact_id = name.rpartition("/artifacts/")
    match = TRIAL.fullmatch(trial)
    if not separator or not match or not STUDY_ID.fullmatch(match[1]) or not ARTIFACT_ID.fullmatch(artifact_id):
        raise InvalidArgument.of(
            field,
            f"is {name[:320]!r}; give studies/STUDY/trials/NUMBER/artifacts/ARTIFACT, such as "
            "studies/first/trials/1/artifacts/confusion.png",
        )
    return match[1], int(match[2]), artifact_id


def artifact_name(study_id: str, number: int, artifact_id: str) -> str:
    """Return `studies/{study}/trials/{trial}/artifacts/{artifact}`."""
    return f"{trial_name(study_id, number)}/artifacts/{artifact_id}"


def trial_name(study_id: str, number: int) -> str:
    """Return `studies/{study}/trials/{trial}`."""
    return f"studies/{study_id}/trials/{number}"
