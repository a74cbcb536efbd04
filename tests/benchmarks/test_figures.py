"""The other figures: calibration, latency and ablation run, and say what they should where that is known."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.ablations import ABLATIONS
from benchmarks.calibration import Coverage, coverage
from benchmarks.calibration import table as calibration_table
from benchmarks.latency import SPACE, Timing, observations, of_batch, of_peer
from benchmarks.latency import table as latency_table
from benchmarks.problems.suite import suite

APPLY_ALL = "from benchmarks.ablations import ABLATIONS\nfor switch in ABLATIONS.values(): switch()"


def test_every_ablation_finds_what_it_switches_off() -> None:
    """In a process of its own, for the switches stay."""
    subprocess.run([sys.executable, "-c", APPLY_ALL], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_an_ablation_is_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(suite(), "branin", replace(suite()["branin"], budget=6))
    given = ["ablation", "--without", "ucb", "--problems", "branin", "--seeds", "0", "--out", str(tmp_path)]
    told = CliRunner().invoke(main, given)
    assert told.exit_code == 0, told.output
    assert "| ours~ucb | 1 |" in told.output
    assert "ucb" in ABLATIONS


def test_intervals_of_a_smooth_function_hold_the_truth() -> None:
    found = coverage(suite()["branin"], 30, [0])
    assert found.correlation > 0.9
    assert found.shares[0] <= found.shares[1]
    assert found.shares[1] > 0.6


def test_the_mean_coverage_is_the_last_line() -> None:
    told = calibration_table([Coverage("a", (0.4, 0.8), 0.5), Coverage("b", (0.6, 1.0), 0.7)])
    assert told.splitlines()[-1] == "| **mean** | 0.50 | 0.90 | 0.60 |"


def test_latency_is_measured_and_told_as_a_ratio(tmp_path: Path) -> None:
    timing = of_peer("random", 5, tmp_path, repeats=1)
    assert (timing.peer, timing.observations) == ("random", 5)
    one, batch = of_batch(12, pending=2, batch=2, repeats=1)
    assert one > 0
    assert batch > 0
    told = latency_table([Timing("ours", 100, 0.03), Timing("optuna-gp", 100, 0.12)])
    assert "| optuna-gp | 120 ms (ratio 0.25) |" in told


def test_eight_mixed_parameters() -> None:
    assert sorted(p.kind for p in SPACE) == ["category"] * 2 + ["continuous"] * 4 + ["integer"] * 2
    assert len({tuple(config.values()) for config, _ in observations(20)}) == 20
