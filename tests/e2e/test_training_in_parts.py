"""Training in parts over real processes: workers and the server are killed, and no epoch is trained twice."""

import math
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import bo_client
import pytest

SPACE = "parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n"
LAST = 4
"""Epochs of a whole trial: it may pause after 1 and 3."""

TRAINING = """
import json, os, signal, sys, time
from pathlib import Path

home = Path(os.environ["HOME_OF_TEST"])

def die(where):
    '''Kill the worker, the first time that this is called.'''
    try:
        (home / f"die-{where}").unlink()
    except FileNotFoundError:
        return
    while not (home / "worker.pid").exists():
        time.sleep(0.01)
    os.kill(int((home / "worker.pid").read_text()), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

def checkpoint_of(number):
    return home / f"checkpoint-{number}"

def train_epoch(number, epoch):
    with open(home / "epochs", "a") as log:
        log.write(f"{number} {epoch}\\n")
    checkpoint_of(number).write_text(str(epoch))
"""

FUNCTION = """
import bo_client
from training import checkpoint_of, die, train_epoch

def objective(parameters, trial):
    epoch = int(open(trial.checkpoint_uri).read()) if trial.checkpoint_uri else 0
    while epoch < 4:
        epoch += 1
        train_epoch(trial.number, epoch)
        try:
            trial.report(parameters["x"], epoch, checkpoint_uri=str(checkpoint_of(trial.number)))
        except bo_client.PauseTrial:
            die("pausing")
            raise
        if epoch == 2:
            die("running")
    return parameters["x"]

with bo_client.connect(sys.argv[1]) as client:
    client.study("s").optimize(objective, can_resume=True)
""".replace("import bo_client\n", "import sys\nimport bo_client\n", 1)

OBJECTIVE = """
import bo_client
from bo_objectives.base import Definition
from training import checkpoint_of, die, train_epoch

class Counting:
    def define(self):
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
        return Definition(space, (bo_client.Metric("loss", "minimize"),), can_resume=True)

    def evaluate(self, parameters, run):
        epoch = int(open(run.checkpoint_uri).read()) if run.checkpoint_uri else 0
        while epoch < 4:
            epoch += 1
            train_epoch(run.number, epoch)
            try:
                run.report(epoch, {"loss": parameters["x"]}, str(checkpoint_of(run.number)))
            except bo_client.PauseTrial:
                die("pausing")
                raise
            if epoch == 2:
                die("running")
        return {"loss": parameters["x"]}
"""

PROGRAM = """
import argparse, json, os
from training import checkpoint_of, die, train_epoch

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--resume")
parser.add_argument("--until", type=int)
given = parser.parse_args()
number = int(os.environ["BO_TRIAL_NUMBER"])
epoch = int(open(given.resume).read()) if given.resume else 0
while epoch < given.until:
    epoch += 1
    train_epoch(number, epoch)
    print(json.dumps({"step": epoch, "loss": given.x}))
    print(json.dumps({"step": epoch, "checkpoint_uri": str(checkpoint_of(number))}), flush=True)
    if epoch == 2:
        die("running")
"""


