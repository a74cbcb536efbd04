"""A short soak, by name; the long one is `python -m tests.soak --minutes 60`. And what counts as levelling off."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.levels import MIB, Lag, Latency, Sample, lags, rising, thirds
from tests.soak.soak import Outcome, soak

STILL = [Sample(float(i), 400 * MIB, 200, 100, 4 * MIB, 100 * i) for i in range(90)]
QUICK = [Latency("heartbeat", float(i), 0.01) for i in range(90)]


def test_what_stays_as_it_is_has_levelled_off() -> None:
    assert rising(thirds(STILL, QUICK)) == []


@pytest.mark.parametrize(
    ("level", "samples"),
    [
        ("memory", [replace(s, memory=s.memory + i * 4 * MIB) for i, s in enumerate(STILL)]),
        ("descriptors", [replace(s, descriptors=s.descriptors + 10 * i) for i, s in enumerate(STILL)]),
        ("threads", [replace(s, threads=s.threads + 2 * i) for i, s in enumerate(STILL)]),
        ("wal", [replace(s, wal=s.wal + i * MIB) for i, s in enumerate(STILL)]),
        ("lines a minute", [replace(s, lines=i**3) for i, s in enumerate(STILL)]),
    ],
)
def test_what_rises_is_told(level: str, samples: list[Sample]) -> None:
    (told,) = rising(thirds(samples, QUICK))
    assert told.startswith(level)


def test_slower_heartbeats_are_told() -> None:
    slower = [one._replace(seconds=0.01 if one.at < 60 else 5.0) for one in QUICK]
    assert [told.partition(" goes")[0] for told in rising(thirds(STILL, slower))] == ["heartbeat p50", "heartbeat p99"]


def test_heartbeats_that_are_always_too_slow_are_told() -> None:
    (told,) = rising(thirds(STILL, [one._replace(seconds=30.0) for one in QUICK]))
    assert told.startswith("99 % of heartbeats take 30.0 s")


def test_heartbeats_that_never_come_are_told() -> None:
    assert any(told.startswith("99 % of heartbeats take inf s") for told in rising(thirds(STILL, [])))


def test_lags_are_told_for_each_kind_of_call() -> None:
    assert lags([*QUICK, Latency("suggest", 1.0, 0.5)]) == {
        "heartbeat": Lag(90, 0.01, 0.01, 0.01),
        "suggest": Lag(1, 0.5, 0.5, 0.5),
    }


@pytest.mark.parametrize(("faults", "verdict"), [([], "PASS: no lease lost"), (["a lease was lost"], "FAIL: 1 faults")])
def test_the_last_line_is_the_verdict(faults: list[str], verdict: str) -> None:
    outcome = Outcome(thirds(STILL, QUICK), lags(QUICK), faults, 1, {"Garbage": 1}, STILL)
    assert str(outcome).splitlines()[-1].startswith(verdict)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_minute_and_a_half_under_attack(tmp_path: Path) -> None:
    outcome = soak(tmp_path, seconds=90.0)
    assert outcome.faults == [], outcome
    assert outcome.completed
    assert all(outcome.rounds.values())
