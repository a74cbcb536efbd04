"""Suggestions computed in processes of their own, so that the threads that answer calls only wait."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bo_service.adapters.compute import tasks
from bo_service.adapters.compute.processes import Processes, Stopped
from bo_service.application.ports import Errand
from bo_service.core.blind import quasi_random
from bo_service.core.constraints import Configuration
from bo_service.core.errors import DeadlinePassed, LimitExceeded
from bo_service.core.evidence import Evidence, Predictions, Suggested, Suggestion
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest

logger = logging.getLogger("bo_service.compute")


@dataclass(frozen=True)
class PoolLoad:
    """What a pool is at."""

    waiting: int
    running: int
    failures: int
    """Suggestions that the surrogate failed to make, since the start."""
    restarts: int
    """Of processes that were killed or hung, since the start."""


class PoolOptimizer:
    """The optimizer in a pool of processes, which start in the background.

    Quick questions are answered in this process, and never wait for the pool.
    """

    def __init__(self, processes: int, processors: frozenset[int] | None = None) -> None:
        """`processors` are those that the processes may run on; None: the same as this thread."""
        self._processes = Processes(processes, processors)
        self._failures = 0

    def suggest(self, evidence: Evidence, count: int, patience: float, errand: Errand) -> Suggested | None:
        run = partial(self._processes.run, errand=errand, subject=evidence.study)
        try:
            found: Suggested = run(patience, tasks.suggest, evidence, count)
        except (DeadlinePassed, Stopped):
            return None
        except Exception:
            self._failures += 1
            logger.exception("the surrogate failed on a study of %d observations", len(evidence.past))
            return None
        return found

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        return quasi_random(evidence, count)

    def predict(self, evidence: Evidence, configurations: Sequence[Configuration], patience: float) -> Predictions:
        found: Predictions = self._asked(patience, tasks.predict, evidence, tuple(configurations))
        return found

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        found: Slice = self._asked(patience, tasks.predict_slice, evidence, request)
        return found

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        found: Analysis = self._asked(patience, tasks.analyze, evidence)
        return found

    def is_ready(self) -> bool:
        """Whether a process has loaded the core. Asking starts those anew that were killed while they were idle."""
        return self._processes.is_ready()

    def load(self) -> PoolLoad:
        """What the pool is at."""
        return PoolLoad(*self._processes.load(), self._failures, self._processes.restarts)

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self._processes.close()

    def _asked(self, patience: float, task: Callable[..., Any], evidence: Evidence, *arguments: object) -> Any:
        try:
            return self._processes.run(patience, task, evidence, *arguments, subject=evidence.study)
        except MemoryError as error:
            raise LimitExceeded(
                "the surrogate needs more memory than the server's processes may take; give them more, or ask for less"
            ) from error
