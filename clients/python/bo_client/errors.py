"""Everything that can go wrong between a program and the server.

    BoClientError
    ├── InvalidRequest        can never succeed as it is; `violations` name each field and what to do
    ├── NotFound              no such study or trial
    ├── AlreadyExists         the id is taken by a study with another spec
    ├── FailedPrecondition    right request, wrong moment; `reason` is WRONG_STATE, WRONG_LEASE, OBJECTIVE_MISMATCH,
    │                         NOT_ENOUGH_DATA or NO_CONFIGURATION_FOUND
    ├── LimitExceeded         a bound of the server, such as the size of a message
    ├── NotSupported          in the contract, not in this server
    ├── ServerUnavailable     nobody answers, and patience has run out
    ├── DeadlineExceeded      no answer within `timeout`; the call may have had its effect
    ├── PermissionDenied      who asks may not
    └── UnexpectedError       a fault of the server, or an answer that this client doesn't understand

An objective raises two more: `StopTrial`, which is no error, to end its trial with what it has measured so far, and
`TrialFailed` to say why the trial has no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bo_client.values import FailureReason


class BoClientError(Exception):
    """Anything that a call can raise. Its message is written for people; `reason` is for programs."""

    default_reason = "UNKNOWN"

    def __init__(self, message: str, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: Mapping[str, str] = dict(metadata or {})


@dataclass(frozen=True)
class Violation:
    """One field at fault."""

    field: str
    """Path in the request, such as `study.spec.space.parameters[2].low`."""
    description: str
    """What was given, what is allowed, and what to do."""

    def inside(self, prefix: str) -> "Violation":
        """The same fault, seen from what holds the field's owner as `prefix`."""
        separator = "" if not self.field or not prefix or self.field.startswith("[") else "."
        return Violation(f"{prefix}{separator}{self.field}", self.description)


class InvalidRequest(BoClientError, ValueError):
    """A request that can't succeed as it is."""

    default_reason = "INVALID_ARGUMENT"

    def __init__(
        self,
        message: str,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message, reason, metadata)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidRequest":
        """For one field."""
        return cls.listing([Violation(field, description)])

    @classmethod
    def listing(cls, violations: Sequence[Violation]) -> "InvalidRequest":
        """For several fields; the message names them all."""
        return cls("; ".join(f"{v.field}: {v.description}" for v in violations), violations=violations)


class NotFound(BoClientError):
    """There is no such study or trial."""

    default_reason = "NOT_FOUND"


class AlreadyExists(BoClientError):
    """The id is taken by a study with another spec."""

    default_reason = "ALREADY_EXISTS"


class FailedPrecondition(BoClientError):
    """Right request, wrong moment: the trial has ended, the lease is somebody else's, there is too little data."""

    default_reason = "WRONG_STATE"


class LimitExceeded(BoClientError):
    """A bound of the server."""

    default_reason = "LIMIT_EXCEEDED"


class NotSupported(BoClientError):
    """Part of the contract, not of this server."""

    default_reason = "NOT_SUPPORTED_YET"


class ServerUnavailable(BoClientError):
    """Nobody answers at the server's address, and patience has run out."""

    default_reason = "UNAVAILABLE"


class DeadlineExceeded(BoClientError):
    """No answer within `timeout`. The call may still have had its effect."""

    default_reason = "DEADLINE_EXCEEDED"


class PermissionDenied(BoClientError):
    """Whoever asks may not."""

    default_reason = "PERMISSION_DENIED"


class UnexpectedError(BoClientError):
    """A fault of the server, or an answer that this version of the client doesn't understand."""

    default_reason = "UNEXPECTED"


class StopTrial(Exception):
    """Raised in an objective when its trial should end now; what it has measured so far is its result."""


class TrialFailed(Exception):
    """Raised in an objective whose trial has no result, with the reason: it becomes the trial's failure."""

    def __init__(self, reason: "FailureReason", message: str) -> None:
        super().__init__(f"{reason.name}: {message}")
        self.reason = reason
        self.message = message

    def __reduce__(self) -> "tuple[type[TrialFailed], tuple[FailureReason, str]]":
        return type(self), (self.reason, self.message)
