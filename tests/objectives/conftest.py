"""A trial without a worker: what an objective is given, and what it reported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bo_client
import pytest


@dataclass
class Recorder:
    """Keeps reports; says to stop at the report of `stop_at`."""

    directory: Path
    number: int = 7
    attempt: int = 1
    checkpoint_uri: str = ""
    stop_at: int | None = None
    reports: list[tuple[int, dict[str, float], str]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def report(self, step: int, metrics: Mapping[str, float], checkpoint_uri: str = "") -> None:
        self.reports.append((step, dict(metrics), checkpoint_uri))
        if step == self.stop_at:
            raise bo_client.StopTrial("told to")

    def label(self, labels: Mapping[str, str]) -> None:
        self.labels.update(labels)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Recorder]:
    directory = tmp_path / "trial"
    directory.mkdir()
    return lambda **given: Recorder(directory, **given)


@pytest.fixture
def run(make_run: Callable[..., Recorder]) -> Recorder:
    return make_run()
