"""Decoding of requests that reports all violations at once."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import MAX_LABEL_KEY, MAX_LABEL_VALUE, MAX_LABELS, MAX_SECONDS

M = TypeVar("M")
T = TypeVar("T")


class ViolationCollector:
    """A collector of the violations of a request."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        """Add a violation."""
        self._violations.append(Violation(field, description))

    def attempt(self, decode: Callable[[], T]) -> T | None:
        """Return what `decode` returns, or collect its violations and return None."""
        try:
            return decode()
        except InvalidArgument as error:
            self._violations += error.violations
            return None

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The collected violations."""
        return tuple(self._violations)

    def check(self) -> None:
        """Check that there are no violations.

        Raises:
            InvalidArgument: contains all of them.
        """
        if self._violations:
            raise InvalidArgument(self._violations)


def each(messages: Iterable[M], field: str, decode: Callable[[M, str], T]) -> tuple[T, ...]:
    """Decode every element of a list.

    Args:
        messages: the elements.
        field: path of the list.
        decode: decodes an element at a path.

    Raises:
        InvalidArgument: contains the violations of all elements.
    """
    violations = ViolationCollector()
    values = [violations.attempt(partial(decode, m, f"{field}[{i}]")) for i, m in enumerate(messages)]
    violations.check()
    return tuple(values)  # type: ignore[arg-type]  # none is missing: that would be a fault


def each_value(messages: Mapping[str, M], field: str, decode: Callable[[M, str], T]) -> dict[str, T]:
    """Decode every value of a map, sorted by key, as messages have no order.

    Args:
        messages: the values.
        field: path of the map.
        decode: decodes a value at a path.

    Raises:
        InvalidArgument: contains the violations of all values.
    """
    violations = ViolationCollector()
    values = {key: violations.attempt(partial(decode, messages[key], f'{field}["{key}"]')) for key in sorted(messages)}
    violations.check()
    return values  # type: ignore[return-value]  # none is missing: that would be a fault


def text(value: str, field: str, max_length: int) -> str:
    """Return a text that satisfies the limits.

    Args:
        value: the text.
        field: its path.
        max_length: maximum number of characters.

    Raises:
        InvalidArgument: the text is too long, or contains NUL, which not every database can store.
    """
    if len(value) > max_length:
        raise InvalidArgument.of(field, f"has {len(value)} characters; at most {max_length} are allowed: shorten it")
    if "\0" in value:
        raise InvalidArgument.of(field, f"holds the character NUL at position {value.index(chr(0))}; leave it out")
    return value


def choice(number: int, field: str, choices: Mapping[Any, T]) -> T:
    """Return the value of an enum number.

    Raises:
        InvalidArgument: the number is unknown.
    """
    if number not in choices:
        raise InvalidArgument.of(field, f"is {number}; this server knows {_listed(choices)}")
    return choices[number]


def _listed(choices: Mapping[Any, object]) -> str:
    return ", ".join(f"{n} ({ours.name})" if isinstance(ours, Enum) else str(n) for n, ours in choices.items())


def seconds(duration: Duration, field: str) -> float:
    """Return a duration in seconds.

    Raises:
        InvalidArgument: it is negative or longer than ten years.
    """
    total = duration.seconds + duration.nanos / 1e9
    if not 0 <= total <= MAX_SECONDS:
        raise InvalidArgument.of(field, f"is {total:g} s; give 0 s to ten years")
    return total


def labels_from_wire(labels: Mapping[str, str], field: str) -> dict[str, str]:
    """Return the labels sorted by key.

    Raises:
        InvalidArgument: there are too many, one is too long, or one contains NUL.
    """
    violations = ViolationCollector()
    if len(labels) > MAX_LABELS:
        violations.add(field, f"has {len(labels)}; at most {MAX_LABELS} labels are allowed")
    for key, value in sorted(labels.items()):
        if not 1 <= len(key) <= MAX_LABEL_KEY:
            violations.add(field, f"has the key {key[:80]!r}; keys have 1 to {MAX_LABEL_KEY} characters")
        if len(value) > MAX_LABEL_VALUE:
            violations.add(
                f'{field}["{key[:80]}"]', f"has {len(value)} characters; at most {MAX_LABEL_VALUE} are allowed"
            )
        if "\0" in key + value:
            violations.add(field, f"holds the character NUL in the key or value of {key[:80]!r}; leave it out")
    violations.check()
    return dict(sorted(labels.items()))
