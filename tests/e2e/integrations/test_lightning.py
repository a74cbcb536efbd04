"""The callback for PyTorch Lightning on a module that trains for some epochs, beside a real server."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import TrialState

torch = pytest.importorskip("torch", reason="PyTorch is too large for the extra dev")
lightning = pytest.importorskip("lightning.pytorch", reason="needs the extra lightning")
from bo_client.integrations.lightning import BoCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning's own

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("lr", 1e-3, 1e-1, scale="log")])


class Line(lightning.LightningModule):  # type: ignore[misc]
    """A line, whose losses are NaN from an epoch on; epochs count from 1."""

    def __init__(self, lr: float = 0.01, broken_from: float = math.inf, error: BaseException | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.lr, self.broken_from, self.error = lr, broken_from, error

    def loss(self, batch: Any) -> Any:
        x, y = batch
        factor = math.nan if self.current_epoch + 1 >= self.broken_from else 1.0
        return torch.nn.functional.mse_loss(self.layer(x), y) * factor

    def training_step(self, batch: Any, index: int) -> Any:
        if self.error is not None:
            raise self.error
        loss = self.loss(batch)
        self.log("loss", loss, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.loss(batch))
        self.log("val_score", -self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.lr)


def fit(
    callback: Any, module: Any = None, epochs: int = 3, ckpt_path: Any = None, validate: bool = True, **more: Any
) -> Any:
    x = torch.linspace(-1, 1, 8)[:, None]
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 2 * x), batch_size=4)
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(
        max_epochs=epochs, callbacks=[callback] if callback else [], enable_model_summary=False, **silent, **more
    )
    trainer.fit(module or Line(), data, data if validate else None, ckpt_path=ckpt_path)
    return trainer


@pytest.fixture
def make_study(client: bo_client.Client, study_id: str) -> Callable[..., bo_client.Study]:
    def make(metric: str = "val_loss", goal: Any = "minimize", **settings: Any) -> bo_client.Study:
        return client.create_study(study_id, SPACE, metric, goal, **settings)

    return make


def test_epochs_are_reported_with_all_metrics(make_study) -> None:
    study = make_study("score", "maximize")
    (trial,) = study.suggest()
    callback = BoCallback(trial, "val_score")
    fit(callback)
    assert trial.complete(callback.history["score"][-1]).state is TrialState.SUCCEEDED
    told = study.trial(trial.number)
    assert [m.step for m in told.measurements] == [1, 2, 3]
    assert {"score", "loss", "val_loss"} <= set(told.measurements[0].metrics)
    assert [m.metrics["score"] for m in told.measurements] == pytest.approx(callback.history["score"])
    assert [t for t in threading.enumerate() if t.name.endswith(trial.name) and t.is_alive() and not t.daemon] == []


def test_epochs_without_validation_are_left_out(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    fit(BoCallback(trial), epochs=4, check_val_every_n_epoch=2)
    assert [m.step for m in study.trial(trial.number).measurements] == [2, 4]


def test_a_metric_that_there_is_not_is_told_with_those_that_there_are(make_study) -> None:
    (trial,) = make_study("accuracy").suggest()
    with pytest.raises(bo_client.InvalidRequest, match=r"metrics: lack accuracy; Lightning has .*val_loss.* self\.log"):
        fit(BoCallback(trial))
    with pytest.raises(bo_client.InvalidRequest, match=r"metric: is acc; Lightning has loss, .*self\.log"):
        fit(BoCallback(trial, "acc"), validate=False)


def test_training_ends_when_the_service_says_so(make_study) -> None:
    study = make_study()
    (trial,) = study.suggest()
    study.stop_trial(trial.number, "enough is known")
    callback = BoCallback(trial)
    assert fit(callback, epochs=50).current_epoch == 1
    assert callback.stop_reason == "enough is known"
    assert trial.complete(callback.history["val_loss"][-1]).state is TrialState.STOPPED


def test_nan_is_divergence_and_the_search_goes_on(make_study) -> None:
    study = make_study()
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        callback = BoCallback(trial)
        broken_from = 2 if trial.number == 1 else math.inf
        lengths.append(fit(callback, Line(parameters["lr"], broken_from)).current_epoch)
        return callback.history["val_loss"][-1]

    study.optimize(objective, n_trials=2)
    assert [t.failure and t.failure.reason.value for t in study.trials()] == ["DIVERGED", None]
    assert lengths == [2, 3]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError("no room"), "OUT_OF_MEMORY"),
        (RuntimeError("broken"), "CRASHED"),
        (KeyboardInterrupt(), "PREEMPTED"),
    ],
)
def test_an_exception_ends_the_trial_with_its_reason(make_study, error: BaseException, reason: str) -> None:
    study = make_study(max_attempts=1)

    def objective(parameters: Any, trial: Any) -> float:
        fit(BoCallback(trial), Line(error=error))
        return 1.0

    try:
        study.optimize(objective, n_trials=1)
    except (KeyboardInterrupt, SystemExit):  # Lightning exits at an interruption
        assert reason == "PREEMPTED"
    (told,) = study.trials()
    assert told.failure.reason.value == reason


LAST = 4


def test_a_training_in_parts_is_the_same_as_a_whole_one(make_study, tmp_path: Path) -> None:
    study = make_study(max_trials=4, fidelity={"metric": "epoch", "max": LAST}, algorithm="quasi_random")
    epochs: dict[int, list[int]] = {}

    class Note(BoCallback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            epochs.setdefault(self.trial.number, []).append(trainer.current_epoch + 1)

    def objective(parameters: Any, trial: Any) -> float:
        torch.manual_seed(0)
        callback = Note(trial, checkpoint_dir=tmp_path)
        fit(callback, Line(parameters["lr"]), LAST, callback.ckpt_path)
        assert len(callback.history["val_loss"]) == LAST
        return callback.history["val_loss"][-1]

    best = study.optimize(objective, can_resume=True)
    told = list(study.trials(full=True))
    assert {t.state for t in told} == {TrialState.SUCCEEDED, TrialState.PAUSED}
    assert [[m.step for m in t.measurements] for t in told] == [epochs[t.number] for t in told]  # none twice
    assert len(list(tmp_path.glob("*/trial-*/*"))) == len(told)  # the last checkpoint of each
    torch.manual_seed(0)
    whole = fit(None, Line(best.parameters["lr"]), LAST)
    assert best.value("val_loss") == pytest.approx(float(whole.callback_metrics["val_loss"]), rel=1e-5)


def test_a_checkpoint_must_be_there(make_study, tmp_path: Path) -> None:
    study = make_study(max_trials=1, fidelity={"metric": "epoch", "max": LAST})
    (trial,) = study.suggest(can_resume=True)
    with pytest.raises(bo_client.InvalidRequest, match="checkpoint_dir: is missing"):
        BoCallback(trial)
    callback = BoCallback(trial, checkpoint_dir=tmp_path)
    assert fit(callback, epochs=LAST).current_epoch == 1
    assert callback.pause_reason == trial.pause_reason
    trial.pause()
    for file in tmp_path.glob("*/*/*"):
        file.unlink()
    (again,) = study.suggest(can_resume=True)
    with pytest.raises(bo_client.InvalidRequest, match="give all workers the same checkpoint_dir"):
        BoCallback(again, checkpoint_dir=tmp_path)
