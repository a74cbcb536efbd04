"""One evaluation of an objective: what is asked, how it may end, and what happens to exceptions."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bo_client import Failure, FailureReason, InvalidRequest, PauseTrial, StopTrial, Value
from bo_client.failures import described, failure_of
from bo_client.out_of_memory import MemoryKills
from bo_client.outcomes import FinalMetrics
from bo_client.parameters import metric_values
from bo_objectives.base import Exportable, HasTestSet, Objective, Repeatable, Run, TrialFailed
from bo_objectives.discovery import make
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")


@dataclass(frozen=True)
class EvaluationTask:
    """What a process needs to make an objective."""

    name: str
    options: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    """Each with its value."""

    def make(self) -> Objective:
        """Make the objective. Raises SetupError."""
        return make(self.name, dict(self.options))


@dataclass(frozen=True)
class Task:
    """What is to be evaluated."""

    number: int
    attempt: int
    checkpoint_uri: str
    directory: Path
    parameters: Mapping[str, Value]
    is_examined: bool = False
    """On the data that is held back, rather than as a trial."""
    export_to: Path | None = None
    """Where the examined model is written, with what belongs to it."""
    repeat: int = 0
    """Which repeat it is; 0 for the trial itself."""
    until_step: int | None = None
    """The step up to which it is trained; None: to its end in one go."""


@dataclass(frozen=True)
class Report:
    """A point of the learning curve."""

    step: int
    metrics: Mapping[str, float]
    checkpoint_uri: str = ""
    is_decisive: bool = False
    """Whether the evaluation waits to hear from the server whether to go on."""


@dataclass(frozen=True)
class Labels:
    """Labels that the trial gets when it ends."""

    labels: Mapping[str, str]


Message = Report | Labels
"""What an evaluation says on its way."""


@dataclass(frozen=True)
class SetupFailure(Failure):
    """A failure that every trial would have: the worker lacks something."""


@dataclass(frozen=True)
class Stopped:
    """An evaluation that ended early, because the trial should stop or pause, or because the worker ends."""

    is_at_checkpoint: bool = False
    """Whether the objective has paused it, so that its process can evaluate the next."""


Outcome = FinalMetrics | Failure | Stopped


class Interruption(Protocol):
    """The answer to a report of an evaluation."""

    @property
    def stop_reason(self) -> str | None:
        """Why the trial should end now; None while it may go on."""

    @property
    def pause_reason(self) -> str | None:
        """Why the trial should pause now; None while it may go on."""


def interrupt(requests: Interruption) -> None:
    """Raise StopTrial or PauseTrial where the trial should end or pause."""
    if requests.stop_reason is not None:
        raise StopTrial(requests.stop_reason)
    if requests.pause_reason is not None:
        raise PauseTrial(requests.pause_reason)


class TaskRun:
    """The run that an objective is given."""

    def __init__(self, task: Task, send: Callable[[Message], int | None]) -> None:
        """Create the run.

        Args:
            task: what is evaluated.
            send: sends a message, and returns how far to train. Raises StopTrial and PauseTrial, at a report.
        """
        self.task = task
        self.send = send
        self.until_step = task.until_step

    @property
    def number(self) -> int:
        return self.task.number

    @property
    def attempt(self) -> int:
        return self.task.attempt

    @property
    def checkpoint_uri(self) -> str:
        return self.task.checkpoint_uri

    @property
    def directory(self) -> Path:
        return self.task.directory

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        is_decisive = self.until_step is not None and step >= self.until_step
        values = {name: float(value) for name, value in metrics.items()}
        self.until_step = self.send(Report(int(step), values, checkpoint_uri, is_decisive)) or self.until_step

    def label(self, labels: Mapping[str, str]) -> None:
        self.send(Labels({str(name): str(text) for name, text in labels.items()}))


def evaluate(objective: Objective, task: Task, send: Callable[[Message], int | None]) -> Outcome:
    """Run the objective; every exception becomes an outcome."""
    kills = MemoryKills()
    try:
        task.directory.mkdir(parents=True, exist_ok=True)
        return FinalMetrics(_numbers(_call(objective, task, TaskRun(task, send))))
    except StopTrial as stop:
        return Stopped(isinstance(stop, PauseTrial))
    except SetupError as error:
        return SetupFailure(FailureReason.CRASHED, str(error))
    except BaseException as error:  # a worker goes on, whatever its objective raises
        failure = failure_of(error, kills)
        if not isinstance(error, TrialFailed):
            logger.exception("trial %d failed", task.number)
        if failure.reason is FailureReason.PREEMPTED and not isinstance(error, TrialFailed):
            return Failure(FailureReason.CRASHED, _left(error))
        return failure


def _left(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        said = f": {error.code}" if isinstance(error.code, str) else ""
        return f"the objective left with exit code {code} (sys.exit){said}"
    return f"the objective raised {described(error)}"


def _numbers(returned: object) -> dict[str, float]:
    """Return the metrics that an objective returned. Raises InvalidRequest where they are none."""
    if not isinstance(returned, Mapping):
        what = f"returned {returned!r:.100}" if returned is not None else "returned None"
        raise InvalidRequest.of("metrics", f"the objective {what}; return metrics by name, such as {{'loss': 0.5}}")
    return metric_values(returned)


def _call(objective: Objective, task: Task, run: Run) -> object:
    if task.repeat:
        if not isinstance(objective, Repeatable):
            raise SetupError("the objective has no repeat(parameters, run, index); leave --confirm out")
        return objective.repeat(task.parameters, run, task.repeat)
    if not task.is_examined:
        return objective.evaluate(task.parameters, run)
    if task.export_to is not None:
        if not isinstance(objective, Exportable):
            raise SetupError("the objective has no export(parameters, run, directory); leave --export out")
        return objective.export(task.parameters, run, task.export_to)
    if not isinstance(objective, HasTestSet):
        raise SetupError("the objective has no evaluate_test(parameters, run)")
    return objective.evaluate_test(task.parameters, run)
