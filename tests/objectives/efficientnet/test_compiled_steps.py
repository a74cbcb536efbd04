"""Compiled steps that a process keeps: a trial trained by another's has the curve that it has alone, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bo_client
import numpy as np
import pytest
from bo_client import FailureReason
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.testing import RecordedRun

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import compiled_steps, model  # noqa: E402
from bo_objectives.efficientnet.compiled_steps import CompiledSteps  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.timeout(1200),  # for a busy machine
    pytest.mark.xdist_group("efficientnet"),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="steps are kept on TensorFlow"),
]

FIRST = {"kernel_initializer": "glorot_uniform", "lr_head": 1e-3, "dropout": 0.1, "batch_size": 9}
OTHER = {"kernel_initializer": "he_normal", "bias_initializer": "ones", "lr_head": 7e-3, "dropout": 0.4}
Make = Callable[..., EfficientNetObjective]


def curve(objective: EfficientNetObjective, run: RecordedRun, parameters: dict[str, Any]) -> list[Any]:
    """What is reported after each epoch, and the result."""
    metrics = objective.evaluate(parameters, run)
    return [*(point for _, point, _ in run.reports), dict(metrics)]


def alone(make: Make, run: RecordedRun, parameters: dict[str, Any]) -> list[Any]:
    """What Keras makes of the trial's own network, in an objective of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingContext, "_shares_step", lambda *_: False)
        return curve(make(), run, parameters)


def steps_of(objective: EfficientNetObjective) -> CompiledSteps:
    assert objective._context is not None
    return objective._context.steps


def test_a_trial_after_another_has_the_curve_of_its_own_network(make_small: Make, make_run) -> None:
    """Of other initial weights, rate, dropout and batches."""
    shared = make_small()
    shared.evaluate(FIRST, make_run())
    assert curve(shared, make_run(), OTHER) == alone(make_small, make_run(), OTHER)
    assert len(steps_of(shared)) == 1


def traces(function: Any) -> int:
    """How often what Keras calls for each batch was traced; Keras wraps the compiled function."""
    cells = [cell.cell_contents for cell in function.__closure__]
    (compiled,) = [each for each in cells if hasattr(each, "experimental_get_tracing_count")]
    return compiled.experimental_get_tracing_count()


@pytest.mark.slow
def test_one_step_is_compiled_for_trials_of_one_structure(make_compiled: Make, make_run) -> None:
    shared = make_compiled()
    for parameters in (FIRST, OTHER, {**FIRST, "batch_size": 4}, {**OTHER, "norm": "group", "groups": 4}):
        assert curve(shared, make_run(), parameters) == alone(make_compiled, make_run(), parameters)
    kept = list(steps_of(shared)._kept.values())
    assert [(traces(step.network.train_function), traces(step.network.test_function)) for step in kept] == [(1, 1)] * 2


class Broken(RecordedRun):
    """A trial in which something happens after its first epoch."""

    error: BaseException = KeyboardInterrupt()

    def report(self, step: int, metrics, checkpoint_uri: str = "") -> None:
        super().report(step, metrics, checkpoint_uri)
        raise self.error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "is_kept"),
    [(bo_client.StopTrial("enough"), True), (KeyboardInterrupt(), False), (MemoryError("no more"), False)],
    ids=["stopped", "interrupted", "out of memory"],
)
def test_a_trial_that_broke_off_leaves_nothing_to_the_next(
    make_small: Make, make_run, tmp_path: Path, error: BaseException, is_kept: bool
) -> None:
    shared, broken = make_small(), Broken(tmp_path)
    broken.error = error
    with pytest.raises((type(error), TrialFailed)):
        shared.evaluate(OTHER, broken)
    assert len(steps_of(shared)) == is_kept
    assert curve(shared, make_run(), FIRST) == alone(make_small, make_run(), FIRST)


