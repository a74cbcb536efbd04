"""Tabular benchmarks: runs go on where they were, scores are those by hand, and the splits stay apart."""

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.peers import serve
from benchmarks.peers.catalog import CATALOG, environments
from benchmarks.peers.process import Asked
from benchmarks.peers.protocol import Config
from benchmarks.problems.problem import Split
from benchmarks.problems.space import Category, Integer, Space
from benchmarks.tabular import catalog, report, results, study, table, versions
from benchmarks.tabular.results import ResultsInUse, TabularRun
from benchmarks.tabular.scores import FLOOR, Score, compare, interval, mean_ranks
from benchmarks.tabular.table import Table, TableError, package
from tests.benchmarks import toy_tables
from tests.benchmarks.toy_tables import COLLECTION, SPACE

RUN = ["tabular", "run", "--peers", "random,again", "--seeds", "0-1", "--trials", "6"]


@pytest.fixture(autouse=True)
def _toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "SOURCES", dict(catalog.SOURCES))
    monkeypatch.setitem(CATALOG, "again", toy_tables.AGAIN)
    monkeypatch.setenv("BENCHMARKS_ENVIRONMENTS", str(tmp_path / "environments"))
    toy_tables.register(tmp_path / "environments")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


@pytest.fixture
def toy() -> Table:
    return table.made(catalog.SOURCES["toy"], toy_tables.content())


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def run(path: Path, *further: str) -> Result:
    return command(*RUN, "--tables", "toy", "--results", str(path), *further)


