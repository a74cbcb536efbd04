"""The evidence on the real objective: replays go on where they were, and the figures are those by hand."""

from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet.names import FROZEN
from bo_objectives.efficientnet.space import default_space
from click.testing import CliRunner, Result

from benchmarks.curves import points
from benchmarks.curves.catalog import SPACES
from benchmarks.curves.table import Ended, Table
from benchmarks.evidence import report
from benchmarks.evidence.__main__ import main, read
from benchmarks.evidence.study import TABLES, Evidence, Replay
from benchmarks.peers.grid import Grid, levels

ROWS, SEEDS = 24, 3
RUN = ["run", "--arms", "ours,random", "--seeds", "0", "--trials", "4"]


def toy(rows: int = ROWS) -> Table:
    """Losses that rise with the row, of the bundled objective's space; row 3 diverged in the first recording."""
    space = SPACES["emoji-frozen"]
    made = Table.empty(space.description(), points.sobol(space.search, ROWS), SEEDS, 2)
    made.losses[:rows] = np.arange(rows)[:, None, None] + np.array([[2.0, 1.0], [3.0, 2.0], [9.0, 8.0]])
    made.ended[:rows] = Ended.WHOLE
    made.ended[3, 0] = Ended.DIVERGED
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy().save(tmp_path / "emoji-frozen.npz")
    return tmp_path


def command(folder: Path, *arguments: str) -> Result:
    options = ["--folder", str(folder), "--results", str(folder / "results.jsonl")]
    return CliRunner().invoke(main, [*arguments, *options], catch_exceptions=False)


def test_the_recorded_space_is_the_objectives_own_with_a_frozen_backbone() -> None:
    own = [p for p in default_space(64, 64).parameters if p.name not in ("mode", "lr_backbone_ratio", "unfreeze_top")]
    for name in report.SIZES:
        search = SPACES[name].search
        assert [p.name for p in search.parameters] == [p.name for p in own]
        for ours, theirs in zip(search.parameters, own, strict=True):
            values = ("values", "low", "high")
            told = {v: getattr(ours.domain, v) for v in values if hasattr(ours.domain, v)}
            assert told == {v: tuple(x) if v == "values" else x for v in told for x in [getattr(theirs, v)]}, ours.name
    assert FROZEN == "frozen"


def test_replays_go_on_where_they_were_and_are_told_what_was_run(folder: Path) -> None:
    assert command(folder, *RUN).exit_code == 0
    first = (folder / "results.jsonl").read_bytes()
    (folder / "results.jsonl").write_bytes(first[:-20])
    assert command(folder, *RUN).exit_code == 0
    assert len(read(folder / "results.jsonl")) == 2
    again = command(folder, *RUN)
    assert again.exit_code == 0
    assert again.output == ""
    for replay in read(folder / "results.jsonl"):
        assert len(set(replay.rows)) == 4
    text = command(folder, "report", "--png", str(folder / "curves.png")).output
    assert "24 of 512 configurations are recorded; 1 of 50 replays; not run: optuna-tpe" in text
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_that_grew_makes_new_replays(folder: Path) -> None:
    part, whole = Evidence("emoji-frozen", toy(20)), Evidence.load("emoji-frozen", folder)
    assert part.digest != whole.digest
    longer = toy(20).grown(points.sobol(part.table.space, 30), SEEDS)
    assert Evidence("emoji-frozen", longer).digest == part.digest
    assert int(part.recorded.sum()) == 20


def test_a_table_without_a_whole_configuration_is_reported_and_not_searched(tmp_path: Path) -> None:
    table = toy()
    table.ended[:, 1] = Ended.MISSING
    table.save(tmp_path / "emoji-frozen.npz")
    assert command(tmp_path, *RUN).output == ""
    assert "0 of 512 configurations are recorded" in command(tmp_path, "report").output


def test_a_score_is_of_the_recordings_that_the_search_did_not_see(folder: Path) -> None:
    """By hand: after row 5 comes 3, which diverged where it was seen, then 1, then 7."""
    evidence = Evidence.load("emoji-frozen", folder)
    replay = Replay("emoji-frozen", evidence.digest, "random", 0, "", 4, (5, 3, 1, 7), 0.0)
    assert evidence.curve(replay).tolist() == [5 + 5.0, 5 + 5.0, 1 + 5.0, 1 + 5.0]
    assert evidence.curve(Replay("emoji-frozen", "", "random", 1, "", 1, (3,), 0.0)).tolist() == [(31.0 + 11.0) / 2]
    assert np.isnan(evidence.values[3, 0])


def test_an_arm_gets_the_row_that_is_nearest_and_free(folder: Path) -> None:
    evidence = Evidence.load("emoji-frozen", folder)
    free = evidence.recorded.copy()
    for row, configuration in enumerate(evidence.table.configurations):
        told = evidence.told(row, {"groups": 2})
        assert set(told) == {p.name for p in evidence.space}
        assert evidence.row(told, free) == row
        assert ("groups" in configuration) or told["groups"] == 2
    free[4] = False
    assert evidence.row(evidence.told(4, {"groups": 0}), free) != 4


def test_the_figure_is_the_first_trial_at_the_level_of_random() -> None:
    random, ours = np.tile(np.linspace(2, 1, 100), (10, 1)), np.tile(np.linspace(2, 0.9, 20), (10, 1))
    curves = {"random": random, "ours": ours, "hebo": ours + 0.2, "grid": random - 0.01}
    found, drawn = report.counts(curves)
    assert {arm: count.trials for arm, count in found.items()} == {"random": 100, "ours": 19, "hebo": 21, "grid": 100}
    assert str(found["hebo"]) == "> 20 (> 20 to > 20)"
    verdicts = {target.other: target.verdict for target in report.targets(found, drawn)}
    assert verdicts == {"random": "met, and shown", "grid": "met, and shown", "hebo": "not met"}


def test_the_grid_visits_every_point_once() -> None:
    space = [
        {"name": "a", "kind": "category", "values": ["x", "y"]},
        {"name": "b", "kind": "integer", "low": 0, "high": 2, "log": False},
        {"name": "c", "kind": "continuous", "low": 1e-4, "high": 1e-2, "log": True},
    ]
    grid = Grid(space, 3)
    points_of = [tuple(grid.ask().values()) for _ in range(18)]
    assert len(set(points_of)) == 18
    assert levels(space[2]) == pytest.approx([10**-3.6666666, 1e-3, 10**-2.3333333], rel=1e-5)
    assert Grid(space, 3).ask() == dict(zip("abc", points_of[0], strict=True))


@pytest.mark.parametrize("name", [path.stem for path in sorted(TABLES.glob("*.npz"))])
def test_every_committed_table_is_of_todays_recipe(name: str) -> None:
    evidence = Evidence.load(name)
    described = SPACES[name].description()
    assert {key: evidence.table.about[key] for key in described} == described
    assert np.isfinite(evidence.values[(evidence.table.ended == Ended.WHOLE)]).all()
    assert evidence.table.seeds == SEEDS
