"""All errors of the client.

    BoClientError
    ├── InvalidRequest        the request can never succeed; `violations` name each field and the fix
    ├── NotFound              no such study or trial
    ├── AlreadyExists         the id is taken by a study with another spec
    ├── FailedPrecondition    right request, wrong moment; `reason` is WRONG_STATE, WRONG_LEASE, OBJECTIVE_MISMATCH,
    │                         NOT_ENOUGH_DATA, ALGORITHM_NOT_INSTALLED or NO_CONFIGURATION_FOUND; of this client
    │                         itself NO_RESULT, NOT_RUNNING, and of `local` STORAGE_IN_USE, FORKED or CLOSED
    ├── LimitExceeded         a bound of the server, such as the size of a message
    ├── NotSupported          the server lacks this method
    ├── ServerUnavailable     the server does not respond, and patience has run out
    ├── DeadlineExceeded      no response within `timeout`; the call may have had its effect
    ├── PermissionDenied      the token lacks the permission
    └── UnexpectedError       an internal error of the server, or a response that this client cannot read

An objective raises two more: `StopTrial`, which is not an error, to end its trial with the measurements so far, and
`TrialFailed` with the reason why the trial has no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bo_client.models import FailureReason


class BoClientError(Exception):
    """Base class of all errors of a call. The message is for people; `reason` is for programs."""

    default_reason = "UNKNOWN"

    def __init__(self, message: str, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata: Mapping[str, str] = dict(metadata or {})


@dataclass(frozen=True)
class Violation:
    """An invalid field of a request."""

    field: str
    """Path in the request, such as `study.spec.space.parameters[2].low`."""
    description: str
    """The value, what is allowed, and what to do."""

    def inside(self, prefix: str) -> "Violation":
        """Return the violation with its path below `prefix`."""
        separator = "" if not self.field or not prefix or self.field.startswith("[") else "."
        return Violation(f"{prefix}{separator}{self.field}", self.description)


class InvalidRequest(BoClientError, ValueError):
    """The request is invalid and can never succeed."""

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
        """Return the error of a single field."""
        return cls.listing([Violation(field, description)])

    @classmethod
    def listing(cls, violations: Sequence[Violation]) -> "InvalidRequest":
        """Return the error of several fields; the message names them all."""
        return cls("; ".join(f"{v.field}: {v.description}" for v in violations), violations=violations)


class NotFound(BoClientError):
    """The study, trial or token does not exist."""

    default_reason = "NOT_FOUND"


class AlreadyExists(BoClientError):
    """The id belongs to a study with another spec."""

    default_reason = "ALREADY_EXISTS"


class FailedPrecondition(BoClientError):
    """The state forbids the call: the trial has ended, another worker has the lease, there are too few results."""

    default_reason = "WRONG_STATE"


class LimitExceeded(BoClientError):
    """The request exceeds a limit of the server."""

    default_reason = "LIMIT_EXCEEDED"
    retry_delay: float | None = None
    """Seconds after which to retry, if the server is overloaded (reason OVERLOADED)."""


class NotSupported(BoClientError):
    """The method or field is in the contract, but not supported by this server."""

    default_reason = "NOT_SUPPORTED_YET"


class ServerUnavailable(BoClientError):
    """The server did not respond within the client's patience."""

    default_reason = "UNAVAILABLE"


class DeadlineExceeded(BoClientError):
    """There was no response within `timeout`. The call may still have had its effect."""

    default_reason = "DEADLINE_EXCEEDED"


class PermissionDenied(BoClientError):
    """The token lacks the rights."""

    default_reason = "PERMISSION_DENIED"


class UnexpectedError(BoClientError):
    """The server failed, or its response is not understood by this version of the client."""

    default_reason = "UNEXPECTED"


class StopTrial(Exception):
    """Raise it in an objective to end its trial now; what it has measured so far is its result."""


class PauseTrial(StopTrial):
    """Raised by `report` where a trial should pause at its checkpoint: let it propagate; the trial goes on later."""


class TrialFailed(Exception):
    """Raise it in an objective whose trial has no result; the reason becomes the trial's failure."""

    def __init__(self, reason: "FailureReason | str", message: str = "") -> None:
        """Create the exception.

        Args:
            reason: a FailureReason, or its name.
            message: what happened.

        Raises:
            InvalidRequest: there is no such reason.
        """
        from bo_client.models import FailureReason  # which imports this module

        name = str(reason).upper()
        if name not in FailureReason.__members__:
            raise InvalidRequest.of("reason", f"is {reason!r}; give one of {', '.join(FailureReason.__members__)}")
        super().__init__(f"{name}: {message}" if message else name)
        self.reason = FailureReason(name)
        self.message = message

    def __reduce__(self) -> "tuple[type[TrialFailed], tuple[FailureReason, str]]":
        return type(self), (self.reason, self.message)
