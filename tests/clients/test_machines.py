"""Which machine fails, and when: in `bo`, in figures and in the report."""

import json
from pathlib import Path

import bo_client
import pytest
from bo_client import figures

pytestmark = pytest.mark.filterwarnings("error")


def attempt(server, study: bo_client.Study, worker: str, failure: str = "", message: str = "") -> None:
    """A worker takes a trial, works for a minute, and completes or fails."""
    (trial,) = study.suggest(worker_id=worker)
    server.advance(20.0)
    if failure:
        trial.fail(failure, message)
    else:
        trial.complete({"loss": 1.0})


@pytest.fixture
def fleet(server, space) -> bo_client.Study:
    """Three machines: the trials of one fail from its third attempt, and one trial diverged elsewhere."""
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random", max_attempts=1)
    for i in range(7):
        attempt(server, study, "node-a:101/1")
        attempt(server, study, f"node-b:7/{i % 2 + 1}", "CRASHED" if i > 1 else "", "CUDA error: device-side assert")
        attempt(server, study, "plain", "DIVERGED" if i == 3 else "")
    return study


def test_a_command_shows_the_machine_that_fails_and_since_when(bo, fleet) -> None:
    shown = bo("workers", "s").output
    first, head, bad, *others = shown.splitlines()
    assert first == (
        "node-b fails more often than the others: 5 of its 7 attempts failed (CRASHED 5), and 0 of 14 elsewhere"
    )
    assert head.split()[:6] == ["machine", "workers", "attempts", "failed", "running", "reasons"]
    assert "UTC" in head
    name, workers, attempts, failed, running, *_ = bad.split()
    assert (name, workers, attempts, failed, running) == ("node-b", "2", "7", "5", "0")
    (timeline,) = [word for word in bad.split() if set(word) == {"·", "o", "x"}]
    assert timeline.replace("·", "") == "ooxxxxx"
    assert "trial 20, attempt 1 by node-b:7/1" in bad
    assert "CUDA error: device-side assert" in bad
    assert [line.split()[:4] for line in others] == [["node-a", "1", "7", "0"], ["plain", "1", "7", "0"]]


def test_the_study_names_the_machine(bo, fleet) -> None:
    assert "machine   node-b fails more often than the others: 5 of its 7" in bo("show", "s").output


def test_the_same_for_programs(bo, fleet) -> None:
    bad, *others = json.loads(bo("workers", "s", "--json").output)
    assert (bad["machine"], bad["workers"]) == ("node-b", ["node-b:7/1", "node-b:7/2"])
    assert (bad["attempts"], bad["ended"], bad["failed"], bad["running"]) == (7, 7, 5, 0)
    assert bad["reasons"] == {"CRASHED": 5}
    assert [failure["trial"] for failure in bad["failures"]] == [8, 11, 14, 17, 20]
    assert [machine["failed"] for machine in others] == [0, 0]


def test_a_lost_worker_counts_for_its_machine(bo, server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")
    for _ in range(3):
        study.suggest(worker_id="lost:1")
        server.advance(24 * 3600.0)
        attempt(server, study, "kept:1")
    attempt(server, study, "kept:2")
    (lost, kept) = json.loads(bo("workers", "s", "--json").output)
    assert (lost["machine"], lost["failed"], lost["reasons"]) == ("lost", 3, {"LEASE_EXPIRED": 3})
    assert (kept["machine"], kept["workers"], kept["failed"]) == ("kept", ["kept:1", "kept:2"], 0)


def test_failures_on_every_machine_accuse_none(bo, server, space) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random", max_attempts=1)
    for i in range(6):
        attempt(server, study, "a:1", "CRASHED" if i % 2 else "")
        attempt(server, study, "b:1", "CRASHED" if i % 3 else "")
    assert "more often than the others" not in bo("workers", "s").output
    assert "machine   " not in bo("show", "s").output


@pytest.mark.parametrize(
    ("worker", "machine"),
    [
        ("node-a", "node-a"),
        ("node-a:4711", "node-a"),
        ("node-a:4711/12", "node-a"),
        ("pod-7f9c/2", "pod-7f9c"),
        ("fe80::1:99", "fe80::1"),
        ("a b:1", "a b"),
        ("team/gpu", "team/gpu"),
    ],
)
def test_a_machine_is_a_worker_without_process_and_slot(bo, server, space, worker: str, machine: str) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")
    attempt(server, study, worker)
    (found,) = json.loads(bo("workers", "s", "--json").output)
    assert (found["machine"], found["workers"]) == (machine, [worker])


def test_before_the_first_attempt_the_command_says_so(bo, server, study) -> None:
    done = bo("workers", "s")
    assert (done.exit_code, done.output) == (0, "no worker has begun a trial of s yet\n")
    assert json.loads(bo("workers", "s", "--json").output) == []
    assert "no worker has begun a trial of s" in figures.picture(study, "workers").message


def test_a_running_trial_is_shown(bo, server, study) -> None:
    study.suggest(worker_id="w:1")
    (found,) = json.loads(bo("workers", "s", "--json").output)
    assert (found["attempts"], found["ended"], found["running"]) == (1, 0, 1)
    assert bo("workers", "s").exit_code == 0


def test_a_timeline_has_a_row_for_each_machine_and_a_cross_for_each_failure(fleet) -> None:
    drawn = figures.picture(fleet, "workers")
    (panel,) = drawn.panels
    assert [label for _, label in panel.y.ticks] == ["node-b", "node-a", "plain"]
    assert panel.x.title.startswith("minutes since ")
    (failed,) = [mark for mark in panel.marks if getattr(mark, "symbol", "") == "cross"]
    (row,) = [place for place, label in panel.y.ticks if label == "node-b"]
    assert list(failed.y) == [row] * 5
    assert list(failed.x) == sorted(failed.x)
    assert "CUDA error" in failed.hover[0]
    assert "node-b: 5 of 7 ended attempts failed" in drawn.summary
    assert figures.drawn(drawn).data


def test_the_figure_is_drawn_into_a_file(bo, fleet, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "workers.png"
    assert bo("plot", "s", "--kind", "workers", "-o", file).exit_code == 0
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_report_has_the_table_the_figure_and_the_sentence(bo, fleet, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert bo("report", "s", "-o", file).exit_code == 0
    page = file.read_text()
    assert "Attempts by machine, and which failed" in page
    assert "node-b fails more often than the others: 5 of its 7 attempts failed" in page
    assert "CRASHED 5" in page
    assert 'data-figure="workers"' in page


def test_a_report_of_a_fleet_without_failures_has_no_figure_of_it(bo, server, space, tmp_path: Path) -> None:
    study = server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")
    attempt(server, study, "a:1")
    assert "workers" not in figures.pictures(study)
