"""A fleet: starts one actor for each worker, waits for all, and ends them in good order."""

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

from bo_objectives.fleet.member import Ended, Member, Place

logger = logging.getLogger("bo_objectives")

BESIDE = "beside"
"""The group of calls that are answered while a worker runs."""
TICK_S = 0.5
END_S = 40.0
"""How long workers have to give their trials back; a little more than each takes at the most."""
ROOM_S = 30.0
"""After how long workers that wait for room are mentioned."""


@dataclass(frozen=True)
class FleetSettings:
    """What the cluster is asked for."""

    workers: int
    gpus: float
    """For each worker; a part of one is allowed below 1."""
    cpus: float
    restarts: int
    """Of each worker that is lost with its process or machine; -1: any number."""
    name: str
    """The worker ids begin with it."""


class _Worker:
    """One actor, seen from here."""

    def __init__(self, number: int, options: Mapping[str, Any], settings: FleetSettings) -> None:
        self.number = number
        self.place: Place | None = None
        self.ended: Ended | None = None
        actor = ray.remote(concurrency_groups={BESIDE: 1})(Member).options(
            num_gpus=settings.gpus,
            num_cpus=settings.cpus,
            max_restarts=settings.restarts,
            max_task_retries=settings.restarts,
        )
        self._actor = actor.remote(number, {**options, "worker_id": f"{settings.name}/{number}"})
        self._place = self._actor.place.options(concurrency_group=BESIDE).remote()
        self._run = self._actor.run.remote()

    @property
    def awaited(self) -> list[Any]:
        """What Ray should wait for."""
        return [self._run] if self.place else [self._place, self._run]

    def look(self, ready: set[Any]) -> None:
        """Takes what has come."""
        if self.place is None and self._place in ready:
            self._locate()
        if self._run in ready:
            self.ended = self._outcome()
            self.kill()  # its resources are another's now

    def ask_to_end(self) -> None:
        """Where it has begun, it gives its trial back."""
        if self.place is None:
            self.drop()
        elif self.ended is None:
            self._actor.end.options(concurrency_group=BESIDE).remote()

    def drop(self) -> None:
        """It has not begun, and needn't."""
        self.ended = Ended(0)
        self.kill()

    def kill(self) -> None:
        ray.kill(self._actor)

    def _locate(self) -> None:
        try:
            self.place = ray.get(self._place)
            logger.info("worker %d is on %s", self.number, self.place)
        except RayError as error:
            logger.warning("worker %d can't be placed: %s", self.number, _brief(error))

    def _outcome(self) -> Ended:
        try:
            ended: Ended = ray.get(self._run)
        except RayError as error:
            ended = Ended(1, f"is lost: {_brief(error)}")
        if ended.error:
            logger.error("worker %d: %s", self.number, ended.error)
        else:
            logger.info("worker %d has ended with %d", self.number, ended.code)
        return ended


def run(options: Mapping[str, Any], settings: FleetSettings) -> tuple[int, str]:
    """Runs a study's trials on the cluster that Ray is connected to, until there are none left.

    The exit code: 0 where the study has no more trials, 128 + the signal that ended the fleet, else 1 and why.
    """
    if not _has_node_for(settings):
        logger.warning(
            "no machine of the cluster has %g GPUs and %g CPUs; waiting until one has", settings.gpus, settings.cpus
        )
    workers = [_Worker(i + 1, options, settings) for i in range(settings.workers)]
    with _signals() as caught:
        _follow(workers, caught)
        if caught:
            _end(workers, caught)
    if caught:
        return 128 + caught[0], ""
    if any(worker.place and worker.ended == Ended(0) for worker in workers):
        return 0, ""
    return 1, next((worker.ended.error for worker in workers if worker.ended and worker.ended.error), "")


def _follow(workers: list[_Worker], caught: list[int]) -> None:
    """Until all have ended, or a signal has come."""
    began, is_told = time.monotonic(), False
    while not caught and (going := [worker for worker in workers if worker.ended is None]):
        _look(going, TICK_S)
        waiting = [worker for worker in going if worker.place is None and worker.ended is None]
        if any(worker.place and worker.ended == Ended(0) for worker in workers):
            for worker in waiting:
                worker.drop()  # the study has no trials left
        elif waiting and not is_told and time.monotonic() - began > ROOM_S:
            is_told = True
            logger.warning("%d of %d workers wait for room in the cluster", len(waiting), len(workers))


def _look(workers: list[_Worker], seconds: float) -> None:
    awaited = [ref for worker in workers for ref in worker.awaited]
    ready, _ = ray.wait(awaited, num_returns=1, timeout=seconds)
    if ready:
        ready, _ = ray.wait(awaited, num_returns=len(awaited), timeout=0)
    for worker in workers:
        worker.look(set(ready))


def _end(workers: list[_Worker], caught: list[int]) -> None:
    """Lets all give their trials back; a second signal ends them as they are, and the leases run out."""
    for worker in workers:
        worker.ask_to_end()
    deadline = time.monotonic() + END_S
    while len(caught) < 2 and time.monotonic() < deadline:
        going = [worker for worker in workers if worker.ended is None]
        if not going:
            return
        _look(going, TICK_S)
    for worker in workers:
        if worker.ended is None:
            worker.kill()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT end the fleet; yields those that came. Signals belong to the main thread."""
    caught: list[int] = []

    def catch(number: int, _: FrameType | None) -> None:
        logger.warning("%s: the workers give their trials back and end", signal.Signals(number).name)
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
    """Whether a machine, empty, could hold a worker."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return any(found.get("GPU", 0.0) >= settings.gpus and found.get("CPU", 0.0) >= settings.cpus for found in resources)


def _brief(error: Exception) -> str:
    """Ray's messages have many lines; the first says what happened."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
