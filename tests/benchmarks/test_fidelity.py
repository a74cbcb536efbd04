"""Replays on a small table: every method spends the same epochs, is told what was recorded, and is scored by hand."""

import math
import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.curves import halves, recording, table
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.table import Ended, Table
from benchmarks.fidelity import catalog, environment, results, summary
from benchmarks.fidelity.__main__ import main
from benchmarks.fidelity.best_so_far import BestSoFar
from benchmarks.fidelity.catalog import METHODS, MethodError, make_of, missing_packages, version_of
from benchmarks.fidelity.replay import Answer, Ending, Part, Progress, Replayed, Snap, replay
from benchmarks.fidelity.results import Key, Study
from benchmarks.fidelity.scores import Comparer, Reference, Scale, Score, Spent
from benchmarks.tabular.scores import FLOOR
from tests.benchmarks.toy_curves import EPOCHS, TOY

BUDGET = 5
LOCAL = [name for name, entry in METHODS.items() if not entry.environment]
PEERS = [name for name, entry in METHODS.items() if entry.environment]
SLOW_IMPORTS = {"ray-asha": pytest.mark.slow}


def needing_its_environment(name: str) -> object:
    missing = missing_packages(METHODS[name])
    return pytest.param(name, marks=pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}"))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setitem(SPACES, "toy", TOY)
    monkeypatch.setattr(table, "TABLES", tmp_path)
    monkeypatch.setitem(halves.halves(), "toy", halves.DEVELOPMENT)
    return recording.record(TOY, tmp_path, 30, 2)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW_IMPORTS.get(name, ())) for name in LOCAL])
@pytest.mark.filterwarnings("ignore")
def test_every_method_spends_its_epochs_and_repeats_itself(name: str, toy: Table) -> None:
    found = replay(make_of(name), toy, 3, BUDGET, workers=2)
    assert found.progress[-1].epochs == BUDGET * EPOCHS
    assert found.progress[-1].seconds == pytest.approx(BUDGET * EPOCHS * 0.1 / 2, abs=0.1)
    for before, after in pairwise(found.progress):
        assert after.best <= before.best
        assert after.final <= before.final
        assert after.best <= after.final
    assert found.trials >= BUDGET
    assert replay(make_of(name), toy, 3, BUDGET, workers=2) == found


def test_a_worker_that_keeps_its_best_checkpoint_reports_the_best_so_far(toy: Table) -> None:
    scripted = Scripted(toy)
    method = BestSoFar(lambda _table, _seed: scripted, toy, 0)
    assert method.begin(lambda configuration: configuration) == Part(0, toy.configurations[0])
    assert [method.report(0, 1, 0.5), method.report(0, 2, 0.7), method.report(0, 3, 0.4)] == [
        Answer.GO_ON,
        Answer.STOP,
        Answer.GO_ON,
    ]
    method.end(0, Ending.STOPPED)
    assert scripted.heard == [(0, 1, 0.5), (0, 2, 0.5), (0, 3, 0.4)]
    assert scripted.ended == [(0, Ending.STOPPED)]


@pytest.mark.parametrize("name", [needing_its_environment(name) for name in PEERS])
@pytest.mark.filterwarnings("ignore")
def test_a_peer_in_its_environment_spends_its_epochs_and_repeats_itself(name: str, toy: Table) -> None:
    test_every_method_spends_its_epochs_and_repeats_itself(name, toy)


@pytest.mark.parametrize("name", [needing_its_environment(name) for name in ("syne-asha", "syne-dyhpo", "smac")])
@pytest.mark.filterwarnings("ignore")
def test_a_peer_that_pauses_goes_on_with_paused_trials(name: str, toy: Table) -> None:
    found = replay(make_of(name), toy, 0, BUDGET)
    assert found.trials > BUDGET
    assert found.whole > 0


@pytest.mark.filterwarnings("ignore")
def test_ours_trains_in_parts_and_ends_some(toy: Table) -> None:
    whole, parts = (replay(make_of(name), toy, 0, BUDGET) for name in ("ours", "ours-asha"))
    assert parts.trials > whole.trials
    assert 0 < parts.whole < whole.whole


