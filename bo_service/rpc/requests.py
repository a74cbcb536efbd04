"""Fields that many requests share: request ids, pages, counts, deadlines."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import grpc
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf.message import Message

from bo_service import request_context
from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.application.ports import RequestKey
from bo_service.application.trial_order import Position, Rank, TrialOrder
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_LEASE_TOKEN, MAX_PAGE, MAX_PAGE_BYTES, MAX_REQUEST_ID, MAX_WORKER_ID
from bo_service.rpc.codec.fields import text

M = TypeVar("M", bound=Message)

DEFAULT_PAGE = 100
MAX_POSITION_TOKEN = 8192
"""Characters of a page token that are read."""
DEFAULT_TIMEOUT_S = 30.0
"""Timeout of the surrogate in seconds if the call has no deadline."""
MAX_DEADLINE_S = 3600.0
MARGIN_S, MARGIN_SHARE, MARGIN_EACH_S = 0.3, 0.15, 0.005
"""Time reserved before a deadline for quasi-random suggestions, the commit and the response."""
RESPONSE_MARGIN_S, RESPONSE_MARGIN_SHARE = 0.1, 0.05
"""Time reserved before a deadline for the error response."""


def request_key(method: str, study_id: str, request: Any, context: grpc.ServicerContext) -> RequestKey | None:
    """Return the key of a request; None without a request id.

    Its id is a hash over caller, method, study and request id, so that no caller gets the stored response of another.

    Raises:
        InvalidArgument: the request id is too long.
    """
    request_id = text(request.request_id, "request_id", MAX_REQUEST_ID)
    if not request_id:
        return None
    caller = request_context.principal()
    identity = [caller.name]
    if caller is ANONYMOUS_ADMIN:  # without authentication only the client's certificate tells callers apart
        identity += sorted(name.hex() for name in context.peer_identities() or ())
    scope = json.dumps([identity, method, study_id, request_id]).encode()
    body = request.SerializeToString(deterministic=True)
    return RequestKey(hashlib.sha256(scope).hexdigest(), method, hashlib.sha256(body).hexdigest())


def page_size(requested: int) -> int:
    """Return the page size, at most MAX_PAGE.

    Raises:
        InvalidArgument: it is negative.
    """
    if requested < 0:
        raise InvalidArgument.of("page_size", f"is {requested}; give 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")
    return min(requested or DEFAULT_PAGE, MAX_PAGE)


def page_of(messages: Iterable[M]) -> tuple[list[M], bool]:
    """Return the messages that fit on a page, at least one, and whether any are left.

    Messages that do not fit are not created.
    """
    page: list[M] = []
    size = 0
    for message in messages:
        if page and size + message.ByteSize() > MAX_PAGE_BYTES:
            return page, True
        page.append(message)
        size += message.ByteSize()
    return page, False


def number_token(token: str) -> int:
    """Return the trial number after which a page begins.

    Raises:
        InvalidArgument: the token has another form.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) < 19):
        raise InvalidArgument.of("page_token", f"is {token[:80]!r}; give next_page_token of the page before, unchanged")
    return int(token)


def position_token(order: TrialOrder, position: Position) -> str:
    """Return the token of the page that begins after a position."""
    content = json.dumps([order.text, position.rank, position.number], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode()


def position_of(token: str, order: TrialOrder) -> Position | None:
    """Return the position after which a page begins; None for the first page.

    Raises:
        InvalidArgument: the token has another form, or is of another order.
    """
    if not token:
        return None
    try:
        content = json.loads(base64.b64decode(token[:MAX_POSITION_TOKEN], altchars=b"-_", validate=True))
        text, rank, number = content
        position = Position(None if rank is None else Rank(bool(rank[0]), float(rank[1]), str(rank[2])), int(number))
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        raise InvalidArgument.of(
            "page_token", f"is {token[:80]!r}; give next_page_token of the page before, unchanged"
        ) from None
    if text != order.text:
        raise InvalidArgument.of(
            "page_token", f"is of another order; give order_by as for the page before, {text!r:.80}"
        )
    return position


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


def is_full(view: "pb.TrialView") -> bool:
    """Return whether the view includes learning curves."""
    return view == pb.TRIAL_VIEW_FULL


def timeout(context: grpc.ServicerContext, count: int = 0) -> float:
    """Return the timeout of the surrogate in seconds.

    Args:
        context: the call.
        count: number of trials that are stored afterwards.
    """
    remaining: float | None = context.time_remaining()
    if remaining is None or remaining > MAX_DEADLINE_S:  # without a deadline it is far beyond
        return DEFAULT_TIMEOUT_S
    margin = max(MARGIN_S, MARGIN_SHARE * remaining) + MARGIN_EACH_S * count
    return max(0.0, remaining - min(margin, remaining / 2))


def time_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds that the call may still wait; None without a deadline.

    The time is slightly shorter than the deadline, so that an error still arrives.
    """
    remaining: float | None = context.time_remaining()
    if remaining is None or remaining > MAX_DEADLINE_S:
        return None
    return max(0.0, remaining - min(RESPONSE_MARGIN_S, RESPONSE_MARGIN_SHARE * remaining))


def is_awaited(context: grpc.ServicerContext) -> bool:
    """Return whether the client still waits: it has not canceled or timed out."""
    remaining: float | None = context.time_remaining()
    return bool(context.is_active()) and (remaining is None or remaining > 0.0)


def is_listening(context: grpc.ServicerContext, is_stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that tells whether a stream continues.

    It ends if the client leaves or loses its authorization, or the server stops.
    """
    call = request_context.current()
    return lambda: bool(context.is_active()) and not is_stopping() and (call is None or call.is_authorized())
