"""One evaluation of an objective: what is asked, how it may end, and what happens to exceptions."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bo_client import FailureReason, InvalidRequest, StopTrial, Value
from bo_client.failures import described, failure_of
from bo_client.out_of_memory import MemoryKills
from bo_client.parameters import plain

from bo_objectives.base import Examinable, Exportable, Objective, Repeatable, Run, TrialFailed
from bo_objectives.discovery import make
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")


@dataclass(frozen=True)
class Recipe:
    """How an objective is made, in any process."""

    name: str
    options: tuple[tuple[str, str | tuple[str, ...]], ...] = ()
    """Each with its value."""

    def make(self) -> Objective:
        """Raises SetupError."""
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


@dataclass(frozen=True)
class Report:
    """A point of the learning curve."""

    step: int
    metrics: Mapping[str, float]
    checkpoint_uri: str = ""


@dataclass(frozen=True)
class Labels:
    """To be kept with the trial when it ends."""

    labels: Mapping[str, str]


Message = Report | Labels
"""What an evaluation says on its way."""


@dataclass(frozen=True)
class Succeeded:
    """The final metrics."""

    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Failed:
    """Why there are none."""

    reason: FailureReason
    message: str
    is_setup: bool = False
    """Every trial would fail so: the worker lacks something."""


@dataclass(frozen=True)
class Stopped:
    """It ended early because it was told to, or because the worker ends."""


Outcome = Succeeded | Failed | Stopped


@dataclass(frozen=True)
class TaskRun:
    """The run that an objective is given."""

    task: Task
    send: Callable[[Message], None]
    """Raises StopTrial, at a report."""

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
        self.send(Report(int(step), {name: float(value) for name, value in metrics.items()}, checkpoint_uri))

    def label(self, labels: Mapping[str, str]) -> None:
        self.send(Labels({str(name): str(text) for name, text in labels.items()}))


def evaluate(objective: Objective, task: Task, send: Callable[[Message], None]) -> Outcome:
    """Runs the objective; every exception becomes an outcome."""
    kills = MemoryKills()
    try:
        task.directory.mkdir(parents=True, exist_ok=True)
        return Succeeded(_numbers(_call(objective, task, TaskRun(task, send))))
    except StopTrial:
        return Stopped()
    except SetupError as error:
        return Failed(FailureReason.CRASHED, str(error), is_setup=True)
    except BaseException as error:  # a worker goes on, whatever its objective raises
        failure = failure_of(error, kills)
        if not isinstance(error, TrialFailed):
            logger.exception("trial %d failed", task.number)
        if failure.reason is FailureReason.PREEMPTED and not isinstance(error, TrialFailed):
            return Failed(FailureReason.CRASHED, _left(error))
        return Failed(failure.reason, failure.message)


def _left(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        said = f": {error.code}" if isinstance(error.code, str) else ""
        return f"the objective left with exit code {code} (sys.exit){said}"
    return f"the objective raised {described(error)}"


def _numbers(returned: object) -> dict[str, float]:
    """The metrics that an objective returned. Raises InvalidRequest where they are none."""
    if not isinstance(returned, Mapping):
        what = f"returned {returned!r:.100}" if returned is not None else "returned None"
        raise InvalidRequest.of("metrics", f"the objective {what}; return metrics by name, such as {{'loss': 0.5}}")
    found: dict[str, float] = {}
    for name, value in returned.items():
        number = plain(f"metrics[{name!r}]", value)
        if isinstance(number, str):
            raise InvalidRequest.of(f"metrics[{name!r}]", f"is {number!r}; it must be a number")
        found[str(name)] = float(number)
    return found


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
    if not isinstance(objective, Examinable):
        raise SetupError("the objective has no examine(parameters, run)")
    return objective.examine(task.parameters, run)
