"""The part of a study that stores files and notes with its trials."""

import mimetypes
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import trial_pb2

from bo_client.errors import InvalidRequest
from bo_client.limits import MAX_ARTIFACT_BYTES
from bo_client.models import Trial
from bo_client.retries import new_request_id
from bo_client.wire import codec
from bo_client.wire.codec_plain import moment_of

if TYPE_CHECKING:
    from bo_client.client import Client

IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Media types of the images that the dashboard and reports draw."""
UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Artifact:
    """A file of a trial, without its bytes."""

    artifact_id: str
    """Its name within the trial."""
    media_type: str
    size: int | None
    """In bytes; None if only its URI is stored, and the size was not given."""
    sha256: str
    uri: str
    """Where the file is; empty if the server stores its bytes."""
    author: str
    """Name of the token that added it."""
    create_time: datetime | None

    @classmethod
    def from_wire(cls, message: trial_pb2.Artifact) -> "Artifact":
        """Return the artifact of a message."""
        return cls(
            message.name.rpartition("/")[2],
            message.media_type,
            message.size if message.HasField("size") else None,
            message.sha256,
            message.uri,
            message.author,
            moment_of(message, "create_time"),
        )


class TrialFiles(ABC):
    """The methods of `Study` for the files and notes of its trials."""

    client: "Client"

    @property
    @abstractmethod
    def name(self) -> str: ...

    def add_artifact(
        self,
        number: int,
        source: str | Path | bytes,
        *,
        name: str | None = None,
        media_type: str | None = None,
        lease_token: str = "",
    ) -> Artifact:
        """Add a file to a trial that has ended; one with the same name is replaced.

        Args:
            number: number of the trial.
            source: path of a file, its bytes, or a URI such as "gs://bucket/model.keras", of which only the text is
                stored.
            name: name of the artifact: letters, digits, '-', '_' or '.'; by default the last component of the path.
            media_type: such as "image/png"; by default what the ending of the name suggests.
            lease_token: of the worker that runs the trial, while it has not ended.

        Returns:
            The artifact.

        Raises:
            InvalidRequest: the file cannot be read or is larger than 1 MiB, or the name or the type is invalid.
            NotFound: the trial does not exist.
            FailedPrecondition: another worker runs the trial, or it has not ended and no lease token is given.
            LimitExceeded: the trial or the study has no room for it.
        """
        is_uri = isinstance(source, str) and "://" in source
        if name is None:
            if isinstance(source, bytes):
                raise InvalidRequest.of("name", "is missing; bytes have none of their own")
            name = str(source).rpartition("/")[2] if is_uri else Path(source).name
        request = pb.AddArtifactRequest(
            name=self._trial_name(number),
            artifact_id=name,
            media_type=media_type or mimetypes.guess_type(name)[0] or UNKNOWN_TYPE,
            lease_token=lease_token,
            request_id=new_request_id(),
        )
        if is_uri:
            request.uri = str(source)
        else:
            request.content = source if isinstance(source, bytes) else _read(Path(source))
        return Artifact.from_wire(self.client.ask(request, pb.AddArtifactResponse).artifact)

    def artifacts(self, number: int) -> list[Artifact]:
        """Return the files of a trial by name, without their bytes. Raises NotFound if it does not exist."""
        request, artifacts = pb.ListArtifactsRequest(parent=self._trial_name(number)), []
        while True:
            page = self.client.ask(request, pb.ListArtifactsResponse)
            artifacts += [Artifact.from_wire(message) for message in page.artifacts]
            if not page.next_page_token:
                return artifacts
            request.page_token = page.next_page_token

    def read_artifact(self, number: int, name: str) -> bytes:
        """Return the bytes of a file of a trial.

        Raises:
            NotFound: the trial has no such file.
            InvalidRequest: the server has only its URI.
        """
        request = pb.GetArtifactRequest(name=f"{self._trial_name(number)}/artifacts/{name}")
        answer = self.client.ask(request, pb.GetArtifactResponse)
        if answer.artifact.uri:
            raise InvalidRequest.of("name", f"is that of a file elsewhere; read it from {answer.artifact.uri}")
        return answer.content

    def set_note(self, number: int, text: str) -> Trial:
        """Write the note of a trial, in whichever state it is, and return the trial.

        Args:
            number: number of the trial.
            text: replaces the note; at most 10,000 characters. An empty text removes it.

        Raises:
            InvalidRequest: the text is too long.
            NotFound: the trial does not exist.
        """
        request = pb.SetTrialNoteRequest(name=self._trial_name(number), text=text, request_id=new_request_id())
        return codec.trial_from_wire(self.client.ask(request, pb.SetTrialNoteResponse).trial)

    def _trial_name(self, number: int) -> str:
        return f"{self.name}/trials/{number}"


def image_type(content: bytes) -> str | None:
    """Return the media type of an image that pages draw, by its first bytes; None for everything else, also SVG."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    return None


def _read(path: Path) -> bytes:
    """Return the content of a file, of which no more is read than may be sent. Raises InvalidRequest."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_ARTIFACT_BYTES + 1)
    except OSError as error:
        raise InvalidRequest.of("source", f"{str(path)!r} cannot be read: {error.strerror}") from None
    if len(content) > MAX_ARTIFACT_BYTES:
        raise InvalidRequest.of(
            "source",
            f"{str(path)!r} has more than {MAX_ARTIFACT_BYTES} bytes, which is the limit; store the file elsewhere, "
            "and add its URI",
        )
    return content
