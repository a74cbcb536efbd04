"""The worker over a server in this process, with child processes that are real."""

import os
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import bo_client
import pytest
from bo_client.testing import InProcessServer
from bo_objectives.base import TEXTBOOK_ROLE
from bo_objectives.errors import SetupError
from bo_worker import evaluators, gpus
from bo_worker.evaluation import EvaluationTask
from bo_worker.study_request import StudyRequest, get_or_create_study
from bo_worker.worker import WorkerSettings, run

SAMPLES = '''
"""Objectives of one parameter x, each with its own way to end."""
import os, signal, sys, time
import bo_client
from bo_objectives.base import Definition, TrialFailed
from bo_objectives.errors import SetupError

class Base:
    def define(self):
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
        return Definition(space, (bo_client.Metric("loss", "minimize"),), {"x": 0.125})

class Good(Base):
    def evaluate(self, parameters, run):
        (run.directory / "pid").write_text(str(os.getpid()))
        run.report(1, {"loss": 1.0}, "gs://checkpoint")
        return {"loss": parameters["x"]}

class Nan(Base):
    def evaluate(self, parameters, run):
        return {"loss": float("nan")}

class Forgetful(Base):
    def evaluate(self, parameters, run):
        return {"accuracy": 1.0}

class Diverging(Base):
    def evaluate(self, parameters, run):
        raise TrialFailed(bo_client.FailureReason.DIVERGED, "the loss is infinite")

class Hungry(Base):
    def evaluate(self, parameters, run):
        raise MemoryError("9 GB")

class Crashing(Base):
    def evaluate(self, parameters, run):
        raise ZeroDivisionError("by nothing")

class Unready(Base):
    def evaluate(self, parameters, run):
        raise SetupError("weights are missing; download them")

class Killed(Base):
    def evaluate(self, parameters, run):
        if run.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": 0.5}

class Leaving(Base):
    def evaluate(self, parameters, run):
        sys.exit(3)

class Exhausted(Base):
    def evaluate(self, parameters, run):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

class Shaky(Base):
    def evaluate(self, parameters, run):
        if run.number != 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return {"loss": 1}

class Bare(Base):
    def evaluate(self, parameters, run):
        return 0.5

class Texts(Base):
    def evaluate(self, parameters, run):
        return {"loss": "low"}

class Scalar:
    def item(self):
        return 0.25

class Scalars(Base):
    def evaluate(self, parameters, run):
        return {"loss": Scalar(), "extra": float("nan")}

class Interrupting(Base):
    def evaluate(self, parameters, run):
        raise KeyboardInterrupt

class Long(Base):
    def evaluate(self, parameters, run):
        (run.directory / "pid").write_text(str(os.getpid()))
        for step in range(1, 2000):
            run.report(step, {"loss": 1.0 / step})
            time.sleep(0.05)
        return {"loss": 0.0}

class Silent(Base):
    def evaluate(self, parameters, run):
        run.report(1, {"loss": 0.75})
        time.sleep(3600)

class Drawing(Base):
    def evaluate(self, parameters, run):
        folder = run.directory / "artifacts"
        folder.mkdir()
        (folder / "picture.png").write_bytes(b"\\x89PNG")
        (folder / "secret.txt").symlink_to(__file__)
        (folder / "sub").mkdir()
        (folder / "odd name.txt").write_text("")
        with (folder / "large.bin").open("wb") as file:
            file.truncate(2**21)
        if run.number == 2:
            raise TrialFailed(bo_client.FailureReason.DIVERGED, "drawn all the same")
        return {"loss": 0.5}

class Printing(Base):
    def evaluate(self, parameters, run):
        print("chatter of the objective")
        return {"loss": 0.5}
'''


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / "sample_objectives.py").write_text(textwrap.dedent(SAMPLES))
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def server() -> InProcessServer:
    return InProcessServer()


