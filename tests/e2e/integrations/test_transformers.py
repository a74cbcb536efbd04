"""The callback for Hugging Face's Trainer on a model that trains for some epochs, beside a real server."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import TrialState

torch = pytest.importorskip("torch", reason="PyTorch is too large for the extra dev")
transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
from bo_client.integrations.transformers import BoCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries' own

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("lr", 1e-3, 1e-1, scale="log")])
DATA = [{"x": torch.tensor([i / 8]), "labels": torch.tensor([i / 4])} for i in range(8)]


class Line(torch.nn.Module):  # type: ignore[misc]
    """A line, whose loss is NaN from an evaluation on."""

    def __init__(self, broken_from: float = math.inf, error: BaseException | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(1, 1)
        self.broken_from, self.error, self.evaluations = broken_from, error, 0

    def forward(self, x: Any, labels: Any) -> Any:
        if self.training and self.error is not None:
            raise self.error
        self.evaluations += not self.training
        predicted = self.layer(x)
        loss = torch.nn.functional.mse_loss(predicted, labels)
        return {"loss": loss * math.nan if self.evaluations >= self.broken_from else loss, "logits": predicted}


def train(callback: Any, folder: Path, model: Any = None, resume: Any = None, epochs: int = 3, **more: Any) -> Any:
    options: dict[str, Any] = {"eval_strategy": "epoch", "save_strategy": "no", "learning_rate": 0.01, **more}
    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=4, per_device_eval_batch_size=8,
        report_to="none", use_cpu=True, disable_tqdm=True, seed=0, **options,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model or Line(), arguments, train_dataset=DATA, eval_dataset=DATA, callbacks=[callback] if callback else [],
        compute_metrics=lambda predictions: {"score": -abs(predictions.predictions - predictions.label_ids).mean()},
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.fixture
def make_study(client: bo_client.Client, study_id: str) -> Callable[..., bo_client.Study]:
    def make(metric: str = "eval_loss", goal: Any = "minimize", **settings: Any) -> bo_client.Study:
        return client.create_study(study_id, SPACE, metric, goal, **settings)

    return make


@pytest.mark.parametrize(("name", "metric"), [("eval_score", None), ("score", None), ("mine", "eval_score")])
def test_evaluations_are_reported_with_all_metrics(make_study, tmp_path, name: str, metric: str | None) -> None:
    study = make_study(name, "maximize")
    (trial,) = study.suggest()
    callback = BoCallback(trial, metric)
    trainer = train(callback, tmp_path)
    trainer.evaluate()  # the training is over: it is not reported
    assert trial.complete(callback.history[name][-1]).state is TrialState.SUCCEEDED
    told = study.trial(trial.number)
    assert [m.step for m in told.measurements] == [1, 2, 3]
    assert {name, "eval_loss"} <= set(told.measurements[0].metrics)


def test_steps_count_where_the_trainer_evaluates_by_steps(make_study, tmp_path) -> None:
    study = make_study("loss")
    (trial,) = study.suggest()
    train(BoCallback(trial), tmp_path, eval_strategy="steps", eval_steps=3, save_strategy="steps", save_steps=3)
    told = study.trial(trial.number)
    assert [m.step for m in told.measurements] == [3, 6]
    assert told.checkpoint_uri == str(tmp_path / "checkpoint-6")


def test_a_metric_that_there_is_not_is_told_with_those_that_there_are(make_study, tmp_path) -> None:
    (trial,) = make_study("accuracy").suggest()
    with pytest.raises(
        bo_client.InvalidRequest, match=r"metrics: lack accuracy; the trainer has .*eval_score.* metric="
    ):
        train(BoCallback(trial), tmp_path)
    with pytest.raises(bo_client.InvalidRequest, match="eval_strategy: is 'no'"):
        train(BoCallback(trial), tmp_path, eval_strategy="no")


def test_training_ends_when_the_service_says_so(make_study, tmp_path) -> None:
    study = make_study()
    (trial,) = study.suggest()
    study.stop_trial(trial.number, "enough is known")
    callback = BoCallback(trial)
    assert train(callback, tmp_path, epochs=50).state.epoch == 1
    assert callback.stop_reason == "enough is known"
    assert trial.complete(callback.history["eval_loss"][-1]).state is TrialState.STOPPED


def test_nan_is_divergence_and_the_search_goes_on(make_study, tmp_path) -> None:
    study = make_study(stopping="median")
    lengths = []

    def objective(parameters: Any, trial: Any) -> float:
        callback = BoCallback(trial)
        model = Line(2 if trial.number == 1 else math.inf)
        lengths.append(train(callback, tmp_path, model, learning_rate=parameters["lr"]).state.epoch)
        return callback.history["eval_loss"][-1]

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
def test_an_exception_ends_the_trial_with_its_reason(make_study, tmp_path, error: BaseException, reason: str) -> None:
    study = make_study(max_attempts=1)

    def objective(parameters: Any, trial: Any) -> float:
        train(BoCallback(trial), tmp_path, Line(error=error))
        return 1.0

    try:
        study.optimize(objective, n_trials=1)
    except KeyboardInterrupt:
        assert reason == "PREEMPTED"
    (told,) = study.trials()
    assert told.failure.reason.value == reason


LAST = 4


def test_a_training_in_parts_is_the_same_as_a_whole_one(make_study, tmp_path) -> None:
    study = make_study(max_trials=4, fidelity={"metric": "epoch", "max": LAST}, algorithm="quasi_random")

    def objective(parameters: Any, trial: Any) -> float:
        callback = BoCallback(trial)
        options = {"learning_rate": parameters["lr"], "epochs": LAST}
        train(callback, tmp_path / str(trial.number), resume=callback.checkpoint, **options)
        assert len(callback.history["eval_loss"]) == LAST
        return callback.history["eval_loss"][-1]

    best = study.optimize(objective, can_resume=True)
    told = list(study.trials(full=True))
    assert {t.state for t in told} == {TrialState.SUCCEEDED, TrialState.PAUSED}
    assert {tuple(m.step for m in t.measurements) for t in told} <= {(1,), (1, 2, 3), (1, 2, 3, 4)}
    whole = train(None, tmp_path / "whole", learning_rate=best.parameters["lr"], epochs=LAST)
    assert best.value("eval_loss") == pytest.approx(whole.evaluate()["eval_loss"], rel=1e-5)
