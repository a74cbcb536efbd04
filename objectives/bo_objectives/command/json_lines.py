"""What a program says in JSON lines on its standard output.

    {"step": 3, "loss": 0.41, "accuracy": 0.9}             a point of the learning curve; the last one is the result
    {"final": {"loss": 0.39}}                              the result, where it isn't the last point
    {"step": 3, "checkpoint_uri": "file:///runs/7/3"}      where another attempt could go on
    {"failure": "OUT_OF_MEMORY", "message": "24 GiB"}      the trial fails, for this reason

A line counts as a measurement when it holds a metric that the study declares; its other numbers then come along. All
else that a program prints is none of ours.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bo_client import FailureReason
from bo_client.parameters import NAME

from bo_objectives.base import TrialFailed

RESERVED = ("step", "final", "checkpoint_uri", "failure", "message")
"""Keys with a meaning of their own, which no metric can be called."""
MAX_METRICS = 64
MAX_STEP = 2**63 - 1


@dataclass(frozen=True)
class Said:
    """One line that concerns the trial."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    is_final: bool = False
    checkpoint_uri: str = ""
    failure: TrialFailed | None = None


def understood(line: str, declared: Collection[str]) -> Said | None:
    """What the line says of the trial; None where it says nothing.

    Args:
        line: as printed.
        declared: the names of the study's metrics.

    Raises:
        TrialFailed: CRASHED, for a line that is meant for us but is malformed.
    """
    content = _parsed(line)
    if content is None:
        return None
    if isinstance(content.get("failure"), str):
        return Said(failure=_failure(content))
    if "final" in content:
        if not isinstance(content["final"], dict):
            raise _malformed(line, f"final is {_shown(content['final'])}; it must be metrics by name")
        return Said(_metrics(line, content["final"], declared), is_final=True)
    uri = content.get("checkpoint_uri")
    if uri is not None and not isinstance(uri, str):
        raise _malformed(line, f"checkpoint_uri is {_shown(uri)}; it must be text")
    metrics = _metrics(line, content, declared) if any(name in content for name in declared) else {}
    if not metrics and not uri:
        return None
    return Said(metrics, _step(line, content.get("step")), checkpoint_uri=uri or "")


def _parsed(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _failure(content: Mapping[str, Any]) -> TrialFailed:
    given, message = content["failure"], str(content.get("message") or "the program gave no message")
    if given in FailureReason.__members__:
        return TrialFailed(FailureReason[given], message)
    allowed = ", ".join(FailureReason.__members__)
    return TrialFailed(
        FailureReason.CRASHED, f"{message} (it printed the failure {_shown(given)}, which is none of {allowed})"
    )


def _step(line: str, given: Any) -> int | None:
    """Whole numbers may be printed as floats, which some languages always do."""
    if given is None:
        return None
    is_whole = given.is_integer() if isinstance(given, float) else type(given) is int
    if not is_whole or not 0 <= given <= MAX_STEP:
        raise _malformed(line, f"step is {_shown(given)}; it must be a whole number from 0 up")
    return int(given)


def _metrics(line: str, content: Mapping[str, Any], declared: Collection[str]) -> dict[str, float]:
    metrics = {name: _metric(line, name, content[name]) for name in declared if name in content}
    for name, value in content.items():
        if name not in metrics and name not in RESERVED and len(metrics) < MAX_METRICS and NAME.fullmatch(name):
            number = _number(value)
            if number is not None and math.isfinite(number):
                metrics[name] = number
    return metrics


def _metric(line: str, name: str, given: Any) -> float:
    """null is how JavaScript, among others, prints NaN."""
    number = math.nan if given is None else _number(given)
    if number is None:
        raise _malformed(line, f"{name} is {_shown(given)}; a metric must be a number")
    return number


def _number(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        return float(given)
    except OverflowError:
        return math.inf if given > 0 else -math.inf


def _malformed(line: str, fault: str) -> TrialFailed:
    return TrialFailed(FailureReason.CRASHED, f"the program printed {line.strip()[:200]}: {fault}")


def _shown(value: Any) -> str:
    return json.dumps(value)[:80]
