"""Our end of the pipe to a peer's process."""

import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "TF_NUM_INTRAOP")}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
XLA = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
PACKAGES = (ROOT, ROOT / "proto", ROOT / "objectives", ROOT / "clients" / "python")


class PeerError(Exception):
    """The peer's process ended, or its environment isn't there."""


class PeerTooSlow(PeerError):
    """The peer's time was up."""


@dataclass(frozen=True)
class Asked:
    """A config, and how long the peer thought about it."""

    config: dict[str, Any]
    seconds: float


class PeerProcess:
    """A peer in a process of its own, on one thread. Use it as a context; what it says on stderr goes to `log`.

    Raises:
        PeerError: it has no environment.
    """

    def __init__(
        self,
        python: Path,
        module: str,
        variant: str,
        study: tuple[Sequence[Mapping[str, Any]], int, int],
        log: IO[str] | None = None,
        limit_s: float | None = None,
    ) -> None:
        """After `limit_s` seconds, if any, the peer is ended."""
        if not python.exists():
            raise PeerError(f"there is no {python}: make it with python -m benchmarks install")
        space, seed, budget = study
        command = [str(python), "-m", "benchmarks.peers.serve", module, variant]
        paths = {"PYTHONPATH": os.pathsep.join(str(p) for p in PACKAGES), "PYTHONHASHSEED": "0"}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL, text=True,
            env={**os.environ, **ONE_THREAD, **QUIET, **XLA, **paths},
        )  # fmt: skip
        self._limit_s, self._is_late = limit_s, False
        self._end = threading.Timer(limit_s or 0.0, self._give_up)
        self._end.daemon = True
        if limit_s is not None:
            self._end.start()
        self._send({"space": list(space), "seed": seed, "budget": budget})

    def __enter__(self) -> "PeerProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._end.cancel()
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass
        finally:
            self._child.stdout.close()
            self._child.kill()
            self._child.wait()

    def ask(self) -> Asked:
        """Return the next config.

        Raises:
            PeerError: the peer is gone.
        """
        answer = self._call({"do": "ask"})
        return Asked(answer["config"], answer["seconds"])

    def tell(self, config: Mapping[str, Any], value: float | None) -> float:
        """Tell the result of a config, and return the seconds that the peer took to learn it.

        Raises:
            PeerError: the peer is gone.
        """
        return float(self._call({"do": "tell", "config": dict(config), "value": value})["seconds"])

    def withdraw(self, config: Mapping[str, Any]) -> None:
        """Say that another config is run, and told next, in the place of the one that the peer asked for last.

        Raises:
            PeerError: the peer is gone.
        """
        self._call({"do": "withdraw", "config": dict(config)})

    def recommend(self) -> dict[str, Any] | None:
        """Return the configuration that the peer recommends after what it was told, or None if it recommends none.

        Raises:
            PeerError: the peer is gone.
        """
        config: dict[str, Any] | None = self._call({"do": "recommend"})["config"]
        return config

    def _call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._send(request)
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise self._gone() from error

    def _give_up(self) -> None:
        self._is_late = True
        self._child.kill()

    def _gone(self) -> PeerError:
        status = self._child.wait()
        if self._is_late:
            return PeerTooSlow(f"more than {self._limit_s:g} s")
        return PeerError(f"the peer's process ended with status {status}")
