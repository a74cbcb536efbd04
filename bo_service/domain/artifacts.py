"""What is stored with a trial beside its results: files, and a note."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class TrialNote:
    """What people have written about a trial."""

    text: str
    author: str
    """Name of the principal who wrote it."""
    update_time: datetime


@dataclass(frozen=True)
class Artifact:
    """A file of a trial, without its bytes."""

    artifact_id: str
    """Its name within the trial."""
    media_type: str
    create_time: datetime
    author: str
    """Name of the principal who added it."""
    size: int | None = None
    """In bytes; None where only the URI is stored and the size was not given."""
    sha256: str = ""
    uri: str = ""
    """Where the file is; empty where its bytes are stored."""

    @property
    def stored_bytes(self) -> int:
        """The number of its bytes in the database; 0 if they are elsewhere."""
        return 0 if self.uri or self.size is None else self.size
