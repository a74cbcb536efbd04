"""For tests of objectives of your own: a trial without a worker, and what every objective must do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bo_client import StopTrial, Value

from bo_objectives.base import Objective


@dataclass
class RecordedRun:
    """A trial, as the objective sees it, that keeps what was said of it."""

    directory: Path
    number: int = 1
    attempt: int = 1
    checkpoint_uri: str = ""
    stop_at: int | None = None
    """The step at whose report the trial is told to stop."""
    reports: list[tuple[int, dict[str, float], str]] = field(default_factory=list)
    """Step, metrics and checkpoint of each report."""
    labels: dict[str, str] = field(default_factory=dict)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        """Keeps it. Raises StopTrial at the step `stop_at`."""
        self.reports.append((step, dict(metrics), checkpoint_uri))
        if step == self.stop_at:
            raise StopTrial("told to stop by the test")

    def label(self, labels: Mapping[str, str]) -> None:
        """Keeps them."""
        self.labels.update(labels)


def check(objective: Objective, parameters: Mapping[str, Value], directory: Path) -> RecordedRun:
    """Evaluates a configuration twice, as the worker would, the second time stopping it at its first report.

    Returns:
        The first run, with what was reported.

    Raises:
        AssertionError: the definition or the result breaks the protocol; the message says where.
    """
    definition = objective.define()
    assert not definition.space.faults(), f"the space is faulty: {definition.space.faults()}"
    faults = definition.space.configuration_faults(parameters)
    assert not faults, f"the parameters don't fit the space: {faults}"
    run = RecordedRun(directory)
    result = objective.evaluate(parameters, run)
    for metric in definition.metrics:
        if metric.role != "information":
            value = result.get(metric.name)
            assert value is not None, f"evaluate returned no {metric.name}: {dict(result)}"
            assert math.isfinite(value), f"{metric.name} is {value}: raise TrialFailed with DIVERGED instead"
    steps = [step for step, _, _ in run.reports]
    assert steps == sorted(set(steps)), f"steps must rise: {steps}"
    if steps:
        _check_stop(objective, parameters, replace(run, reports=[], labels={}, stop_at=steps[0]))
    return run


def _check_stop(objective: Objective, parameters: Mapping[str, Value], run: RecordedRun) -> None:
    try:
        objective.evaluate(parameters, run)
    except StopTrial:
        assert len(run.reports) == 1, f"it went on after StopTrial: {run.reports}"
    else:
        raise AssertionError("evaluate kept StopTrial to itself: let it pass through")
