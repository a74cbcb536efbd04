"""Runs over the pipe: with peers that need no library, and one that dies."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.peers.catalog import CATALOG, REQUIREMENTS, Entry
from benchmarks.peers.process import Asked, PeerError, PeerProcess
from benchmarks.peers.protocol import Config, WorstForFailures, name_of
from benchmarks.problems.suite import suite
from benchmarks.results import Key, finished, is_finished, read
from benchmarks.running import run, trials

BRANIN = suite()["branin"]


class Told:
    """A peer that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[Config, float | None]] = []

    def ask(self) -> Config:
        return {"x": len(self.told)}

    def tell(self, config: Config, value: float | None) -> None:
        self.told.append((config, value))


def test_a_finished_run_is_not_redone_and_a_half_one_is(tmp_path: Path) -> None:
    key = Key("random", "branin", 3)
    assert run(key, BRANIN, tmp_path, tmp_path)
    path = key.file(tmp_path)
    rows = read(path)
    assert len(rows) == BRANIN.budget
    assert [r.value for r in rows] == [BRANIN.true(r.config) for r in rows]
    assert not run(key, BRANIN, tmp_path, tmp_path)
    path.write_text("\n".join(path.read_text().splitlines()[:7]) + "\n")
    assert not is_finished(path, BRANIN.budget)
    assert run(key, BRANIN, tmp_path, tmp_path)
    assert [r.config for r in read(path)] == [r.config for r in rows]
    assert finished(tmp_path) == [key]


def test_what_a_peer_asks_is_evaluated_in_the_order_of_the_space_and_told_back() -> None:
    class Backwards:
        told: ClassVar[list[float | None]] = []

        def ask(self) -> Asked:
            return Asked({"x2": 2.275, "x1": math.pi}, 0.25)

        def tell(self, config: Config, value: float | None) -> float:
            assert list(config) == ["x2", "x1"]
            self.told.append(value)
            return 0.5

    rows = list(trials(cast(PeerProcess, Backwards()), BRANIN, 0))
    assert [r.value for r in rows] == [pytest.approx(0.397887, abs=1e-6)] * BRANIN.budget
    assert [r.seconds for r in rows] == [0.25] + [0.75] * (BRANIN.budget - 1)
    assert len(Backwards.told) == BRANIN.budget


def test_failures_cross_the_pipe(tmp_path: Path) -> None:
    key = Key("random", "branin-failing", 0)
    run(key, suite()["branin-failing"], tmp_path, tmp_path)
    assert 2 <= sum(r.value is None for r in read(key.file(tmp_path))) <= 20


def test_ours_speaks_every_kind_of_parameter(tmp_path: Path) -> None:
    short = replace(suite()["training"], budget=3)
    key = Key("ours", "training", 0)
    run(key, short, tmp_path, tmp_path)
    rows = read(key.file(tmp_path))
    assert [type(v) for v in rows[0].config.values()] == [float, float, float, int, int, str, str]


def test_a_peer_that_dies_leaves_no_finished_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "random", Entry("no_such_module"))
    key = Key("random", "branin", 0)
    with pytest.raises(PeerError):
        run(key, BRANIN, tmp_path, tmp_path)
    assert not key.file(tmp_path).exists()
    assert "no_such_module" in key.file(tmp_path).with_suffix(".log").read_text()


def test_a_missing_environment_is_told_with_what_to_do(tmp_path: Path) -> None:
    given = ["latency", "--peers", "ax", "--environments", str(tmp_path)]
    told = CliRunner().invoke(main, given)
    assert told.exit_code == 1
    assert "python -m benchmarks install" in told.output


def test_a_peer_without_failures_is_told_the_worst_so_far() -> None:
    inner = Told()
    peer = WorstForFailures(inner)
    peer.tell({"x": 0}, None)
    assert inner.told == []
    peer.tell({"x": 1}, 2.0)
    peer.tell({"x": 2}, 5.0)
    peer.tell({"x": 3}, None)
    assert inner.told == [({"x": 1}, 2.0), ({"x": 0}, 2.0), ({"x": 2}, 5.0), ({"x": 3}, 5.0)]


def test_a_config_has_one_name_on_both_sides_of_the_pipe() -> None:
    asked = {"b": np.float64(0.25), "a": np.int64(3)}
    told = json.loads(json.dumps({"a": 3, "b": 0.25}))
    assert name_of(asked) == name_of(told)


def test_every_environment_has_its_requirements() -> None:
    wanted = {e.environment for e in CATALOG.values() if e.environment}
    assert all((REQUIREMENTS / f"{name}.txt").exists() for name in wanted)


def test_the_command_runs_and_reports(tmp_path: Path) -> None:
    runs, results = tmp_path / "runs", tmp_path / "results"
    given = ["regret", "--peers", "random,sobol", "--problems", "branin", "--seeds", "0-1", "--out", str(runs)]
    assert CliRunner().invoke(main, given).exit_code == 0
    told = CliRunner().invoke(main, ["report", "--runs", str(runs), "--results", str(results), "--base", "sobol"])
    assert told.exit_code == 0, told.output
    assert {run["seed"] for run in json.loads((results / "random.json").read_text())} == {0, 1}
    assert (results / "regret.png").stat().st_size > 5000
    assert "| branin |" in (results / "report.md").read_text()


def test_unknown_names_are_told() -> None:
    told = CliRunner().invoke(main, ["regret", "--peers", "nobody", "--out", "x"])
    assert told.exit_code == 2
    assert "nobody is unknown" in told.output
