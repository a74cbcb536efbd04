"""Pages of lists: their size, what fits on one, and the token of the next."""

import base64
import json
from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

from bo_service.application.trial_order import Position, Rank, TrialOrder
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.limits import MAX_PAGE, MAX_PAGE_BYTES

M = TypeVar("M", bound=Message)

DEFAULT_PAGE = 100
MAX_POSITION_TOKEN = 8192
"""Characters of a page token that are read."""


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