@pytest.fixture
def work(server: InProcessServer, samples: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs a worker on the study "s"."""

    def work(name: str, max_trials: int | None = 3, **settings) -> int:
        recipe = EvaluationTask(f"sample_objectives:{name}")
        given = WorkerSettings(**{"worker_id": "w", "directory": tmp_path / "trials", **settings})
        return run(server.client(), recipe, StudyRequest("s", max_trials=max_trials), given)

    return work


@pytest.fixture
def trials(server: InProcessServer) -> Callable[[], list[bo_client.Trial]]:
    return lambda: list(server.client().study("s").trials(full=True))


def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", [{}, {"is_local": True}, {"parallel": 2}], ids=["child", "in process", "parallel"])
def test_a_study_is_made_run_and_ended(work, trials, server, tmp_path: Path, how) -> None:
    assert work("Good", **how) == 0
    found = trials()
    assert [t.state for t in found] == [bo_client.TrialState.SUCCEEDED] * 3
    assert [t.final_measurement.metrics["loss"] for t in found] == [t.parameters["x"] for t in found]
    assert [[(m.step, m.metrics) for m in t.measurements] for t in found] == [[(1, {"loss": 1.0})]] * 3
    assert {t.checkpoint_uri for t in found} == {"gs://checkpoint"}
    assert (found[0].parameters, found[0].labels) == ({"x": 0.125}, TEXTBOOK_ROLE)
    assert (tmp_path / "trials" / "trial-0003" / "pid").exists()
    assert server.client().study("s").info().state is bo_client.StudyState.COMPLETED


def test_files_of_the_folder_artifacts_are_added_and_what_cannot_be_is_logged(work, trials, server, caplog) -> None:
    assert work("Drawing", max_trials=2, is_local=True) == 0
    assert [trial.state.value for trial in trials()] == ["SUCCEEDED", "INFEASIBLE"]
    study = server.client().study("s")
    for number in (1, 2):
        assert [(a.artifact_id, a.media_type) for a in study.artifacts(number)] == [("picture.png", "image/png")]
        assert study.read_artifact(number, "picture.png") == b"\x89PNG"
    told = [record.getMessage() for record in caplog.records if "an artifact was not added" in record.getMessage()]
    assert ["large.bin" in line or "odd name" in line for line in told] == [True] * 4


def test_files_of_another_study_in_the_same_directory_are_not_added(work, server, tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "trial-0001" / "artifacts"
    folder.mkdir(parents=True)
    for name in ("old.png", "picture.png"):
        (folder / name).write_bytes(b"\x89PNG of another study")
    assert work("Drawing", max_trials=1, is_local=True) == 0
    study = server.client().study("s")
    assert [a.artifact_id for a in study.artifacts(1)] == ["picture.png"]
    assert study.read_artifact(1, "picture.png") == b"\x89PNG"
    assert (folder.parent / "artifacts.1" / "old.png").exists()


def test_processes_are_replaced_after_some_trials(work, tmp_path: Path) -> None:
    work("Good", max_trials=5, trials_per_process=2)
    pids = [(tmp_path / "trials" / f"trial-{i:04d}" / "pid").read_text() for i in range(1, 6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert str(os.getpid()) not in pids
    until(lambda: not any(is_running(int(pid)) for pid in pids))


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("Nan", "DIVERGED", "loss is nan"),
        ("Diverging", "DIVERGED", "the loss is infinite"),
        ("Hungry", "OUT_OF_MEMORY", "9 GB"),
        ("Exhausted", "OUT_OF_MEMORY", "CUDA out of memory"),
    ],
)
def test_parameters_that_are_to_blame(work, trials, name, reason, hint) -> None:
    assert work(name) == 0
    for trial in trials():
        assert trial.state is bo_client.TrialState.INFEASIBLE
        assert (trial.failure.reason, trial.attempt) == (reason, 1)
        assert hint in trial.failure.message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Crashing", "ZeroDivisionError: by nothing"),
        ("Leaving", "exit code 3"),
        ("Forgetful", "without loss"),
        ("Bare", "the objective returned 0.5; return metrics by name"),
        ("Texts", "metrics['loss']: is 'low'"),
        ("Interrupting", "KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("is_local", [False, True], ids=["child", "in process"])
def test_a_broken_objective_ends_the_worker_before_it_burns_the_study(work, trials, name, hint, is_local) -> None:
    with pytest.raises(SetupError, match="4 trials in a row broke down") as ended:
        work(name, max_trials=20, max_failures=4, is_local=is_local)
    assert hint in str(ended.value)
    found = trials()
    assert len(found) <= 2  # each has three attempts
    assert found[0].state is bo_client.TrialState.FAILED
    assert hint in found[0].failure.message


def test_scalars_of_libraries_are_numbers(work, trials) -> None:
    assert work("Scalars", max_trials=1) == 0
    assert trials()[0].final_measurement.metrics == {"loss": 0.25}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[str]]:
    """What the worker has logged at a level."""
    caplog.set_level("INFO", logger="bo_objectives")
    return lambda level: [r.getMessage() for r in caplog.records if r.levelname == level]


def test_a_worker_says_loudly_that_most_trials_fail(work, told) -> None:
    assert work("Shaky", max_trials=6) == 0
    assert "3 of the last 4 trials of studies/s failed; the first failure was trial 1, OUT_OF_MEMORY" in "".join(
        told("WARNING")
    )
    last = told("WARNING")[-1]
    assert last.startswith("studies/s: ended after 6 trials (1 succeeded, 5 failed): studies/s is complete: 6 of its 6")
    assert "The first failure was trial 1, OUT_OF_MEMORY: RuntimeError: CUDA out of memory" in last


def test_a_worker_says_why_it_ends(work, told) -> None:
    assert work("Good") == 0
    assert told("INFO")[-1].startswith("studies/s: ended after 3 trials (3 succeeded, 0 failed): studies/s is complete")
    assert told("WARNING") == []


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_worker_that_joins_leaves_the_study_its_limit(work, server, told, parallel: int) -> None:
    server.client().create_study("s", *definition(), max_trials=40)
    assert work("Good", max_trials=5, parallel=parallel) == 0
    study = server.client().study("s").info()
    assert (study.max_trials, study.ended, study.state) == (40, 5, bo_client.StudyState.ACTIVE)
    assert told("INFO")[-1].startswith("studies/s: ended after 5 of 5 trials (5 succeeded, 0 failed): --max-")


def test_a_worker_of_a_complete_study_says_so(work, told) -> None:
    assert work("Good") == 0
    assert work("Good", max_trials=8) == 0
    (line,) = told("WARNING")
    assert line.startswith("studies/s: ended after 0 of 8 trials (0 succeeded, 0 failed): studies/s is complete: 3 of")
    assert "`bo study resume s --max-trials …`" in line


def test_a_missing_setup_ends_the_worker_at_once(work) -> None:
    with pytest.raises(SetupError, match="download them"):
        work("Unready")


def test_a_killed_process_costs_one_attempt(work, trials) -> None:
    assert work("Killed") == 0
    for trial in trials():
        assert (trial.state, trial.attempt) == (bo_client.TrialState.SUCCEEDED, 2)
        assert "SIGKILL" in trial.failure.message


def curve(server: InProcessServer) -> tuple[bo_client.Measurement, ...]:
    """Of the first trial; empty while there is none."""
    try:
        return server.client().study("s").trial(1).measurements
    except bo_client.NotFound:
        return ()


def in_background(work, *arguments, **settings) -> threading.Thread:
    def target() -> None:
        with suppress(SetupError):
            work(*arguments, **settings)

    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_a_stopped_trial_keeps_its_last_measurement(work, trials, server) -> None:
    worker = in_background(work, "Long", 1)
    until(lambda: curve(server))
    server.client().study("s").stop_trial(1, "enough")
    worker.join(240)
    (trial,) = trials()
    assert trial.state is bo_client.TrialState.STOPPED
    assert trial.final_measurement.metrics == trial.measurements[-1].metrics
    assert len(trial.measurements) < 1000


def test_a_stopped_trial_that_keeps_silent_is_ended(work, trials, server, monkeypatch) -> None:
    monkeypatch.setattr(evaluators, "STOP_GRACE_S", 1.0)
    server.client().create_study("s", *definition(), max_trials=1, lease_duration=1.0)
    worker = in_background(work, "Silent", 1)
    until(lambda: curve(server))
    server.client().study("s").stop_trial(1, "enough")
    worker.join(240)
    (trial,) = trials()
    assert (trial.state, trial.final_measurement.metrics) == (bo_client.TrialState.STOPPED, {"loss": 0.75})


def test_a_trial_that_was_lost_is_left_to_its_new_owner(work, trials, server, tmp_path) -> None:
    worker = in_background(work, "Long", 1)
    until(lambda: curve(server))
    server.advance(1000.0)
    client = server.client()
    study = client.study("s")
    until(lambda: study.suggest(1, "other"))
    until(lambda: not is_running(int((tmp_path / "trials" / "trial-0001" / "pid").read_text())))
    (trial,) = trials()
    assert (trial.state, trial.worker_id, trial.attempt) == (bo_client.TrialState.RUNNING, "other", 2)
    client.delete_study("s")
    worker.join(240)
    assert not worker.is_alive()


def test_reports_and_results_outlast_an_outage(work, trials, server, samples) -> None:
    (samples / "slow_objectives.py").write_text(
        "import time\nfrom sample_objectives import Base\n"
        "class Slow(Base):\n    def evaluate(self, parameters, run):\n"
        "        for step in range(1, 11):\n"
        "            run.report(step, {'loss': 1.0 / step})\n            time.sleep(0.2)\n"
        "        return {'loss': 0.05}\n"
    )
    server.client().create_study("s", *definition(), max_trials=1)
    worker = threading.Thread(
        target=run,
        args=(
            server.client(),
            EvaluationTask("slow_objectives:Slow"),
            StudyRequest("s", max_trials=1),
            WorkerSettings("w", samples / "trials"),
        ),
    )
    worker.start()
    until(lambda: curve(server))
    with server.outage():
        time.sleep(4.0)  # the trial ends meanwhile
    worker.join(240)
    (trial,) = trials()
    assert (trial.state, trial.attempt) == (bo_client.TrialState.SUCCEEDED, 1)
    assert [m.step for m in trial.measurements] == list(range(1, 11))


def definition():
    return bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)]), (bo_client.Metric("loss", "minimize"),)


def test_what_an_objective_prints_is_no_output_of_the_worker(work, capfd) -> None:
    work("Printing", 1)
    out, err = capfd.readouterr()
    assert out == ""
    assert "chatter of the objective" in err


class TestEnrollment:
    @pytest.fixture
    def wanted(self, samples):
        return EvaluationTask("sample_objectives:Good").make().define()

    def test_workers_that_begin_together_queue_the_textbook_once(self, server, wanted) -> None:
        for _ in range(3):
            get_or_create_study(server.client(), wanted, StudyRequest("s"))
        assert [t.labels for t in server.client().study("s").trials()] == [TEXTBOOK_ROLE]

    def test_another_space_is_refused_by_name(self, server, wanted) -> None:
        space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 2.0)])
        server.client().create_study("s", space, "loss", goal="minimize")
        with pytest.raises(SetupError, match=r"another search space \(they differ in x\)"):
            get_or_create_study(server.client(), wanted, StudyRequest("s"))

    def test_other_metrics_are_refused(self, server, wanted) -> None:
        server.client().create_study("s", wanted.space, "loss", goal="maximize")
        with pytest.raises(SetupError, match=r"other metrics \(loss: maximize there, loss: minimize here\)"):
            get_or_create_study(server.client(), wanted, StudyRequest("s"))

    def test_a_pinned_parameter_is_constant(self, server, wanted) -> None:
        study = get_or_create_study(server.client(), wanted, StudyRequest("s", pins={"x": "0.5"}))
        assert next(study.trials()).parameters == {"x": 0.5}
        assert study.suggest()[0].parameters == {"x": 0.5}

    @pytest.mark.parametrize("pins", [{"y": "1"}, {"x": "7"}, {"x": "much"}])
    def test_a_pin_that_cannot_be_is_refused(self, server, wanted, pins) -> None:
        with pytest.raises(SetupError, match=next(iter(pins))):
            get_or_create_study(server.client(), wanted, StudyRequest("s", pins=pins))

    def test_a_study_in_parts_has_the_whole_trials_of_the_objective(self, server, wanted) -> None:
        resuming = replace(wanted, can_resume=True, step="epoch", steps=9)
        study = get_or_create_study(server.client(), resuming, StudyRequest("s", in_parts=True))
        whole = {"metric": "epoch", "max": 9, "min": 1, "promotion": "forecast"}
        assert study.info().settings["fidelity"] == whole
        again = get_or_create_study(server.client(), resuming, StudyRequest("s", in_parts=True))
        assert again.info().settings["fidelity"] == whole

    def test_a_study_in_parts_keeps_the_fidelity_of_its_file(self, server, wanted, tmp_path: Path) -> None:
        file = tmp_path / "space.yaml"
        file.write_text(
            "parameters: {y: {type: int, low: 1, high: 3}}\nmetrics: {loss: minimize}\n"
            "settings: {fidelity: {metric: epoch, max: 9, min: 3, promotion: asha}}\n"
        )
        resuming = replace(wanted, can_resume=True, step="epoch", steps=9)
        study = get_or_create_study(server.client(), resuming, StudyRequest("s", file=file, in_parts=True))
        assert study.info().settings["fidelity"]["min"] == 3

    @pytest.mark.parametrize(
        ("changes", "hint"),
        [
            ({"steps": 9}, "needs an objective that resumes"),
            ({"can_resume": True, "steps": None}, "how many steps a trial has"),
            ({"can_resume": True, "steps": 1}, "at least 2 steps; these have 1"),
        ],
    )
    def test_in_parts_is_refused_where_it_cannot_be(self, server, wanted, changes, hint: str) -> None:
        with pytest.raises(SetupError, match=hint):
            get_or_create_study(server.client(), replace(wanted, **changes), StudyRequest("s", in_parts=True))
        assert not list(server.client().studies())

    def test_a_study_without_a_fidelity_gets_none(self, server, wanted) -> None:
        resuming = replace(wanted, can_resume=True, step="epoch", steps=9)
        get_or_create_study(server.client(), resuming, StudyRequest("s"))
        with pytest.raises(SetupError, match="exists without a fidelity, which never changes; choose another --study"):
            get_or_create_study(server.client(), resuming, StudyRequest("s", in_parts=True))

    def test_a_file_says_space_metrics_and_settings(self, server, wanted, tmp_path: Path) -> None:
        file = tmp_path / "space.yaml"
        file.write_text(
            "parameters: {y: {type: int, low: 1, high: 3}}\nmetrics: {loss: maximize}\nsettings: {max_trials: 9}\n"
        )
        study = get_or_create_study(server.client(), wanted, StudyRequest("s", file=file))
        assert (study.info().max_trials, [p.name for p in study.info().space.parameters]) == (9, ["y"])
        assert study.info().objective.goal == "maximize"

    def test_a_study_that_exists_keeps_its_limit(self, server, wanted, caplog) -> None:
        caplog.set_level("INFO", logger="bo_objectives")
        get_or_create_study(server.client(), wanted, StudyRequest("s", max_trials=3))
        assert get_or_create_study(server.client(), wanted, StudyRequest("s", max_trials=5)).info().max_trials == 3
        assert "has max_trials 3, and keeps it (`bo study resume s --max-trials 5` changes it)" in caplog.text
        assert "this worker runs at most 5" in caplog.text


LABELING = """
import os
from bo_objectives.base import TrialFailed
from sample_objectives import Base
import bo_client

class Labeling(Base):
    def evaluate(self, parameters, run):
        run.label({"diagnosis": "overfitting"})
        run.report(1, {"loss": 1.0})
        run.label({"diagnosis": "overfitting, dead_units", "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "all")})
        return {"loss": 0.5}

class Failing(Base):
    def evaluate(self, parameters, run):
        run.label({"diagnosis": "learning_rate_too_high"})
        raise TrialFailed(bo_client.FailureReason.DIVERGED, "nan")

class Broken(Base):
    def evaluate(self, parameters, run):
        if run.number == 1 and run.attempt == 1:
            raise TrialFailed(bo_client.FailureReason.CRASHED, "the disk is full: free some space")
        return {"loss": 0.5}
"""


class TestLabels:
    @pytest.fixture
    def label(self, server, samples, tmp_path) -> Callable[..., None]:
        def label(name: str, max_trials: int = 1, **settings) -> None:
            (samples / "labeling_objectives.py").write_text(LABELING)
            given = WorkerSettings("w", tmp_path / "trials", **settings)
            run(
                server.client(),
                EvaluationTask(f"labeling_objectives:{name}"),
                StudyRequest("s", max_trials=max_trials),
                given,
            )

        return label

    @pytest.mark.parametrize("is_local", [False, True], ids=["child", "in process"])
    def test_what_an_objective_says_of_a_trial_is_kept_with_it_and_logged(
        self, label, trials, caplog, is_local: bool
    ) -> None:
        with caplog.at_level("INFO"):
            label("Labeling", is_local=is_local)
        (trial,) = trials()
        assert trial.labels == {**TEXTBOOK_ROLE, "diagnosis": "overfitting, dead_units", "gpu": "all"}
        assert "trial 1: diagnosis: overfitting, dead_units" in caplog.text

    def test_a_failed_trial_keeps_them_too(self, label, trials) -> None:
        label("Failing")
        (trial,) = trials()
        assert (trial.state, trial.labels["diagnosis"]) == (
            bo_client.TrialState.INFEASIBLE,
            "learning_rate_too_high",
        )

    def test_slots_take_gpus_in_turn(self, label, trials) -> None:
        label("Labeling", 6, parallel=3, gpus=("0", "1"))
        workers = {trial.labels["gpu"] for trial in trials()}
        assert workers <= {"0", "1"}
        assert workers
        settings = WorkerSettings("w", Path(), gpus=("0", "GPU-7"))
        assert [settings.environment(i) for i in range(3)] == [
            {"CUDA_VISIBLE_DEVICES": gpu} for gpu in ("0", "GPU-7", "0")
        ]
        assert WorkerSettings("w", Path()).environment(1) == {}

    def test_a_machines_failure_costs_one_attempt_and_the_worker_goes_on(self, label, trials) -> None:
        label("Broken", 2)
        first, second = trials()
        assert (first.state, first.attempt) == (bo_client.TrialState.SUCCEEDED, 2)
        assert first.failure.message == "the disk is full: free some space"
        assert second.state is bo_client.TrialState.SUCCEEDED


class TestGpus:
    @pytest.fixture
    def nvidia_smi(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        def make(script: str) -> None:
            path = tmp_path / "nvidia-smi"
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
            monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

        return make

    def test_a_list_or_what_the_machine_has(self, nvidia_smi) -> None:
        assert gpus.chosen("0, GPU-7") == ("0", "GPU-7")
        nvidia_smi("printf '0\\n1\\n'")
        assert gpus.chosen("auto") == ("0", "1")

    def test_a_machine_without_any(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert gpus.chosen("auto") == ()

    def test_faults(self, nvidia_smi) -> None:
        with pytest.raises(SetupError, match=r"--gpus is '0,,1'; give auto, or GPUs with commas"):
            gpus.chosen("0,,1")
        nvidia_smi("exit 9")
        with pytest.raises(SetupError, match="nvidia-smi cannot list the GPUs"):
            gpus.chosen("auto")
