"""All errors of the service.

    BoError
    ├── InvalidArgument        a request that can never succeed: each fault names field, given, allowed, fix
    ├── RequestIdReused        a request id that belongs to another request
    ├── Unauthenticated        who calls has not shown a token that is valid here
    ├── PermissionDenied       who calls is known, and may not
    ├── NotFound               no such study, trial or token
    ├── AlreadyExists          the id is taken by something else
    ├── WrongState             right request, wrong moment: the trial has ended, the study is not active …
    ├── ObjectiveMismatch      a worker evaluates something else than the study's other workers
    ├── WrongLease             a lease token that was never given out for this trial
    ├── NotEnoughData          the surrogate knows too little to answer
    ├── AlgorithmNotInstalled  a study's own algorithm is not installed on this server
    ├── NoConfigurationFound   nothing that fulfills the constraints was found, nor that there is nothing
    ├── LimitExceeded          a bound of this server
    ├── Overloaded             too many calls at once: try again in a moment
    ├── DeadlinePassed         the answer could not be computed in the time that the caller gave
    ├── StorageUnavailable     the database does not answer; nothing was changed
    ├── TransactionLost        another transaction was in the way, again and again; nothing was changed
    └── StartupError           the server cannot start: a port in use, a file that is locked, a newer schema

`rpc/status.py` maps the leaves to gRPC statuses. Programs compare `reason`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class BoError(Exception):
    """Base class of all errors of the service. The message says what was wrong and what to do."""

    reason = "ERROR"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


@dataclass(frozen=True)
class Violation:
    """An invalid field of a request."""

    field: str
    """Path in the request, such as `study.spec.space.parameters[2].low`."""
    description: str
    """The value, what is allowed, and what to do."""

    def inside(self, prefix: str) -> "Violation":
        """Return the violation with its path below `prefix`."""
        separator = "" if not self.field or self.field.startswith("[") or not prefix else "."
        return Violation(f"{prefix}{separator}{self.field}", self.description)


class InvalidArgument(BoError):
    """The request is invalid and can never succeed."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidArgument":
        """Return the error of a single field."""
        return cls([Violation(field, description)])

    def inside(self, prefix: str) -> "InvalidArgument":
        """Return the error with all paths below `prefix`."""
        return type(self)([v.inside(prefix) for v in self.violations])


class RequestIdReused(BoError):
    """The request id belongs to another request. Use a new id for each request."""

    reason = "REQUEST_ID_REUSED"


class Unauthenticated(BoError):
    """The caller sent no valid token."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(BoError):
    """The caller's token lacks the rights."""

    reason = "PERMISSION_DENIED"


class NotFound(BoError):
    """The study, trial or token does not exist."""

    reason = "NOT_FOUND"


class AlreadyExists(BoError):
    """The id belongs to another resource."""

    reason = "ALREADY_EXISTS"


class WrongState(BoError):
    """The state of the resource forbids the operation."""

    reason = "WRONG_STATE"


class ObjectiveMismatch(BoError):
    """A worker's objective or its options differ from the study's."""

    reason = "OBJECTIVE_MISMATCH"


class UnknownLease(BoError):
    """The lease token was never issued for this trial."""

    reason = "WRONG_LEASE"


class NotEnoughData(BoError):
    """The surrogate has too few observations."""

    reason = "NOT_ENOUGH_DATA"


class AlgorithmNotInstalled(BoError):
    """A study names an algorithm that is not installed on this server."""

    reason = "ALGORITHM_NOT_INSTALLED"


class NoConfigurationFound(BoError):
    """The search found no new configuration that satisfies the constraints, and no proof that none exists."""

    reason = "NO_CONFIGURATION_FOUND"


class LimitExceeded(BoError):
    """The request exceeds a limit of this server."""

    reason = "LIMIT_EXCEEDED"


class Overloaded(BoError):
    """Too many calls run at once, in total or for this caller. Nothing was changed; retry later."""

    reason = "OVERLOADED"


class DeadlinePassed(BoError):
    """The computation exceeded the caller's deadline."""

    reason = "DEADLINE_PASSED"


class StorageUnavailable(BoError):
    """The database does not respond. Nothing was changed; retry."""

    reason = "STORAGE_UNAVAILABLE"
    has_begun = True
    """Whether the transaction began. One that did not has certainly changed nothing."""


class TransactionConflict(BoError):
    """The database aborted a transaction in favor of another. Nothing was changed; retry."""

    reason = "TRANSACTION_LOST"


class StartupError(BoError):
    """The server cannot start."""

    reason = "STARTUP"
