"""The Hydra sweeper: a program's function is called by Hydra in this process, beside a real server."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import TrialState

hydra = pytest.importorskip("hydra", reason="needs the extra hydra")
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from tests.conftest import restored_logging  # noqa: E402

CONFIG = "{lr: 0.1, act: relu, layers: 1, flag: true, model: {width: 8}, fixed: none}"

Run = Callable[..., bo_client.Study]


@pytest.fixture
def run(
    address: str, client: bo_client.Client, study_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Call a function by Hydra; returns the study."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "swept.yaml").write_text(CONFIG)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def swept(job: Callable[[Any], Any], *arguments: str, n_trials: int = 3) -> bo_client.Study:
        sweeper = {"study_id": study_id, "server": address, "n_trials": n_trials}
        words = [f"hydra.sweeper.{name}={value}" for name, value in sweeper.items()]
        where = ["hydra.sweep.dir=sweep", "hydra.hydra_logging.root.handlers=[]", "hydra/job_logging=disabled"]
        monkeypatch.setattr(sys, "argv", ["train.py", "--multirun", "hydra/sweeper=bo", *words, *where, *arguments])
        GlobalHydra.instance().clear()
        hydra.main(version_base=None, config_path=str(tmp_path), config_name="swept")(job)()
        return client.study(study_id)

    with restored_logging():
        yield swept
    GlobalHydra.instance().clear()


def test_the_jobs_are_the_trials(run: Run, tmp_path: Path) -> None:
    seen = []

    def job(config: Any) -> float:
        seen.append(config)
        return float(abs(config.lr - 0.01) + config.layers)

    space = ("lr=tag(log,interval(1e-4,1e-1))", "layers=range(1,8,2)", "act=choice(relu,'a b')", "flag=true,false")
    study = run(job, *space, "+model.depth=int(interval(1,3))", "model.width=choice(8,16)", "fixed=given", n_trials=2)
    trials = list(study.trials())
    assert [t.state for t in trials] == [TrialState.SUCCEEDED] * 2
    by_name = {p.name: p for p in study.definition.space.parameters}
    assert by_name["lr"] == bo_client.FloatParameter("lr", 1e-4, 1e-1, scale="log")
    assert by_name["layers"] == bo_client.DiscreteParameter("layers", [1, 3, 5, 7])
    assert by_name["model.width"] == bo_client.DiscreteParameter("model.width", [8, 16])
    assert by_name["model.depth"] == bo_client.IntParameter("model.depth", 1, 3)
    assert [(c.lr, c.layers, c.model.depth, c.fixed) for c in seen] == [
        (pytest.approx(t["lr"]), t["layers"], t["model.depth"], "given") for t in trials
    ]
    assert {c.act for c in seen} <= {"relu", "a b"}
    assert all(isinstance(c.flag, bool) and isinstance(c.layers, int) for c in seen)
    best = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml").best[0]
    assert best["values"].value == study.best().value("value")
    assert best.params.lr == study.best()["lr"]
    assert sorted(p.name for p in (tmp_path / "sweep").iterdir() if p.is_dir()) == ["0", "1"]


@pytest.mark.slow
def test_the_direction_the_metric_and_the_settings_are_given(run: Run) -> None:
    given = ("direction=[maximize,minimize]", "metric=[accuracy,loss]", "n_jobs=2")
    options = ("+hydra.sweeper.settings.seed=7", *(f"hydra.sweeper.{option}" for option in given))
    both = lambda config: {"accuracy": config.lr, "loss": 1 - config.lr}  # noqa: E731
    study = run(both, "lr=interval(0,1)", *options, n_trials=2)
    assert [(m.name, m.goal) for m in study.definition.objectives] == [("accuracy", "maximize"), ("loss", "minimize")]
    assert study.definition.settings["seed"] == 7
    assert [t.state for t in study.trials()] == [TrialState.SUCCEEDED] * 2


@pytest.mark.slow
def test_a_second_sweep_continues_the_study_and_another_space_has_another(run: Run, client: bo_client.Client) -> None:
    for _ in range(2):
        study = run(lambda config: config.lr, "lr=interval(0,1)", n_trials=2)
    assert len(study.trials()) == 4
    run(lambda config: config.lr, "lr=interval(0,2)", n_trials=2)
    assert len(client.study(f"{study.id}.2").trials()) == 2


@pytest.mark.slow
def test_what_a_configuration_file_searches_the_command_line_changes(run: Run) -> None:
    study = run(lambda config: config.lr, "+hydra.sweeper.params.lr='interval(0,1)'", "lr=interval(0,2)", n_trials=1)
    assert study.definition.space.parameters[0].high == 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("no room"), "OUT_OF_MEMORY"),
        pytest.param(RuntimeError("broken"), "CRASHED", marks=pytest.mark.slow),
    ],
)
def test_a_job_that_fails_fails_its_trial_alone(run: Run, error: Exception, reason: str) -> None:
    jobs = []

    def job(config: Any) -> float:
        jobs.append(config)
        if len(jobs) == 2:
            raise error
        return float("nan") if len(jobs) == 3 else 1.0

    study = run(job, "lr=interval(0,1)")
    reasons = [t.failure and t.failure.reason.value for t in study.trials()]
    assert reasons == [None, reason, "DIVERGED"]


@pytest.mark.slow
def test_jobs_that_all_crash_end_the_sweep(run: Run) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="the job returned None; return a number"):
        run(lambda config: None, "lr=interval(0,1)", n_trials=9)


@pytest.mark.slow
def test_an_interruption_ends_the_sweep_and_gives_the_trial_back(run: Run, client: bo_client.Client, study_id) -> None:
    def job(config: Any) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, "lr=interval(0,1)")
    (told,) = client.study(study_id).trials()
    assert (told.state, told.failure.reason.value) == (TrialState.FAILED, "PREEMPTED")


def test_what_is_wrong_is_refused_before_a_job_runs(run: Run) -> None:
    def job(config: Any) -> float:
        raise AssertionError

    with pytest.raises(bo_client.InvalidRequest, match="contain nothing to search; give a range"):
        run(job, "lr=0.1")
    with pytest.raises(bo_client.InvalidRequest, match=r"direction: has 1 entries, and hydra.sweeper.metric 2"):
        run(job, "lr=interval(0,1)", "hydra.sweeper.metric=[a,b]")
    with pytest.raises(bo_client.InvalidRequest, match="n_trials: is 0"):
        run(job, "lr=interval(0,1)", n_trials=0)
    with pytest.raises(bo_client.InvalidRequest, match="lr"):
        run(job, "lr=tag(log,interval(0,1))")
    with pytest.raises(Exception, match="lrr"):
        run(job, "lrr=interval(0,1)")


@pytest.mark.slow
def test_the_sweep_ends_where_no_configuration_is_left(run: Run) -> None:
    study = run(lambda config: 1.0, "act=choice(relu,gelu)", n_trials=9)
    assert len(study.trials()) < 9
