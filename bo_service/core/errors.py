"""Every refusal of the service.

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
    ├── NoConfigurationFound   nothing that fulfills the constraints was found, nor that there is nothing
    ├── LimitExceeded          a bound of this server
    ├── Overloaded             too many calls at once: try again in a moment
    ├── DeadlinePassed         the answer could not be computed in the time that the caller gave
    ├── StorageUnavailable     the database does not answer; nothing was changed
    ├── TransactionLost        another transaction was in the way, again and again; nothing was changed
    └── StartupError           the server cannot start: a port in use, a file that is locked, a newer schema

Adapters turn leaves into statuses (`adapters/grpc/status.py`); `reason` is what programs compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class BoError(Exception):
    """Anything that this service refuses. Its message is written for the person who has to mend it."""

    reason = "ERROR"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = metadata


@dataclass(frozen=True)
class Violation:
    """One field at fault."""

    field: str
    """Path in the request, such as `study.spec.space.parameters[2].low`."""
    description: str
    """What was given, what is allowed, and what to do."""

    def inside(self, prefix: str) -> "Violation":
        """The same fault, seen from the message that holds the field's owner as `prefix`."""
        separator = "" if not self.field or self.field.startswith("[") or not prefix else "."
        return Violation(f"{prefix}{separator}{self.field}", self.description)


class InvalidArgument(BoError):
    """A request that can't succeed as it is."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> "InvalidArgument":
        return cls([Violation(field, description)])

    def inside(self, prefix: str) -> "InvalidArgument":
        return type(self)([v.inside(prefix) for v in self.violations])


class RequestIdReused(BoError):
    """A request id belongs to one request: choose a new id for a new request."""

    reason = "REQUEST_ID_REUSED"


class Unauthenticated(BoError):
    """Whoever calls has not shown a token that is valid here."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(BoError):
    """Whoever calls is known, and may not."""

    reason = "PERMISSION_DENIED"


class NotFound(BoError):
    """There is no such study, trial or token."""

    reason = "NOT_FOUND"


class AlreadyExists(BoError):
    """The id is taken by something else."""

    reason = "ALREADY_EXISTS"


class WrongState(BoError):
    """Right request, wrong moment."""

    reason = "WRONG_STATE"


class ObjectiveMismatch(BoError):
    """A worker evaluates another objective than the study's, or the same one with other options."""

    reason = "OBJECTIVE_MISMATCH"


class WrongLease(BoError):
    """A lease token that was never given out for this trial."""

    reason = "WRONG_LEASE"


class NotEnoughData(BoError):
    """The surrogate knows too little to answer."""

    reason = "NOT_ENOUGH_DATA"


class NoConfigurationFound(BoError):
    """No further configuration was found that fulfills the constraints, and it is not proven that there is none."""

    reason = "NO_CONFIGURATION_FOUND"


class LimitExceeded(BoError):
    """A bound of this server."""

    reason = "LIMIT_EXCEEDED"


class Overloaded(BoError):
    """Too many calls at once, in all or for this caller. Nothing was changed: try again in a moment."""

    reason = "OVERLOADED"


class DeadlinePassed(BoError):
    """The answer could not be computed in the time that the caller gave."""

    reason = "DEADLINE_PASSED"


class StorageUnavailable(BoError):
    """The database doesn't answer. Nothing was changed: try again."""

    reason = "STORAGE_UNAVAILABLE"


class TransactionLost(BoError):
    """The database broke a transaction off in favor of another. Nothing was changed: try again."""

    reason = "TRANSACTION_LOST"


class StartupError(BoError):
    """The server can't start."""

    reason = "STARTUP"
