"""The checks before any other processing, and the security headers of every response.

A page of another site can send requests from the user's browser. Requests that change something must therefore come
from the dashboard's own pages (`Origin`, `Sec-Fetch-Site`), and the host name must be one of the dashboard's, because a
foreign name that resolves to this machine would otherwise count as the dashboard's own origin.
"""

import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:@/?#\[\]\\]+)(?::[0-9]{1,5})?")
"""A host name or address with an optional port."""
READ_ONLY_METHODS = ("GET", "HEAD", "OPTIONS")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # by which plotly.js places color bars; no text of users is ever read as HTML
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
DEFAULT_HEADERS = {**SECURITY_HEADERS, "cache-control": "no-store"}
"""Headers of responses that do not set them."""


class RequestGuard:
    """ASGI middleware that checks the host name and origin of every request."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, origins: Collection[str]) -> None:
        """Wrap an application.

        Args:
            app: the wrapped application.
            hosts: accepted host names, None for any.
            origins: foreign origins whose pages may send requests.
        """
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        match = HOST.fullmatch(host)
        if match is None and host:
            return refuse(400, f"host: is {host!r}; give NAME or NAME:PORT", "invalid_argument")
        name = match[1].lower() if match else ""
        if self._hosts is not None and name not in self._hosts:
            return refuse(421, f"the name {name!r} is not configured; start the dashboard with --allow-host {name}")
        if method in READ_ONLY_METHODS or not self._is_foreign(host, headers):
            return None
        return refuse(403, "requests that change something must come from the dashboard's own pages or from programs")

    def _is_foreign(self, host: str, headers: Headers) -> bool:
        """Return whether a page of another origin sent the request; programs send neither header."""
        origin = headers.get("origin")
        if origin is not None:
            return origin not in self._origins and origin.partition("://")[2] != host
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def refuse(status: int, message: str, code: str = "permission_denied") -> JSONResponse:
    """Return an error response of the Connect protocol."""
    return JSONResponse({"code": code, "message": message}, status)
