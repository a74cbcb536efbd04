"""Checkpoints: an attempt that is cut off and taken up elsewhere gives the curve of one that wasn't."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import bo_client
import pytest
from bo_client import FailureReason
from bo_client.testing import InProcessServer
from bo_objectives.base import TrialFailed
from bo_worker.evaluation import EvaluationTask
from bo_worker.study_request import StudyRequest
from bo_worker.worker import WorkerSettings, run

pytest.importorskip("keras")
from bo_objectives.efficientnet.checkpoint import NAME, PARTIAL

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]

RANDOM = {"dropout": 0.5, "schedule": "cosine", "warmup": 0.2, "lr_head": 3e-3, "batch_size": 16}
CHOICES = {
    "frozen": RANDOM,
    "two_stage": {**RANDOM, "mode": "two_stage", "unfreeze_top": 1, "head_share": 0.5},
}


def same(found, expected) -> None:
    assert [step for step, _, _ in found] == [step for step, _, _ in expected]
    for (_, ours, _), (_, theirs, _) in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        pytest.param("frozen", 2, marks=pytest.mark.slow),
        ("two_stage", 2),
        pytest.param("two_stage", 1, marks=pytest.mark.slow),
        pytest.param("two_stage", 3, marks=pytest.mark.slow),
    ],
)
def test_a_trial_taken_up_elsewhere_has_the_curve_of_one_that_was_not_cut_off(
    make_small, make_run, tmp_path: Path, name: str, cut: int
) -> None:
    """Within the first stage, between the stages, and within the second; in another process's place, from its URI."""
    options = {"epochs": "4"}
    whole = make_run()
    expected = make_small(**options).evaluate(CHOICES[name], whole)
    first = make_run(stop_at=cut)
    with pytest.raises(bo_client.StopTrial):
        make_small(**options).evaluate(CHOICES[name], first)
    moved = tmp_path / "another worker's copy.npz"
    shutil.copy(first.directory / NAME, moved)
    second = make_run(attempt=2, checkpoint_uri=moved.as_uri())
    found = make_small(**options).evaluate(CHOICES[name], second)
    assert [step for step, _, _ in second.reports] == list(range(cut, 5))
    same([*first.reports[:-1], *second.reports], whole.reports)
    assert found == pytest.approx(expected, rel=1e-4)
    assert second.labels == whole.labels


def test_a_finished_trial_is_taken_from_its_checkpoint_without_training(make_small, make_run) -> None:
    first = make_run()
    metrics = make_small().evaluate(RANDOM, first)
    second = make_run(checkpoint_uri=first.reports[-1][2])
    assert make_small().evaluate(RANDOM, second) == pytest.approx(metrics)
    assert [step for step, _, _ in second.reports] == [2]


