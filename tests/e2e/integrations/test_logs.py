"""Studies followed into MLflow and TensorBoard, and read there by their own readers, beside a real server."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client.integrations.exporters import follow, following

from tests.packages import Deferred

mlflow = Deferred("mlflow", "needs the extra mlflow")
accumulator = Deferred("tensorboard.backend.event_processing.event_accumulator", "needs the extra tensorboard")
api_pb2 = Deferred("tensorboard.plugins.hparams.api_pb2")
plugin_data_pb2 = Deferred("tensorboard.plugins.hparams.plugin_data_pb2")
to_mlflow = Deferred("bo_client.integrations.mlflow")
to_tensorboard = Deferred("bo_client.integrations.tensorboard")

pytestmark = [
    pytest.mark.xdist_group("logs"),  # so that MLflow is loaded once
    *(
        pytest.mark.filterwarnings(f"ignore::{kind}")  # of MLflow's own
        for kind in ("DeprecationWarning", "FutureWarning", "ResourceWarning", "PendingDeprecationWarning")
    ),
]

SPACE = bo_client.SearchSpace(
    [bo_client.FloatParameter("lr", 1e-3, 1e-1, scale="log"), bo_client.CategoricalParameter("norm", ["a", "b"])]
)


def objective(parameters: Any, trial: Any) -> float:
    for step in (1, 2):
        trial.report({"loss": 1 / step + parameters["lr"]}, step)
    if trial.number == 2:
        raise MemoryError("too large")
    return float(parameters["lr"])


@pytest.fixture
def study(client: bo_client.Client, study_id: str) -> bo_client.Study:
    return client.create_study(study_id, SPACE, "loss", "minimize", max_trials=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def runs(store: str, study_id: str) -> Callable[[], list[Any]]:
    """MLflow's runs of the study, by their names."""

    def found() -> list[Any]:
        client = mlflow.MlflowClient(store)
        experiment = client.get_experiment_by_name(study_id)
        return sorted(client.search_runs([experiment.experiment_id]), key=lambda run: str(run.info.run_name))

    return found


def check_mlflow(runs: list[Any], trials: list[bo_client.Trial], store: str) -> None:
    assert [run.info.run_name for run in runs] == [f"{t.name.split('/')[1]}/{t.number}" for t in trials]
    assert [run.info.status for run in runs] == ["FINISHED", "FAILED", "FINISHED"]
    assert [run.data.tags["bo.state"] for run in runs] == [t.state.value for t in trials]
    assert runs[1].data.tags["bo.failure"].startswith("OUT_OF_MEMORY: ")
    for run, trial in zip(runs, trials, strict=True):
        assert run.data.params == {name: str(value) for name, value in trial.parameters.items()}
        assert run.data.metrics.get("final_loss") == trial.value("loss")
        curve = mlflow.MlflowClient(store).get_metric_history(run.info.run_id, "loss")
        assert [(p.step, p.value) for p in curve] == [(m.step, m.metrics["loss"]) for m in trial.measurements]
        assert isinstance(trial.start_time, datetime)
        assert run.info.start_time == int(trial.start_time.timestamp() * 1000)


def check_tensorboard(folder: Path, trials: list[bo_client.Trial]) -> None:
    statuses = []
    for trial in trials:
        events = accumulator.EventAccumulator(str(folder / trial.name.split("/")[1] / str(trial.number)))
        events.Reload()
        assert [(e.step, e.value) for e in events.Scalars("loss")] == [
            (m.step, pytest.approx(m.metrics["loss"])) for m in trial.measurements
        ]
        final = [e.value for e in events.Scalars("final/loss")] if trial.final_measurement else []
        assert final == ([pytest.approx(trial.value("loss"))] if trial.final_measurement else [])
        start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        told = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info.hparams
        assert (told["norm"].string_value, told["lr"].number_value) == (
            trial.parameters["norm"],
            trial.parameters["lr"],
        )
        end = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        statuses.append(plugin_data_pb2.HParamsPluginData.FromString(end).session_end_info.status)
    assert statuses == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_SUCCESS]


def test_trials_are_logged_while_they_run(study, store, runs, tmp_path: Path) -> None:
    with following(study, to_mlflow.MlflowLog(tracking_uri=store), to_tensorboard.TensorBoardLog(tmp_path)):
        study.optimize(objective)
    trials = list(study.trials(full=True))
    check_mlflow(runs(), trials, store)
    check_tensorboard(tmp_path, trials)