class Scripted:
    """Take the table's rows in turn, and end each after two epochs with an answer; paused ones go on first."""

    def __init__(self, toy: Table, answer: Answer = Answer.STOP) -> None:
        self.heard: list[tuple[int, int, float]] = []
        self.ended: list[tuple[int, Ending]] = []
        self._table, self._row, self._answer = toy, -1, answer
        self._paused: list[int] = []

    def begin(self, snap: Snap) -> Part:
        if self._paused:
            return self._part(self._paused.pop())
        self._row += 1
        assert snap(self._table.configurations[self._row]) == self._table.configurations[self._row]
        return self._part(self._row)

    def report(self, number: int, epoch: int, loss: float) -> Answer:
        self.heard.append((number, epoch, loss))
        return self._answer if epoch == 2 else Answer.GO_ON

    def end(self, number: int, ending: Ending) -> None:
        self.ended.append((number, ending))
        self._paused += [number] if ending is Ending.PAUSED else []

    def _part(self, row: int) -> Part:
        return Part(row, self._table.configurations[row])


def scripted(toy: Table, seed: int, answer: Answer, workers: int = 1) -> tuple[Scripted, Replayed]:
    method = Scripted(toy, answer)
    return method, replay(lambda *_: method, toy, seed, BUDGET, workers)


def test_a_method_hears_what_was_recorded(toy: Table) -> None:
    method, replayed = scripted(toy, 1, Answer.STOP)
    assert replayed.trials == BUDGET * EPOCHS / 2
    assert method.heard == [(r, e, toy.losses[r, 1, e - 1]) for r in range(replayed.trials) for e in (1, 2)]
    last = replayed.progress[-1]
    assert last.best == min(loss for _, _, loss in method.heard)
    assert last.final == math.inf
    assert last.seconds == pytest.approx(0.1 * BUDGET * EPOCHS)
    assert {ending for _, ending in method.ended} == {Ending.STOPPED}


def test_a_paused_trial_goes_on_where_it_was(toy: Table) -> None:
    method, replayed = scripted(toy, 1, Answer.PAUSE)
    for row in {row for row, _, _ in method.heard}:
        epochs = [epoch for number, epoch, _ in method.heard if number == row]
        assert epochs == list(range(1, len(epochs) + 1))
    assert (0, Ending.PAUSED) in method.ended
    assert replayed.whole == sum(ending is Ending.WHOLE for _, ending in method.ended) > 0


def test_workers_train_at_the_same_time(toy: Table) -> None:
    method, replayed = scripted(toy, 1, Answer.STOP, workers=3)
    assert [row for row, _, _ in method.heard[:6]] == [0, 1, 2, 0, 1, 2]
    assert replayed.progress[-1].seconds == pytest.approx(0.1 * math.ceil(BUDGET * EPOCHS / 3))
    toy.seconds[0] = 10.0
    method, replayed = scripted(toy, 1, Answer.STOP, workers=2)
    assert [row for row, _, _ in method.heard[:4]] == [1, 1, 2, 2]
    assert 0 not in {row for row, _, _ in method.heard}


def test_a_diverged_trial_fails_where_it_diverged(toy: Table) -> None:
    method, _ = scripted(toy, 0, Answer.GO_ON)
    diverges = [row for row, _ in method.ended if np.isnan(toy.losses[row, 0]).any()]
    assert diverges
    assert [row for row, ending in method.ended if ending is Ending.FAILED] == diverges
    assert all(np.isfinite(loss) for _, _, loss in method.heard)


def test_a_study_ends_where_every_configuration_has_run(toy: Table) -> None:
    toy.ended[4:] = Ended.MISSING
    found = replay(make_of("random"), toy, 0, BUDGET)
    assert found.trials == 4
    assert found.progress[-1].epochs <= 4 * EPOCHS


def test_regret_is_zero_at_the_best_and_one_at_the_best_of_ten_random(toy: Table) -> None:
    reference = Scale(toy).reference(1, Score.CHECKPOINT)
    least = np.sort(np.where(np.isfinite(toy.losses[:, 1]), toy.losses[:, 1], np.inf).min(axis=1))
    # Of ten random ones the best is at the quantile 1 - 0.5 ** 0.1 = 0.067 in the median: of thirty the second.
    assert (reference.best, reference.random) == (least[0], least[1])
    assert reference.regret(least[1]) == pytest.approx(1.0)
    assert reference.regret(least[0]) == FLOOR
    assert reference.regret(math.inf) == pytest.approx((reference.median - least[0]) / (least[1] - least[0]))
    assert Scale(toy).reference(1, Score.FINAL).best >= reference.best


