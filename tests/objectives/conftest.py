"""A trial without a worker, and what it reported."""

from collections.abc import Callable
from pathlib import Path

import pytest
from bo_objectives.testing import RecordedRun


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RecordedRun]:
    directory = tmp_path / "trial"
    directory.mkdir()
    return lambda **given: RecordedRun(directory, **{"number": 7, **given})


@pytest.fixture
def run(make_run: Callable[..., RecordedRun]) -> RecordedRun:
    return make_run()
