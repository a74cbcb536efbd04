"""The reason of a trial's failure, derived from an exception in the same way for every objective and integration."""

import re
from collections.abc import Iterator

from bo_client.errors import TrialFailed
from bo_client.models import Failure, FailureReason
from bo_client.out_of_memory import (
    TRACEBACK,
    MemoryKills,
    exception_lines,
    is_memory_error,
    memory_error_line,
    storable,
    text_of,
)

MAX_MESSAGE = 2000
"""Maximum characters of a failure's message."""

NOT_FINITE = re.compile(
    r"Tensor had (?:NaN|Inf)|returned nan values in its|invalid value \((?:nan|inf)\) encountered"
    r"|non-finite parameter weights|math range error|Numerical result out of range"
    r"|int too large to convert to float|result too large for a float"
    r"|probability tensor contains either `inf`|found invalid values:\s*tensor\(\[+\s*-?(?:nan|inf)"
    r"|cannot convert float (?:nan|infinity) to integer|array must not contain infs or nans"
    r"|\bloss (?:is|was|became) (?:now )?-?(?:nan|inf(?:inity)?)\b",
    re.I,
)
"""Messages of TensorFlow, PyTorch, JAX, scikit-learn, SciPy, Python and training programs about NaN and infinity."""

KILLED = re.compile(r"SIGKILL|signal:? (?:Killed|9\b)|exit ?code:? (?:-9|137)\b", re.I)
"""Messages about a process that was killed."""


def failure_of(error: BaseException, kills: MemoryKills | None = None) -> Failure:
    """Return the failure of a trial that ended with an exception.

    OUT_OF_MEMORY and DIVERGED are detected by class and by text, in the error, its causes and contexts, exception
    groups, and tracebacks of other processes. A `TrialFailed` contains its reason. An interruption (KeyboardInterrupt,
    SystemExit, cancellation) is PREEMPTED, and everything else CRASHED.

    Args:
        error: the exception raised by the objective.
        kills: created before the objective ran; then a SIGKILL of a process counts as OUT_OF_MEMORY if the kernel has
            killed a process for lack of memory since.
    """
    if isinstance(error, KeyboardInterrupt):
        return Failure(FailureReason.PREEMPTED, "interrupted by KeyboardInterrupt")
    for part in _parts(error):
        reason = _reason(part)
        if reason is not None:
            message = storable(part.message) if isinstance(part, TrialFailed) else described(part)
            return Failure(reason, message[:MAX_MESSAGE])
    if kills is not None and KILLED.search(text_of(error)) and kills.since():
        return Failure(FailureReason.OUT_OF_MEMORY, f"the kernel ran out of memory: {described(error)}"[:MAX_MESSAGE])
    if not isinstance(error, Exception):
        return Failure(FailureReason.PREEMPTED, f"interrupted by {described(error)}"[:MAX_MESSAGE])
    return Failure(FailureReason.CRASHED, described(error)[:MAX_MESSAGE])


def failure_in(text: str) -> Failure | None:
    """Return the failure that a traceback or a program's standard error describes; None if it contains no reason."""
    line = memory_error_line(text)
    if line is not None:
        return Failure(FailureReason.OUT_OF_MEMORY, line[:MAX_MESSAGE])
    for line in exception_lines(text) if TRACEBACK in text else ():
        if line.startswith("FloatingPointError") or NOT_FINITE.search(line):
            return Failure(FailureReason.DIVERGED, line[:MAX_MESSAGE])
    return None


def described(error: BaseException) -> str:
    """Return the error in one line: its class and message; of a remote traceback, the relevant line."""
    text = text_of(error).strip()
    name = type(error).__name__
    if TRACEBACK in text:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        text = memory_error_line(text) or lines[-1].strip('"')
    return f"{name}: {text}" if text else name


def _reason(error: BaseException) -> FailureReason | None:
    """Return the reason that this error alone contains."""
    if isinstance(error, TrialFailed):
        return error.reason
    if is_memory_error(error):
        return FailureReason.OUT_OF_MEMORY
    is_number = isinstance(error, FloatingPointError)
    if is_number or (isinstance(error, Exception) and NOT_FINITE.search(text_of(error))):
        return FailureReason.DIVERGED
    return None


def _parts(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then members of groups, causes and contexts, each once."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        part = pending.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        members = part.exceptions if isinstance(part, BaseExceptionGroup) else ()
        inner = (part.__cause__, None if part.__suppress_context__ else part.__context__, getattr(part, "cause", None))
        pending += [*members, *(nested for nested in inner if isinstance(nested, BaseException))]