def study(name: str, seed: int, progress: list[Progress], method: str = "ours", workers: int = 1) -> Study:
    return Study(Key(name, method, "1", seed, workers, 20), Replayed(tuple(progress), 30, 5), 1.0)


def test_a_study_is_scored_at_equal_epochs_and_at_equal_seconds(toy: Table) -> None:
    scale = Scale(toy)
    assert scale.seconds == pytest.approx(EPOCHS * 0.1)
    best, random, median = (getattr(scale.reference(0, Score.CHECKPOINT), n) for n in ("best", "random", "median"))
    reached = [Progress(1, 0.1, random, math.inf), Progress(8 * EPOCHS + 1, 0.2, best, math.inf)]
    found = study("toy", 0, reached)
    worst = scale.reference(0, Score.FINAL).regret(math.inf)
    assert scale.regret(found, 8, Score.CHECKPOINT) == pytest.approx(1.0)
    assert scale.regret(found, 12, Score.CHECKPOINT) == FLOOR
    assert scale.regret(found, 8, Score.CHECKPOINT, Spent.SECONDS) == FLOOR
    assert scale.regret(found, 20, Score.FINAL) == worst
    assert scale.regret(study("toy", 0, []), 20, Score.CHECKPOINT) == Reference(best, random, median).regret(math.inf)


def scored(regrets: Mapping[tuple[str, int], float], scale: Scale, method: str) -> dict[tuple[str, int], Study]:
    made = {}
    for (name, seed), regret in regrets.items():
        reference = scale.reference(seed % scale.table.seeds, Score.CHECKPOINT)
        loss = reference.best + regret * (reference.random - reference.best)
        made[name, seed] = study(name, seed, [Progress(1, 0.1, loss, loss)], method)
    return made


