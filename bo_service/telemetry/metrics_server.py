"""An HTTP server for the metrics. The port has no authentication, so connections are few and short."""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from bo_service.domain.errors import StartupError

logger = logging.getLogger("bo_service.metrics")

MAX_CONNECTIONS = 16
"""Maximum connections; a further one replaces the oldest."""
CONNECTION_TIMEOUT_S = 10.0
"""Maximum seconds of a connection."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Discard the access log."""

    def get_stderr(self) -> Any:
        """Discard error output."""
        return _DiscardedOutput()


class _DiscardedOutput:
    def write(self, _: str) -> None: ...

    def flush(self) -> None: ...


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self.address_family = family
        self._guard = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        """Open connections with their start times."""
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Listen without a DNS lookup of the host name."""
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a new thread, after closing the oldest connection if there are too many."""
        with self._guard:
            while len(self._open) >= MAX_CONNECTIONS:
                self._cut(next(iter(self._open)))
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections that exceed the time limit; the server calls this twice a second."""
        with self._guard:
            for request in [r for r, began in self._open.items() if time.monotonic() > began + CONNECTION_TIMEOUT_S]:
                self._cut(request)

    def _cut(self, request: socket.socket) -> None:
        """Shut down a socket, which wakes the thread that reads or writes it."""
        del self._open[request]
        with suppress(OSError):  # it may have ended meanwhile
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library says what it takes
        """Log a connection that failed."""
        logger.info("a connection for metrics failed: %r", sys.exception(), extra={"kind": "metrics connections"})


def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Serve the metrics over HTTP.

    Args:
        registry: the metrics.
        host: address to listen on.
        port: port to listen on; 0 for any free one.

    Returns:
        The port, and a function that stops the server.

    Raises:
        StartupError: the address cannot be listened on.
    """
    bare = host.strip("[]")
    try:
        server = _Server((bare, port), socket.AF_INET6 if ":" in bare else socket.AF_INET)
    except OSError as error:
        raise StartupError(
            f"--metrics: cannot listen on {host}:{port} ({error.strerror}); choose another port, or 0 for any free port"
        ) from error
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop
