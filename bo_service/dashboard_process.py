"""Run the dashboard beside a server, in its own process.

It is a client that reaches the server through a socket in a private folder, independent of the server's TLS and
authentication settings. Its users authenticate with their tokens.
"""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from bo_service.domain.errors import StartupError

logger = logging.getLogger("bo_service.dashboard")

COMMAND = (sys.executable, "-m", "bo_client.cli.main")
PROCESS_TIMEOUT_S = 30.0
READY = "dashboard at "


class PrivateSocket:
    """A Unix socket in a private folder, through which the dashboard reaches the server."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bo-", ignore_cleanup_errors=True)  # for its owner alone
        self.address = f"unix:{Path(self._folder.name) / 'grpc.sock'}"

    def close(self) -> None:
        """Remove the socket and its folder."""
        self._folder.cleanup()


class DashboardProcess:
    """A dashboard process. It also ends if the server is killed, as its standard input is closed then."""

    def __init__(self, server: str, options: Sequence[str]) -> None:
        """Start the dashboard.

        Args:
            server: address of the server.
            options: options of `bo dashboard`.

        Raises:
            StartupError: the dashboard did not start.
        """
        command = [*COMMAND, "--server", server, "dashboard", "--until-stdin-ends", *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BO_")}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            process_group=0,  # Ctrl-C at a terminal is for the server, which ends it
        )
        self._is_closing = False
        self.address = self._wait_until_ready()
        threading.Thread(target=self._watch, name="dashboard", daemon=True).start()

    def __enter__(self) -> "DashboardProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._is_closing = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PROCESS_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_ready(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(READY):
            self.close()
            self._process.stdout.close()
            raise StartupError("--dashboard: the dashboard did not start; the line above gives the reason")
        return line.removeprefix(READY).strip()

    def _watch(self) -> None:
        status = self._process.wait()
        if not self._is_closing:
            logger.error("the dashboard exited with status %d; restart the server to restart it", status)
