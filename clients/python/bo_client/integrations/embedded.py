"""A server for this process alone: `bo-service serve` on loopback, over a file that is gone afterwards.

It is started when it is first asked for, and ends with the process, however that ends: a keeper between the two sees
that the line to the process is cut. This file is also the keeper, and therefore imports nothing of ours at its top.
"""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

GREETING = "listening on "

_lock = threading.Lock()
_running: dict[int, tuple[str, "subprocess.Popen[str]"]] = {}
"""By process: a fork needs a server of its own."""


def address() -> str:
    """HOST:PORT. Raises ServerUnavailable where no server can be started."""
    with _lock:
        if os.getpid() not in _running:
            _running[os.getpid()] = _start()
        return _running[os.getpid()][0]


def _start() -> tuple[str, "subprocess.Popen[str]"]:
    keeper = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process to handle
    )
    assert keeper.stdout is not None
    line = keeper.stdout.readline()
    if not line.startswith(GREETING):
        from bo_client.errors import ServerUnavailable

        why = line + keeper.stdout.read()
        _stop(keeper)
        what = "give the address of a server, or install one: pip install 'bo-service[server]'"
        raise ServerUnavailable(f"no server could be started here ({why.strip()[-500:]}); {what}")
    atexit.register(_stop, keeper)
    return line.split()[2], keeper


def _stop(keeper: "subprocess.Popen[str]") -> None:
    if keeper.stdin is None or keeper.stdout is None:
        return
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.wait(timeout=60)


def keep() -> None:
    """Runs a server until standard input is closed."""
    with tempfile.TemporaryDirectory(prefix="bo-embedded-") as folder:
        log = Path(folder) / "log"
        serve = [sys.executable, "-P", "-m", "bo_service.cli", "serve", "--listen", "127.0.0.1:0"]
        with log.open("w") as file:
            server = subprocess.Popen(  # noqa: S603 - our own program
                [*serve, "--storage", f"sqlite:///{folder}/bo.db"], stdout=subprocess.PIPE, stderr=file, text=True
            )
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            sys.stdout.write(line if line.startswith(GREETING) else log.read_text())
            sys.stdout.flush()
            if line.startswith(GREETING):
                sys.stdin.read()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    keep()
