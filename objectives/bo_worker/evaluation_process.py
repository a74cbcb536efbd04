"""A child process that evaluates trials one after another, so that the worker survives whatever an objective does.

The two processes communicate over a pipe: Task → Message… → Outcome, and Answer to each report, or at any time if the
trial should stop. The process is spawned, and ends with its parent.
"""

import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection

from bo_client import Failure, FailureReason
from bo_client.out_of_memory import MemoryKills, killed
from bo_client.terminal import guarded
from bo_objectives.base import Objective
from bo_objectives.errors import SetupError

from bo_worker.evaluation import EvaluationTask, Labels, Message, Outcome, SetupFailure, Task, evaluate, interrupt

ANSWER_TIMEOUT_S = 1.0
"""Seconds that training waits for the answer to a report; a later stop takes effect at the next report."""


@dataclass(frozen=True)
class Answer:
    """A message to the child, in response to a report or at any time."""

    stop_reason: str | None = None
    """The reason to end the trial now; None to continue."""
    pause_reason: str | None = None
    """The reason to pause the trial now; None to continue."""
    until_step: int | None = None
    """How far to train; None: to the end, or as far as before."""
    decided_step: int | None = None
    """The step of the decisive report that is answered; None for others."""


class EvaluationProcess:
    """The parent's side of the child process."""

    def __init__(self, evaluation: EvaluationTask, environment: Mapping[str, str] | None = None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_main, args=(theirs, evaluation, dict(environment or {})), name="bo-objective", daemon=True
        )
        self._process.start()
        theirs.close()
        self.evaluated = 0
        """Number of trials that the process has finished."""

    def begin(self, task: Task) -> None:
        """Send a task.

        Raises:
            OSError: the process has died.
        """
        self._connection.send(task)

    def answer(self, answer: Answer) -> None:
        """Send an answer.

        Raises:
            OSError: the process has died.
        """
        self._connection.send(answer)

    def message(self, timeout: float) -> Message | Outcome | None:
        """Return the next message; None after `timeout` seconds without one.

        Raises:
            EOFError: the process has died.
            OSError: the process has died.
        """
        if not self._connection.poll(timeout):
            return None
        received: Message | Outcome = self._connection.recv()
        return received

    def end(self, grace: float) -> None:
        """Terminate the process, by force after `grace` seconds."""
        self._connection.close()
        self._process.terminate()
        self._process.join(grace)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def died(self, kills: MemoryKills) -> Failure:
        """Return the failure that explains the process's death; `kills` was created before the trial began."""
        self._process.join(5.0)
        code = self._process.exitcode
        reason = FailureReason.CRASHED
        if code == -signal.SIGTERM:  # to all processes of a service or job, or to this one: not by its own fault
            reason, description = FailureReason.PREEMPTED, "was ended by SIGTERM"
        elif code is not None and code < 0:
            description = f"was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                is_kernels, why = killed(kills)
                reason = FailureReason.OUT_OF_MEMORY if is_kernels else reason
                description += f", {why}"
        else:
            description = f"ended with exit code {code}"
        return Failure(reason, f"the process that evaluated the trial {description}")


def _main(connection: Connection, evaluation: EvaluationTask, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    _follow_parent()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # standard output is the worker's
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a process that is killed has shown what it printed
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the worker; programs we start get their default back
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=guarded(sys.stderr))
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, Task):  # an Answer that nobody waited for is dropped
            outcome = _evaluate(evaluation, message, connection)
            with suppress(OSError, ValueError, AttributeError):  # the objective may have closed or replaced it
                sys.stdout.flush()
            with suppress(OSError):  # the worker has gone
                connection.send(outcome)


def _evaluate(evaluation: EvaluationTask, task: Task, connection: Connection) -> Outcome:
    try:
        objective = _objective(evaluation)
    except SetupError as error:
        return SetupFailure(FailureReason.CRASHED, str(error))
    return evaluate(objective, task, lambda message: _send(connection, message))


@cache
def _objective(evaluation: EvaluationTask) -> Objective:
    """Return the process's objective, which keeps its loaded resources."""
    return evaluation.make()


def _send(connection: Connection, message: Message) -> int | None:
    """Send a message, and return how far to train. Raises StopTrial and PauseTrial."""
    connection.send(message)
    if isinstance(message, Labels):
        return None
    until_step = None
    timeout = None if message.is_decisive else ANSWER_TIMEOUT_S
    while connection.poll(timeout):
        answer: Answer = connection.recv()
        interrupt(answer)
        until_step = answer.until_step or until_step
        if not message.is_decisive or answer.decided_step == message.step:
            timeout = 0.0
    return until_step


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="follow-parent", daemon=True).start()
