"""The web application: which path leads where."""

from collections.abc import AsyncIterator
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

from bo_dashboard import insight, plotly_js, studies
from bo_dashboard.changes import changes
from bo_dashboard.connect import ConnectApplication
from bo_dashboard.faults import content_of, status_of
from bo_dashboard.guard import Guard
from bo_dashboard.settings import Settings
from bo_dashboard.snapshots import Snapshots
from bo_dashboard.upstream import METHODS, OpenDoor, Upstream

STATIC = Path(__file__).parent / "static"
FOR_A_DAY = {"cache-control": "max-age=86400"}
ASKED_AGAIN = {"cache-control": "no-cache"}
"""Kept by browsers, who ask each time whether it is still the same."""
SMALLER = Middleware(GZipMiddleware, minimum_size=2000)
CONNECT_HEADERS = ("authorization", "content-type", "connect-protocol-version", "connect-timeout-ms")


def application(settings: Settings) -> Starlette:
    """The dashboard of one server."""
    upstream, transport = Upstream(settings), GrpcTransport(settings.server, settings.security)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await upstream.close()
        transport.close()

    app = Starlette(
        routes=[*_contract(upstream), Mount("/", routes=[*_data(), *_pages()], middleware=[SMALLER])],
        lifespan=lifespan,
        middleware=[
            Middleware(Guard, hosts=settings.known_hosts, origins=settings.origins),
            Middleware(
                CORSMiddleware, allow_origins=settings.origins, allow_headers=CONNECT_HEADERS, allow_methods=["POST"]
            ),
        ],
        exception_handlers={AioRpcError: _told, BoClientError: _told, OpenDoor: _told},
    )
    app.state.upstream, app.state.transport, app.state.snapshots = upstream, transport, Snapshots()
    return app


def _pages() -> list[Route | Mount]:
    return [
        Route("/", _studies),
        Route("/studies/{study}", _study),
        Route("/plotly.js", _plotly),
        Mount("/static", Revalidated(directory=STATIC)),
    ]


def _data() -> list[Route]:
    of_study = "/data/studies/{study}"
    return [
        Route("/data/caller", studies.caller),
        Route("/data/session", studies.sign_in, methods=["POST"]),
        Route("/data/session", studies.sign_out, methods=["DELETE"]),
        Route("/data/studies", studies.list_studies),
        Route("/data/studies", studies.create_study, methods=["POST"]),
        Route(f"{of_study}/changes", changes),
        Route(f"{of_study}/best", studies.best_trials),
        Route(f"{of_study}/trials/{{number:int}}", studies.trial),
        Route(f"{of_study}/figures/{{kind}}", insight.figure),
        Route(f"{of_study}/diagnosis", insight.diagnosis),
    ]


def _contract(upstream: Upstream) -> list[Mount]:
    services = sorted({path.split("/")[1] for path in METHODS})
    return [Mount(f"/{service}", ConnectApplication(upstream)) for service in services]


class Revalidated(StaticFiles):
    """Files that may be other ones after an upgrade."""

    def file_response(self, *arguments: object, **others: object) -> Response:
        """With the date and tag by which browsers ask whether it has changed."""
        answer = super().file_response(*arguments, **others)  # type: ignore[arg-type]
        answer.headers.update(ASKED_AGAIN)
        return answer


async def _studies(_: Request) -> Response:
    return FileResponse(STATIC / "studies.html", headers=ASKED_AGAIN)


async def _study(_: Request) -> Response:
    page = (STATIC / "study.html").read_text(encoding="utf-8")
    return HTMLResponse(page.replace("</head>", f"{plotly_js.placeholders()}</head>"), headers=ASKED_AGAIN)


async def _plotly(_: Request) -> Response:
    return FileResponse(plotly_js.FILE, media_type="text/javascript", headers=FOR_A_DAY)


async def _told(_: Request, error: Exception) -> Response:
    return JSONResponse(content_of(error), status_of(error))
