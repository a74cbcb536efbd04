"""A server for this process alone: `bo-service serve` on loopback, with a temporary database.

It starts at the first request, and ends with the process, even if that is killed: a guard process between the two
notices that the pipe to the process is closed. This file is also the guard, so it imports nothing of the package at its
top.
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
"""Servers by process id, as a forked process needs its own server."""


def address() -> str:
    """Return HOST:PORT.

    Raises:
        ServerUnavailable: no server can be started.
    """
    with _lock:
        if os.getpid() not in _running:
            _running[os.getpid()] = _start()
        return _running[os.getpid()][0]


def _start() -> tuple[str, "subprocess.Popen[str]"]:
    guard = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process to handle
    )
    assert guard.stdout is not None
    line = guard.stdout.readline()
    if not line.startswith(GREETING):
        from bo_client.errors import ServerUnavailable

        why = line + guard.stdout.read()
        _stop(guard)
        what = "give the address of a server, or install one: pip install 'bo-service[server]'"
        raise ServerUnavailable(f"no server could be started here ({why.strip()[-500:]}); {what}")
    atexit.register(_stop, guard)
    return line.split()[2], guard


def _stop(guard: "subprocess.Popen[str]") -> None:
    if guard.stdin is None or guard.stdout is None:
        return
    guard.stdin.close()
    guard.stdout.close()
    guard.wait(timeout=60)


def run_guard() -> None:
    """Run a server until standard input is closed."""
    with tempfile.TemporaryDirectory(prefix="bo-embedded-") as folder:
        log = Path(folder) / "log"
        serve = [sys.executable, "-P", "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0"]
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
    run_guard()
