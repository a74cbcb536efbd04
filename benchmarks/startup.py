"""How long after it was started a server answers its first health check, and what importing the client takes.

Usage: python -m benchmarks.startup --times 10
"""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PAUSE_S = 0.01
IMPORTS = ("bo_client", "bo_service.bootstrap")


def first_answer(storage: str) -> float:
    """Seconds until a server over this storage is SERVING."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    begin = time.monotonic()
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", storage, "--listen", address]
    process = subprocess.Popen([*command, "--log-level", "warning"], stdout=subprocess.DEVNULL)
    try:
        while not _serves(address):
            time.sleep(PAUSE_S)
        return time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def _serves(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:  # a channel that has failed waits before it tries again
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1.0)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def import_seconds(module: str) -> float:
    """Return the seconds that a module's import takes in a fresh interpreter."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@click.command()
@click.option("--times", default=10, show_default=True)
def main(times: int) -> None:
    """Measure starts."""
    click.echo("| what | median, s | most, s |")
    click.echo("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        fresh = [first_answer(f"sqlite:///{Path(folder) / str(i)}.db") for i in range(times)]
        again = [first_answer(f"sqlite:///{Path(folder) / '0'}.db") for _ in range(times)]
    rows = {"first health check, new file": fresh, "first health check, the same file again": again}
    rows |= {f"`import {module}`": [import_seconds(module) for _ in range(times)] for module in IMPORTS}
    for label, taken in rows.items():
        click.echo(f"| {label} | {median(taken):.2f} | {max(taken):.2f} |")


if __name__ == "__main__":
    main()