@pytest.fixture
def command(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """The worker: a program around `optimize`, or bo-worker with an objective in Python or with a program."""
    files = {"training": TRAINING, "function": FUNCTION, "counting": OBJECTIVE, "program": PROGRAM, "space": SPACE}
    for name, text in files.items():
        (tmp_path / f"{name}.{'yaml' if name == 'space' else 'py'}").write_text(text)
    worker = [sys.executable, "-m", "bo_worker.cli", "run", "--study", "s", "--server", "ADDRESS"]
    worker += ["--directory", str(tmp_path / "runs")]
    program = [sys.executable, str(tmp_path / "program.py"), "--x", "{x}"]
    return {
        "function": [sys.executable, str(tmp_path / "function.py"), "ADDRESS"],
        "objective": [*worker, "--objective", "counting:Counting"],
        "program": [
            *worker,
            "--objective",
            "command",
            "--space",
            "space.yaml",
            "--",
            *program,
            "--resume={checkpoint}",
            "--until={until_step}",
        ],
    }[request.param]


@pytest.mark.parametrize(
    "command",
    ["program", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("function", "objective"))],
    indirect=True,
)
def test_no_epoch_is_trained_twice_though_workers_and_the_server_are_killed(
    command: list[str], server_process, tmp_path: Path
) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    fidelity = {"metric": "epoch", "max": LAST}
    with bo_client.connect(server_process.address) as client:
        study = client.create_study(
            "s", space, "loss", goal="minimize", max_trials=6, lease_duration=15, fidelity=fidelity, seed=1,
            algorithm="quasi_random",
        )  # fmt: skip
    points = ["running"] if "--until={until_step}" in command else ["running", "pausing"]
    for where in points:
        (tmp_path / f"die-{where}").touch()
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME_OF_TEST": str(tmp_path)}
    endings = []
    while not endings or endings[-1] != 0:
        (tmp_path / "worker.pid").unlink(missing_ok=True)
        given = [server_process.address if part == "ADDRESS" else part for part in command]
        with subprocess.Popen(given, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as worker:
            (tmp_path / "pid").write_text(str(worker.pid))
            (tmp_path / "pid").rename(tmp_path / "worker.pid")
            _, errors = worker.communicate(timeout=280)
        endings.append(worker.returncode)
        assert worker.returncode in (0, -signal.SIGKILL), errors
        assert len(endings) <= len(points) + 1, errors
        if endings[-1] != 0:
            server_process.kill()
            server_process.start()
    assert endings == [-signal.SIGKILL] * len(points) + [0]
    trained = Counter(tuple(map(int, line.split())) for line in (tmp_path / "epochs").read_text().splitlines())
    assert set(trained.values()) == {1}, trained
    with bo_client.connect(server_process.address) as client:
        study = client.study("s")
        trials = list(study.trials(full=True))
        assert study.info().state is bo_client.StudyState.COMPLETED
        best = study.best()
    reached = {t.number: [m.step for m in t.measurements] for t in trials}
    whole = {n: list(range(1, 1 + sum(key[0] == n for key in trained))) for n in reached}
    if "--until={until_step}" in command:  # the program goes on where it was, and the worker died before its report
        assert {n: steps[-1] for n, steps in reached.items()} == {n: steps[-1] for n, steps in whole.items()}
    else:
        assert reached == whole
    states = {t.number: t.state for t in trials}
    assert len(states) == 6
    assert {n for n, state in states.items() if state is bo_client.TrialState.SUCCEEDED} == {
        n for n, steps in reached.items() if steps[-1] == LAST
    }
    assert set(states.values()) == {bo_client.TrialState.SUCCEEDED, bo_client.TrialState.PAUSED}
    assert best.number == min(trials, key=lambda t: t.parameters["x"]).number


def test_a_forecast_continues_a_slow_starter_that_ranking_would_drop(server_process) -> None:
    """Curves cross: where x is small, the loss falls slowly and ends lowest."""
    server_process.await_optimizer()
    last, at_first, behind = 9, {}, []
    space = bo_client.SearchSpace([bo_client.FloatParameter(name, 0.0, 1.0) for name in "xyz"])

    def objective(parameters, trial):
        epoch, (x, y, z) = int(trial.checkpoint_uri or 0), (parameters[name] for name in "xyz")
        if epoch:
            rank = sorted(at_first.values()).index(at_first[trial.number])
            behind.extend([trial.number] if rank >= len(at_first) // 3 else [])
        while epoch < last:
            epoch += 1
            loss = 0.2 + 0.4 * x + 2.0 * (y - 0.3) ** 2 + 2.0 * (z - 0.6) ** 2
            loss += 2.0 * (1.0 - x) * (math.exp(-4 * epoch / last) - math.exp(-4))
            at_first.setdefault(trial.number, loss)
            trial.report(loss, epoch, checkpoint_uri=str(epoch))
        return loss

    with bo_client.connect(server_process.address) as client:
        fidelity = {"metric": "epoch", "max": last, "promotion": "forecast"}
        study = client.create_study("crossing", space, "loss", goal="minimize", fidelity=fidelity, seed=1)
        study.optimize(objective, n_trials=20, can_resume=True)
        trials = list(study.trials(full=True))
    assert study.info().settings["fidelity"]["promotion"] == "forecast"
    assert behind
    slow = next(t for t in trials if t.number == behind[0])
    assert f"Continues trial {slow.number} from epoch" in slow.explanation.summary
    assert len(slow.attempts) > 1
