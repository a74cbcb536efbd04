"""A process that evaluates one trial after another, so that whatever an objective does, the worker lives.

The two processes talk over a pipe: Task → Message… → Outcome, and Answer to each report, or at any time where the trial
should stop. The process is spawned, and dies with its parent.
"""

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

from bo_client import FailureReason, StopTrial
from bo_client.out_of_memory import MemoryKills, killed

from bo_objectives.base import Objective
from bo_objectives.errors import SetupError
from bo_objectives.worker.evaluation import Failed, Labels, Message, Outcome, Recipe, Task, evaluate

ANSWER_PATIENCE_S = 1.0
"""How long training waits for the answer to a report; a stop that comes later ends it at the next one."""


@dataclass(frozen=True)
class Answer:
    """To a report, or of its own accord."""

    stop_reason: str | None = None
    """Why the trial should end now; None where it goes on."""


class Child:
    """The parent's side."""

    def __init__(self, recipe: Recipe, environment: Mapping[str, str] | None = None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_main, args=(theirs, recipe, dict(environment or {})), name="bo-objective", daemon=True
        )
        self._process.start()
        theirs.close()
        self.evaluated = 0
        """How many trials it has ended."""

    def begin(self, task: Task) -> None:
        """Raises OSError where it has died."""
        self._connection.send(task)

    def answer(self, answer: Answer) -> None:
        """Raises OSError where it has died."""
        self._connection.send(answer)

    def message(self, timeout: float) -> Message | Outcome | None:
        """The next one; None after `timeout` seconds without. Raises EOFError or OSError where it has died."""
        if not self._connection.poll(timeout):
            return None
        found: Message | Outcome = self._connection.recv()
        return found

    def end(self, grace: float) -> None:
        """Ends it, if need be by force after `grace` seconds."""
        self._connection.close()
        self._process.terminate()
        self._process.join(grace)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def died(self, kills: MemoryKills) -> Failed:
        """Why it is gone; `kills` was made before the trial began."""
        self._process.join(5.0)
        code = self._process.exitcode
        reason = FailureReason.CRASHED
        if code == -signal.SIGTERM:  # to all processes of a service or job, or to this one: not by its own fault
            reason, how = FailureReason.PREEMPTED, "was ended by SIGTERM"
        elif code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                is_kernels, why = killed(kills)
                reason = FailureReason.OUT_OF_MEMORY if is_kernels else reason
                how += f", {why}"
        else:
            how = f"ended with exit code {code}"
        return Failed(reason, f"the process that evaluated the trial {how}")


def _main(connection: Connection, recipe: Recipe, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    _follow_parent()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # standard output is the worker's
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the worker; programs we start get their default back
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, Task):  # an Answer that nobody waited for is dropped
            with suppress(OSError):  # the worker has gone
                connection.send(_evaluated(recipe, message, connection))


def _evaluated(recipe: Recipe, task: Task, connection: Connection) -> Outcome:
    try:
        objective = _made(recipe)
    except SetupError as error:
        return Failed(FailureReason.CRASHED, str(error), is_setup=True)
    return evaluate(objective, task, lambda message: _send(connection, message))


@cache
def _made(recipe: Recipe) -> Objective:
    """The process's objective, which keeps what it has loaded."""
    return recipe.make()


def _send(connection: Connection, message: Message) -> None:
    connection.send(message)
    if isinstance(message, Labels):
        return
    timeout = ANSWER_PATIENCE_S
    while connection.poll(timeout):
        answer: Answer = connection.recv()
        if answer.stop_reason is not None:
            raise StopTrial(answer.stop_reason)
        timeout = 0.0


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="follow-parent", daemon=True).start()
