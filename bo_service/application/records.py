"""What a unit of work keeps besides studies and trials."""

from dataclasses import dataclass
from enum import Enum

from bo_service.domain.errors import RequestIdReused


@dataclass(frozen=True)
class IntermediateValue:
    """How a trial did up to some step, by one metric."""

    number: int
    value: float
    """The last finite value at or before the step."""
    last_step: int
    """The largest step that the trial has measured, be it beyond."""


@dataclass(frozen=True)
class IssuedLease:
    """A lease that was given out for a trial, be it over."""

    token: str
    worker_id: str
    attempt: int


@dataclass(frozen=True)
class RequestKey:
    """Make a call safe to repeat: hold what its answer is kept under, and what was asked."""

    request_id: str
    """Tells apart callers, methods, studies, and the ids that callers give to their requests."""
    method: str
    digest: str
    """Of the whole request."""

    def require_same(self, method: str, digest: str) -> None:
        """Raise RequestIdReused where the id was used before for another method or another request."""
        if (method, digest) != (self.method, self.digest):
            raise RequestIdReused(
                f"request_id: you have sent another {method} request with it; choose a new one for each logical call, "
                "and keep it for the retries of that call alone"
            )


class Beat(Enum):
    """A moment that all servers over one database keep up to date."""

    SERVER = 1
    """When a server last answered the calls of workers."""
    STORAGE = 2
    """When a server last made sure that the database takes writes."""
