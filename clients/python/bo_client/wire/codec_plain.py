"""Conversion of enums, durations and timestamps to and from messages, with errors for values that cannot be encoded."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from numbers import Integral
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from bo_client.errors import InvalidRequest, UnexpectedError

E = TypeVar("E", bound=str)
T = TypeVar("T")


def build_or_raise(field: str, value: object, build: Callable[[], T]) -> T:
    """Return what `build` returns; values that cannot be encoded raise an error for `field`.

    Raises:
        InvalidRequest: the value cannot be encoded.
    """
    try:
        return build()
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise InvalidRequest.of(field, f"is {value!r}, which has the wrong type or size: {error}") from error


def count_to_wire(count: int) -> int:
    """Return the number of trials to request. 0 is refused here, as a server takes it for its default.

    Raises:
        InvalidRequest: it is no whole number from 1.
    """
    if not isinstance(count, Integral) or isinstance(count, bool) or not 1 <= count < 2**31:
        raise InvalidRequest.of("count", f"is {count!r}; give a whole number of trials from 1")
    return int(count)


def enum_to_wire(enum: Any, prefix: str, value: str, field: str) -> Any:
    """Return the number of an enum value, whose name is `prefix` and `value`.

    Raises:
        InvalidRequest: the value is unknown.
    """
    name = f"{prefix}_{str(value).upper()}"
    if name not in enum.keys() or name.endswith("_UNSPECIFIED"):  # noqa: SIM118 - an EnumTypeWrapper isn't iterable
        allowed = ", ".join(k.removeprefix(f"{prefix}_") for k in enum.keys() if not k.endswith("_UNSPECIFIED"))  # noqa: SIM118
        shown = allowed.lower() if str(value).islower() else allowed
        raise InvalidRequest.of(field, f"is {value!r}; give one of {shown}")
    return enum.Value(name)


def enum_from_wire(enum: Any, prefix: str, number: int, ours: type[E]) -> E | None:
    """Return the name of an enum value; None if it is unspecified.

    Raises:
        UnexpectedError: the number is unknown.
    """
    if number == 0:
        return None
    try:
        return ours(enum.Name(number).removeprefix(f"{prefix}_"))
    except ValueError:
        raise UnexpectedError(f"the server sent {prefix} {number}, which is new; upgrade the client") from None


def duration_to_wire(seconds: float, field: str) -> Duration:
    """Return the message.

    Raises:
        InvalidRequest: the value cannot be encoded.
    """

    def build() -> Duration:
        duration = Duration()
        duration.FromTimedelta(timedelta(seconds=seconds))
        return duration

    return build_or_raise(field, seconds, build)


def seconds_of(owner: Message, field: str) -> float | None:
    """Return a duration field in seconds; None if it is absent."""
    duration: Duration = getattr(owner, field)
    return duration.ToTimedelta().total_seconds() if owner.HasField(field) else None


def moment_of(owner: Message, field: str) -> datetime | None:
    """Return a timestamp field in UTC; None if it is absent."""
    timestamp: Timestamp = getattr(owner, field)
    return timestamp.ToDatetime(tzinfo=UTC) if owner.HasField(field) else None
