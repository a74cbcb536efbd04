"""Conversion of artifacts and notes to and from messages."""

import hashlib
import re

from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import trial_pb2 as pb

from bo_service.application.artifacts import NewArtifact
from bo_service.domain.artifacts import Artifact, TrialNote
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_ARTIFACT_BYTES, MAX_ARTIFACT_ID, MAX_ARTIFACT_URI, MAX_INT, MAX_MEDIA_TYPE
from bo_service.rpc.codec.fields import ARTIFACT_ID, ViolationCollector, artifact_name

_TOKEN = "[a-z0-9][a-z0-9!#$&^_.+-]*"  # noqa: S105 - a token of RFC 6838
MEDIA_TYPE = re.compile(f"{_TOKEN}/{_TOKEN}")
SHA256 = re.compile("[0-9a-f]{64}")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")


def artifact_from_wire(request: service_pb.AddArtifactRequest) -> NewArtifact:
    """Return the file that a request adds.

    Raises:
        InvalidArgument: contains the path of every invalid field.
    """
    violations = ViolationCollector()
    source = request.WhichOneof("source")
    violations.attempt(lambda: check_artifact_id(request.artifact_id, "artifact_id"))
    violations.attempt(lambda: check_media_type(request.media_type, "media_type"))
    if source is None:
        violations.add("content", "and uri are missing; give the bytes of the file, or where they are")
    size = request.size if request.HasField("size") else None
    if request.sha256 and not SHA256.fullmatch(request.sha256):
        violations.add("sha256", f"is {request.sha256[:80]!r}; give 64 lower-case hexadecimal digits, or nothing")
    elif source == "content":
        violations.attempt(lambda: check_content(request.content, size, request.sha256))
    if source == "uri":
        violations.attempt(lambda: check_uri(request.uri, "uri"))
        if size is not None and not 0 <= size <= MAX_INT:
            violations.add("size", f"is {size}; give 0 to {MAX_INT}, or nothing")
    violations.check()
    content = request.content if source == "content" else None
    return NewArtifact(request.artifact_id, request.media_type, content, request.uri, size, request.sha256)


def check_artifact_id(artifact_id: str, field: str) -> None:
    """Check the name of a file within its trial.

    Raises:
        InvalidArgument: it has another form: it is too long, is a path, or has other characters.
    """
    if not ARTIFACT_ID.fullmatch(artifact_id):
        raise InvalidArgument.of(
            field,
            f"is {artifact_id[:140]!r}; give 1 to {MAX_ARTIFACT_ID} letters, digits, '-', '_' or '.', "
            "beginning with a letter or digit",
        )


def check_media_type(media_type: str, field: str) -> None:
    """Check a media type. Raises InvalidArgument."""
    if len(media_type) > MAX_MEDIA_TYPE or not MEDIA_TYPE.fullmatch(media_type):
        raise InvalidArgument.of(
            field,
            f"is {media_type[:140]!r}; give at most {MAX_MEDIA_TYPE} characters such as image/png, in lower case and "
            "without parameters",
        )


def check_content(content: bytes, size: int | None, sha256: str) -> None:
    """Check the bytes of a file against what is said of them.

    Args:
        content: the bytes.
        size: how many they should be; None where that is not said.
        sha256: their digest; empty where that is not said.

    Raises:
        InvalidArgument: they are too many, or others.
    """
    if len(content) > MAX_ARTIFACT_BYTES:
        raise InvalidArgument.of(
            "content",
            f"has {len(content)} bytes; at most {MAX_ARTIFACT_BYTES} are allowed: store the file elsewhere, and give "
            "its uri",
        )
    if size is not None and size != len(content):
        raise InvalidArgument.of("size", f"is {size}, and content has {len(content)} bytes; leave it out")
    digest = hashlib.sha256(content).hexdigest()
    if sha256 and sha256 != digest:
        raise InvalidArgument.of("sha256", f"is {sha256}, and that of content is {digest}; send the file again")


def check_uri(uri: str, field: str) -> None:
    """Check where a file is. Raises InvalidArgument."""
    if len(uri) > MAX_ARTIFACT_URI or not SCHEME.fullmatch(uri) or not uri.isprintable():
        raise InvalidArgument.of(
            field,
            f"is {uri[:140]!r}; give at most {MAX_ARTIFACT_URI} printable characters that begin with "
            "a scheme, such as gs: or file:",
        )


def artifact_to_wire(artifact: Artifact, study_id: str, number: int) -> pb.Artifact:
    """Return the message of an artifact of a trial."""
    message = pb.Artifact(
        name=artifact_name(study_id, number, artifact.artifact_id),
        media_type=artifact.media_type,
        size=artifact.size,
        sha256=artifact.sha256,
        uri=artifact.uri,
        author=artifact.author,
    )
    message.create_time.FromDatetime(artifact.create_time)
    return message


def note_to_wire(note: TrialNote) -> pb.TrialNote:
    """Return the message."""
    message = pb.TrialNote(text=note.text, author=note.author)
    message.update_time.FromDatetime(note.update_time)
    return message
