"""What a unit of work keeps besides studies and trials."""

from dataclasses import dataclass
from enum import Enum


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


class Beat(Enum):
    """A moment that all servers over one database keep up to date."""

    SERVER = 1
    """When a server last answered the calls of workers."""
    STORAGE = 2
    """When a server last made sure that the database takes writes."""
