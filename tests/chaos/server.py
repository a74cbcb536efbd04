"""A server in a process of its own, over any storage, that can be killed, stopped, stalled and started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

READY_S = 60.0


class ServerProcess:
    """`bo-service serve` over a storage URL. It keeps its port from its first start on."""

    def __init__(self, storage: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.storage = storage
        self.log = log
        self.environment = dict(environment or {})
        self.address = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kills it where it still runs."""
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> str:
        """Returns when it listens; the address."""
        self.launch()
        return self.wait_ready()

    def launch(self) -> None:
        """Returns at once."""
        command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", self.storage, "--processes", "1"]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", self.address, "--log-level", "warning"],
                stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **self.environment},
            )  # fmt: skip

    def wait_ready(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), self.log.read_text()[-2000:]
        self.address = line.split()[2]
        return self.address

    def kill(self) -> None:
        """As `kill -9`; a stalled one too."""
        assert self._process is not None
        self._process.kill()
        self._reap()

    def stop(self) -> int:
        """Asks it to end; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._reap()

    def stall(self) -> None:
        """Freezes it; `resume` lets it go on."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _reap(self) -> int:
        assert self._process is not None
        status = self._process.wait(timeout=READY_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status