def killed(end: str, path: Path) -> int:
    """Run the same command in a process that SIGKILL ends in its third run."""
    root = Path(toy_tables.__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    given = [sys.executable, "-m", "tests.benchmarks.toy_tables", end, *RUN, "--tables", "toy", "--results", str(path)]
    return subprocess.run(given, env=env, cwd=root, check=False, timeout=240, capture_output=True).returncode


def without_seconds(runs: list[TabularRun]) -> list[tuple[object, ...]]:
    return [(*r.key, r.trials, r.tried, r.told) for r in runs]


@pytest.mark.parametrize("end", ["running", "appending"])
def test_a_killed_command_goes_on_where_it_was(end: str, path: Path, tmp_path: Path) -> None:
    assert killed(end, path) == -9
    before = results.read(path)
    assert [(r.peer, r.seed) for r in before] == [("random", 0), ("again", 0)]
    told = run(path)
    assert told.exit_code == 0, told.output
    assert "2 of 4 runs are there; 2 to do" in told.output
    after = results.read(path)
    assert after[:2] == before
    assert run(tmp_path / "at-once.jsonl").exit_code == 0
    assert without_seconds(after) == without_seconds(results.read(tmp_path / "at-once.jsonl"))
    assert len(path.read_text().splitlines()) == 4
    assert "0 to do" in run(path).output
    assert results.read(path) == after


def test_two_commands_do_not_append_to_one_file(path: Path) -> None:
    with results.appending(path):
        told = run(path)
        assert told.exit_code == 1
        assert "another process appends" in told.output
        with pytest.raises(ResultsInUse), results.appending(path):
            pass
    assert run(path).exit_code == 0


def test_peers_of_one_seed_measure_the_same_trainings(toy: Table) -> None:
    drawn = [toy.measure("00", 3, number) for number in range(20)]
    assert set(drawn) == {0.5, 1.5}
    assert [toy.measure("31", 3, number) - 7 for number in range(20)] == drawn
    assert [toy.measure("00", 4, number) for number in range(20)] != drawn


def test_regret_by_hand(toy: Table) -> None:
    # Of ten random configurations of twenty the best is the second best in the median: 1 - (1 - 1/20)^10 = 0.40 < 1/2.
    assert (toy.best, toy.random) == (1.0, 2.0)
    assert [toy.regret(key) for key in ("00", "01", "10", "91")] == [0.0, 1.0, 2.0, 19.0]


def test_both_scores_by_hand(toy: Table) -> None:
    # True losses 7, 4, 5: the second is the best that was tried, the third has the least measured value.
    trials = ["30", "11", "20"]
    assert study.scores(toy, trials, [6.5, 4.5, 4.4]) == (3.0, 4.0)
    assert study.scores(toy, trials[:1], [6.5]) == (6.0, 6.0)
    assert study.scores(toy, trials, [4.5, 4.5, 4.6]) == (3.0, 6.0)


def test_accuracy_becomes_the_loss_that_is_missing_to_the_perfect_one() -> None:
    source = catalog.TableSource("t", catalog.Collection("c", SPACE, "acc", 100.0), Split.DEVELOPMENT, "")
    found = table.made(source, pickle.dumps({"00": {"acc": [98.0, 99.0], "time": [1.0, 1.0]}}))
    assert found.losses == {"00": (2.0, 1.0)}


def of(peer: str, regrets: dict[tuple[str, int], float], version: str = "1", told: float = 0.5) -> list[TabularRun]:
    return [
        TabularRun(name, peer, seed, version, ("00", "01", "00", "10"), (2 * r, r), (told, told), None, 2.0)
        for (name, seed), r in regrets.items()
    ]


def keyed(runs: list[TabularRun]) -> dict[tuple[str, int], TabularRun]:
    return {(r.problem, r.seed): r for r in runs}


def test_a_comparison_by_hand() -> None:
    ours = keyed(of("ours", {("car", 0): 0.1, ("car", 1): 0.4, ("kc1", 0): 0.05}))
    theirs = keyed(of("theirs", {("car", 0): 0.2, ("car", 1): 0.2, ("kc1", 0): 0.0, ("kc1", 1): 9.0}))
    first, second = compare({"theirs": theirs, "ours": ours}, "ours", ["car", "kc1"], Score.TRIED)
    assert (first.peer, second.peer) == ("theirs", "ours")
    # car: √(0.2 · 0.2) = 0.2 and √(0.1 · 0.4) = 0.2; kc1: the floor 0.02 and 0.05; then the mean of the two tables.
    assert first.full == pytest.approx(math.sqrt(0.2 * FLOOR))
    assert first.base_full == second.full == pytest.approx(math.sqrt(0.2 * 0.05))
    assert first.half == pytest.approx(math.sqrt(0.4 * FLOOR))
    assert first.ratio == pytest.approx(math.sqrt(2.5))
    assert (first.runs, first.seeds, first.repeats, first.seconds) == (3, 1, 3, 0.5)
    assert (first.rank, second.rank) == pytest.approx((4 / 3, 5 / 3))
    equal = compare({"theirs": theirs, "ours": ours}, "ours", ["car", "kc1"], Score.ENDED)
    assert [line.full for line in equal] == [pytest.approx(0.5)] * 2
    assert [line.rank for line in equal] == [1.5, 1.5]


def test_the_interval_is_of_tables_and_seeds() -> None:
    assert interval({"a": [0.5, 0.5], "b": [0.5]}) == pytest.approx((0.5, 0.5))
    # Both tables are drawn twice with probability 1/4 each, more than 1/40: the interval ends there.
    assert interval({"a": [0.25], "b": [4.0]}) == pytest.approx((0.25, 4.0))
    low, high = interval({"a": [0.25, 4.0], "b": [0.25, 4.0]})
    assert low == pytest.approx(0.25)
    assert high == pytest.approx(4.0)
    assert all(map(math.isnan, interval({"a": [0.5, 0.5]})))


def test_ranks_need_common_runs() -> None:
    apart = {"a": keyed(of("a", {("car", 0): 0.1})), "b": keyed(of("b", {("car", 1): 0.1}))}
    assert all(map(math.isnan, mean_ranks(apart, Score.TRIED).values()))


def test_the_report_names_the_best_peer_and_leaves_out_older_versions() -> None:
    tables = catalog.names(Split.DEVELOPMENT)
    runs = of("ours", {(n, 0): 9.0 for n in tables}, version="older")
    runs += of("ours", {(n, s): 0.1 for n in tables for s in range(10)}, version="newer")
    runs += of("hebo", {(n, s): 0.2 for n in tables for s in range(10)})
    runs += of("random", {(n, 0): 0.4 for n in tables})
    told = report.markdown(runs, "ours", Split.DEVELOPMENT)
    assert "Best peer: hebo; ours has 0.50 (0.50 to 0.50) of its regret.\n" in told
    assert "ours newer" in told
    assert f"left out: {len(tables)}" in told
    assert "| hebo | 80 | 10 | 0.400 | 0.200 | 0.200 | 0.100 | 0.50 (0.50 to 0.50) | 2.00 | 80 | 0.500 |" in told
    few = report.markdown([r for r in runs if r.seed == 0], "ours", Split.DEVELOPMENT)
    assert "Preliminary: fewer than 10 paired seeds a table." in few


def test_a_recommendation_is_what_the_user_ends_with() -> None:
    asked = TabularRun("toy", "ours", 0, "1", ("00",), (0.1, 0.1), (0.9, 0.8), (0.4, 0.3), 1.0)
    assert asked.ended == (0.4, 0.3)


class Recommending:
    """A peer that recommends what it was told of first."""

    def __init__(self) -> None:
        self.first: Config | None = None

    def ask(self) -> Config:
        return {"depth": 5 if self.first else 0, "kind": "b"}

    def tell(self, config: Config, value: float | None) -> None:
        assert value is not None
        self.first = self.first or config

    def recommend(self) -> Config:
        assert self.first is not None
        return self.first


@pytest.mark.parametrize(("peer", "expected"), [(Recommending(), {"depth": 0, "kind": "b"}), (None, None)])
def test_recommendations_cross_the_pipe(peer: Recommending | None, expected: Config | None) -> None:
    from benchmarks.peers.random_search import make

    tell = json.dumps({"do": "tell", "config": {"depth": 0, "kind": "b"}, "value": 1.0})
    served = peer or make([{"kind": "category", "name": "kind", "values": ["a"]}], 0, 2)
    _, answer = serve.answers(served, [tell, json.dumps({"do": "recommend"})])
    assert answer["config"] == expected


class Process:
    """Stands where a peer's process is: it tries the depths in turn, and recommends the one before the last."""

    def __init__(self, *given: object) -> None:
        self.depth = -1

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def ask(self) -> Asked:
        self.depth += 1
        return Asked({"kind": "a", "depth": self.depth}, 0.5)

    def tell(self, config: Config, value: float | None) -> float:
        return 0.25

    def recommend(self) -> Config:
        return {"depth": self.depth - 1, "kind": "a"}


def test_a_run_by_hand(toy: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "PeerProcess", Process)
    shown: list[int] = []
    run = study.run("random", toy, 0, 5, tmp_path, shown.append)
    assert run.trials == ("00", "10", "20", "30", "40")
    assert (run.tried, run.told) == ((0.0, 0.0), (0.0, 0.0))
    # At half, after two trials, the first is recommended; at the end, after five, the fourth, whose true loss is 7.
    assert run.recommended == run.ended == (0.0, 6.0)
    assert (run.seconds, shown) == (3.75, [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--tables", "toy-kept-apart"], "is for validation: it needs --validation"),
        (["--tables", "toy,toy-kept-apart"], "is for validation: it needs --validation"),
        (["--tables", "toy", "--validation"], "is for development"),
        (["--tables", "nothing"], "is not one of"),
    ],
)
def test_a_run_stays_in_its_split(given: list[str], told: str, path: Path) -> None:
    ended = command(*RUN, "--results", str(path), *given)
    assert ended.exit_code == 2
    assert told in ended.output
    assert not path.exists()


def test_all_tables_are_those_of_the_split_that_is_meant(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys = {name: source for name, source in catalog.SOURCES.items() if source.collection is COLLECTION}
    monkeypatch.setattr(catalog, "SOURCES", toys)
    assert command(*RUN, "--results", str(path)).exit_code == 0
    assert {r.problem for r in results.read(path)} == {"toy"}
    kept_apart = path.with_name("validation.jsonl")
    assert command(*RUN, "--validation", "--results", str(kept_apart)).exit_code == 0
    assert {r.problem for r in results.read(kept_apart)} == {"toy-kept-apart"}


def test_a_table_for_validation_is_not_loaded_nor_reported_without_the_flag(path: Path, tmp_path: Path) -> None:
    with pytest.raises(catalog.ValidationRefused):
        table.load("toy-kept-apart", tmp_path / "environments")
    assert table.load("toy-kept-apart", tmp_path / "environments", is_validation=True).best == 1.0
    assert run(path).exit_code == 0
    assert command(*RUN, "--tables", "toy-kept-apart", "--validation", "--results", str(path)).exit_code == 0
    shown = ["tabular", "report", "--base", "random", "--results", str(path)]
    assert "kept-apart" not in command(*shown).output
    assert "| toy | " in command(*shown).output
    assert "| toy-kept-apart | " in command(*shown, "--validation").output


def test_validation_is_looked_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [*RUN, "--tables", "toy-kept-apart", "--validation", "--results", str(path)]
    assert command(*given).exit_code == 0
    assert "0 to do" in command(*given).output
    monkeypatch.setattr("benchmarks.tabular.command.version_of", lambda peer: f"{peer}-changed")
    told = command(*given)
    assert told.exit_code == 1
    assert "looked at once" in told.output


def test_the_validation_file_is_another_than_the_development_file() -> None:
    assert results.default_file(True) != results.default_file(False)


def test_the_split_is_the_published_one() -> None:
    assert catalog.names(Split.DEVELOPMENT) == [
        "australian", "car", "kc1", "segment", "naval_propulsion", "protein_structure", "cifar10", "toy",
    ]  # fmt: skip
    assert len(catalog.names(Split.VALIDATION)) == 8 + 1


def test_a_table_of_anything_but_plain_data_is_refused(toy: Table) -> None:
    assert toy.losses["00"] == (0.5, 1.5)
    for harmful in (pickle.dumps({"00": Path("/")}), pickle.dumps(os.getcwd)):
        with pytest.raises(pickle.UnpicklingError, match="plain data"):
            table.made(catalog.SOURCES["toy"], harmful)


def test_another_file_than_the_published_one_is_refused(tmp_path: Path) -> None:
    file = package(tmp_path / "environments") / catalog.SOURCES["toy"].file
    file.write_bytes(toy_tables.content(2.0))
    with pytest.raises(TableError, match="not the file of the locked version"):
        table.load("toy", tmp_path / "environments")
    file.unlink()
    with pytest.raises(TableError, match="tabular install"):
        table.load("toy", tmp_path / "environments")
    with pytest.raises(TableError, match="tabular install"):
        table.load("toy", tmp_path / "elsewhere")


def test_a_version_is_the_pinned_library_or_a_digest_of_the_code() -> None:
    assert versions.version_of("hebo") == "HEBO==0.3.6"
    assert versions.version_of("optuna-gp") == versions.version_of("optuna-tpe") == "optuna==5.0.0"
    digests = [versions.version_of(peer) for peer in ("ours", "ours~ucb", "random")]
    assert all(digest.startswith("code-") for digest in digests)
    assert len(set(digests)) == 3


def size(space: Space) -> int:
    counts = [len(p.values) if isinstance(p, Category) else int(p.high - p.low) + 1 for p in space]
    return math.prod(counts)


@pytest.mark.parametrize("name", ["car", "naval_propulsion", "cifar10"])
def test_a_real_table_has_every_configuration_of_its_space(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHMARKS_ENVIRONMENTS")
    try:
        found = table.load(name, environments())
    except TableError:
        pytest.skip("the tables are not installed")
    assert len(found.losses) == size(found.space)
    ends = [{p.name: p.at(u) for p in found.space} for u in (0.0, 1.0)]
    assert all(catalog.key_of(found.space, config) in found.losses for config in ends)
    assert 0 <= found.best < found.random
    assert all(isinstance(p, Integer | Category) for p in found.space)
