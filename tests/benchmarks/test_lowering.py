"""Minima that were searched for follow what runs find; those that are known stay."""

from pathlib import Path

from benchmarks.lowering import lowered
from benchmarks.problems.references import references
from benchmarks.results import Key, Row, write


def kept(folder: Path, problem: str, value: float) -> None:
    rows = [Row({"C": 2.0}, value, value, 0.1), Row({"C": 3.0}, None, None, 0.1)]
    write(Key("random", problem, 0).file(folder), rows)


def test_a_better_trial_becomes_the_minimum(tmp_path: Path) -> None:
    known = references()["svc-digits"]
    kept(tmp_path, "svc-digits", known.best - 0.01)
    found = lowered("svc-digits", tmp_path)
    assert (found.best, found.optimizer, found.random) == (known.best - 0.01, {"C": 2.0}, known.random)


def test_a_worse_trial_does_not(tmp_path: Path) -> None:
    kept(tmp_path, "svc-digits", references()["svc-digits"].best + 0.01)
    assert lowered("svc-digits", tmp_path) == references()["svc-digits"]


def test_a_known_minimum_stays(tmp_path: Path) -> None:
    kept(tmp_path, "branin", -1.0)
    assert lowered("branin", tmp_path) == references()["branin"]
