"""What is refused before anything is looked at, and what every answer tells browsers.

A page of another site that the user has open can send requests here: what changes something must come from our own
pages (`Origin`, `Sec-Fetch-Site`), and the name by which we are called must be one of ours, or else a site whose name
suddenly means this machine would count as our own.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD", "OPTIONS")
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
ALWAYS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
UNSAID = {"cache-control": "no-store"}
"""Where the answer doesn't say otherwise."""


class Guard:
    """Around the application."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, origins: Collection[str]) -> None:
        """`hosts` are the names by which we may be called, None for any; `origins` those whose pages may call."""
        self._app = app
        self._hosts = hosts
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                for name, value in UNSAID.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        await (refusal or self._app)(scope, receive, telling)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").netloc.rpartition("@")[2].lower()
        bare = (
            name if name.endswith("]") else name.partition(":")[0] if name.count(":") < 2 else name.rpartition(":")[0]
        )
        if self._hosts is not None and bare not in self._hosts:
            return refuse(421, f"the name {bare!r} is not known here; start the dashboard with --allow-host {bare}")
        if method in READING or not self._is_foreign(host, headers):
            return None
        return refuse(403, "requests that change something must come from the dashboard's own pages, or from programs")

    def _is_foreign(self, host: str, headers: Headers) -> bool:
        """Whether a page of somebody else's sent it; programs send neither header."""
        origin = headers.get("origin")
        if origin is not None:
            return origin not in self._origins and urlsplit(origin).netloc != host
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def refuse(status: int, message: str, code: str = "permission_denied") -> JSONResponse:
    """An error as the Connect protocol writes it."""
    return JSONResponse({"code": code, "message": message}, status)
