"""The check that ships for objectives of others: it passes what keeps the protocol, and finds what doesn't."""

import math
from pathlib import Path

import bo_client
import pytest
from bo_objectives.base import Definition
from bo_objectives.functions import branin
from bo_objectives.testing import check


class Sample:
    """Keeps the protocol unless told how not to."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def define(self) -> Definition:
        low, high = (1.0, 0.0) if self.fault == "space" else (0.0, 1.0)
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", low, high)])
        return Definition(space, (bo_client.Metric("loss", "minimize"),))

    def evaluate(self, parameters, run):
        for step in (2, 1) if self.fault == "steps" else (1, 2):
            try:
                run.report(step, {"loss": 1.0})
            except bo_client.StopTrial:
                if self.fault != "stop":
                    raise
        return {"missing": {}, "nan": {"loss": math.nan}}.get(self.fault, {"loss": 0.5})


def test_what_keeps_the_protocol_passes(tmp_path: Path) -> None:
    run = check(Sample(), {"x": 0.5}, tmp_path)
    assert [step for step, _, _ in run.reports] == [1, 2]
    check(branin(steps="3"), {"x1": 0.0, "x2": 0.0}, tmp_path)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("space", "space is faulty"),
        ("steps", "steps must rise"),
        ("missing", "returned no loss"),
        ("nan", "DIVERGED"),
        ("stop", "let it propagate"),
    ],
)
def test_each_fault_is_found_and_told(fault: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        check(Sample(fault), {"x": 0.5}, tmp_path)


def test_parameters_outside_the_space_are_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="don't fit"):
        check(Sample(), {"x": 2.0}, tmp_path)
