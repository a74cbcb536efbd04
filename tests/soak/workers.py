"""Healthy workers: they count what goes wrong, and how long their calls take."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import bo_client

from tests.soak.levels import Latency

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0), bo_client.FloatParameter("y", 0.0, 1.0)])
TRIALS, HEARTBEATS, PAUSE_S, TIMEOUT_S = 25, 4, 0.1, 30.0


class HealthyWorker:
    """A thread that runs trials of one study after the other; old studies are deleted, so that the data stays small."""

    def __init__(self, address: str, token: str, admin: str, number: int) -> None:
        self.completed = 0
        self.faults: list[str] = []
        """Leases that were lost, and calls that failed for good."""
        self.latencies: list[Latency] = []
        self._address, self._token, self._admin, self._number = address, token, admin, number
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"worker-{number}")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(120)
        if self._thread.is_alive():
            self.faults.append("a worker hangs")

    def _run(self) -> None:
        with (
            bo_client.connect(self._address, token=self._token, timeout=TIMEOUT_S) as client,
            bo_client.connect(self._address, token=self._admin, timeout=TIMEOUT_S) as admin,
        ):
            made = 0
            while not self._stopped.is_set():
                made += 1
                name = f"healthy-{self._number}-{made}"
                try:
                    study = client.create_study(name, SPACE, "loss", goal="minimize")
                    for _ in range(TRIALS):
                        self._work(study)
                    admin.delete_study(name)
                except Exception as error:
                    self.faults.append(f"{type(error).__name__}: {error}")
                    self._stopped.wait(1.0)

    def _work(self, study: bo_client.Study) -> None:
        if self._stopped.is_set():
            return
        with self._timed("suggest"):
            (trial,) = study.suggest()
        for _ in range(HEARTBEATS):
            with self._timed("heartbeat"):
                is_mine = trial.heartbeat().lease_valid
            if not is_mine:
                self.faults.append(f"{study.name}: a lease was lost")
                return
            self._stopped.wait(PAUSE_S)
        with self._timed("complete"):
            trial.complete({"loss": (trial.parameters["x"] - 0.3) ** 2})
        self.completed += 1

    @contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.latencies.append(Latency(kind, began, time.monotonic() - began))
