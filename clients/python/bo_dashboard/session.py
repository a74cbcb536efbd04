"""The caller's token: in the header `Authorization`, or in the cookie of a browser that has signed in.

No script can read the cookie, and browsers send it to the dashboard's own pages only.
"""

import re

from bo_client.security import TOKEN
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request, cookie_parser
from starlette.responses import JSONResponse, Response

COOKIE = "bo_token"
PORT = re.compile(r":([0-9]{1,5})$")


def cookie_name(port: int | None) -> str:
    """Return the name of the cookie.

    Browsers send cookies to every port of a machine, so each dashboard has its own.
    """
    return f"{COOKIE}_{port}" if port else COOKIE


def port_of(headers: Headers) -> int | None:
    """Return the port in the host header; None without one."""
    match = PORT.search(headers.get("host", ""))
    return int(match[1]) if match else None


def token_of(connection: HTTPConnection) -> str | None:
    """Return the token of a request; None without one."""
    return token_in(connection.headers)


def token_in(headers: Headers) -> str | None:
    """Return the token in the headers; None without one. A malformed token counts as a wrong one."""
    authorization = headers.getlist("authorization")
    if authorization:
        scheme, _, text = authorization[0].partition(" ")
        is_valid = len(authorization) == 1 and scheme.lower() == "bearer" and TOKEN.fullmatch(text.strip())
        return text.strip() if is_valid else "malformed"
    cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(port_of(headers)))
    return cookie if cookie and TOKEN.fullmatch(cookie) else None


def signed_in(request: Request, token: str, content: object) -> Response:
    """Return a response after which the browser sends the token until it is closed."""
    response = JSONResponse(content)
    is_encrypted = "https" in (request.scope["scheme"], request.headers.get("x-forwarded-proto"))
    name = cookie_name(port_of(request.headers))
    response.set_cookie(name, token, httponly=True, samesite="strict", secure=is_encrypted, path="/")
    return response


def signed_out(request: Request) -> Response:
    """Return a response after which the browser sends no token."""
    response = JSONResponse({})
    response.delete_cookie(cookie_name(port_of(request.headers)), httponly=True, samesite="strict", path="/")
    return response
