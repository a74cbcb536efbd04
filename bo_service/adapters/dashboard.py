"""The dashboard beside a server: a process of its own, which is a client like any other.

It reaches the server through a socket in a folder that this user alone can enter, whatever the server itself demands of
the outside; the tokens of those who use it are what lets them in.
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

from bo_service.core.errors import StartupError

logger = logging.getLogger("bo_service.dashboard")

COMMAND = (sys.executable, "-m", "bo_client.cli")
PATIENCE_S = 30.0
READY = "dashboard at "


class PrivateSocket:
    """Where the dashboard finds the server."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bo-", ignore_cleanup_errors=True)  # for its owner alone
        self.address = f"unix:{Path(self._folder.name) / 'grpc.sock'}"

    def close(self) -> None:
        """Nobody finds it any more."""
        self._folder.cleanup()


class DashboardProcess:
    """Runs until it is left; ends by itself where the server dies without a word, as its standard input ends then."""

    def __init__(self, server: str, options: Sequence[str]) -> None:
        """`options` are those of `bo dashboard`. Raises StartupError where it doesn't start."""
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
        self._is_leaving = False
        self.address = self._started()
        threading.Thread(target=self._watch, name="dashboard", daemon=True).start()

    def __enter__(self) -> "DashboardProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._is_leaving = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _started(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith(READY):
            self._process.wait(PATIENCE_S)
            raise StartupError("--dashboard: the dashboard didn't start; the line above says why")
        return line.removeprefix(READY).strip()

    def _watch(self) -> None:
        status = self._process.wait()
        if not self._is_leaving:
            logger.error("the dashboard has ended with status %d; start the server again to have it back", status)