@pytest.mark.slow
def test_a_trial_that_diverged_leaves_nothing_to_the_next(make_small: Make, make_run) -> None:
    shared = make_small()
    with pytest.raises(TrialFailed, match="DIVERGED"):
        shared.evaluate({"norm": "none", "lr_head": 1e30}, make_run())
    again = {"norm": "none", "lr_head": 1e-3}
    assert curve(shared, make_run(), again) == alone(make_small, make_run(), again)
    assert len(steps_of(shared)) == 1


def test_a_stopped_trial_goes_on_by_the_step_of_another(make_small: Make, make_run) -> None:
    shared, first, second = make_small(), make_run(stop_at=1), make_run(attempt=2)
    with pytest.raises(bo_client.StopTrial):
        shared.evaluate(OTHER, first)
    shared.evaluate(FIRST, make_run())
    second.checkpoint_uri = first.reports[-1][2]
    metrics = shared.evaluate(OTHER, second)
    assert [*(point for _, point, _ in second.reports), dict(metrics)] == alone(make_small, make_run(), OTHER)


CONSTANTS: dict[str, dict[str, Any]] = {
    "norm": {"norm": "layer"},
    "groups": {"norm": "group", "groups": 2},
    "no dropout": {"dropout": 0.0},
    "weight decay": {"weight_decay": 1e-3},
    "clipping": {"clip_norm": 0.5},
    "smoothing": {"label_smoothing": 0.1},
    "weighed classes": {"class_weights": "balanced"},
    "cosine": {"schedule": "cosine"},
    "cosine of another rate": {"schedule": "cosine", "lr_head": 2e-3},
    "cosine of other batches": {"schedule": "cosine", "batch_size": 4},
    "warm-up": {"warmup": 0.2},
}


def test_what_a_step_has_as_constants_makes_another_structure(make_small: Make) -> None:
    """What is compiled into a step must never be shared with a trial that has another value."""
    with make_small().context() as context:
        base = context._structure(TrialConfig.of(FIRST))
        assert context._structure(TrialConfig.of({**FIRST, **OTHER})) == base
        found = [context._structure(TrialConfig.of({**FIRST, **changed})) for changed in CONSTANTS.values()]
    assert len({base, *found}) == 1 + len(CONSTANTS)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, {"mode": "fine_tune"}), ({}, {"augmentation": 0.5}), ({}, {"ema_momentum": 0.5}), ({"cache": "off"}, {}),
        ({"precision": "bfloat16"}, {}),
    ],
    ids=["fine_tune", "augmented", "averaged", "not cached", "bfloat16"],
)  # fmt: skip
def test_other_trials_keep_to_their_own_network(make_small: Make, options, parameters) -> None:
    with make_small(**options).context() as context:
        assert not context._shares_step(TrialConfig.of({**FIRST, **parameters}))


def test_only_the_last_steps_are_kept_and_none_is_lent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_steps, "MAX_KEPT", 2)
    steps, made = CompiledSteps(), iter(range(9))

    def make() -> Any:
        return SimpleNamespace(number=next(made))

    def used(structure: str) -> int:
        with steps.lent(structure, make) as step:
            return step.number

    assert [used(s) for s in ("a", "b", "a", "c", "a", "b")] == [0, 1, 0, 2, 0, 3]
    with steps.lent("a", make) as one, steps.lent("a", make) as two:
        assert one is not two
    with pytest.raises(TrialFailed), steps.lent("a", make) as one:
        raise TrialFailed(FailureReason.DIVERGED, "")
    with steps.lent("a", make) as two:
        assert two is one


def test_dropout_at_a_variable_rate_is_that_of_keras() -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    rate = model.DropoutRate()
    for share in (0.1, 0.37, 0.7):
        rate.assign(share)
        layers = model.VariableDropout(rate, 5, "one"), keras.layers.Dropout(share, seed=5)
        assert not layers[0].weights
        for training in (True, True, False):
            ours, theirs = (np.asarray(layer(inputs, training=training)) for layer in layers)
            np.testing.assert_array_equal(ours, theirs)