def test_a_study_can_be_followed_afterwards_and_again(study, store, runs, tmp_path: Path) -> None:
    study.optimize(objective)
    for _ in range(2):
        follow(study, to_mlflow.MlflowLog(tracking_uri=store), to_tensorboard.TensorBoardLog(tmp_path))
        check_mlflow(runs(), list(study.trials(full=True)), store)
        check_tensorboard(tmp_path, list(study.trials(full=True)))


@pytest.fixture
def cut_off(study: bo_client.Study, store: str, tmp_path: Path) -> Iterator[bo_client.RunningTrial]:
    """A trial of which a follower has seen a part."""
    (trial,) = study.suggest()
    trial.report(1.5, 1)
    with following(study, to_mlflow.MlflowLog(tracking_uri=store), to_tensorboard.TensorBoardLog(tmp_path)):
        pass
    return trial


def test_a_follower_goes_on_after_another_was_cut_off(cut_off, study, store, runs, tmp_path: Path) -> None:
    (partial,) = runs()
    assert (partial.info.status, partial.data.metrics) == ("RUNNING", {"loss": 1.5})
    cut_off.report(1.25, 2)
    cut_off.complete(1.0)
    study.optimize(objective)
    follow(study, to_mlflow.MlflowLog(tracking_uri=store), to_tensorboard.TensorBoardLog(tmp_path))
    trials = list(study.trials(full=True))
    check_mlflow(runs(), trials, store)
    check_tensorboard(tmp_path, trials)


def test_following_waits_for_the_last_trial_of_another_worker(study, store, runs, tmp_path: Path) -> None:
    follower = threading.Thread(target=follow, args=(study, to_mlflow.MlflowLog(tracking_uri=store)), daemon=True)
    follower.start()
    study.optimize(objective)
    follower.join(60)
    assert not follower.is_alive()
    check_mlflow(runs(), list(study.trials(full=True)), store)


def test_what_goes_wrong_in_a_log_is_raised_at_the_end(study) -> None:
    class Broken:
        def start(self, trial: bo_client.Trial) -> None:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"), following(study, Broken()):
        study.optimize(objective)
    assert study.info().ended == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_whole_runs(study, store, runs, error: type[BaseException]) -> None:
    def cut(parameters: Any, trial: Any) -> float:
        if trial.number == 2:
            raise error
        return float(parameters["lr"])

    with pytest.raises(error), following(study, to_mlflow.MlflowLog(tracking_uri=store)):
        study.optimize(cut, n_trials=2, raise_errors=True)
    ended = {t.number: t.state.value for t in study.trials() if t.state.is_ended}
    assert 1 in ended
    told = {int(run.info.run_name.split("/")[1]): run.data.tags["bo.state"] for run in runs() if run.info.end_time}
    assert told == ended


def test_more_parameters_than_a_call_of_mlflow_takes(client, study_id, store, runs) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter(f"p{i}", 0.0, 1.0) for i in range(150)])
    study = client.create_study(study_id, space, "loss", "minimize", algorithm="quasi_random")
    with following(study, to_mlflow.MlflowLog(tracking_uri=store)):
        study.optimize(lambda p: p["p0"], n_trials=1)
    (run,) = runs()
    assert len(run.data.params) == 150


def test_the_value_of_a_stopped_trial_is_not_logged_as_final(client, study_id, store, runs, tmp_path: Path) -> None:
    settings = {"stopping": "median", "stopping_min_step": 1, "stopping_min_trials": 1, "stopping_max_step": 2}
    study = client.create_study(study_id, SPACE, "loss", "minimize", max_trials=4, **settings)
    for i in range(4):
        (trial,) = study.suggest()
        is_stopped = trial.report(9.0 if i == 3 else 1.0, step=1).should_stop
        trial.complete(0.01 if is_stopped else 0.5, step=1 if is_stopped else 2)
    assert study.trial(4).is_cut_short
    follow(study, to_mlflow.MlflowLog(tracking_uri=store), to_tensorboard.TensorBoardLog(tmp_path))
    whole, stopped = runs()[0].data.metrics, runs()[3].data.metrics
    assert (whole["final_loss"], "stopped_loss" in whole) == (0.5, False)
    assert (stopped["stopped_loss"], "final_loss" in stopped) == (0.01, False)
    for number, tag in ((1, "final/loss"), (4, "stopped/loss")):
        events = accumulator.EventAccumulator(str(tmp_path / study_id / str(number)))
        events.Reload()
        assert {t for t in events.Tags()["scalars"] if "/" in t} == {tag}
