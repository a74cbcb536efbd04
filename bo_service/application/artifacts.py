"""Files and notes of trials: add, list, read, write."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bo_service.application.context import AppContext, StudyTransaction, change_idempotently, retry_on_conflict
from bo_service.application.ports import RequestKey
from bo_service.application.trial_lifecycle import owned, why_lost
from bo_service.domain.artifacts import Artifact, TrialNote
from bo_service.domain.errors import LimitExceeded, NotFound, WrongState
from bo_service.domain.limits import (
    MAX_STUDY_ARTIFACT_BYTES,
    MAX_STUDY_ARTIFACTS,
    MAX_TRIAL_ARTIFACT_BYTES,
    MAX_TRIAL_ARTIFACTS,
)
from bo_service.domain.trial import Trial


@dataclass(frozen=True)
class NewArtifact:
    """A file that is added to a trial: its bytes, or where it is."""

    artifact_id: str
    media_type: str
    content: bytes | None = None
    uri: str = ""
    size: int | None = None
    sha256: str = ""


@retry_on_conflict
def add_artifact(
    app: AppContext, study_id: str, number: int, new: NewArtifact, token: str, author: str, key: RequestKey | None
) -> Artifact:
    """Return the artifact as stored; one with the same id is replaced.

    Args:
        app: the application.
        study_id: the study.
        number: the trial.
        new: the file.
        token: lease token of the worker that runs the trial; may be empty once the trial has ended.
        author: name of the caller.
        key: makes the call safe to repeat.

    Raises:
        NotFound: no such study or trial.
        UnknownLease: the token was never given out for the trial.
        WrongState: the trial has not ended, and the caller does not hold it.
        LimitExceeded: the trial or the study has as many artifacts, or bytes of them, as it may have.
    """

    def add(transaction: StudyTransaction) -> Artifact:
        trial = _open_to(transaction, number, token)
        stored = transaction.records.list_artifacts(study_id, [number]).get(number, [])
        size, sha256 = new.size, new.sha256
        if new.content is not None:
            size, sha256 = len(new.content), hashlib.sha256(new.content).hexdigest()
        artifact = Artifact(new.artifact_id, new.media_type, transaction.at, author, size, sha256, new.uri)
        _check_room(transaction, trial, stored, artifact)
        transaction.records.save_artifact(study_id, number, artifact, new.content)
        transaction.save(trial, is_annotation=True)
        return artifact

    return change_idempotently(app, study_id, key, Artifact, add)


def _open_to(transaction: StudyTransaction, number: int, token: str) -> Trial:
    """Return the trial where the holder of a token may add to it. Raises NotFound, UnknownLease, WrongState."""
    if not token:
        trial = transaction.records.get_trial(transaction.study.study_id, number)
        if not trial.state.is_ended:
            raise WrongState(
                f"{trial.name} is {trial.state.name}, so only the worker that runs it adds artifacts; give its "
                "lease_token, or wait until the trial has ended",
                state=trial.state.name,
            )
        return trial
    trial, _ = owned(transaction, number, token)
    if not trial.state.is_ended and not trial.is_held_by(token):
        raise WrongState(f"the artifact was not added: {why_lost(trial)}", state=trial.state.name)
    return trial


def _check_room(transaction: StudyTransaction, trial: Trial, stored: Sequence[Artifact], new: Artifact) -> None:
    """Refuse an artifact for which the trial or the study has no room. Raises LimitExceeded."""
    before = [artifact for artifact in stored if artifact.artifact_id == new.artifact_id]
    after = [*(artifact for artifact in stored if artifact not in before), new]
    check_trial_usage(trial.name, len(after), stored_bytes(after))
    count, size = transaction.records.artifact_usage(transaction.study.study_id)
    more = stored_bytes([new]) - stored_bytes(before)
    check_study_usage(transaction.study.name, count + 1 - len(before), size + more)


def stored_bytes(artifacts: Sequence[Artifact]) -> int:
    """Return how many bytes of the artifacts are stored here."""
    return sum(artifact.stored_bytes for artifact in artifacts)


def check_trial_usage(name: str, count: int, size: int) -> None:
    """Refuse more artifacts, or bytes of them, than a trial may have. Raises LimitExceeded."""
    _check_usage(name, count, MAX_TRIAL_ARTIFACTS, size, MAX_TRIAL_ARTIFACT_BYTES)


def check_study_usage(name: str, count: int, size: int) -> None:
    """Refuse more artifacts, or bytes of them, than a study may have. Raises LimitExceeded."""
    _check_usage(name, count, MAX_STUDY_ARTIFACTS, size, MAX_STUDY_ARTIFACT_BYTES)


def _check_usage(name: str, count: int, max_count: int, size: int, max_size: int) -> None:
    if count > max_count:
        raise LimitExceeded(
            f"{name} would have {count} artifacts; at most {max_count} are allowed: put several files into one, or "
            "replace one by its id"
        )
    if size > max_size:
        raise LimitExceeded(
            f"{name} would have {size} bytes of artifacts; at most {max_size} are allowed: store the file elsewhere, "
            "and add its URI"
        )


def list_artifacts(app: AppContext, study_id: str, number: int) -> list[Artifact]:
    """Return the artifacts of a trial, in the order of their ids.

    Raises:
        NotFound: no such study or trial.
    """
    with app.store.read() as records:
        records.get_trial(study_id, number)
        return records.list_artifacts(study_id, [number]).get(number, [])


def get_artifact(app: AppContext, study_id: str, number: int, artifact_id: str) -> tuple[Artifact, bytes]:
    """Return an artifact of a trial, with its bytes; without any where only its URI is stored.

    Raises:
        NotFound: no such study, trial or artifact.
    """
    with app.store.read() as records:
        name = records.get_trial(study_id, number).name
        for artifact in records.list_artifacts(study_id, [number]).get(number, ()):
            if artifact.artifact_id == artifact_id:
                return artifact, records.artifact_content(study_id, number, artifact_id) or b""
    raise NotFound(f"there is no artifact {artifact_id} of {name}; list the artifacts with `bo artifact list`")


@retry_on_conflict
def set_note(app: AppContext, study_id: str, number: int, text: str, author: str, key: RequestKey | None) -> Trial:
    """Return the trial with another note; without one where the text is empty. Raises NotFound."""

    def write(transaction: StudyTransaction) -> Trial:
        trial = transaction.records.get_trial(study_id, number)
        noted = replace(trial, note=TrialNote(text, author, transaction.at) if text else None)
        return transaction.save(noted, is_annotation=True)

    return change_idempotently(app, study_id, key, Trial, write)
