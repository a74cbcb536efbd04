"""The parts that many requests share: request ids, pages, counts, deadlines."""

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.message import Message

from bo_service.adapters import calls
from bo_service.adapters.grpc.decoding import text
from bo_service.application.ports import RequestKey
from bo_service.core.errors import InvalidArgument
from bo_service.core.limits import MAX_LEASE_TOKEN, MAX_PAGE, MAX_PAGE_BYTES, MAX_REQUEST_ID, MAX_WORKER_ID

M = TypeVar("M", bound=Message)

DEFAULT_PAGE = 100
PATIENCE_S = 30.0
"""For the surrogate, where the caller set no deadline."""
FAR_S = 3600.0
MARGIN_S, MARGIN_SHARE, MARGIN_EACH_S = 0.3, 0.15, 0.005
"""Kept of a deadline for what comes after the surrogate: quick suggestions, the commit, the way back."""


def request_key(method: str, request: Message, request_id: str) -> RequestKey | None:
    """None without a request id. Raises InvalidArgument where it is too long."""
    if not text(request_id, "request_id", MAX_REQUEST_ID):
        return None
    return RequestKey(request_id, method, hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest())


def page_size(asked: int) -> int:
    """Raises InvalidArgument below zero; larger pages than there are are cut."""
    if asked < 0:
        raise InvalidArgument.of("page_size", f"is {asked}; give 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")
    return min(asked or DEFAULT_PAGE, MAX_PAGE)


def fitting(messages: Iterable[M]) -> tuple[list[M], bool]:
    """Those that fit on a page, at least one, and whether any are left: the others cost nothing, and are not made."""
    kept: list[M] = []
    size = 0
    for message in messages:
        if kept and size + message.ByteSize() > MAX_PAGE_BYTES:
            return kept, True
        kept.append(message)
        size += message.ByteSize()
    return kept, False


def number_token(token: str) -> int:
    """The trial number after which a page begins. Raises InvalidArgument."""
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 19):
        raise InvalidArgument.of("page_token", f"is {token[:80]!r}; give next_page_token of the page before, unchanged")
    return int(token)


def count_of(asked: int, most: int) -> int:
    """1 where the caller gave none. Raises InvalidArgument."""
    if not 0 <= asked <= most:
        raise InvalidArgument.of("count", f"is {asked}; give 1 to {most}")
    return asked or 1


def worker_id_of(given: str) -> str:
    """Raises InvalidArgument."""
    if not 1 <= len(given) <= MAX_WORKER_ID or not given.isprintable():
        raise InvalidArgument.of(
            "worker_id", f"is {given[:140]!r}; give 1 to {MAX_WORKER_ID} printable characters, such as host and process"
        )
    return given


def lease_token_of(given: str) -> str:
    """Raises InvalidArgument."""
    if not given:
        raise InvalidArgument.of("lease_token", "is empty; send the token that SuggestTrials returned")
    return text(given, "lease_token", MAX_LEASE_TOKEN)


def is_full(view: "pb.TrialView") -> bool:
    """Whether learning curves are asked for."""
    return view == pb.TRIAL_VIEW_FULL


def patience(context: grpc.ServicerContext, count: int = 0) -> float:
    """Seconds that the surrogate may take, before `count` trials are stored."""
    remaining: float | None = context.time_remaining()
    if remaining is None or remaining > FAR_S:  # without a deadline it is far beyond
        return PATIENCE_S
    margin = max(MARGIN_S, MARGIN_SHARE * remaining) + MARGIN_EACH_S * count
    return max(0.0, remaining - min(margin, remaining / 2))


def is_awaited(context: grpc.ServicerContext) -> Callable[[], bool]:
    """Whether the caller still waits: it has not cancelled the call, and its deadline has not passed."""

    def awaited() -> bool:
        remaining: float | None = context.time_remaining()
        return bool(context.is_active()) and (remaining is None or remaining > 0.0)

    return awaited


def is_heard(context: grpc.ServicerContext, is_stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Whether somebody still listens to a stream, who is still let in, and the server goes on."""
    return lambda: bool(context.is_active()) and not is_stopping() and calls.is_welcome()
