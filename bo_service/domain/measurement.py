"""Measurements: the metrics of a trial at one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Measurement:
    """The metrics of a trial at one step."""

    metrics: Mapping[str, float]
    step: int = 0
    elapsed: timedelta | None = None
    """Training time of the trial so far, earlier attempts included, as its worker measured it."""
    receive_time: datetime | None = None
