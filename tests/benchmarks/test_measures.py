"""Regret by hand, and comparisons of made-up runs."""

import math

import pytest

from benchmarks.comparison import compare, mean_ranks
from benchmarks.measures import FLOOR, WORST, Run, duplicates, geometric, regret, regrets, shorten
from benchmarks.problems.references import Reference
from benchmarks.reporting import markdown
from benchmarks.results import Row

REFERENCE = Reference(best=2.0, optimizer={}, random=12.0)


def row(true: float | None, x: float = 0.0) -> Row:
    return Row({"x": x}, true, true, 0.5)


def run(problem: str, full: float, half: float = 0.5, seed: int = 0) -> Run:
    return Run(problem, seed, half, full, (full,) * 20, 0.1, 0)


@pytest.mark.parametrize(("best", "expected"), [(12.0, 1.0), (7.0, 0.5), (2.0, FLOOR), (1.0, FLOOR), (22.0, 2.0)])
def test_regret_by_hand(best: float, expected: float) -> None:
    assert regret(best, REFERENCE) == pytest.approx(expected)


def test_regret_never_rises_and_failures_tell_nothing() -> None:
    assert regrets([row(None), row(7.0), row(9.0), row(None), row(3.0)], REFERENCE) == [WORST, 0.5, 0.5, 0.5, 0.1]


def test_a_run_in_short() -> None:
    rows = [row(12.0, 1.0), row(7.0, 2.0), row(9.0, 2.0), row(3.0, 3.0)]
    short = shorten("p", 7, rows, REFERENCE)
    assert (short.half, short.full, short.seconds, short.duplicates) == (0.5, 0.1, 0.5, 1)
    assert short.curve == (1.0,) * 9 + (0.5,) * 10 + (0.1,)
    assert duplicates(rows[:2]) == 0


def test_geometric_mean() -> None:
    assert geometric([0.1, 0.001]) == pytest.approx(0.01)


def test_peers_are_compared_on_the_runs_that_both_have() -> None:
    ours = [run("branin", 0.01), run("ackley5", 0.04), run("levy4", 0.5)]
    theirs = [run("branin", 0.04), run("ackley5", 0.16), run("branin", 1e-3, seed=1)]
    first, second = compare({"ours": ours, "theirs": theirs}, "ours", ["branin", "ackley5"])
    assert (first.peer, first.rank, second.peer, second.rank) == ("ours", 1.0, "theirs", 2.0)
    assert second.runs == 2
    assert second.full == pytest.approx(0.08)
    assert second.base_full == pytest.approx(0.02)
    assert (second.ratio, second.low, second.high) == pytest.approx((0.25, 0.25, 0.25))


def test_equals_share_a_rank() -> None:
    tables = {name: {("p", 0): run("p", full)} for name, full in (("a", 0.1), ("b", 0.1), ("c", 0.3))}
    assert mean_ranks(tables) == {"a": 1.5, "b": 1.5, "c": 3.0}
    assert math.isnan(mean_ranks({"a": tables["a"], "b": {("q", 0): run("q", 0.1)}})["a"])


def test_a_peer_with_few_problems_has_no_rank_and_leaves_those_of_others() -> None:
    problems = ["branin", "ackley5", "levy4"]
    peers = {"a": [run(p, 0.1) for p in problems], "b": [run(p, 0.2) for p in problems], "slow": [run("branin", 0.9)]}
    ranks = {line.peer: line.rank for line in compare(peers, "a", problems)}
    assert (ranks["a"], ranks["b"]) == (1.0, 2.0)
    assert math.isnan(ranks["slow"])


def test_the_report_holds_every_peer_and_both_splits() -> None:
    text = markdown({"ours": [run("branin", 0.01)], "random": [run("branin", 0.3), run("levy4", 0.2)]}, "ours")
    assert "| random | 1 | 0.5000 | 0.3000 | 0.5000 | 0.0100 | 0.03" in text
    assert "## Validation" in text
