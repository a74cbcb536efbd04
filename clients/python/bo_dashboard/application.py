"""The web application and its routes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bo_client.errors import BoClientError
from bo_client.wire.transport import GrpcTransport
from grpc.aio import AioRpcError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bo_dashboard import artifacts, explore, insight, plotly_js, studies
from bo_dashboard.authentication import AuthenticationMiddleware, Bodies
from bo_dashboard.background import TaskLimits, in_thread
from bo_dashboard.changes import changes
from bo_dashboard.connect import MAX_MESSAGE_BYTES, ConnectApplication
from bo_dashboard.errors import content_of, status_of
from bo_dashboard.guard import RequestGuard
from bo_dashboard.settings import DashboardSettings
from bo_dashboard.snapshots import Snapshots
from bo_dashboard.upstream import METHODS, AnonymousAccess, Upstream

STATIC = Path(__file__).parent / "static"
CACHED_FOR_A_DAY = {"cache-control": "max-age=86400"}
REVALIDATED_HEADERS = {"cache-control": "no-cache"}
"""Headers of content that browsers revalidate at each use."""
COMPRESSION = Middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)
ENVELOPE_BYTES = 5
"""Bytes before a message of a stream."""
MAX_SIGN_IN_BYTES = 16 * 1024
"""Maximum bytes of a sign-in request."""
CONNECT_HEADERS = ("authorization", "content-type", "connect-protocol-version", "connect-timeout-ms")


def application(settings: DashboardSettings) -> Starlette:
    """Return the application of a dashboard.

    Args:
        settings: the dashboard's settings.

    Returns:
        The ASGI application.

    Raises:
        InvalidRequest: a file cannot be read.
    """
    upstream, transport = Upstream(settings), GrpcTransport(settings.server, settings.security)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.close()
        transport.close()

    bodies = Bodies()

    def authentication(max_bytes: int, needs_token: bool = True) -> Middleware:
        return Middleware(
            AuthenticationMiddleware, upstream=upstream, bodies=bodies, max_bytes=max_bytes, needs_token=needs_token
        )

    app = Starlette(
        routes=[
            *_contract(upstream, authentication),
            Mount("/", routes=[*_data(authentication), *_pages()], middleware=[COMPRESSION]),
        ],
        lifespan=lifespan,
        middleware=[
            Middleware(RequestGuard, hosts=settings.known_hosts, origins=settings.origins),
            Middleware(
                CORSMiddleware, allow_origins=settings.origins, allow_headers=CONNECT_HEADERS, allow_methods=["POST"]
            ),
        ],
        exception_handlers={
            AioRpcError: _error_response,
            BoClientError: _error_response,
            AnonymousAccess: _error_response,
        },
    )
    app.state.upstream, app.state.transport, app.state.snapshots = upstream, transport, Snapshots()
    app.state.task_limits = TaskLimits()
    return app


def _pages() -> list[Route | Mount]:
    return [
        Route("/", _studies),
        Route("/compare", _compare),
        Route("/studies/{study}", _study),
        Route("/studies/{study}/trials/{number}", _study),
        Route("/plotly.js", _plotly),
        Mount("/static", Revalidated(directory=STATIC)),
    ]


def _data(authentication: Callable[..., Middleware]) -> list[Route]:
    """Return the routes of the pages' data, which need a token except those of the sign-in."""
    of_study = "/data/studies/{study}"
    sign_in = [authentication(max_bytes=MAX_SIGN_IN_BYTES, needs_token=False)]
    authenticated = [authentication(max_bytes=studies.MAX_BODY_BYTES)]
    return [
        Route("/data/caller", studies.caller, middleware=sign_in),
        Route("/data/session", studies.sign_in, methods=["POST"], middleware=sign_in),
        Route("/data/session", studies.sign_out, methods=["DELETE"], middleware=sign_in),
        Route("/data/studies", studies.list_studies, middleware=authenticated),
        Route("/data/studies", studies.create_study, methods=["POST"], middleware=authenticated),
        Route(of_study, explore.overview, middleware=authenticated),
        Route("/data/comparison", insight.comparison, middleware=authenticated),
        Route(f"{of_study}/changes", changes, middleware=authenticated),
        Route(f"{of_study}/trials", explore.trials, middleware=authenticated),
        Route(f"{of_study}/metrics", explore.metrics, middleware=authenticated),
        Route(f"{of_study}/parallel", explore.parallel, middleware=authenticated),
        Route(f"{of_study}/trials.csv", explore.csv, middleware=authenticated),
        Route(f"{of_study}/report.html", explore.report, middleware=authenticated),
        Route(f"{of_study}/best", studies.best_trials, middleware=authenticated),
        Route(f"{of_study}/trials/{{number}}", studies.trial, middleware=authenticated),
        Route(f"{of_study}/trials/{{number}}/artifacts/{{artifact}}", artifacts.artifact, middleware=authenticated),
        Route(f"{of_study}/figures/{{kind}}", insight.figure, middleware=authenticated),
        Route(f"{of_study}/diagnosis", insight.diagnosis, middleware=authenticated),
    ]


def _contract(upstream: Upstream, authentication: Callable[..., Middleware]) -> list[Mount]:
    services = sorted({path.split("/")[1] for path in METHODS})
    authenticated = [authentication(max_bytes=MAX_MESSAGE_BYTES + ENVELOPE_BYTES)]
    return [Mount(f"/{service}", ConnectApplication(upstream), middleware=authenticated) for service in services]


class Revalidated(StaticFiles):
    """Static files that may change with an upgrade."""

    def file_response(self, *arguments: object, **others: object) -> Response:
        """Return the file with the headers by which browsers revalidate it."""
        response = super().file_response(*arguments, **others)  # type: ignore[arg-type]
        response.headers.update(REVALIDATED_HEADERS)
        return response


async def _studies(_: Request) -> Response:
    return FileResponse(STATIC / "studies.html", headers=REVALIDATED_HEADERS)


async def _study(_: Request) -> Response:
    return _with_figures("study.html")


async def _compare(_: Request) -> Response:
    return _with_figures("compare.html")


def _with_figures(name: str) -> Response:
    page = (STATIC / name).read_text(encoding="utf-8")
    return HTMLResponse(page.replace("</head>", f"{plotly_js.placeholders()}</head>"), headers=REVALIDATED_HEADERS)


async def _plotly(request: Request) -> Response:
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(plotly_js.FILE, media_type="text/javascript", headers=CACHED_FOR_A_DAY)
    headers = {**CACHED_FOR_A_DAY, "content-encoding": "gzip", "vary": "Accept-Encoding"}
    return Response(await in_thread(plotly_js.compressed), media_type="text/javascript", headers=headers)


async def _error_response(_: Request, error: Exception) -> Response:
    return JSONResponse(content_of(error), status_of(error))
