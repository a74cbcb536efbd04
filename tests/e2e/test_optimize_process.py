"""Study.optimize in a program of the user's own beside a real server: what is seen of it, and how it is interrupted."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bo_client
import pytest

HEAD = """
import sys, threading, time
import bo_client

space = bo_client.SearchSpace(
    [bo_client.FloatParameter("lr", 1e-5, 1e-1, scale="log"), bo_client.IntParameter("batch_size", 8, 256)]
)
client = bo_client.connect()
study = client.create_study("s", space, "loss", goal="minimize", lease_duration=600)
"""


@pytest.fixture
def start(server: str, tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a program that goes on after HEAD; those still running at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str) -> "subprocess.Popen[str]":
        (tmp_path / "tune.py").write_text(HEAD + textwrap.dedent(body))
        started.append(
            subprocess.Popen(
                [sys.executable, tmp_path / "tune.py"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "BO_SERVER": server},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def study(server: str) -> Iterator[Callable[[], bo_client.Study]]:
    with bo_client.connect(server) as client:
        yield lambda: client.study("s")


def said(process: "subprocess.Popen[str]") -> str:
    """Standard error of a program that has ended well."""
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    return errors


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_a_programming_error_is_seen_without_any_logging_set_up(start) -> None:
    errors = said(start("print(study.optimize(lambda p: p.lr, n_trials=2))"))
    assert errors.count("Traceback (most recent call last)") == 1
    assert "print(study.optimize(lambda p: p.lr, n_trials=2))" in errors
    assert "trial 1 failed, CRASHED: AttributeError: 'dict' object has no attribute 'lr'" in errors
    assert errors.splitlines()[-1].startswith("studies/s: ended after 2 of 2 trials (0 succeeded, 2 failed): all have")


def test_running_out_of_memory_is_learned(start, study) -> None:
    errors = said(
        start(
            """
            def train(parameters):
                if parameters["batch_size"] > 64:
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
                return parameters["lr"]

            assert study.optimize(train, n_trials=25).parameters["batch_size"] <= 64
            """
        )
    )
    trials = list(study().trials())
    assert len(trials) == 25
    for trial in trials:
        assert trial.attempt == 1
        assert (trial.state is bo_client.TrialState.SUCCEEDED) == (trial.parameters["batch_size"] <= 64)
    assert "trial 1 failed, OUT_OF_MEMORY: RuntimeError: CUDA out of memory" in errors


def test_an_end_before_its_time_is_said(start) -> None:
    errors = said(
        start(
            """
            space = bo_client.SearchSpace([bo_client.IntParameter("n", 1, 2)])
            few = client.create_study("few", space, "loss", goal="minimize")
            few.optimize(lambda p: p["n"], n_trials=25)
            """
        )
    )
    assert errors.splitlines()[-1] == (
        "studies/few: ended after 3 of 25 trials (3 succeeded, 0 failed): no configuration of the search space is left "
        "that has not been tried"
    )


def test_ctrl_c_gives_the_trial_back(start, study) -> None:
    process = start(
        """
        def train(parameters):
            print("training", flush=True)
            time.sleep(600)

        study.optimize(train, n_trials=2)
        """
    )
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == -signal.SIGINT
    assert "ended after 0 of 2 trials (0 succeeded, 0 failed): KeyboardInterrupt" in errors
    (trial,) = study().trials()
    assert trial.state is bo_client.TrialState.QUEUED
    assert trial.failure.reason is bo_client.FailureReason.PREEMPTED


def test_sigterm_gives_the_trial_back_where_the_program_makes_it_an_interruption(start, study) -> None:
    """With the line that docs/index.md tells."""
    process = start(
        """
        import signal

        signal.signal(signal.SIGTERM, signal.default_int_handler)

        def train(parameters):
            print("training", flush=True)
            time.sleep(600)

        study.optimize(train, n_trials=2)
        """
    )
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=280)
    assert "ended after 0 of 2 trials (0 succeeded, 0 failed): KeyboardInterrupt" in errors
    (trial,) = study().trials()
    assert trial.state is bo_client.TrialState.QUEUED
    assert trial.failure.reason is bo_client.FailureReason.PREEMPTED


def test_ctrl_c_while_the_server_is_away_ends_the_program(start, server_process) -> None:
    process = start(
        """
        def train(parameters):
            print("training", flush=True)
            time.sleep(600)

        study.optimize(train, n_trials=2)
        """
    )
    assert process.stdout.readline() == "training\n"
    server_process.kill()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=280)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    server_process.start()


def test_eight_threads_on_one_study(start, study) -> None:
    errors = said(
        start(
            """
            def run():
                def train(parameters, trial):
                    trial.report(1.0, step=1)
                    if trial.number % 4 == 0:
                        return float("inf")
                    return parameters["lr"]
                study.optimize(train, n_trials=5)

            threads = [threading.Thread(target=run) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """
        )
    )
    assert "Traceback" not in errors
    found = [t.state for t in study().trials()]
    assert (found.count(bo_client.TrialState.SUCCEEDED), found.count(bo_client.TrialState.INFEASIBLE)) == (30, 10)
