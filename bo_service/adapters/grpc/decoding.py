"""Reading requests so that every fault is told, not only the first."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration

from bo_service.core.errors import InvalidArgument, Violation
from bo_service.core.limits import MAX_LABEL_KEY, MAX_LABEL_VALUE, MAX_LABELS, MAX_SECONDS

M = TypeVar("M")
T = TypeVar("T")


class Faults:
    """Collects what is wrong with a request, to refuse it once."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        self._violations.append(Violation(field, description))

    def attempt(self, read: Callable[[], T]) -> T | None:
        """What `read` returns; None where it refuses, which is kept."""
        try:
            return read()
        except InvalidArgument as error:
            self._violations += error.violations
            return None

    def check(self) -> None:
        """Raises InvalidArgument with everything collected."""
        if self._violations:
            raise InvalidArgument(self._violations)


def each(messages: Iterable[M], field: str, read: Callable[[M, str], T]) -> tuple[T, ...]:
    """Every element read. Raises InvalidArgument with the faults of all."""
    faults = Faults()
    found = [faults.attempt(partial(read, m, f"{field}[{i}]")) for i, m in enumerate(messages)]
    faults.check()
    return tuple(found)  # type: ignore[arg-type]  # none is missing: that would be a fault


def each_value(messages: Mapping[str, M], field: str, read: Callable[[M, str], T]) -> dict[str, T]:
    """Every value of a map read, in the order of the keys: the wire keeps none."""
    faults = Faults()
    found = {key: faults.attempt(partial(read, messages[key], f'{field}["{key}"]')) for key in sorted(messages)}
    faults.check()
    return found  # type: ignore[return-value]  # none is missing: that would be a fault


def text(given: str, field: str, most: int) -> str:
    """Raises InvalidArgument where it is longer than `most` characters, or holds NUL: not every database keeps that."""
    if len(given) > most:
        raise InvalidArgument.of(field, f"has {len(given)} characters; at most {most} are allowed: shorten it")
    if "\0" in given:
        raise InvalidArgument.of(field, f"holds the character NUL at position {given.index(chr(0))}; leave it out")
    return given


def choice(given: int, field: str, choices: Mapping[Any, T]) -> T:
    """What an enum's number stands for. Raises InvalidArgument for numbers that this server doesn't know."""
    if given not in choices:
        raise InvalidArgument.of(field, f"is {given}; this server knows {_listed(choices)}")
    return choices[given]


def _listed(choices: Mapping[Any, object]) -> str:
    return ", ".join(f"{n} ({ours.name})" if isinstance(ours, Enum) else str(n) for n, ours in choices.items())


def seconds(given: Duration, field: str) -> float:
    """Raises InvalidArgument below zero or beyond ten years."""
    found = given.seconds + given.nanos / 1e9
    if not 0 <= found <= MAX_SECONDS:
        raise InvalidArgument.of(field, f"is {found:g} s; give 0 s to ten years")
    return found


def labels_from_wire(given: Mapping[str, str], field: str) -> dict[str, str]:
    """In the order of their keys. Raises InvalidArgument."""
    faults = Faults()
    if len(given) > MAX_LABELS:
        faults.add(field, f"has {len(given)}; at most {MAX_LABELS} labels are allowed")
    for key, value in sorted(given.items()):
        if not 1 <= len(key) <= MAX_LABEL_KEY:
            faults.add(field, f"has the key {key[:80]!r}; keys have 1 to {MAX_LABEL_KEY} characters")
        if len(value) > MAX_LABEL_VALUE:
            faults.add(f'{field}["{key[:80]}"]', f"has {len(value)} characters; at most {MAX_LABEL_VALUE} are allowed")
    faults.check()
    return dict(sorted(given.items()))
