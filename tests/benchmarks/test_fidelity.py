"""Replays on a small table: every method spends the same epochs, and is told what was recorded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.curves import halves, recording, table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.table import Table
from benchmarks.fidelity.__main__ import main, read, regret
from benchmarks.fidelity.methods import METHODS
from benchmarks.fidelity.replay import replay
from bo_service.domain.constraints import Configuration
from tests.benchmarks.toy_curves import EPOCHS, TOY

BUDGET = 6
LOCAL = [name for name in METHODS if not name.startswith("optuna-gp")]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setitem(SPACES, "toy", TOY)
    monkeypatch.setattr(table, "TABLES", tmp_path)
    halves.halves.cache_clear()
    return recording.record(TOY, tmp_path, 30, 2)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.filterwarnings("ignore")
def test_every_method_spends_its_epochs_and_repeats_itself(name: str, toy: Table) -> None:
    found = replay(METHODS[name], toy, 3, BUDGET)
    assert len(found.best) == len(found.final) == len(found.seconds) == BUDGET
    assert found.best == sorted(found.best, reverse=True)
    assert all(best <= final for best, final in zip(found.best, found.final, strict=True))
    assert found.trials >= BUDGET
    assert replay(METHODS[name], toy, 3, BUDGET) == found


class Scripted:
    """Takes the table's rows in turn, and stops each after two epochs."""

    def __init__(self, toy: Table, _: int) -> None:
        self.heard: list[tuple[int, int, float]] = []
        self.failed: list[int] = []
        self._table, self._row = toy, -1

    def begin(self, snap: Callable[[Configuration], Configuration]) -> Configuration:
        self._row += 1
        assert snap(self._table.configurations[self._row]) == self._table.configurations[self._row]
        return self._table.configurations[self._row]

    def report(self, epoch: int, loss: float) -> bool:
        self.heard.append((self._row, epoch, loss))
        return epoch == 2

    def end(self, is_failed: bool) -> None:
        self.failed += [self._row] if is_failed else []


def test_a_method_hears_what_was_recorded(toy: Table) -> None:
    made: list[Scripted] = []

    def make(found: Table, seed: int) -> Scripted:
        made.append(Scripted(found, seed))
        return made[0]

    replayed = replay(make, toy, 1, BUDGET)
    assert replayed.trials == BUDGET * EPOCHS / 2
    assert made[0].heard == [(r, e, toy.losses[r, 1, e - 1]) for r in range(replayed.trials) for e in (1, 2)]
    assert replayed.best[-1] == min(loss for _, _, loss in made[0].heard)
    assert np.isinf(replayed.final).all()
    assert replayed.seconds == pytest.approx([EPOCHS * 0.1 * (i + 1) for i in range(BUDGET)])


def test_a_diverged_trial_fails_where_it_diverged(toy: Table) -> None:
    class Whole(Scripted):
        def report(self, epoch: int, loss: float) -> bool:
            return super().report(epoch, loss) and False

    made: list[Whole] = []
    replay(lambda found, seed: made.append(Whole(found, seed)) or made[0], toy, 0, BUDGET)
    (method,) = made
    began = range(1 + max(row for row, _, _ in method.heard))
    diverges = [row for row in began if np.isnan(toy.losses[row, 0]).any()]
    assert diverges
    assert method.failed[: len(diverges)] == diverges
    assert all(np.isfinite(loss) for _, _, loss in method.heard)


def test_regret_is_zero_at_the_best_and_one_at_the_median(toy: Table) -> None:
    least = np.nanmin(toy.losses[:, 0], axis=1)
    assert regret(toy, 2, float(least.min())) == 1e-3
    assert regret(toy, 2, float(np.median(least))) == pytest.approx(1.0)
    last = toy.losses[:, 0, -1]
    assert regret(toy, 2, float(np.nanmin(last)), "final") == 1e-3
    assert regret(toy, 2, np.inf, "final") == 1.0


def test_results_are_gone_on_with_and_reported(toy: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toy.is_whole
    monkeypatch.setitem(halves.halves(), "toy", halves.DEVELOPMENT)
    results = tmp_path / "results.jsonl"
    arguments = ["run", "--methods", "random", "--spaces", "toy", "--budget", "3", "--results", str(results)]
    run = CliRunner()
    first = run.invoke(main, [*arguments, "--seeds", "2"], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    with results.open("a", encoding="utf-8") as file:
        file.write('{"method": "ran')  # the process was killed here
    run.invoke(main, [*arguments, "--seeds", "4"], catch_exceptions=False)
    assert [row["seed"] for row in read(results)] == [0, 1, 2, 3]
    told = run.invoke(main, ["report", "--results", str(results)], catch_exceptions=False).output
    assert told.startswith("| space | random |")
    monkeypatch.setitem(halves.halves(), "toy", halves.VALIDATION)
    refused = run.invoke(main, [*arguments, "--seeds", "5"])
    assert "looked at once" in refused.output
