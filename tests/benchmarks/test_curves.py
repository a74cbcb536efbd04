"""Tables of curves: recording goes on where it ended, and what is recorded is looked up."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.curves import halves, points, recording, showing, table
from benchmarks.curves.__main__ import main
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.space import Wave
from benchmarks.curves.table import Ended, Table, TableError
from tests.benchmarks import toy_curves
from tests.benchmarks.toy_curves import CONFIGURATIONS, EPOCHS, SEEDS, TOY

ARRAYS = ("losses", "metrics", "ended")


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "toy", TOY)


@pytest.fixture
def whole(tmp_path: Path) -> Table:
    return recording.record(TOY, tmp_path / "whole", CONFIGURATIONS, SEEDS)


def assert_same(a: Table, b: Table) -> None:
    assert a.configurations == b.configurations
    for name in ARRAYS:
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name


def run_toy(end: str, folder: Path) -> int:
    root = Path(toy_curves.__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-m", "tests.benchmarks.toy_curves", end, str(folder)]
    return subprocess.run(command, env=env, cwd=root, check=False, timeout=240, capture_output=True).returncode


@pytest.mark.parametrize(("end", "status"), [("killed", -9), ("interrupted", recording.INTERRUPTED)])
def test_a_recording_that_ended_early_is_readable_and_goes_on_to_the_same_table(
    end: str, status: int, whole: Table, tmp_path: Path
) -> None:
    assert run_toy(end, tmp_path / "part") == status
    part = table.load("toy", tmp_path / "part")
    assert 0 < part.done < part.ended.size
    there = part.ended != Ended.MISSING
    assert part.losses[there].tobytes() == whole.losses[there].tobytes()
    assert_same(recording.record(TOY, tmp_path / "part", CONFIGURATIONS, SEEDS), whole)
    assert sorted(p.name for p in (tmp_path / "part").iterdir() if p.suffix != ".lock") == ["toy.json", "toy.npz"]


def test_what_is_recorded_is_not_trained_again(whole: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        recording, "_trainer", lambda _: pytest.fail("trained") if whole.done == 0 else toy_curves.Toy()
    )
    monkeypatch.setattr(toy_curves.Toy, "train", lambda *_: pytest.fail("trained"))
    assert_same(recording.record(TOY, tmp_path / "whole", CONFIGURATIONS, SEEDS), whole)


def test_more_configurations_and_seeds_keep_the_recorded_ones(whole: Table, tmp_path: Path) -> None:
    larger = recording.record(TOY, tmp_path / "whole", CONFIGURATIONS + 3, SEEDS + 1)
    assert larger.is_whole
    assert larger.configurations[:CONFIGURATIONS] == whole.configurations
    assert larger.losses[:CONFIGURATIONS, :SEEDS].tobytes() == whole.losses.tobytes()
    again = recording.record(TOY, tmp_path / "whole", CONFIGURATIONS, SEEDS)
    assert_same(again, larger)


def test_a_table_of_another_recipe_is_not_continued(whole: Table, tmp_path: Path) -> None:
    assert whole.is_whole
    with pytest.raises(TableError, match=r"another recipe \(version differ\)"):
        recording.record(replace(TOY, version=2), tmp_path / "whole", CONFIGURATIONS, SEEDS)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with recording._single_flight(tmp_path / ".toy.lock"), pytest.raises(TableError, match="another process"):
        recording.record(TOY, tmp_path, CONFIGURATIONS, SEEDS)


def test_a_diverged_run_is_nan_from_there_on(whole: Table) -> None:
    is_lost = np.array([c["rate"] > 0.5 for c in whole.configurations])
    assert is_lost.any()
    assert not is_lost.all()
    assert (whole.ended[is_lost] == Ended.DIVERGED).all()
    assert (whole.ended[~is_lost] == Ended.WHOLE).all()
    assert np.isfinite(whole.losses[is_lost][..., :2]).all()
    assert np.isnan(whole.losses[is_lost][..., 2:]).all()


def test_losses_are_looked_up(whole: Table) -> None:
    for row, configuration in enumerate(whole.configurations):
        assert whole.index(dict(reversed(configuration.items()))) == row
        assert whole.loss(configuration, 1, 2) == whole.losses[row, 1, 1]
    with pytest.raises(KeyError, match="no epoch 5"):
        whole.loss(whole.configurations[0], 0, EPOCHS + 1)
    with pytest.raises(KeyError):
        whole.index({"rate": 0.5})


def test_the_nearest_of_a_recorded_configuration_is_itself(whole: Table) -> None:
    for row, configuration in enumerate(whole.configurations):
        assert whole.nearest(configuration) == row
        others = np.arange(CONFIGURATIONS) != row
        assert whole.nearest(configuration, others) != row


def test_the_space_and_its_configurations_survive_the_file(whole: Table, tmp_path: Path) -> None:
    found = table.load("toy", tmp_path / "whole")
    assert found.space == TOY.search
    assert all(not found.space.faults(c) for c in found.configurations)
    assert_same(found, whole)


@pytest.mark.parametrize("name", list(SPACES))
def test_configurations_fill_the_space(name: str) -> None:
    search = SPACES[name].search
    found = points.sobol(search, 64)
    assert found == points.sobol(search, 100)[:64]
    assert not [fault for c in found for fault in search.faults(c)]
    rows = np.stack([points.places(search, c) for c in found])
    assert np.nanmin(rows) >= 0
    assert np.nanmax(rows) <= 1
    assert (np.nanmin(rows, axis=0) < 0.36).all()  # of three values, the middle of the first is at a sixth
    assert 3 <= len(search.parameters) <= 8


def test_chunks_hold_every_run_once() -> None:
    configurations = points.sobol(TOY.search, CONFIGURATIONS)
    chunks = list(Wave(2, CONFIGURATIONS, 1, 3).chunks(configurations, toy_curves.Toy()))
    runs = [(run.index, run.seed) for chunk in chunks for run in chunk]
    assert sorted(runs) == [(i, s) for i in range(2, CONFIGURATIONS) for s in (1, 2)]
    assert all(len({run.configuration["width"] for run in chunk}) == 1 and len(chunk) <= 3 for chunk in chunks)


def test_halves_are_those_that_were_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SPACES, "toy")
    record = next((Path(__file__).parents[2] / "docs" / "decisions").glob("0160-*.md")).read_text("utf-8")
    for half in halves.HALVES:
        line = next(text for text in record.splitlines() if text.startswith(f"{half.capitalize()}:"))
        written = line.removeprefix(f"{half.capitalize()}:").strip(" .").split(", ")
        assert written == [name for name, found in halves.halves().items() if found == half]


def test_list_and_show(whole: Table, tmp_path: Path) -> None:
    run = CliRunner()
    told = run.invoke(main, ["list", "--folder", str(tmp_path / "whole")], catch_exceptions=False).output
    assert f"{CONFIGURATIONS}" in next(line for line in told.splitlines() if line.startswith("toy "))
    shown = "\n".join(showing.details(whole, "development"))
    assert "best, by their mean final loss" in shown
    assert " a" in shown
    refused = run.invoke(main, ["show", "wine-mlp", "--folder", str(tmp_path)])
    assert refused.exit_code == 1
    assert "record it: python -m benchmarks.curves record wine-mlp" in refused.output


@pytest.mark.parametrize("name", table.recorded())
def test_every_committed_table_is_of_todays_recipe(name: str) -> None:
    found = table.load(name)
    assert {key: found.about[key] for key in SPACES[name].description()} == SPACES[name].description()
    computed = points.sobol(found.space, len(found.configurations))
    for told, made in zip(found.configurations, computed, strict=True):
        places = points.places(found.space, told)
        assert places == pytest.approx(points.places(found.space, made), abs=1e-9, nan_ok=True)
    assert found.ended.shape == found.losses.shape[:2]
    assert np.isfinite(found.losses[found.ended == Ended.WHOLE]).all()


@pytest.mark.slow
def test_several_processes_record_the_same(tmp_path: Path) -> None:
    space = SPACES["diabetes-boosting"]
    one, two = (recording.record(space, tmp_path / str(jobs), 6, 2, jobs) for jobs in (1, 2))
    assert_same(one, two)
