"""Where trials are evaluated: in child processes, or in this process."""

import threading
import time
from collections.abc import Mapping
from typing import Protocol

from bo_client import StopTrial
from bo_client.out_of_memory import MemoryKills

from bo_objectives.base import Objective
from bo_objectives.worker.child import Answer, Child
from bo_objectives.worker.evaluation import Labels, Message, Outcome, Recipe, Report, Stopped, Succeeded, Task, evaluate

TICK_S = 0.5
STOP_GRACE_S = 60.0
"""How long a trial that was told to stop may go on without a report."""
END_GRACE_S = 3.0


class Watch(Protocol):
    """Who follows a trial while it is evaluated. Nothing here waits long, and nothing raises."""

    def report(self, report: Report) -> None: ...

    def label(self, labels: Mapping[str, str]) -> None: ...

    def beat(self) -> None:
        """Gives a sign of life where one is due."""

    @property
    def stop_reason(self) -> str | None:
        """Why the trial should end now; None while it may go on."""

    @property
    def is_over(self) -> bool:
        """Whether the result is of no use any more: the trial is another worker's, or this worker ends."""


class Evaluator(Protocol):
    """Evaluates one task at a time."""

    def evaluate(self, task: Task, watch: Watch) -> Outcome: ...

    def close(self) -> None: ...


class ChildEvaluator:
    """In a child process, which is replaced after some trials, because memory grows, and after every failure."""

    def __init__(self, recipe: Recipe, trials_per_process: int, environment: Mapping[str, str] | None = None) -> None:
        self._recipe = recipe
        self._environment = environment
        self._most = trials_per_process
        self._child: Child | None = None

    def evaluate(self, task: Task, watch: Watch) -> Outcome:
        child = self._child or Child(self._recipe, self._environment)
        self._child = child
        kills = MemoryKills()
        try:
            child.begin(task)
            outcome = _follow(child, watch)
        except (EOFError, OSError):
            outcome = child.died(kills)
        child.evaluated += 1
        if child.evaluated >= self._most or not isinstance(outcome, Succeeded):
            self.close()
        return outcome

    def close(self) -> None:
        if self._child is not None:
            self._child.end(END_GRACE_S)
            self._child = None


def _follow(child: Child, watch: Watch) -> Outcome:
    """Until the trial has ended, or must. Raises EOFError or OSError where the child dies."""
    told_at: float | None = None
    while True:
        message = child.message(TICK_S)
        if isinstance(message, Report):
            watch.report(message)
            child.answer(Answer(watch.stop_reason))
        elif isinstance(message, Labels):
            watch.label(message.labels)
        elif message is not None:
            return message
        watch.beat()
        if watch.is_over:
            return Stopped()
        if watch.stop_reason is not None:
            if told_at is None:
                child.answer(Answer(watch.stop_reason))
            told_at = told_at or time.monotonic()
            if time.monotonic() - told_at > STOP_GRACE_S:
                return Stopped()


class LocalEvaluator:
    """In this process, as debuggers like it; signs of life come from a thread."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._objective: Objective | None = None

    def evaluate(self, task: Task, watch: Watch) -> Outcome:
        self._objective = self._objective or self._recipe.make()
        ended = threading.Event()

        def live() -> None:
            while not ended.wait(TICK_S):
                watch.beat()

        def send(message: Message) -> None:
            if isinstance(message, Labels):
                watch.label(message.labels)
                return
            watch.report(message)
            if watch.stop_reason is not None or watch.is_over:
                raise StopTrial(watch.stop_reason or "the trial is over")

        heart = threading.Thread(target=live, name="heart", daemon=True)
        heart.start()
        try:
            return evaluate(self._objective, task, send)
        finally:
            ended.set()
            heart.join()

    def close(self) -> None:
        self._objective = None
