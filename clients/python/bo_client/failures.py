"""Why a trial failed, read from the exception that ended it: one rule for every objective and every adapter."""

import re
from collections.abc import Iterator

from bo_client.errors import TrialFailed
from bo_client.out_of_memory import TRACEBACK, MemoryKills, is_memory_error, said_in, storable, telling_lines, text_of
from bo_client.values import Failure, FailureReason

MAX_MESSAGE = 2000
"""Characters of a failure's message that are kept."""

NOT_FINITE = re.compile(
    r"Tensor had (?:NaN|Inf)|returned nan values in its|invalid value \((?:nan|inf)\) encountered"
    r"|non-finite parameter weights|math range error|Numerical result out of range",
    re.I,
)
"""tf.debugging.check_numerics, torch's anomaly detection, jax_debug_nans, scikit-learn's solvers, Python's math."""

KILLED = re.compile(r"SIGKILL|signal:? (?:Killed|9\b)|exit ?code:? (?:-9|137)\b", re.I)
"""How errors tell of a process that was killed."""


def failure_of(error: BaseException, kills: MemoryKills | None = None) -> Failure:
    """The reason and message with which a trial fails that ended by this exception.

    OUT_OF_MEMORY and DIVERGED are found by class and by text, in the error itself, in its causes and contexts, in
    exception groups, and in tracebacks from other processes. A `TrialFailed` says its reason itself. An interruption
    (KeyboardInterrupt, SystemExit, cancellation) is PREEMPTED, and everything else CRASHED.

    Args:
        error: as raised by the objective.
        kills: made before the objective ran; then the loss of a process to SIGKILL counts as OUT_OF_MEMORY where the
            kernel has killed for lack of memory meanwhile.
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
    """What a program's standard error or a traceback as text tells of a failure; None where it gives no reason."""
    line = said_in(text)
    if line is not None:
        return Failure(FailureReason.OUT_OF_MEMORY, line[:MAX_MESSAGE])
    for line in telling_lines(text) if TRACEBACK in text else ():
        if line.startswith("FloatingPointError") or NOT_FINITE.search(line):
            return Failure(FailureReason.DIVERGED, line[:MAX_MESSAGE])
    return None


def described(error: BaseException) -> str:
    """The error in one line: its class, and what it says. A remote traceback is told by the line that matters."""
    text = text_of(error).strip()
    name = type(error).__name__
    if TRACEBACK in text:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        text = said_in(text) or lines[-1].strip('"')
    return f"{name}: {text}" if text else name


def _reason(error: BaseException) -> FailureReason | None:
    """What this error alone tells."""
    if isinstance(error, TrialFailed):
        return error.reason
    if is_memory_error(error):
        return FailureReason.OUT_OF_MEMORY
    is_number = isinstance(error, FloatingPointError)
    if is_number or (isinstance(error, Exception) and NOT_FINITE.search(text_of(error))):
        return FailureReason.DIVERGED
    return None


def _parts(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it is made of or came from: members of a group, causes, contexts; each once."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        members = part.exceptions if isinstance(part, BaseExceptionGroup) else ()
        inner = (part.__cause__, None if part.__suppress_context__ else part.__context__, getattr(part, "cause", None))
        waiting += [*members, *(found for found in inner if isinstance(found, BaseException))]
