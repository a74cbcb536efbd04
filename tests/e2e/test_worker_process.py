"""`bo-worker` as a process beside a real server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

WORKER = [sys.executable, "-m", "bo_worker.cli"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `bo-worker run` in the test's folder; those still running at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(address: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [*WORKER, "run", "--server", address, *arguments]
        with (tmp_path / f"worker-{len(started)}.log").open("w") as log:
            started.append(subprocess.Popen(command, cwd=tmp_path, stderr=log, stdout=subprocess.DEVNULL, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def bo_worker(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*WORKER, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=280)


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def ended(address: str, study: str) -> int:
    with bo_client.connect(address) as client:
        try:
            return client.study(study).info().ended
        except bo_client.NotFound:
            return 0


def test_a_worker_survives_the_death_of_its_server(server_process, start, tmp_path: Path) -> None:
    worker = start(
        server_process.address, "--study", "s", "--objective", "branin", "--option", "delay=0.3",
        "--max-trials", "12", "--parallel", "2",
    )  # fmt: skip
    for known in (2, 5):
        until(lambda known=known: ended(server_process.address, "s") >= known)
        server_process.kill()
        server_process.start()
    assert worker.wait(timeout=280) == 0
    with bo_client.connect(server_process.address) as client:
        trials = list(client.study("s").trials())
    assert [t.state for t in trials] == [bo_client.TrialState.SUCCEEDED] * 12
    assert {t.attempt for t in trials} == {1}


def test_a_worker_that_is_asked_to_end_gives_its_trial_back(server, start, tmp_path: Path) -> None:
    worker = start(server, "--study", "s", "--objective", "branin", "--option", "delay=600", "--max-trials", "2")
    with bo_client.connect(server) as client:

        def trial() -> bo_client.Trial | None:
            try:
                return next(client.study("s").trials(), None)
            except bo_client.NotFound:
                return None

        until(lambda: (found := trial()) and found.state is bo_client.TrialState.RUNNING)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=280) == 128 + signal.SIGTERM
        given_back = trial()
        assert given_back is not None
        assert given_back.state is bo_client.TrialState.QUEUED
        assert given_back.failure.reason is bo_client.FailureReason.PREEMPTED


def test_a_signal_to_every_process_of_a_worker_gives_its_trial_back(server, tmp_path: Path) -> None:
    """As service managers and `timeout` send it: the process that evaluates dies of it before the worker ends it."""
    command = [*WORKER, "run", "--server", server, "--study", "s", "--objective", "branin", "--option", "delay=600"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(command, cwd=tmp_path, stderr=log, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        with bo_client.connect(server) as client:

            def running() -> bool:
                try:
                    return bool(client.study("s").info().counts[bo_client.TrialState.RUNNING])
                except bo_client.NotFound:
                    return False

            until(running)
            until(lambda: len(processes_of(worker.pid)) > 1)
            os.killpg(worker.pid, signal.SIGTERM)
            assert worker.wait(timeout=280) == 128 + signal.SIGTERM
            given_back = client.study("s").trial(1)
    finally:
        worker.kill()
        worker.wait()
    assert given_back.state is bo_client.TrialState.QUEUED
    assert given_back.failure.reason is bo_client.FailureReason.PREEMPTED
    told = (tmp_path / "worker.log").read_text()
    assert "0 failed, 1 without a result): SIGTERM; running trials were returned" in told
    assert "CRASHED" not in told


def processes_of(group: int) -> list[int]:
    """The processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[2]) == group:
            found.append(int(folder.name))
    return found


def test_a_killed_workers_trial_is_finished_by_another(server, start, tmp_path: Path) -> None:
    with bo_client.connect(server) as client:
        (tmp_path / "space.yaml").write_text(
            "parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n"
            "settings: {lease_duration: 1, max_trials: 1}\n"
        )
        (tmp_path / "train.sh").write_text('[ "$BO_ATTEMPT" = 1 ] && sleep 600\necho \'{"loss": 0.5}\'\n')
        arguments = ("--study", "s", "--objective", "command", "--space", "space.yaml", "--", "bash", "train.sh")
        first = start(server, *arguments)
        until((tmp_path / "bo-worker" / "s" / "trial-0001").exists)
        first.kill()
        second = start(server, *arguments)
        assert second.wait(timeout=280) == 0
        (trial,) = client.study("s").trials()
        assert (trial.state, trial.attempt) == (bo_client.TrialState.SUCCEEDED, 2)


