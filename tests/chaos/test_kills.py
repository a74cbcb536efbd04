"""The server killed with SIGKILL at random moments under load: nothing acknowledged is lost, nothing is done twice.

The long run is `python -m tests.chaos --kills 500`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.fleet import Fleet, read_all
from tests.chaos.kills import Outcome, survive
from tests.chaos.server import ServerProcess


def judged(outcome: Outcome, log: Path, least: int) -> None:
    assert outcome.violations == [], "\n".join(map(str, outcome.violations[:20]))
    assert sum(outcome.calls.values()) >= least
    assert {"SuggestTrials", "ReportMeasurements", "CompleteTrial"} <= set(outcome.calls)
    assert "Traceback" not in log.read_text()


def test_some_kills(storage: str, log: Path) -> None:
    judged(survive(storage, log, kills=3, seed=1, workers=8), log, least=30)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_kills(storage: str, log: Path) -> None:
    judged(survive(storage, log, kills=100, seed=2), log, least=2000)


@pytest.mark.slow
def test_a_database_that_stops_and_starts(own_postgres_server: Any, start: Callable[..., ServerProcess]) -> None:
    server = start(own_postgres_server.make_database())
    fleet = Fleet(server.address, 3, workers=6)
    fleet.start()
    try:
        for _ in range(2):
            time.sleep(2.0)
            own_postgres_server.stop()
            time.sleep(1.0)
            own_postgres_server.start()
        time.sleep(2.0)
    finally:
        fleet.finish()
    with fleet.channel() as channel:
        snapshots = read_all(channel, quiet_s=20.0)
    violations = check(fleet.recorder.calls, snapshots)
    assert violations == [], "\n".join(map(str, violations[:20]))
    assert any(a.is_unknown for c in fleet.recorder.calls for a in c.attempts), "no call met the outage"
    assert fleet.acknowledged > 20
