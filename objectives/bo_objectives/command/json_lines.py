"""The JSON lines that a program prints on its standard output.

    {"step": 3, "loss": 0.41, "accuracy": 0.9}             a point of the learning curve; the last is the result
    {"final": {"loss": 0.39}}                              the result, if it is not the last point
    {"step": 3, "checkpoint_uri": "file:///runs/7/3"}      where another attempt can resume
    {"failure": "OUT_OF_MEMORY", "message": "24 GiB"}      the trial fails for this reason

A line counts as a measurement if it contains a metric that the study declares; its other numbers are recorded too. All
other output is ignored.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bo_client import FailureReason
from bo_client.limits import MAX_METRIC_VALUES, MAX_STEP, NAME

from bo_objectives.base import TrialFailed

RESERVED = ("step", "final", "checkpoint_uri", "failure", "message")
"""Keys with a meaning of their own, which no metric can be called."""


@dataclass(frozen=True)
class ParsedLine:
    """The content of one line that concerns the trial."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    is_final: bool = False
    checkpoint_uri: str = ""
    failure: TrialFailed | None = None


def parse_line(line: str, declared: Collection[str]) -> ParsedLine | None:
    """Parse a line.

    Args:
        line: the line as printed.
        declared: names of the study's metrics.

    Returns:
        The content; None if the line does not concern the trial.

    Raises:
        TrialFailed: CRASHED, as the line is malformed.
    """
    content = _parsed(line)
    if content is None:
        return None
    if isinstance(content.get("failure"), str):
        return ParsedLine(failure=_failure(content))
    if "final" in content:
        if not isinstance(content["final"], dict):
            raise _malformed(line, f"final is {_to_json(content['final'])}; it must be metrics by name")
        return ParsedLine(_metrics(line, content["final"], declared), is_final=True)
    uri = content.get("checkpoint_uri")
    if uri is not None and not isinstance(uri, str):
        raise _malformed(line, f"checkpoint_uri is {_to_json(uri)}; it must be text")
    metrics = _metrics(line, content, declared) if any(name in content for name in declared) else {}
    if not metrics and not uri:
        return None
    return ParsedLine(metrics, _step(line, content.get("step")), checkpoint_uri=uri or "")


def _parsed(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _failure(content: Mapping[str, Any]) -> TrialFailed:
    name, message = content["failure"], str(content.get("message") or "the program gave no message")
    if name in FailureReason.__members__:
        return TrialFailed(FailureReason[name], message)
    allowed = ", ".join(FailureReason.__members__)
    return TrialFailed(
        FailureReason.CRASHED, f"{message} (it printed the failure {_to_json(name)}, which is not one of {allowed})"
    )


def _step(line: str, step: Any) -> int | None:
    """Return the step. Integers may be printed as floats, as some languages always do."""
    if step is None:
        return None
    is_whole = step.is_integer() if isinstance(step, float) else type(step) is int
    if not is_whole or not 0 <= step <= MAX_STEP:
        raise _malformed(line, f"step is {_to_json(step)}; it must be a whole number from 0 up")
    return int(step)


def _metrics(line: str, content: Mapping[str, Any], declared: Collection[str]) -> dict[str, float]:
    metrics = {name: _metric(line, name, content[name]) for name in declared if name in content}
    for name, value in content.items():
        if name not in metrics and name not in RESERVED and len(metrics) < MAX_METRIC_VALUES and NAME.fullmatch(name):
            number = _number(value)
            if number is not None and math.isfinite(number):
                metrics[name] = number
    return metrics


def _metric(line: str, name: str, value: Any) -> float:
    """Return the value of a metric; NaN for null, which JavaScript, among others, prints for NaN."""
    number = math.nan if value is None else _number(value)
    if number is None:
        raise _malformed(line, f"{name} is {_to_json(value)}; a metric must be a number")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _malformed(line: str, problem: str) -> TrialFailed:
    return TrialFailed(FailureReason.CRASHED, f"the program printed {line.strip()[:200]}: {problem}")


def _to_json(value: Any) -> str:
    return json.dumps(value)[:80]
