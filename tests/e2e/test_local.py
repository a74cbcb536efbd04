"""A program that opens a database with `bo_client.local`: a second one, Ctrl-C, kill -9, forks, and a fleet."""

import os
import random
import re
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
import multiprocessing, os, sys, threading, time
import bo_client

space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
client = bo_client.local("bo.db")
study = client.create_study("s", space, "loss", goal="minimize", lease_duration=600)
"""
WAIT_S = 800
State = bo_client.TrialState


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Starts a program that goes on after HEAD, in the test's folder; those still running at the end are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(body: str) -> "subprocess.Popen[str]":
        program = tmp_path / f"tune{len(started)}.py"
        program.write_text(HEAD + textwrap.dedent(body))
        started.append(
            subprocess.Popen(
                [sys.executable, program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def output(process: "subprocess.Popen[str]") -> str:
    """Standard output of a program that ends well."""
    printed, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, errors
    return printed


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[bo_client.Trial]]:
    """Reads the trials from the file, once no program has it."""

    def read() -> list[bo_client.Trial]:
        with bo_client.local(tmp_path / "bo.db") as client:
            return list(client.study("s").trials())

    return read


TRAIN = """
def train(parameters, trial):
    if trial.number == 3:
        print("training", flush=True)
        time.sleep(600)
    return parameters["x"]

