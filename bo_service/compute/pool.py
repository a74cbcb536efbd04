"""Compute suggestions in separate processes, so that the threads that answer calls only wait."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bo_service.application.ports import ComputationHandle
from bo_service.compute import tasks
from bo_service.compute.processes import ComputationStopped, Processes
from bo_service.domain.constraints import Configuration
from bo_service.domain.errors import DeadlinePassed, LimitExceeded
from bo_service.optimizer.initial_design import quasi_random
from bo_service.optimizer.inputs import OptimizerInput, Predictions, Suggestion, SuggestionBatch
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest

logger = logging.getLogger("bo_service.compute")


@dataclass(frozen=True)
class PoolLoad:
    """The load and the failure counts of a pool."""

    waiting: int
    running: int
    failures: int
    """Failed computations of suggestions since the start."""
    restarts: int
    """Restarts of processes that were killed or hung, since the start."""


class PoolOptimizer:
    """An optimizer that computes in a pool of processes, which start in the background.

    Fast computations run in this process and never wait for the pool.
    """

    def __init__(self, processes: int, processors: frozenset[int] | None = None, memory: int | None = None) -> None:
        """Start the pool.

        Args:
            processes: number of processes.
            processors: CPUs that they may use; None for those of this thread.
            memory: memory limit of each process in bytes; None for no limit.
        """
        self._processes = Processes(processes, processors, memory)
        self._failures = 0

    def suggest(
        self, inputs: OptimizerInput, count: int, timeout: float, handle: ComputationHandle
    ) -> SuggestionBatch | None:
        """Return `count` suggestions of the surrogate; None if it failed, was cancelled or exceeded the timeout.

        Args:
            inputs: the observations and settings of the study.
            count: number of suggestions.
            timeout: seconds to wait.
            handle: raises the priority of the computation, or cancels it.
        """
        run = partial(self._processes.run, handle=handle, affinity_key=inputs.study)
        try:
            batch: SuggestionBatch = run(timeout, tasks.suggest, inputs, count)
        except (DeadlinePassed, ComputationStopped):
            return None
        except MemoryError:
            self._failures += 1
            logger.warning("the surrogate of %s exceeds the memory limit --process-memory", inputs.study)
            return None
        except Exception:
            self._failures += 1
            logger.exception("the surrogate failed on a study with %d observations", len(inputs.observations))
            return None
        faults = sorted({suggestion.fault for suggestion in batch.suggestions if suggestion.fault})
        if faults:
            self._failures += 1
            logger.warning("%s: %s", inputs.study, " ".join(faults))
        return batch

    def suggest_quasi_random(self, inputs: OptimizerInput, count: int) -> list[Suggestion]:
        """Return `count` quasi-random suggestions, computed in this process."""
        return quasi_random(inputs, count)

    def predict(self, inputs: OptimizerInput, configurations: Sequence[Configuration], timeout: float) -> Predictions:
        """Return the surrogate's predictions at the configurations.

        Args:
            inputs: the observations and settings of the study.
            configurations: m configurations.
            timeout: seconds to wait.

        Raises:
            DeadlinePassed: the computation exceeded the timeout.
            LimitExceeded: the computation exceeded the memory limit.
        """
        predictions: Predictions = self._run(timeout, tasks.predict, inputs, tuple(configurations))
        return predictions

    def predict_slice(self, inputs: OptimizerInput, request: SliceRequest, timeout: float) -> Slice:
        """Return the surrogate's predictions on a slice.

        Raises:
            DeadlinePassed: the computation exceeded `timeout` seconds.
            LimitExceeded: the computation exceeded the memory limit.
        """
        result: Slice = self._run(timeout, tasks.predict_slice, inputs, request)
        return result

    def analyze(self, inputs: OptimizerInput, timeout: float) -> Analysis:
        """Return the analysis of the study.

        Raises:
            DeadlinePassed: the computation exceeded `timeout` seconds.
            LimitExceeded: the computation exceeded the memory limit.
        """
        analysis: Analysis = self._run(timeout, tasks.analyze, inputs)
        return analysis

    def is_ready(self) -> bool:
        """Return whether a process can compute. The call also restarts processes that were killed while idle."""
        return self._processes.is_ready()

    def load(self) -> PoolLoad:
        """Return the load of the pool."""
        return PoolLoad(*self._processes.load(), self._failures, self._processes.restarts)

    def close(self) -> None:
        """Kill the processes and what they compute."""
        self._processes.close()

    def _run(self, timeout: float, task: Callable[..., Any], inputs: OptimizerInput, *arguments: object) -> Any:
        try:
            return self._processes.run(timeout, task, inputs, *arguments, affinity_key=inputs.study)
        except MemoryError as error:
            raise LimitExceeded(
                "the surrogate exceeds the memory limit of a compute process; request less, or start "
                "the server with a larger --process-memory"
            ) from error
