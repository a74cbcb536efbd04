"""Where trials are evaluated: in child processes, or in this process."""

import time
from collections.abc import Mapping
from typing import Protocol

from bo_client import StopTrial
from bo_client.out_of_memory import MemoryKills
from bo_client.outcomes import FinalMetrics
from bo_objectives.base import Objective

from bo_worker.evaluation import (
    EvaluationTask,
    Interruption,
    Labels,
    Message,
    Outcome,
    Report,
    Stopped,
    Task,
    evaluate,
    interrupt,
)
from bo_worker.evaluation_process import Answer, EvaluationProcess

TICK_S = 0.5
STOP_GRACE_S = 60.0
"""How long a trial that was told to stop may go on without a report."""
END_GRACE_S = 3.0


class Watch(Interruption, Protocol):
    """An observer of a trial while it is evaluated. Its methods return soon, and raise nothing."""

    def report(self, report: Report) -> None: ...

    def label(self, labels: Mapping[str, str]) -> None: ...

    def beat(self) -> None:
        """Send the reports that the server doesn't have yet, or a heartbeat."""

    @property
    def until_step(self) -> int | None:
        """The step up to which the trial is trained now; None to train it to its end in one go."""

    @property
    def has_unsent(self) -> bool:
        """Whether reports wait to be sent to the server."""

    @property
    def is_over(self) -> bool:
        """Whether the result is not needed any more, as the trial is another worker's, or this worker ends."""


class Evaluator(Protocol):
    """Evaluates one task at a time."""

    def evaluate(self, task: Task, watch: Watch) -> Outcome: ...

    def close(self) -> None: ...


class ChildEvaluator:
    """An evaluator in a child process, which is replaced after some trials, as memory grows, and after each failure."""

    def __init__(
        self, recipe: EvaluationTask, trials_per_process: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._recipe = recipe
        self._environment = environment
        self._most = trials_per_process
        self._child: EvaluationProcess | None = None

    def evaluate(self, task: Task, watch: Watch) -> Outcome:
        child = self._child or EvaluationProcess(self._recipe, self._environment)
        self._child = child
        kills = MemoryKills()
        try:
            child.begin(task)
            outcome = _follow(child, watch)
        except (EOFError, OSError):
            outcome = child.died(kills)
        child.evaluated += 1
        is_idle = isinstance(outcome, FinalMetrics) or (isinstance(outcome, Stopped) and outcome.is_at_checkpoint)
        if child.evaluated >= self._most or not is_idle:
            self.close()
        return outcome

    def close(self) -> None:
        if self._child is not None:
            self._child.end(END_GRACE_S)
            self._child = None


def _follow(child: EvaluationProcess, watch: Watch) -> Outcome:
    """Wait until the trial has ended, or must. Raises EOFError or OSError where the child dies."""
    told_at: float | None = None
    undecided: Report | None = None
    while True:
        message = child.message(TICK_S)
        if isinstance(message, Report):
            watch.report(message)
            undecided = message if message.is_decisive else None
            if undecided is None:
                child.answer(_answer(watch))
        elif isinstance(message, Labels):
            watch.label(message.labels)
        elif message is not None:
            return message
        if watch.is_over:
            return Stopped()
        if undecided is not None:
            if watch.has_unsent:
                watch.beat()  # the server was away
            if not watch.has_unsent:
                child.answer(_answer(watch, undecided.step))
                undecided = None
        if watch.stop_reason is not None or watch.pause_reason is not None:
            if told_at is None:
                child.answer(_answer(watch))
            told_at = told_at or time.monotonic()
            if time.monotonic() - told_at > STOP_GRACE_S:
                return Stopped()


def _answer(watch: Watch, decided_step: int | None = None) -> Answer:
    return Answer(watch.stop_reason, watch.pause_reason, watch.until_step, decided_step)


class LocalEvaluator:
    """An evaluator in this process, as debuggers need it."""

    def __init__(self, recipe: EvaluationTask) -> None:
        self._recipe = recipe
        self._objective: Objective | None = None

    def evaluate(self, task: Task, watch: Watch) -> Outcome:
        self._objective = self._objective or self._recipe.make()

        def send(message: Message) -> int | None:
            if isinstance(message, Labels):
                watch.label(message.labels)
                return None
            watch.report(message)
            while message.is_decisive and watch.has_unsent and not watch.is_over:
                time.sleep(TICK_S)
                watch.beat()
            interrupt(watch)
            if watch.is_over:
                raise StopTrial("the trial is over")
            return watch.until_step

        return evaluate(self._objective, task, send)

    def close(self) -> None:
        self._objective = None