study.optimize(train, n_trials=5)
"""


def test_a_second_program_is_told_what_to_do_and_can_join(start) -> None:
    first = start(
        """
        print("open", flush=True)
        input()
        print(client.serve(), flush=True)
        input()
        """
    )
    assert first.stdout.readline() == "open\n"
    second = start("")
    _, errors = second.communicate(timeout=WAIT_S)
    assert second.returncode == 1
    refusal = errors.splitlines()[-1]
    assert re.search(
        r"FailedPrecondition: .*/bo\.db is in use by another process; close it there, or share it", refusal
    )
    assert "bo_client.connect(ADDRESS)" in refusal
    assert re.search(r"`bo-service serve --storage sqlite:////.*/bo\.db`", refusal)
    print(file=first.stdin, flush=True)
    with bo_client.connect(first.stdout.readline().strip()) as client:
        client.study("s").optimize(lambda parameters: parameters["x"], n_trials=2)
        assert len(list(client.study("s").trials())) == 2
    print(file=first.stdin, flush=True)
    output(first)


def test_a_server_of_its_own_serves_the_same_file_later(start, tmp_path) -> None:
    output(start("study.optimize(lambda p: p['x'], n_trials=3)"))
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        with bo_client.connect(server.stdout.readline().split()[2]) as client:
            assert len(list(client.study("s").trials())) == 3
        second = start("")
        assert "is in use by another process" in second.communicate(timeout=WAIT_S)[1]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def test_a_worker_joins_while_it_runs(start) -> None:
    program = start(
        """
        client.create_study("branin", bo_client.SearchSpace([
            bo_client.FloatParameter("x1", -5.0, 10.0), bo_client.FloatParameter("x2", 0.0, 15.0)
        ]), "value", goal="minimize", max_trials=4)
        print(client.serve(), flush=True)
        for change in client.study("branin").watch():
            if change.study.state == "COMPLETED":
                break
        print("complete", flush=True)
        sys.stdin.read()  # until the worker has heard of it
        """
    )
    address = program.stdout.readline().strip()
    worker = [sys.executable, "-m", "bo_worker.cli", "run", "--server", address, "--study", "branin"]
    subprocess.run([*worker, "--objective", "branin"], check=True, timeout=WAIT_S, capture_output=True)
    assert output(program) == "complete\n"


def test_ctrl_c_gives_the_trial_back(start, stored) -> None:
    process = start(TRAIN)
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == -signal.SIGINT
    assert "ended after 2 of 5 trials (2 succeeded, 0 failed): KeyboardInterrupt" in errors
    assert [trial.state for trial in stored()] == [State.SUCCEEDED, State.SUCCEEDED, State.QUEUED]


def test_ctrl_c_gives_the_trials_of_all_threads_back_without_waiting_for_them(start, stored) -> None:
    process = start(
        """
        def train(parameters):
            print("training", flush=True)
            time.sleep(600)

        study.optimize(train, n_trials=5, n_jobs=2)
        """
    )
    for _ in range(2):
        assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert [trial.state for trial in stored()] == [State.QUEUED] * 2


def test_ctrl_c_during_calls_never_leaves_a_lock_behind(start, stored) -> None:
    """Many interruptions wherever they hit; the program goes on and everything still works."""
    process = start(
        """
        for _ in range(20):
            try:
                print("ready", flush=True)
                while True:
                    (trial,) = study.suggest()
                    trial.report(1.0, step=1)
                    trial.complete(trial.parameters["x"])
            except KeyboardInterrupt:
                pass
        study.optimize(lambda p: p["x"], n_trials=1)
        """
    )
    pauses = random.Random(1)
    for _ in range(20):
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        time.sleep(pauses.uniform(0.0, 0.05))  # so that it is somewhere in the calls
        process.send_signal(signal.SIGINT)
    output(process)
    assert State.SUCCEEDED in {trial.state for trial in stored()}


def test_what_was_completed_survives_kill_9_and_the_rest_is_queued_at_once(start, stored) -> None:
    process = start(TRAIN)
    assert process.stdout.readline() == "training\n"
    process.kill()
    process.wait()
    trials = stored()
    assert [trial.state for trial in trials] == [State.SUCCEEDED, State.SUCCEEDED, State.QUEUED]
    assert [trial.value("loss") for trial in trials[:2]] == [trial.parameters["x"] for trial in trials[:2]]


def test_a_forked_process_is_refused_and_harms_nothing(start, stored) -> None:
    printed = output(
        start(
            """
            def use(study):
                for act in (study.suggest, lambda: bo_client.local("bo.db")):
                    try:
                        act()
                    except bo_client.FailedPrecondition as error:
                        print(error.reason, error, flush=True)

            forking = multiprocessing.get_context("fork")
            for _ in range(3):
                child = forking.Process(target=use, args=(study,))
                child.start()
                study.optimize(lambda p: p["x"], n_trials=2)
                child.join(240)
                assert child.exitcode == 0
            if not os.fork():
                sys.exit(0)  # as a program ends, with everything that it inherited
            _, status = os.wait()
            assert status == 0
            study.optimize(lambda p: p["x"], n_trials=2)
            """
        )
    )
    lines = printed.splitlines()
    assert len(lines) == 6
    assert all("call the client's serve() before the fork" in line for line in lines if line.startswith("FORKED"))
    assert sorted(line.split()[0] for line in lines) == ["FORKED"] * 3 + ["STORAGE_IN_USE"] * 3
    assert [trial.state for trial in stored()] == [State.SUCCEEDED] * 8


def test_a_forked_process_connects_where_the_parent_serves(start, stored) -> None:
    output(
        start(
            """
            address = client.serve()
            pid = os.fork()
            if not pid:
                os.execv(sys.executable, [sys.executable, "-c", f'''
            import bo_client
            bo_client.connect("{address}").study("s").optimize(lambda p: p["x"], n_trials=3)
            '''.replace("            ", "")])
            _, status = os.waitpid(pid, 0)
            assert status == 0
            if not os.fork():
                sys.exit(0)
            assert os.wait()[1] == 0
            """
        )
    )
    assert len(stored()) == 3


def test_a_forked_process_that_outlives_its_parent_does_not_hold_the_file(start, stored) -> None:
    process = start(
        """
        if not os.fork():
            print(os.getpid(), flush=True)
            os.read(0, 1)
            os._exit(0)
        time.sleep(600)
        """
    )
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert stored() == []
    os.kill(child, signal.SIGKILL)  # it was there all the time


def test_a_program_that_ends_without_closing_ends_at_once(start) -> None:
    printed = output(
        start(
            """
            client.serve()
            watching = study.watch()
            next(watching)
            print("the end")
            """
        )
    )
    assert printed == "the end\n"
