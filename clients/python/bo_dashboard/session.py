"""Who asks: a token in the header `Authorization`, or the one with which a browser has signed in.

The browser keeps it in a cookie that no script can read and that is sent to our own pages alone.
"""

from bo_client.security import TOKEN
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request, cookie_parser
from starlette.responses import JSONResponse, Response

COOKIE = "bo_token"


def cookie_name(port: int | None) -> str:
    """Browsers send cookies to every port of a machine: each dashboard has its own."""
    return f"{COOKIE}_{port}" if port else COOKIE


def token_of(connection: HTTPConnection) -> str | None:
    """The token that comes with a request; None without one."""
    return shown(connection.headers, connection.url.port)


def shown(headers: Headers, port: int | None) -> str | None:
    """As `token_of`; what is no token counts as a wrong one, not as none."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        return text.strip() if scheme.lower() == "bearer" and TOKEN.fullmatch(text.strip()) else "malformed"
    found = cookie_parser(headers.get("cookie", "")).get(cookie_name(port))
    return found if found and TOKEN.fullmatch(found) else None


def signed_in(request: Request, token: str, content: object) -> Response:
    """An answer after which the browser sends the token by itself, until it is closed."""
    answer = JSONResponse(content)
    is_encrypted = request.url.scheme == "https"
    name = cookie_name(request.url.port)
    answer.set_cookie(name, token, httponly=True, samesite="strict", secure=is_encrypted, path="/")
    return answer


def signed_out(request: Request) -> Response:
    """An answer after which it sends none."""
    answer = JSONResponse({})
    answer.delete_cookie(cookie_name(request.url.port), httponly=True, samesite="strict", path="/")
    return answer
