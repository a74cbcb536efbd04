"""Define the tasks of the compute processes: the optimizer's functions, on one thread, imported where they run."""

import signal
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any

from bo_service.domain.constraints import Configuration
from bo_service.optimizer.inputs import OptimizerInput, Predictions, SuggestionBatch
from bo_service.optimizer.insight.results import Analysis, Slice, SliceRequest

if TYPE_CHECKING:
    from bo_service.optimizer.numerics.computation_cache import CholeskyCache

_is_open = False
"""Whether the task may be interrupted now."""
_is_interrupted = False
"""Whether this task was interrupted: C code or a bare `except` may swallow or replace the exception."""


class Interrupted(BaseException):
    """The task was interrupted; its result is not needed."""


def allow_interrupts() -> None:
    """Install a handler for SIGUSR1, which interrupts only what `interruptible` runs."""
    signal.signal(signal.SIGUSR1, _interrupt)
    sys.unraisablehook = _report_unless_interrupted


def _interrupt(_number: int, frame: FrameType | None) -> None:
    global _is_interrupted
    if _is_open:
        _is_interrupted = True
        if frame is None or frame.f_code is not interruptible.__code__:  # whose own lines always run to their end
            raise Interrupted


def _report_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    """Ignore an interruption in a finalizer, which cannot raise; the interrupt is repeated."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)


def interruptible(task: Callable[..., Any], *arguments: object) -> Any:
    """Run a task that SIGUSR1 interrupts.

    Returns:
        What the task returns; what the task raises is raised.

    Raises:
        Interrupted: SIGUSR1 arrived; any result or exception of the task is dropped.
    """
    global _is_open, _is_interrupted
    _is_interrupted, _is_open = False, True
    try:
        result = _call(task, arguments)
    except BaseException:
        if not _is_interrupted:
            raise
    finally:
        _is_open = False
    if _is_interrupted:
        raise Interrupted
    return result


def _call(task: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    """Call the task in its own frame, in which an interruption may be raised."""
    return task(*arguments)


@cache
def _cholesky_cache() -> "CholeskyCache":
    """Return the Cholesky factors that this process caches between tasks."""
    from bo_service.optimizer.numerics.computation_cache import CholeskyCache

    return CholeskyCache()


def load() -> None:
    """Import the optimizer, which takes about a second, and let BLAS get its buffers, before the first task.

    OpenBLAS asks without end for a buffer that it is refused: a process at its limit of memory would hang.
    """
    import numpy as np
    from scipy.linalg import cholesky
    from threadpoolctl import threadpool_limits

    import bo_service.optimizer.suggest  # noqa: F401

    matrix = np.eye(256)  # smaller ones need no buffer
    with threadpool_limits(1):
        cholesky(matrix @ matrix)  # NumPy and SciPy have an OpenBLAS each


def suggest(inputs: OptimizerInput, count: int) -> SuggestionBatch:
    from threadpoolctl import threadpool_limits

    from bo_service.optimizer import suggest as core

    with threadpool_limits(1):
        return core.suggest_with(inputs, count, _cholesky_cache())


def predict(inputs: OptimizerInput, configurations: Sequence[Configuration]) -> Predictions:
    from threadpoolctl import threadpool_limits

    from bo_service.optimizer import suggest as core

    with threadpool_limits(1):
        return core.predict(inputs, configurations, _cholesky_cache())


def predict_slice(inputs: OptimizerInput, request: SliceRequest) -> Slice:
    from threadpoolctl import threadpool_limits

    from bo_service.optimizer.insight import slices

    with threadpool_limits(1):
        return slices.predict_slice(inputs, request)


def analyze(inputs: OptimizerInput) -> Analysis:
    from threadpoolctl import threadpool_limits

    from bo_service.optimizer.insight import analysis

    with threadpool_limits(1):
        return analysis.analyze(inputs)