def test_the_best_is_shown_beside_nothing_where_there_is_no_textbook(server, start, tmp_path: Path) -> None:
    arguments = ("--study", "s", "--objective", "branin")
    assert start(server, *arguments, "--max-trials", "3").wait(timeout=280) == 0
    shown = bo_worker(tmp_path, "best", "--server", server, *arguments, "--json")
    record = json.loads(shown.stdout)
    assert set(record) == {"best"}
    assert set(record["best"]["parameters"]) == {"x1", "x2"}
    table = bo_worker(tmp_path, "best", "--server", server, *arguments).stdout
    assert f"best (trial {record['best']['trial']})" in table


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--objective", "branim"), "did you mean branin"),
        (("--objective", "nothing:Here"), "no module nothing"),
        (("--objective", "branin", "--option", "noise=loud"), "noise"),
        (("--objective", "branin", "--option", "colour=red"), "colour"),
        (("--objective", "branin", "--pin", "x9=1"), "x9"),
        (("--objective", "command", "--", "true"), "space"),
        (("--objective", "efficientnet", "--option", "data=/no/such/folder"), "/no/such/folder"),
    ],
)
def test_mistakes_are_told_in_one_line_before_a_study_is_made(server, tmp_path: Path, arguments, hint) -> None:
    done = bo_worker(tmp_path, "run", "--server", server, "--study", "s", *arguments)
    assert done.returncode == 1
    assert hint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    with bo_client.connect(server) as client:
        assert list(client.studies()) == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--objective", "branin", "--option", "noise"), "KEY=VALUE"),
        (("--objective", "branin", "extra"), "only the objective `command`"),
        (("--objective", "branin", "--in-process", "--parallel", "2"), "one trial at a time"),
        (("--objective", "command", "--space", "missing.yaml"), "missing.yaml"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments, hint) -> None:
    done = bo_worker(tmp_path, "run", "--study", "s", *arguments)
    assert done.returncode == 2
    assert hint in done.stderr


def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = bo_worker(tmp_path, "best", "--server", "127.0.0.1:1", "--study", "s", "--objective", "branin")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_objectives_are_listed(tmp_path: Path) -> None:
    listed = bo_worker(tmp_path, "objectives").stdout
    for name in ("branin", "hartmann6", "ackley", "rosenbrock", "command", "efficientnet"):
        assert name in listed


def test_a_teammates_worker_changes_nothing_about_the_study(server, tmp_path: Path) -> None:
    with bo_client.connect(server) as client:
        space = bo_client.SearchSpace(
            [bo_client.FloatParameter("x1", -5.0, 10.0), bo_client.FloatParameter("x2", 0, 15)]
        )
        study = client.create_study("s", space, "value", goal="minimize", max_trials=40)
        done = bo_worker(
            tmp_path, "run", "--server", server, "--study", "s", "--objective", "branin", "--max-trials", "5"
        )
        assert done.returncode == 0, done.stderr
        info = study.info()
    assert (info.max_trials, info.ended, info.state) == (40, 5, bo_client.StudyState.ACTIVE)
    assert "studies/s has max_trials 40, and keeps it" in done.stderr
    assert "studies/s: ended after 5 of 5 trials (5 succeeded, 0 failed): --max-trials is reached" in done.stderr


PROGRAM = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--optimizer")
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--batch-size", type=int)
given = parser.parse_args()
if given.batch_size > 64:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
print(json.dumps({"step": 1, "loss": given.momentum + given.batch_size / 100}))
"""


def test_a_program_with_a_condition_and_little_memory(server, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "space.yaml").write_text(
        "parameters:\n"
        "  optimizer: {type: categorical, values: [adam, sgd]}\n"
        "  momentum: {type: float, low: 0.0, high: 0.99, when: {optimizer: [sgd]}}\n"
        "  batch_size: {type: int, low: 8, high: 256}\n"
        "metrics: {loss: minimize}\n"
    )
    done = bo_worker(
        tmp_path, "run", "--server", server, "--study", "s", "--objective", "command", "--space", "space.yaml",
        "--max-trials", "8", "--", sys.executable, "train.py", "--optimizer", "{optimizer}",
        "--momentum", "{momentum}", "--batch-size", "{batch_size}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with bo_client.connect(server) as client:
        trials = list(client.study("s").trials())
    assert {t.attempt for t in trials} == {1}
    for trial in trials:
        if trial.parameters["batch_size"] > 64:
            assert trial.failure.reason is bo_client.FailureReason.OUT_OF_MEMORY
        else:
            assert trial.value("loss") == trial.parameters.get("momentum", 0.0) + trial.parameters["batch_size"] / 100
    assert "trial 1 failed, OUT_OF_MEMORY" in done.stderr
    assert "studies/s: ended after 8 trials" in done.stderr


def test_a_worker_that_is_asked_to_end_does_not_wait_for_its_server(server_process, start, tmp_path: Path) -> None:
    worker = start(server_process.address, "--study", "s", "--objective", "branin", "--max-trials", "1")
    assert worker.wait(timeout=280) == 0
    worker = start(server_process.address, "--study", "s", "--objective", "branin")
    assert worker.wait(timeout=280) == 0
    assert (
        "studies/s: ended after 0 trials (0 succeeded, 0 failed): studies/s is complete"
        in (tmp_path / "worker-1.log").read_text()
    )
    with bo_client.connect(server_process.address) as client:
        client.study("s").update(state="PAUSED", max_trials=9)
    worker = start(server_process.address, "--study", "s", "--objective", "branin")
    until(lambda: "waiting because the study is paused" in (tmp_path / "worker-2.log").read_text())
    server_process.kill()
    until(lambda: "retrying for" in (tmp_path / "worker-2.log").read_text())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=25) == 128 + signal.SIGTERM  # slots that don't listen are given 30 s
    assert "SIGTERM; running trials were returned" in (tmp_path / "worker-2.log").read_text()
