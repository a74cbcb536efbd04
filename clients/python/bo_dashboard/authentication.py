"""The authentication of every route that reaches the server: the token is checked before the body is read.

A request's headers identify the caller. A rejected request is answered immediately. The body of an authenticated
request is read completely, within limits on size and time, so that the routes wait for no client.
"""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bo_dashboard.guard import refuse
from bo_dashboard.session import token_in
from bo_dashboard.upstream import PATHS, Upstream

BODY_S, MIN_BYTES_PER_S = 10.0, 32 * 1024
"""Seconds for a body, plus one second for each `MIN_BYTES_PER_S` received."""
MAX_HELD_BYTES = 64 * 2**20
"""Maximum bytes of all bodies that are in memory at once."""
PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
"""Headers that proxies add: the caller may then be on any machine.

Some proxies add none, so the first token is never created through the dashboard.
"""
SAFE_VALUE = re.compile(rb"[\t -~]*")
"""Header values that every HTTP library parses alike."""


class Bodies:
    """The number of bytes of request bodies in memory, over all routes."""

    def __init__(self) -> None:
        self.held = 0


class AuthenticationMiddleware:
    """ASGI middleware that authenticates the requests of a route."""

    def __init__(
        self, app: ASGIApp, upstream: Upstream, bodies: Bodies, max_bytes: int, needs_token: bool = True
    ) -> None:
        """Wrap a route.

        Args:
            app: the wrapped application.
            upstream: the server, which checks tokens.
            bodies: the count of bytes in memory, shared by all routes.
            max_bytes: maximum bytes of a body.
            needs_token: False if the route itself checks a token, as for signing in.
        """
        self._app = app
        self._upstream = upstream
        self._bodies = bodies
        self._max_bytes = max_bytes
        self._needs_token = needs_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it on with its body.

        Raises:
            AioRpcError: the server rejects the token, or does not respond.
            AnonymousAccess: the server requires no tokens.
        """
        headers = Headers(scope=scope)
        token = token_in(headers)
        is_exposed = scope["path"] == PATHS["CreateToken"] or any(name in headers for name in PROXY_HEADERS)
        await self._upstream.check_authentication(is_exposed)
        if self._needs_token:
            await self._upstream.caller(token)
        body = _Body(self._bodies, self._max_bytes)
        try:
            refusal = await body.read(headers, receive) if scope["method"] == "POST" else None
            if refusal is not None:
                await refuse(*refusal)(scope, receive, send)
                return
            inner = {**scope, "headers": _clean_headers(scope, token)}
            await self._app(inner, _replay(bytes(body.content), receive), send)
        finally:
            body.release()


class _Body:
    """A request body that is being read."""

    def __init__(self, bodies: Bodies, max_bytes: int) -> None:
        self.content = bytearray()
        self._bodies = bodies
        self._max_bytes = max_bytes

    async def read(self, headers: Headers, receive: Receive) -> tuple[int, str, str] | None:
        """Read the body.

        Returns:
            None, or the refusal: an HTTP status, a message and a code.
        """
        content_length = headers.get("content-length", "0")
        if int(content_length) > self._max_bytes:  # HTTP's parser has made sure that it is a number
            return self._too_large()
        try:
            async with asyncio.timeout(BODY_S) as deadline:
                return await self._received(receive, deadline)
        except TimeoutError:
            return 408, "the body has not arrived in time; send it at once", "deadline_exceeded"

    async def _received(self, receive: Receive, deadline: asyncio.Timeout) -> tuple[int, str, str] | None:
        began = asyncio.get_running_loop().time()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return 499, "the request was broken off", "canceled"
            chunk = message.get("body", b"")
            self.content += chunk
            self._bodies.held += len(chunk)
            deadline.reschedule(began + BODY_S + len(self.content) / MIN_BYTES_PER_S)
            if len(self.content) > self._max_bytes:
                return self._too_large()
            if self._bodies.held > MAX_HELD_BYTES:
                return 503, "too many large requests are in progress; try again in a moment", "unavailable"
            if not message.get("more_body", False):
                return None

    def release(self) -> None:
        """Release the memory of the body."""
        self._bodies.held -= len(self.content)
        self.content = bytearray()

    def _too_large(self) -> tuple[int, str, str]:
        return 429, f"the body has more than {self._max_bytes} bytes; send less", "resource_exhausted"


def _clean_headers(scope: Scope, token: str | None) -> list[tuple[bytes, bytes]]:
    """Return the headers with the token in one place, without those that libraries may parse differently."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in (b"authorization", b"cookie") and SAFE_VALUE.fullmatch(value)
    ]
    return headers if token is None else [*headers, (b"authorization", f"Bearer {token}".encode())]


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that yields the body as one message, and then the client's disconnection."""
    is_sent = False

    async def receive_body() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body
