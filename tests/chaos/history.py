"""What clients did and were told: every attempt of every call, with the moments before it was sent and after it ended.

All moments are one clock's, `time.monotonic()` of the process that records: what ended before another began came first.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from bo_api.v1 import trial_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

UNKNOWN_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
"""After these nobody knows whether the call had its effect."""


@dataclass(frozen=True)
class Refusal:
    """A call that the server refused, having changed nothing."""

    code: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Attempt:
    """One sending of a request. With neither an answer nor a refusal nobody knows what became of it."""

    begin: float
    end: float
    answer: Any = None
    refusal: Refusal | None = None

    @property
    def is_unknown(self) -> bool:
        return self.answer is None and self.refusal is None


@dataclass
class Call:
    """One logical call: the same request, sent until there is an answer or its worker gives up."""

    number: int
    method: str
    request: Any
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def begin(self) -> float:
        return self.attempts[0].begin

    @property
    def _answered(self) -> Attempt | None:
        return next((a for a in self.attempts if a.answer is not None), None)

    @property
    def answer(self) -> Any:
        """The first one; None without any."""
        return self._answered.answer if self._answered else None

    @property
    def end(self) -> float:
        """When its first answer came: its effect was before. Infinite without one."""
        return self._answered.end if self._answered else math.inf

    @property
    def may_have_acted(self) -> bool:
        return any(a.answer is not None or a.is_unknown for a in self.attempts)

    @property
    def settled(self) -> float:
        """After this moment it has no effect any more. Without a request id, what was lost may act at any time."""
        if not getattr(self.request, "request_id", "") and any(a.is_unknown for a in self.attempts):
            return math.inf
        return self.end

    @property
    def refusals(self) -> list[tuple[Attempt, Refusal]]:
        return [(a, a.refusal) for a in self.attempts if a.refusal is not None]


@dataclass(frozen=True)
class Snapshot:
    """One study with all of its trials and their curves, read when all was quiet."""

    study: Any
    trials: tuple[trial_pb2.Trial, ...]


class Recorder:
    """Makes calls and keeps them. Threads may share it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.calls: list[Call] = []
        self.answered = 0

    def begin(self, method: str, request: Message) -> Call:
        """A logical call that is about to be sent."""
        with self._guard:
            self.calls.append(Call(len(self.calls), method, request))
            return self.calls[-1]

    def send(self, call: Call, stub: Callable[..., Message], timeout: float) -> Attempt:
        """Sends it once."""
        begin = time.monotonic()
        answer: Message | None = None
        refusal: Refusal | None = None
        try:
            answer = stub(call.request, timeout=timeout)
        except grpc.RpcError as error:
            refusal = refusal_of(error)
        attempt = Attempt(begin, time.monotonic(), answer, refusal)
        call.attempts.append(attempt)
        with self._guard:
            self.answered += answer is not None
        return attempt


def refusal_of(error: Any) -> Refusal | None:
    """What the server said no with; None where it may have acted all the same."""
    code = error.code()
    if code in UNKNOWN_CODES:
        return None
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        detail.Unpack(info)
    return Refusal(code.name, info.reason, error.details() or "")
