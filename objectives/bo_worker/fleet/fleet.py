"""A fleet: it starts one actor for each worker, waits for all, and ends them gracefully."""

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import ray
from ray.exceptions import RayError

from bo_worker.fleet.ray_worker import RayWorker, WorkerExit, WorkerLocation

logger = logging.getLogger("bo_objectives")

CONTROL_GROUP = "beside"
"""The concurrency group of calls that are answered while a worker runs."""
POLL_INTERVAL_S = 0.5
SHUTDOWN_TIMEOUT_S = 40.0
"""Seconds that workers have to return their trials; slightly more than each takes at most."""
PLACEMENT_WARNING_S = 30.0
"""Seconds after which workers that wait for resources are logged."""


@dataclass(frozen=True)
class FleetSettings:
    """The resources and workers of a fleet."""

    workers: int
    gpus: float
    """For each worker; fractions are allowed below 1."""
    cpus: float
    restarts: int
    """Maximum restarts of each lost worker; -1 for no limit."""
    name: str
    """Prefix of the worker ids."""


class _Worker:
    """The driver's handle of one actor."""

    def __init__(self, number: int, options: Mapping[str, Any], settings: FleetSettings) -> None:
        self.number = number
        self.place: WorkerLocation | None = None
        self.ended: WorkerExit | None = None
        actor = ray.remote(concurrency_groups={CONTROL_GROUP: 1})(RayWorker).options(
            num_gpus=settings.gpus,
            num_cpus=settings.cpus,
            max_restarts=settings.restarts,
            max_task_retries=settings.restarts,
        )
        self._actor = actor.remote(number, {**options, "worker_id": f"{settings.name}/{number}"})
        self._place = self._actor.place.options(concurrency_group=CONTROL_GROUP).remote()
        self._run = self._actor.run.remote()

    @property
    def awaited(self) -> list[Any]:
        """The references that Ray should wait for."""
        return [self._run] if self.place else [self._place, self._run]

    def update(self, ready: set[Any]) -> None:
        """Process the references that are ready."""
        if self.place is None and self._place in ready:
            self._locate()
        if self._run in ready:
            self.ended = self._outcome()
            self.kill()  # its resources are another's now

    def ask_to_end(self) -> None:
        """Ask the worker to return its trial and end; cancel it if it has not started."""
        if self.place is None:
            self.cancel()
        elif self.ended is None:
            self._actor.end.options(concurrency_group=CONTROL_GROUP).remote()

    def cancel(self) -> None:
        """Cancel a worker that has not started."""
        self.ended = WorkerExit(0)
        self.kill()

    def kill(self) -> None:
        ray.kill(self._actor)

    def _locate(self) -> None:
        try:
            self.place = ray.get(self._place)
            logger.info("worker %d is on %s", self.number, self.place)
        except RayError as error:
            logger.warning("worker %d cannot be placed: %s", self.number, _brief(error))

    def _outcome(self) -> WorkerExit:
        try:
            ended: WorkerExit = ray.get(self._run)
        except RayError as error:
            ended = WorkerExit(1, f"is lost: {_brief(error)}")
        if ended.error:
            logger.error("worker %d: %s", self.number, ended.error)
        else:
            logger.info("worker %d has ended with %d", self.number, ended.code)
        return ended


def run(options: Mapping[str, Any], settings: FleetSettings) -> tuple[int, str]:
    """Run a study's trials on the connected Ray cluster until none are left.

    Args:
        options: options of `bo-worker run`.
        settings: the fleet's settings.

    Returns:
        The exit code and an error: 0 if the study has no more trials, 128 + the signal that ended the fleet, else 1
            with the reason.
    """
    if not _has_node_for(settings):
        logger.warning(
            "no machine of the cluster has %g GPUs and %g CPUs; waiting for one", settings.gpus, settings.cpus
        )
    workers = [_Worker(i + 1, options, settings) for i in range(settings.workers)]
    with _signals() as caught:
        _follow(workers, caught)
        if caught:
            _end(workers, caught)
    if caught:
        return 128 + caught[0], ""
    if any(worker.place and worker.ended == WorkerExit(0) for worker in workers):
        return 0, ""
    return 1, next((worker.ended.error for worker in workers if worker.ended and worker.ended.error), "")


def _follow(workers: list[_Worker], caught: list[int]) -> None:
    """Wait until all workers have ended, or a signal arrives."""
    began, is_warned = time.monotonic(), False
    while not caught and (active := [worker for worker in workers if worker.ended is None]):
        _poll(active, POLL_INTERVAL_S)
        waiting = [worker for worker in active if worker.place is None and worker.ended is None]
        if any(worker.place and worker.ended == WorkerExit(0) for worker in workers):
            for worker in waiting:
                worker.cancel()  # the study has no trials left
        elif waiting and not is_warned and time.monotonic() - began > PLACEMENT_WARNING_S:
            is_warned = True
            logger.warning("%d of %d workers wait for resources of the cluster", len(waiting), len(workers))


def _poll(workers: list[_Worker], seconds: float) -> None:
    awaited = [ref for worker in workers for ref in worker.awaited]
    ready, _ = ray.wait(awaited, num_returns=1, timeout=seconds)
    if ready:
        ready, _ = ray.wait(awaited, num_returns=len(awaited), timeout=0)
    for worker in workers:
        worker.update(set(ready))


def _end(workers: list[_Worker], caught: list[int]) -> None:
    """Let all workers return their trials; a second signal kills them, and their leases expire."""
    for worker in workers:
        worker.ask_to_end()
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT_S
    while len(caught) < 2 and time.monotonic() < deadline:
        active = [worker for worker in workers if worker.ended is None]
        if not active:
            return
        _poll(active, POLL_INTERVAL_S)
    for worker in workers:
        if worker.ended is None:
            worker.kill()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Yield a list of the signals SIGTERM and SIGINT received; only the main thread can handle signals."""
    caught: list[int] = []

    def catch(number: int, _: FrameType | None) -> None:
        logger.warning("%s: the workers return their trials and end", signal.Signals(number).name)
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = [(number, signal.signal(number, catch)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _has_node_for(settings: FleetSettings) -> bool:
    """Return whether an empty machine could hold a worker."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(
        available.get("GPU", 0.0) >= settings.gpus and available.get("CPU", 0.0) >= settings.cpus
        for available in resources
    )


def _brief(error: Exception) -> str:
    """Return the first line of Ray's message, which says what happened."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
