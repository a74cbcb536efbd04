"""What the processes that compute are asked: the core's functions, on one thread, loaded where they run."""

import signal
from collections.abc import Callable, Sequence
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any

from bo_service.core.constraints import Configuration
from bo_service.core.evidence import Evidence, Predictions, Suggested
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest

if TYPE_CHECKING:
    from bo_service.core.numerics.lookups import Factors

_is_open = False
"""Whether a task may be interrupted at this moment."""


class Interrupted(BaseException):
    """The task's result is of no use any more."""


def allow_interrupts() -> None:
    """From now on SIGUSR1 ends what `interruptible` is at, and nothing else."""
    signal.signal(signal.SIGUSR1, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _is_open
    if _is_open:
        _is_open = False  # once: whatever comes next is another task
        raise Interrupted


def interruptible(task: Callable[..., Any], *arguments: object) -> Any:
    """What the task returns, or raises.

    Raises:
        Interrupted: by SIGUSR1.
    """
    global _is_open
    _is_open = True
    try:
        return task(*arguments)
    finally:
        _is_open = False


@cache
def _factors() -> "Factors":
    """What this process remembers from one task to the next."""
    from bo_service.core.numerics.lookups import Factors

    return Factors()


def load() -> None:
    """Takes a second; better before the first call than in it."""
    import bo_service.core.suggest  # noqa: F401


def suggest(evidence: Evidence, count: int) -> Suggested:
    from threadpoolctl import threadpool_limits

    from bo_service.core import suggest as core

    with threadpool_limits(1):
        return core.suggest_with(evidence, count, _factors())


def predict(evidence: Evidence, configurations: Sequence[Configuration]) -> Predictions:
    from threadpoolctl import threadpool_limits

    from bo_service.core import suggest as core

    with threadpool_limits(1):
        return core.predict(evidence, configurations, _factors())


def predict_slice(evidence: Evidence, request: SliceRequest) -> Slice:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight import slices

    with threadpool_limits(1):
        return slices.predict_slice(evidence, request)


def analyze(evidence: Evidence) -> Analysis:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight import analysis

    with threadpool_limits(1):
        return analysis.analyze(evidence)
