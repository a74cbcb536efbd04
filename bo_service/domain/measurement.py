"""Measurements: the metrics of a trial at one step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.study import Metric, MetricRole


@dataclass(frozen=True)
class Measurement:
    """The metrics of a trial at one step."""

    metrics: Mapping[str, float]
    step: int = 0
    elapsed: timedelta | None = None
    """Training time of the trial so far, earlier attempts included, as its worker measured it."""
    receive_time: datetime | None = None


def check_final(measurement: Measurement, metrics: Sequence[Metric]) -> None:
    """Check that a final measurement has a finite value for each objective and constraint metric.

    Raises:
        InvalidArgument: names each missing or non-finite metric.
    """
    violations = []
    for name in (m.name for m in metrics if m.role is not MetricRole.INFORMATION):
        value = measurement.metrics.get(name)
        field = f'final_measurement.metrics["{name}"]'
        if value is None:
            names = ", ".join(map(repr, sorted(measurement.metrics))) or "none"
            violations.append(
                Violation(field, f"is missing; a final measurement needs it; metrics given: {names:.200}")
            )
        elif not math.isfinite(value):
            what = "a result must be finite: complete the trial with failure DIVERGED instead"
            violations.append(Violation(field, f"is {value!r}; {what}"))
    if violations:
        raise InvalidArgument(violations)
