"""The server killed with SIGKILL at random moments under load: nothing acknowledged is lost, nothing is done twice.

The long run is `python -m tests.chaos --kills 500`.
"""

from pathlib import Path

import pytest

from tests.chaos.kills import Outcome, survive


def judged(outcome: Outcome, log: Path, least: int) -> None:
    assert outcome.violations == [], "\n".join(map(str, outcome.violations[:20]))
    assert sum(outcome.calls.values()) >= least
    assert {"SuggestTrials", "ReportMeasurements", "CompleteTrial"} <= set(outcome.calls)
    assert "Traceback" not in log.read_text()


def test_some_kills(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    judged(survive(f"sqlite:///{tmp_path}/bo.db", log, kills=4, seed=1, workers=8), log, least=50)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_kills(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    judged(survive(f"sqlite:///{tmp_path}/bo.db", log, kills=100, seed=2), log, least=2000)