@pytest.mark.parametrize(
    "fault",
    [
        "other parameters",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cut short", "missing", "remote")),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_told_and_training_begins_anew(
    make_small, make_run, caplog, fault: str
) -> None:
    first = make_run()
    make_small().evaluate(RANDOM, first)
    uri = first.reports[-1][2]
    if fault == "cut short":
        (first.directory / NAME).write_bytes((first.directory / NAME).read_bytes()[:1000])
    uri = {"missing": uri + ".gone", "remote": "gs://bucket/checkpoint.npz"}.get(fault, uri)
    second = make_run(checkpoint_uri=uri)
    make_small().evaluate({**RANDOM, "dropout": 0.1} if fault == "other parameters" else RANDOM, second)
    assert [step for step, _, _ in second.reports] == [1, 2]
    assert "cannot be used" in caplog.text


def test_a_full_disk_is_the_machines_fault_and_leaves_the_last_checkpoint_whole(make_small, make_run) -> None:
    run = make_run()
    (run.directory / NAME).write_bytes(b"the last one")
    (run.directory / PARTIAL).symlink_to("/dev/full")
    with pytest.raises(TrialFailed) as caught:
        make_small().evaluate(RANDOM, run)
    assert caught.value.reason is FailureReason.CRASHED
    assert f"the disk of {run.directory} is full" in caught.value.message
    assert "free some space, or give another --directory" in caught.value.message
    assert (run.directory / NAME).read_bytes() == b"the last one"


# ── a real kill


def first_trial(server: InProcessServer) -> bo_client.Trial | None:
    try:
        return server.client().study("s").trial(1)
    except bo_client.NotFound:
        return None


def children() -> list[int]:
    """Processes of ours that evaluate trials."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    pids = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    return [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_a_process_killed_in_training_costs_no_epoch_that_was_reported(
    make_objective, make_run, colored_npz: Path, features_folder: Path, tmp_path: Path
) -> None:
    """The worker goes on in another process, and the curve is that of a trial that nobody killed."""
    options = {
        "data": str(colored_npz), "image_size": "32", "epochs": "40", "head_width": "8",
        "cache_dir": str(features_folder),
    }  # fmt: skip
    space = tmp_path / "space.yaml"
    space.write_text("extends: objective\nparameters: {dropout: {type: discrete, values: [0.5]}}\n")
    server = InProcessServer()
    pins = {"mode": "frozen", "lr_head": "0.003", "batch_size": "16", "norm": "batch"}
    asked = StudyRequest("s", {**pins, "kernel_initializer": "he_normal"}, space, max_trials=1)
    settings = WorkerSettings("w", tmp_path / "trials")
    worker = threading.Thread(
        target=run, args=(server.client(), EvaluationTask("efficientnet", tuple(options.items())), asked, settings)
    )
    worker.start()
    deadline = time.monotonic() + 200
    while not ((trial := first_trial(server)) and len(trial.measurements) >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    worker.join(200)
    trial = first_trial(server)
    assert trial is not None
    assert (trial.state, trial.attempt) == (bo_client.TrialState.SUCCEEDED, 2)
    assert "SIGKILL" in trial.failure.message
    alone = make_run()
    make_objective(epochs="40").evaluate(trial.parameters, alone)
    same([(m.step, dict(m.metrics), "") for m in trial.measurements], alone.reports)


def test_trials_that_pause_have_the_curves_of_trials_that_do_not(
    make_objective, make_run, colored_npz: Path, features_folder: Path, tmp_path: Path
) -> None:
    options = {
        "data": str(colored_npz), "image_size": "32", "epochs": "4", "head_width": "8",
        "cache_dir": str(features_folder),
    }  # fmt: skip
    space = tmp_path / "space.yaml"
    space.write_text(
        "extends: objective\nparameters: {dropout: {type: discrete, values: [0.1, 0.3, 0.5]}}\n"
        "settings: {fidelity: {metric: epoch, max: 4}}\n"
    )
    server = InProcessServer()
    pins = {
        "mode": "frozen",
        "lr_head": "0.003",
        "batch_size": "16",
        "norm": "batch",
        "kernel_initializer": "he_normal",
    }
    asked = StudyRequest("s", pins, space, max_trials=3)
    run(
        server.client(),
        EvaluationTask("efficientnet", tuple(options.items())),
        asked,
        WorkerSettings("w", tmp_path / "trials", is_local=True),  # a process of its own would load TensorFlow again
    )
    trials = list(server.client().study("s").trials(full=True))
    ended, *paused = sorted(trials, key=lambda trial: -len(trial.measurements))
    assert ended.state is bo_client.TrialState.SUCCEEDED
    assert [t.state for t in paused] == [bo_client.TrialState.PAUSED] * 2
    assert [len(t.measurements) for t in (ended, *paused)] == [4, 1, 1]
    assert [a.outcome for a in ended.attempts] == [bo_client.AttemptOutcome.PAUSED] * (len(ended.attempts) - 1) + [
        bo_client.AttemptOutcome.COMPLETED
    ]
    assert len(ended.attempts) > 1
    alone = make_run()
    make_objective(epochs="4").evaluate(ended.parameters, alone)
    same([(m.step, dict(m.metrics), "") for m in ended.measurements], alone.reports)
