"""The process: a socket, uvicorn over it, and an end."""

import os
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn
from bo_client.errors import InvalidRequest

from bo_dashboard.application import application
from bo_dashboard.settings import Settings

GRACE_S = 2
"""Seconds for requests in progress when it ends; streams would never."""
BACKLOG = 128
MOST_CONNECTIONS = 1000
"""At once; more are answered with 503."""


def serve(settings: Settings, started: Callable[[str], None], until_stdin_ends: bool = False) -> None:
    """Serves until SIGTERM or SIGINT, or until standard input ends, as it does with the process that started it.

    Args:
        settings: checked.
        started: told the address in full once it listens.
        until_stdin_ends: whether to watch standard input.

    Raises:
        InvalidRequest: the address can't be listened on, or a file can't be read.
    """
    app = application(settings)
    listener = _listener(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=MOST_CONNECTIONS,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            ws="none",
        )
    )
    try:
        server.config.load()
    except OSError as error:  # of a certificate or its key
        listener.close()
        raise InvalidRequest.of("--tls-cert", f"and --tls-key can't be used: {error}") from error
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, args=[server], daemon=True).start()
    started(f"{settings.scheme}://{settings.host}:{listener.getsockname()[1]}/")
    server.run(sockets=[listener])


def _listener(settings: Settings) -> socket.socket:
    """Listens already, so that nobody who is told of it comes too early."""
    host = settings.host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.create_server((host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InvalidRequest.of(
            "--listen", f"{settings.listen} can't be listened on ({error.strerror}); choose another port, or 0 for any"
        ) from error
    return found


def _end_with_stdin(server: uvicorn.Server) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.should_exit = True
