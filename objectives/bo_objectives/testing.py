"""Tools to test your own objectives: a trial without a worker, and checks that every objective must pass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bo_client import PauseTrial, StopTrial, Value

from bo_objectives.base import Objective


@dataclass
class RecordedRun:
    """A trial that records what an objective reports."""

    directory: Path
    number: int = 1
    attempt: int = 1
    checkpoint_uri: str = ""
    stop_at: int | None = None
    """The step at whose report `StopTrial` is raised."""
    until_step: int | None = None
    """The step up to which the trial is trained; at its report `PauseTrial` is raised."""
    reports: list[tuple[int, dict[str, float], str]] = field(default_factory=list)
    """Step, metrics and checkpoint of each report."""
    labels: dict[str, str] = field(default_factory=dict)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        """Record a report.

        Raises:
            StopTrial: the step is `stop_at`.
            PauseTrial: the metrics are those of `until_step`, or of a larger step.
        """
        self.reports.append((step, dict(metrics), checkpoint_uri))
        if step == self.stop_at:
            raise StopTrial("stopped by the test")
        if metrics and self.until_step is not None and step >= self.until_step:
            raise PauseTrial("paused by the test")

    def label(self, labels: Mapping[str, str]) -> None:
        """Record labels."""
        self.labels.update(labels)


def check(objective: Objective, parameters: Mapping[str, Value], directory: Path) -> RecordedRun:
    """Evaluate a configuration twice, as the worker would, and stop the second evaluation at its first report.

    Args:
        objective: the objective.
        parameters: the configuration.
        directory: folder of the trial.

    Returns:
        The first run, with its reports.

    Raises:
        AssertionError: the definition or the result violates the protocol; the message says where.
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
        assert len(run.reports) == 1, f"evaluate continued after StopTrial: {run.reports}"
    else:
        raise AssertionError("evaluate caught StopTrial: let it propagate")
