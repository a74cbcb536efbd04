"""The process of the dashboard: a socket, a uvicorn server on it, and its shutdown."""

import os
import resource
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from bo_client.errors import InvalidRequest

from bo_dashboard.application import application
from bo_dashboard.connections import IDLE_S, MAX_HEAD_BYTES, Server
from bo_dashboard.settings import DashboardSettings

GRACE_S = 2
"""Seconds for requests in progress at shutdown; streams would never end."""
BACKLOG = 1024
MAX_CONNECTIONS = 1000
"""Maximum open connections."""
NUM_OTHER_FILES = 128
"""Open files that are not connections."""


def serve(settings: DashboardSettings, started: Callable[[str], None], until_stdin_ends: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, or until standard input ends.

    Args:
        settings: the checked settings.
        started: called with the full address once the socket listens.
        until_stdin_ends: whether to end with standard input, and so with the process that started this one.

    Raises:
        InvalidRequest: the address cannot be listened on, or a file cannot be read.
    """
    app = application(settings)
    listener = _listener(settings)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        proxy_headers=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    server = Server(config, min(MAX_CONNECTIONS, _max_files() - NUM_OTHER_FILES), BACKLOG)
    try:
        server.config.load()
    except OSError as error:  # of a certificate or its key
        listener.close()
        raise InvalidRequest.of("--tls-cert", f"and --tls-key cannot be used: {error}") from error
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, args=[server], daemon=True).start()
    started(f"{settings.scheme}://{settings.host}:{listener.getsockname()[1]}/")
    server.run(sockets=[listener])


def _max_files() -> int:
    """Return the number of files that this process may open, after raising the limit as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MAX_CONNECTIONS + NUM_OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return needed if soft == resource.RLIM_INFINITY else soft


def _listener(settings: DashboardSettings) -> socket.socket:
    """Return a socket that listens already, so that no client connects too early."""
    host = settings.host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InvalidRequest.of(
            "--listen",
            f"cannot listen on {settings.listen} ({error.strerror}); choose another port, or 0 for a free one",
        ) from error
    return listener


def _end_with_stdin(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.should_exit = True
