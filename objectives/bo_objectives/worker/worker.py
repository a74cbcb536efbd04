"""The worker: slots that run trials side by side, until the study is done or somebody ends it."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bo_client import Client, ObjectiveSpec, Shortfall, Study
from bo_client.outcomes import Outcomes, why_no_more

from bo_objectives.errors import SetupError
from bo_objectives.worker.compared import objective_spec
from bo_objectives.worker.enrollment import Enrollment, enroll
from bo_objectives.worker.evaluation import Recipe
from bo_objectives.worker.evaluators import ChildEvaluator, Evaluator, LocalEvaluator
from bo_objectives.worker.slot import PATIENCE_S, Ending, Slot

logger = logging.getLogger("bo_objectives")

HASTE_S = 5.0
END_S = 30.0
"""How long slots have to end."""


@dataclass(frozen=True)
class WorkerSettings:
    """How trials are run."""

    worker_id: str
    directory: Path
    parallel: int = 1
    trials_per_process: int = 10
    max_failures: int = 5
    """Broken trials in a row after which the worker ends."""
    is_local: bool = False
    """Whether trials are evaluated in this process."""
    gpus: tuple[str, ...] = ()
    """The GPUs that slots use in turn, as CUDA_VISIBLE_DEVICES has them; empty where each slot sees all."""

    def environment(self, slot: int) -> dict[str, str]:
        """Of the slot's process."""
        return {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if self.gpus else {}


def run(
    client: Client, recipe: Recipe, asked: Enrollment, settings: WorkerSettings, ending: Ending | None = None
) -> int:
    """Runs trials until there are none left; the exit code: 0, or 128 + the signal that ended it.

    It runs at most `asked.max_trials` where the study exists with another limit, which stays as it is. At the end it
    logs how many trials it ran and why there are no more.

    `ending` lets another thread end it; signals do too, where this is the main thread.

    Raises:
        SetupError: the objective or the study can't be run, or too many trials broke down.
        BoClientError: the server refuses, or isn't there when the worker begins.
    """
    definition = recipe.make().define()
    objective = objective_spec(recipe, definition)
    study = enroll(client, definition, asked, objective)
    limit = None if asked.max_trials == study.definition.max_trials else asked.max_trials
    ending = ending or Ending(settings.max_failures)
    ending.limit(limit)
    outcomes = Outcomes(study.name, limit, logger)
    with _signals(ending) as caught:
        threads = [
            threading.Thread(target=slot.run, name=f"slot-{i}", daemon=True)
            for i, slot in enumerate(_slots(client, study, recipe, settings, ending, outcomes, objective))
        ]
        for thread in threads:
            thread.start()
        _join(threads, ending)
    outcomes.end(_why(study, ending, caught, outcomes), ending.shortfall is Shortfall.COMPLETED)
    if ending.error:
        raise SetupError(ending.error)
    return 128 + caught[0] if caught else 0


def _why(study: Study, ending: Ending, caught: list[int], outcomes: Outcomes) -> str:
    """Why the worker ends, in words."""
    if ending.error:
        return ending.error
    if caught:
        return f"{signal.Signals(caught[0]).name}, and what ran was given back"
    if ending.is_asked():
        return "it was asked to end"
    if ending.shortfall is None and outcomes.wanted is not None:
        return "as many as --max-trials says; the study goes on"
    return why_no_more(study, ending.shortfall)


def _slots(
    client: Client,
    study: Study,
    recipe: Recipe,
    settings: WorkerSettings,
    ending: Ending,
    outcomes: Outcomes,
    objective: ObjectiveSpec,
) -> Iterator[Slot]:
    patient = Study(Client(client.transport, client.timeout, PATIENCE_S, wait=ending.wait), study.definition)
    impatient = Study(Client(client.transport, HASTE_S, 0.0), study.definition)
    for i in range(settings.parallel):
        name = settings.worker_id if settings.parallel == 1 else f"{settings.worker_id}/{i + 1}"
        evaluator: Evaluator = ChildEvaluator(recipe, settings.trials_per_process, settings.environment(i))
        if settings.is_local:
            evaluator = LocalEvaluator(recipe)
        yield Slot(patient, impatient, evaluator, name, settings.directory, ending, outcomes, objective)


def _join(threads: list[threading.Thread], ending: Ending) -> None:
    """Waits for all; once the worker should end, no longer than they may take for that."""
    while any(thread.is_alive() for thread in threads) and not ending.wait(0.2):
        pass
    deadline = time.monotonic() + END_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _signals(ending: Ending) -> Iterator[list[int]]:
    """SIGTERM and SIGINT ask the worker to end; yields those that came. Signals belong to the main thread."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, _: FrameType | None) -> None:
        logger.warning("%s: giving trials back and ending", signal.Signals(number).name)
        caught.append(number)
        ending.ask()

    before = [(number, signal.signal(number, catch)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
