"""Resource names: `studies/{study}` and `studies/{study}/trials/{trial}`."""

import re

from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_STUDY_ID

STUDY_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_STUDY_ID - 1}}}")
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


def trial_name(study_id: str, number: int) -> str:
    """Return `studies/{study}/trials/{trial}`."""
    return f"studies/{study_id}/trials/{number}"
