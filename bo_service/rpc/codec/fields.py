"""Fields that many messages share: texts, choices, counts, request ids, labels, values, and the names of resources.

Names are `studies/{study}`, `studies/{study}/trials/{trial}`, and `…/artifacts/{artifact}` of a trial. Decoding reports
all violations at once.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import grpc
from bo_api.v1 import space_pb2
from google.protobuf.duration_pb2 import Duration

from bo_service import request_context
from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.application.ports import RequestKey
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import (
    MAX_ARTIFACT_ID,
    MAX_LABEL_KEY,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_LEASE_TOKEN,
    MAX_PARAMETERS,
    MAX_REQUEST_ID,
    MAX_SECONDS,
    MAX_STUDY_ID,
    MAX_WORKER_ID,
)
from bo_service.domain.parameter_types import Value

M = TypeVar("M")
T = TypeVar("T")

STUDY_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_STUDY_ID - 1}}}")
ARTIFACT_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_ARTIFACT_ID - 1}}}")
TRIAL = re.compile(r"studies/([^/]*)/trials/([1-9][0-9]{0,17})")


@dataclass
class ViolationCollector:
    """A collector of the violations of a request."""

    _violations: list[Violation] = field(default_factory=list)

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


def count_of(requested: int, limit: int) -> int:
    """Return the count; 1 if the request has none.

    Raises:
        InvalidArgument: it is out of range.
    """
    if not 0 <= requested <= limit:
        raise InvalidArgument.of("count", f"is {requested}; give 1 to {limit}")
    return requested or 1


def worker_id_of(worker_id: str) -> str:
    """Return the worker id.

    Raises:
        InvalidArgument: it is empty, too long or not printable.
    """
    if not 1 <= len(worker_id) <= MAX_WORKER_ID or not worker_id.isprintable():
        raise InvalidArgument.of(
            "worker_id",
            f"is {worker_id[:140]!r}; give 1 to {MAX_WORKER_ID} printable characters, such as host and process",
        )
    return worker_id


def lease_token_of(token: str) -> str:
    """Return the lease token.

    Raises:
        InvalidArgument: it is empty or too long.
    """
    if not token:
        raise InvalidArgument.of("lease_token", "is empty; send the token that SuggestTrials returned")
    return text(token, "lease_token", MAX_LEASE_TOKEN)


def request_key(method: str, study_id: str, request: Any, context: grpc.ServicerContext) -> RequestKey | None:
    """Return the key of a request; None without a request id.

    Its id is a hash over caller, method, study and request id, so that no caller gets the stored response of another.

    Raises:
        InvalidArgument: the request id is too long.
    """
    request_id = text(request.request_id, "request_id", MAX_REQUEST_ID)
    if not request_id:
        return None
    caller = request_context.CURRENT.get().principal
    identity = [caller.name]
    if caller is ANONYMOUS_ADMIN:  # without authentication only the client's certificate tells callers apart
        identity += sorted(name.hex() for name in context.peer_identities() or ())
    scope = json.dumps([identity, method, study_id, request_id]).encode()
    body = request.SerializeToString(deterministic=True)
    return RequestKey(hashlib.sha256(scope).hexdigest(), method, hashlib.sha256(body).hexdigest())


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


def value_to_wire(value: Value) -> space_pb2.ParameterValue:
    """Return the message."""
    if isinstance(value, bool):
        return space_pb2.ParameterValue(bool_value=value)
    if isinstance(value, int):
        return space_pb2.ParameterValue(int_value=value)
    if isinstance(value, float):
        return space_pb2.ParameterValue(float_value=value)
    return space_pb2.ParameterValue(string_value=value)


def value_from_wire(message: space_pb2.ParameterValue, field: str) -> Value:
    """Return the value.

    Raises:
        InvalidArgument: the message is empty, or its text contains NUL, which not every database can store.
    """
    kind = message.WhichOneof("value")
    if kind is None:
        raise InvalidArgument.of(field, "is empty; set float_value, int_value, string_value or bool_value")
    value: Value = getattr(message, kind)
    if isinstance(value, str) and "\0" in value:
        raise InvalidArgument.of(field, f"holds the character NUL at position {value.index(chr(0))}; leave it out")
    return value


def configuration_to_wire(configuration: Configuration) -> dict[str, space_pb2.ParameterValue]:
    """Return the messages by parameter name."""
    return {name: value_to_wire(value) for name, value in configuration.items()}


def configuration_from_wire(messages: Mapping[str, space_pb2.ParameterValue], field: str) -> dict[str, Value]:
    """Return the values by name, without a check against a space.

    Raises:
        InvalidArgument: a value is empty, or there are too many.
    """
    if len(messages) > MAX_PARAMETERS:
        raise InvalidArgument.of(field, f"has {len(messages)} values; a space has at most {MAX_PARAMETERS} parameters")
    return each_value(messages, field, value_from_wire)


def check_study_id(study_id: str, field: str) -> str:
    """Return the study id.

    Raises:
        InvalidArgument: it has another form.
    """
    if not STUDY_ID.fullmatch(study_id):
        raise InvalidArgument.of(
            field,
            f"is {study_id[:80]!r}; give 1 to {MAX_STUDY_ID} letters, digits, '-', '_' or '.', "
            "beginning with a letter or digit",
        )
    return study_id


def study_id_of(name: str, field: str) -> str:
    """Return the id in `studies/{study}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    collection, _, study_id = name.partition("/")
    if collection != "studies" or not STUDY_ID.fullmatch(study_id):
        raise InvalidArgument.of(field, f"is {name[:120]!r}; give studies/STUDY, such as studies/first")
    return study_id


def trial_of(name: str, field: str) -> tuple[str, int]:
    """Return the study id and the number in `studies/{study}/trials/{trial}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    match = TRIAL.fullmatch(name)
    if not match or not STUDY_ID.fullmatch(match[1]):
        raise InvalidArgument.of(
            field, f"is {name[:160]!r}; give studies/STUDY/trials/NUMBER, such as studies/first/trials/1"
        )
    return match[1], int(match[2])


def artifact_of(name: str, field: str) -> tuple[str, int, str]:
    """Return study id, trial number and artifact id in `studies/{study}/trials/{trial}/artifacts/{artifact}`.

    Raises:
        InvalidArgument: the name has another form.
    """
    trial, separator, artifact_id = name.rpartition("/artifacts/")
    match = TRIAL.fullmatch(trial)
    if not separator or not match or not STUDY_ID.fullmatch(match[1]) or not ARTIFACT_ID.fullmatch(artifact_id):
        raise InvalidArgument.of(
            field,
            f"is {name[:320]!r}; give studies/STUDY/trials/NUMBER/artifacts/ARTIFACT, such as "
            "studies/first/trials/1/artifacts/confusion.png",
        )
    return match[1], int(match[2]), artifact_id


def artifact_name(study_id: str, number: int, artifact_id: str) -> str:
    """Return `studies/{study}/trials/{trial}/artifacts/{artifact}`."""
    return f"{trial_name(study_id, number)}/artifacts/{artifact_id}"


def trial_name(study_id: str, number: int) -> str:
    """Return `studies/{study}/trials/{trial}`."""
    return f"studies/{study_id}/trials/{number}"