def test_a_comparison_by_hand(toy: Table) -> None:
    scale = Scale(toy)
    base = scored({("a", 0): 0.4, ("a", 1): 0.4, ("b", 0): 0.4}, scale, "ours")
    other = scored({("a", 0): 0.1, ("a", 1): 0.4, ("b", 0): 0.0, ("b", 1): 0.4}, scale, "other")
    alone = scored({("c", 0): 0.4}, scale, "alone")
    methods = {"ours": base, "other": other, "alone": alone}
    first, second = Comparer(methods, "ours", {"a": scale, "b": scale}, Score.CHECKPOINT).compare()
    assert (first.method, second.method) == ("other", "ours")
    # a: √(0.1 · 0.4) = 0.2 and 0.4; b: the floor, 0.02, and 0.4; then the mean of the two tables.
    assert first.regrets == pytest.approx([math.sqrt(0.2 * FLOOR)] * 4)
    assert first.last.mean == first.first.mean == pytest.approx(math.sqrt(0.2 * FLOOR) / 0.4)
    assert first.last.low <= first.last.mean <= first.last.high
    assert (first.studies, first.tables, first.seeds) == (3, 2, 1)
    assert (first.rank, second.rank) == pytest.approx(((1 + 1.5 + 1) / 3, (2 + 1.5 + 2) / 3))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_results_are_gone_on_with_and_summarized(toy: Table, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    options = ["run", "--methods", "random", "--tables", "toy", "--budget", "20", "--results", str(path)]
    first = run(*options, "--seeds", "0-1", "--workers", "1,2")
    assert first.exit_code == 0, first.output
    assert "[4/4] toy random seed 1 workers 2: best " in first.output
    with path.open("a", encoding="utf-8") as file:
        file.write('{"method": "ran')  # the process was killed here
    assert "4 of 8 studies are there; 4 to do" in run(*options, "--seeds", "0-3", "--workers", "1,2").output
    found = results.read(path)
    assert [s.key.workers for s in found] == [1, 1, 2, 2] * 2
    assert [s.key.seed for s in found] == [0, 1, 0, 1, 2, 3, 2, 3]
    assert found[0].key == Key("toy", "random", version_of("random"), 0, 1, 20)
    replayed = replay(make_of("random"), toy, 0, 20)
    assert found[0].replayed.progress[-1] == pytest.approx(replayed.progress[-1], rel=1e-5)
    told = run("summarize", "--base", "random", "--results", str(path)).output
    assert path.with_suffix(".md").read_text() + "\n" == told
    assert "## 2 workers, 1 real tables, best checkpoint of any epoch" in told
    assert "Ranks are on the 4 studies that all have." in told
    assert "Studies with 2 workers: random 4." in told
    assert "Studies with 8 workers: none." in told
    assert "**Preliminary.**" in told
    assert "Methods without any study: ours, ours-asha," in told
    changed = [Study(s.key._replace(version="newer"), s.replayed, 1.0) for s in found[:2]]
    assert "left out: 4" in summary.markdown([*found, *changed], {"toy": Scale(toy)}, "random", "development")


def test_validation_is_looked_at_once(toy: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(halves.halves(), "toy", halves.VALIDATION)
    path = tmp_path / "results.jsonl"
    options = ["run", "--methods", "random", "--tables", "toy", "--workers", "1", "--results", str(path)]
    refused = run(*options, "--seeds", "0")
    assert refused.exit_code == 2
    assert "toy is for validation: it needs --validation" in refused.output
    assert run(*options, "--seeds", "0", "--validation").exit_code == 0
    assert "0 to do" in run(*options, "--seeds", "0", "--validation").output
    monkeypatch.setattr(catalog, "version_of", lambda name: f"{name}-changed")
    assert "looked at once" in run(*options, "--seeds", "1", "--validation").output


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--tables", "nothing"], "'nothing' is not one of"),
        (["--methods", "nothing"], "'nothing' is not a method"),
        (["--workers", "0"], "numbers from 1"),
        (["--workers", "one"], "numbers from 1"),
    ],
)
def test_a_wrong_option_is_refused(given: list[str], told: str, toy: Table, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert told in run("run", *given, "--results", str(path)).output
    assert not path.exists()


def test_a_partial_table_takes_no_part(toy: Table, tmp_path: Path) -> None:
    toy.ended[3, 1] = Ended.MISSING
    toy.save(tmp_path / "toy.npz")
    options = ["run", "--methods", "random", "--results", str(tmp_path / "results.jsonl")]
    assert "recorded only in part" in run(*options, "--tables", "toy").output
    assert "0 of 0 studies" in run(*options).output


def test_a_version_is_of_the_library_the_options_and_the_code() -> None:
    versions = {version_of(name) for name in LOCAL}
    assert len(versions) == len(LOCAL)
    assert version_of("optuna-tpe-halving").startswith("optuna-")


def test_a_method_whose_library_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "torch" else package)
    with pytest.raises(MethodError, match="optuna-gp needs torch"):
        version_of("optuna-gp")
    listed = run("list").output
    assert "optuna-gp              cannot run here" in listed
    assert f"random                 {version_of('random')}" in listed


def test_run_continues_in_the_environment_of_methods_that_need_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARKS_ENVIRONMENTS", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["fidelity", "run", "--methods", "a,b"])
    monkeypatch.setitem(METHODS, "a", catalog.Entry("a", "A", needs=("no_such_package",), environment="own"))
    monkeypatch.setitem(METHODS, "b", catalog.Entry("b", "B", needs=("no_such_package",), environment="own"))
    entered = []
    monkeypatch.setattr(os, "execve", lambda *call: entered.append(call))
    environment.enter(["a", "b"])
    assert not entered  # it has not been made
    python = tmp_path / "fidelity" / "own" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    environment.enter(["a", "random"])
    assert not entered
    environment.enter(["a", "b"])
    ((path, command, given),) = entered
    assert path == str(python)
    assert command[-4:] == ["benchmarks.fidelity", "run", "--methods", "a,b"]
    assert given["PYTHONHASHSEED"] == "0"
    monkeypatch.setattr(sys, "prefix", str(python.parents[1]))
    environment.enter(["a", "b"])
    assert len(entered) == 1


def test_an_environment_finds_what_it_needs_of_the_project() -> None:
    """With -S no package is found that pip has linked to this project, as this one is."""
    paths = os.pathsep.join([environment.PROJECT, str(Path(np.__file__).parents[1])])
    program = [sys.executable, "-S", "-m", "benchmarks.fidelity", "list"]
    done = subprocess.run(
        program, env={**os.environ, "PYTHONPATH": paths}, cwd="/", capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert "syne-asha" in done.stdout


def test_an_environment_has_its_requirements() -> None:
    assert all((environment.REQUIREMENTS / f"{name}.txt").exists() for name in environment.NAMES)
