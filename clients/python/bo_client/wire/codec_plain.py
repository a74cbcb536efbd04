"""Enums, durations and moments on the wire, and the refusal of what the wire can't carry."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from bo_client.errors import InvalidRequest, UnexpectedError

E = TypeVar("E", bound=str)
T = TypeVar("T")


def built(field: str, given: object, build: Callable[[], T]) -> T:
    """What `build` makes; values that the wire can't carry become InvalidRequest for `field`."""
    try:
        return build()
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InvalidRequest.of(field, f"is {given!r}, which has the wrong type or size: {error}") from error


def enum_to_wire(enum: Any, prefix: str, value: str, field: str) -> Any:
    """The number of an enum's value, whose name on the wire is `prefix` and `value`. Raises InvalidRequest."""
    name = f"{prefix}_{str(value).upper()}"
    if name not in enum.keys() or name.endswith("_UNSPECIFIED"):  # noqa: SIM118 - an EnumTypeWrapper isn't iterable
        allowed = ", ".join(k.removeprefix(f"{prefix}_") for k in enum.keys() if not k.endswith("_UNSPECIFIED"))  # noqa: SIM118
        shown = allowed.lower() if str(value).islower() else allowed
        raise InvalidRequest.of(field, f"is {value!r}; give one of {shown}")
    return enum.Value(name)


def enum_from_wire(enum: Any, prefix: str, number: int, ours: type[E]) -> E | None:
    """Our name of an enum's value; None where it is unspecified. Raises UnexpectedError for one we don't know."""
    if number == 0:
        return None
    try:
        return ours(enum.Name(number).removeprefix(f"{prefix}_"))
    except ValueError:
        raise UnexpectedError(f"the server sent {prefix} {number}, which is new; upgrade the client") from None


def duration_to_wire(seconds: float, field: str) -> Duration:
    """Raises InvalidRequest."""

    def build() -> Duration:
        duration = Duration()
        duration.FromTimedelta(timedelta(seconds=seconds))
        return duration

    return built(field, seconds, build)


def seconds_of(owner: Message, field: str) -> float | None:
    """A duration field in seconds; None where it is absent."""
    duration: Duration = getattr(owner, field)
    return duration.ToTimedelta().total_seconds() if owner.HasField(field) else None


def moment_of(owner: Message, field: str) -> datetime | None:
    """A timestamp field in UTC; None where it is absent."""
    timestamp: Timestamp = getattr(owner, field)
    return timestamp.ToDatetime(tzinfo=UTC) if owner.HasField(field) else None
