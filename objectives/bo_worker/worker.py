"""The worker: slots that run trials in parallel, until the study is complete or the worker is stopped."""

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

from bo_worker.evaluation import EvaluationTask
from bo_worker.evaluators import ChildEvaluator, Evaluator, LocalEvaluator
from bo_worker.objective_comparison import objective_spec
from bo_worker.slot import DELIVERY_TIMEOUT_S, ShutdownSignal, Slot
from bo_worker.study_request import StudyRequest, get_or_create_study

logger = logging.getLogger("bo_objectives")

SHUTDOWN_CALL_TIMEOUT_S = 5.0
SHUTDOWN_TIMEOUT_S = 30.0
"""Seconds that slots have to end."""


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of a worker."""

    worker_id: str
    directory: Path
    parallel: int = 1
    trials_per_process: int = 10
    max_failures: int = 5
    """Number of consecutive broken trials after which the worker ends."""
    is_local: bool = False
    """Whether trials are evaluated in this process."""
    gpus: tuple[str, ...] = ()
    """GPUs that slots use in turn, in the form of CUDA_VISIBLE_DEVICES; empty if each slot uses all."""

    def environment(self, slot: int) -> dict[str, str]:
        """Return the environment of a slot's process."""
        return {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if self.gpus else {}


def run(
    client: Client,
    evaluation: EvaluationTask,
    study_request: StudyRequest,
    settings: WorkerSettings,
    shutdown: ShutdownSignal | None = None,
) -> int:
    """Run trials until none are left.

    It runs at most `study_request.max_trials` if the study exists with another limit, which stays unchanged. At the end
    it logs how many trials it ran and why there are no more.

    Args:
        client: the client.
        evaluation: the objective and its options.
        study_request: the study.
        settings: the worker's settings.
        shutdown: lets another thread stop the worker; in the main thread signals do too.

    Returns:
        The exit code: 0, or 128 + the signal that ended the worker.

    Raises:
        SetupError: the objective or the study cannot be run, or too many trials failed.
        BoClientError: the server rejects a request, or is unavailable at the start.
    """
    definition = evaluation.make().define()
    objective = objective_spec(evaluation, definition)
    study = get_or_create_study(client, definition, study_request, objective)
    limit = None if study_request.max_trials == study.definition.max_trials else study_request.max_trials
    shutdown = shutdown or ShutdownSignal(settings.max_failures)
    shutdown.set(limit)
    outcomes = Outcomes(study.name, limit, logger)
    with _signals(shutdown) as caught:
        threads = [
            threading.Thread(target=slot.run, name=f"slot-{i}", daemon=True)
            for i, slot in enumerate(
                _slots(client, study, evaluation, settings, shutdown, outcomes, objective, definition.can_resume)
            )
        ]
        for thread in threads:
            thread.start()
        _join(threads, shutdown)
    outcomes.end(_why(study, shutdown, caught, outcomes), shutdown.shortfall is Shortfall.COMPLETED)
    if shutdown.error:
        raise SetupError(shutdown.error)
    return 128 + caught[0] if caught else 0


def _why(study: Study, shutdown: ShutdownSignal, caught: list[int], outcomes: Outcomes) -> str:
    """Return the reason why the worker ends."""
    if shutdown.error:
        return shutdown.error
    if caught:
        return f"{signal.Signals(caught[0]).name}; running trials were returned"
    if shutdown.is_asked():
        return "it was asked to end"
    if shutdown.shortfall is None and outcomes.wanted is not None:
        return "--max-trials is reached; the study continues"
    return why_no_more(study, shutdown.shortfall)


def _slots(
    client: Client,
    study: Study,
    evaluation: EvaluationTask,
    settings: WorkerSettings,
    shutdown: ShutdownSignal,
    outcomes: Outcomes,
    objective: ObjectiveSpec,
    can_resume: bool,
) -> Iterator[Slot]:
    study_with_retries = Study(
        Client(client.transport, client.timeout, DELIVERY_TIMEOUT_S, wait=shutdown.wait), study.definition
    )
    study_without_retries = Study(Client(client.transport, SHUTDOWN_CALL_TIMEOUT_S, 0.0), study.definition)
    for i in range(settings.parallel):
        name = settings.worker_id if settings.parallel == 1 else f"{settings.worker_id}/{i + 1}"
        evaluator: Evaluator = ChildEvaluator(evaluation, settings.trials_per_process, settings.environment(i))
        if settings.is_local:
            evaluator = LocalEvaluator(evaluation)
        yield Slot(
            study_with_retries,
            study_without_retries,
            evaluator,
            name,
            settings.directory,
            shutdown,
            outcomes,
            objective,
            can_resume,
        )


def _join(threads: list[threading.Thread], shutdown: ShutdownSignal) -> None:
    """Wait for all threads, and only for a limited time once the worker should end."""
    while any(thread.is_alive() for thread in threads) and not shutdown.wait(0.2):
        pass
    deadline = time.monotonic() + SHUTDOWN_TIMEOUT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _signals(shutdown: ShutdownSignal) -> Iterator[list[int]]:
    """Yield the list of received signals; SIGTERM and SIGINT stop the worker.

    Only the main thread can handle signals.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, _: FrameType | None) -> None:
        logger.warning("%s: returning trials to the server and ending", signal.Signals(number).name)
        caught.append(number)
        shutdown.ask()

    before = [(number, signal.signal(number, catch)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
