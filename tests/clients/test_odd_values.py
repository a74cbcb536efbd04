"""What programs give in their first hour besides plain floats and strings."""

import asyncio
import decimal
import logging
import math
import pickle
from collections.abc import Callable
from typing import Any

import bo_client
import numpy as np
import pandas as pd
import pytest
from bo_client import FailureReason, InvalidRequest, TrialState

LINE = {"x": (0.0, 1.0)}
Make = Callable[..., bo_client.Study]


class Tensor:
    """A scalar such as TensorFlow's, which has no `item`."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Tensors:
    """Several values, which have an `item` that refuses."""

    shape = (2,)

    def item(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


@pytest.fixture
def make(server) -> Make:
    numbers = iter(range(1, 100))

    def make(space: Any = None, metrics: Any = "loss", **options: Any) -> bo_client.Study:
        goal = "minimize" if isinstance(metrics, str) else None
        options = {"algorithm": "quasi_random", **options}
        return server.client().create_study(f"odd-{next(numbers)}", space or LINE, metrics, goal, **options)

    return make


@pytest.mark.parametrize(
    "value",
    [np.float16(0.5), np.array([0.5]), pd.Series([0.5]), decimal.Decimal("0.5"), Tensor(0.5)],
    ids=lambda value: type(value).__name__,
)
def test_every_number_is_a_result(make: Make, value: Any) -> None:
    study = make()
    study.optimize(lambda _: value, n_trials=1)
    assert study.best_value == 0.5


@pytest.mark.parametrize(("value", "text"), [(10**400, "inf"), (-(10**400), "-inf"), (np.longdouble("1e4000"), "inf")])
def test_a_number_beyond_the_floats_has_diverged(make: Make, value: Any, text: str) -> None:
    study = make()
    for trial in (study.tell(study.ask(), value), study.add({"x": 0.5}, value)):
        assert trial.failure == bo_client.Failure(FailureReason.DIVERGED, f"loss is {text}")


@pytest.mark.parametrize(
    "value",
    ["0.5", 1 + 2j, np.complex128(1), [0.5], np.array([1.0, 2.0]), pd.NA, Tensors(), np.datetime64("2020-01-01")],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_is_refused_by_name(make: Make, value: Any) -> None:
    study = make()
    trial = study.ask()
    with pytest.raises(InvalidRequest, match=r"^metrics\['loss'\]: is .*; it must be a number$"):
        study.tell(trial, value)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_result_from_elsewhere_that_is_not_finite_has_diverged(make: Make, value: float) -> None:
    added = make().add({"x": 0.5}, value)
    assert added.state is TrialState.INFEASIBLE
    assert added.failure is not None
    assert added.failure.reason is FailureReason.DIVERGED


def test_a_result_from_elsewhere_may_have_been_stopped(make: Make) -> None:
    study = make()
    added = study.add({"x": 0.5}, 1.0, stop_reason="no hope", curve={2: {"loss": 1.0}, 1: 3.0})
    assert (added.state, added.stop_reason) == (TrialState.STOPPED, "no hope")
    assert added.final_measurement is not None
    assert added.final_measurement.step == 2
    assert [(m.step, m.metrics) for m in study.trial(1).measurements] == [(1, {"loss": 3.0}), (2, {"loss": 1.0})]
    with pytest.raises(InvalidRequest, match=r"trial.stop_request.reason.*1001"):
        study.add({"x": 0.5}, 1.0, stop_reason="x" * 1001)


def test_metrics_may_be_goals_by_name(make: Make) -> None:
    study = make(metrics={"loss": "minimize", "speed": "max"})
    assert [(m.name, m.goal) for m in study.definition.metrics] == [("loss", "minimize"), ("speed", "maximize")]
    for metrics in (["loss"], None, {"loss": "up"}):
        with pytest.raises(InvalidRequest, match=r"give a name with its goal|give \"minimize\" or \"maximize\""):
            make(metrics=metrics)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.enqueue({1: 0.5}), "parameters: are {1: 0.5}; give a dict with a value for each name"),
        (lambda s: s.enqueue([0.5]), r"parameters: are \[0.5\]; give a dict"),
        (lambda s: s.enqueue({"x": 10**400}), "x: is '1000.*'; it must be a number from 0.0 to 1.0"),
        (lambda s: s.enqueue({"x": "\ud800"}), r"x: is '\\ud800', with characters that UTF-8 can't hold"),
        (lambda s: s.enqueue({"x": 0.5}, {"k": 1}), "labels: is {'k': 1}, which has the wrong type"),
        (lambda s: s.suggest(0), "count: is 0; give a whole number of trials from 1"),
        (lambda s: s.suggest(2.5), "count: is 2.5; give a whole number"),
        (lambda s: s.best_trials(0), "count: is 0; give a whole number"),
        (lambda s: s.suggest(1, worker_id=5), "worker_id: is 5, which has the wrong type"),
        (lambda s: s.tell("1", 0.5), "trial: is '1'; give the trial that ask\\(\\) returned, or its number"),
        (lambda s: s.tell(1.0, 0.5), "trial: is 1.0; give the trial"),
        (lambda s: s.update(display_name="\ud800"), "display_name: is .* which has the wrong type"),
        (lambda s: s.client.create_study(5, LINE, "loss", "minimize"), "study_id: is 5, which has the wrong type"),
        (lambda s: s.client.create_study("s", LINE, "a b", "minimize"), "a letter or '_', then letters, digits"),
        (lambda s: s.client.create_study("s", {"x": (0, 2**70)}, "l", "minimize"), r"high.*from -2\^53 to 2\^53"),
        (lambda s: bo_client.connect(5), "server: is 5; give HOST:PORT as text"),
        (lambda s: bo_client.TrialFailed("broken"), "reason: is 'broken'; give one of OUT_OF_MEMORY"),
    ],
)
def test_a_refusal_names_what_was_given(make: Make, call: Callable[[bo_client.Study], Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        call(make())


def test_numbers_of_numpy_are_numbers_of_trials(make: Make) -> None:
    study = make()
    study.optimize(lambda p: p["x"], n_trials=np.int64(2), n_jobs=np.int32(2), timeout=np.float32(60), callbacks=None)
    trial = study.ask()
    assert study.tell(np.int64(trial.number), 0.5).number == 3


def test_the_number_of_an_ended_trial_is_refused(make: Make) -> None:
    study = make()
    number = study.ask().number
    study.tell(number, 0.5)
    with pytest.raises(bo_client.NotFound, match=r"trial 1 was not returned .*or has been ended by tell\(\)"):
        study.tell(number, 0.5)


async def coroutine(_: object) -> float:
    await asyncio.sleep(0)
    return 0.5


def generator(_: object) -> Any:
    yield 0.5


@pytest.mark.parametrize("objective", [coroutine, generator])
def test_an_objective_without_a_result_is_refused_at_once(make: Make, objective: Any) -> None:
    study = make()
    with pytest.raises(InvalidRequest, match=r"objective: is an? .*, whose result is no number"):
        study.optimize(objective, n_trials=1)
    assert len(study.trials()) == 0


@pytest.mark.parametrize(
    ("objective", "hint"),
    [
        (lambda p: p.x, 'write parameters["NAME"]'),
        (lambda t: t.suggest_float("x", 0, 1), "integrations.optuna.BoSampler"),
    ],
)
def test_who_takes_the_parameters_for_an_object_is_told_what_they_are(make: Make, caplog, objective, hint) -> None:
    with caplog.at_level(logging.WARNING, "bo_client"):
        make().optimize(objective, n_trials=1)
    assert hint in caplog.text


def test_a_reason_may_be_a_word(make: Make) -> None:
    def fail(_: object) -> float:
        raise bo_client.TrialFailed("out_of_memory")

    study = make()
    study.optimize(fail, n_trials=1)
    failure = study.trials()[0].failure
    assert failure is not None
    assert failure.reason is FailureReason.OUT_OF_MEMORY


def test_a_pause_that_nobody_asked_for_leaves_no_trial_running(make: Make) -> None:
    def pause(_: object) -> float:
        raise bo_client.PauseTrial("later")

    study = make(max_attempts=1)
    study.optimize(pause, n_trials=1)
    (trial,) = study.trials()
    assert trial.state is TrialState.FAILED
    assert trial.failure is not None
    assert "leave it to trial.report" in trial.failure.message


def test_a_study_is_called_by_its_name_too(make: Make, bo) -> None:
    study = make()
    assert study.client.study(study.name).definition == study.definition
    assert bo("best", study.name).stderr.endswith("has a result yet\n")
    study.client.delete_study(study.name)


def test_trials_are_pickled_as_a_list(make: Make) -> None:
    study = make()
    study.optimize(lambda p: p["x"], n_trials=2)
    assert pickle.loads(pickle.dumps(study.trials())) == list(study.trials())


def test_parameters_in_another_order_are_the_same_study(server) -> None:
    spaces: list[dict[str, Any]] = [{"x": (0.0, 1.0), "y": (1, 3)}, {"y": (1, 3), "x": (0.0, 1.0)}]
    client = server.client()
    first, second = (client.create_study("same", space, "loss", "minimize", max_trials=3) for space in spaces)
    assert first.definition == second.definition
    with pytest.raises(bo_client.AlreadyExists, match="another max_trials"):
        client.create_study("same", spaces[1], "loss", "minimize", max_trials=4)
    with pytest.raises(bo_client.AlreadyExists, match="they differ in y"):
        client.create_study("same", {"y": (1, 4), "x": (0.0, 1.0)}, "loss", "minimize", max_trials=3)
