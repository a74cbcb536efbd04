"""The same objective on every backend: `scripts/backends` runs this on JAX and PyTorch with no TensorFlow installed."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from bo_client import FailureReason
from bo_objectives.base import TrialFailed
from bo_objectives.errors import SetupError

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]
BACKEND = keras.backend.backend()

EVERYTHING = {
    "mode": "two_stage", "unfreeze_top": 1, "head_share": 0.5, "lr_backbone_ratio": 0.1, "lr_head": 3e-3,
    "kernel_initializer": "he_normal", "bias_initializer": "prior", "norm": "group", "groups": 4,
    "schedule": "cosine", "warmup": 0.1, "weight_decay": 1e-3, "clip_norm": 1.0, "dropout": 0.2,
    "label_smoothing": 0.1, "class_weights": "balanced", "batch_size": 16,
}  # fmt: skip


def test_everything_at_once_trains_and_repeats(make_small, make_run) -> None:
    runs = [make_run(), make_run()]
    for run in runs:
        make_small().evaluate(EVERYTHING, run)
    ours, theirs = (run.reports for run in runs)
    assert [step for step, _, _ in ours] == [1, 2]
    for (_, a, _), (_, b, _) in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, rel=1e-4)


@pytest.mark.slow
def test_something_is_learned_on_this_backend(make_objective, run) -> None:
    metrics = make_objective(epochs="12").evaluate({"norm": "layer", "lr_head": 1e-2}, run)
    assert metrics["val_accuracy"] > 0.6


@pytest.mark.slow
def test_augmented_images_and_a_network_from_scratch_train(make_objective, make_run) -> None:
    for parameters in ({"augmentation": 0.5}, {"mode": "scratch", "norm": "layer", "norm_scope": "network"}):
        metrics = make_objective(epochs="1").evaluate({**parameters, "batch_size": 16}, make_run())
        assert np.isfinite(metrics["val_loss"])


@pytest.mark.slow
def test_several_steps_an_execution_are_refused_where_they_cannot_be(make_objective, run) -> None:
    objective = make_objective(steps_per_execution="2")
    if BACKEND == "torch":
        with pytest.raises(SetupError, match="steps_per_execution is 2; PyTorch runs 1 step at a time"):
            objective.evaluate({}, run)
    else:
        assert objective.evaluate({}, run)["val_loss"] > 0


def test_the_backends_own_out_of_memory_error_is_told(make_small, run, monkeypatch) -> None:
    """Its class, where it can be made by hand; on JAX the text is what tells it."""

    def fail(*_) -> None:
        if BACKEND == "tensorflow":
            import tensorflow as tf

            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]")
        if BACKEND == "torch":
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        import jax

        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.setattr(TrainingContext, "network", fail)
    with pytest.raises(TrialFailed) as caught:
        make_small().evaluate({}, run)
    assert caught.value.reason is FailureReason.OUT_OF_MEMORY


def test_no_other_backend_is_loaded() -> None:
    others = [name for name in ("tensorflow", "jax", "torch") if name != BACKEND and importlib.util.find_spec(name)]
    if not others:
        pytest.skip("no other backend is installed that could be loaded")
    code = (
        "import sys\nfrom bo_objectives.efficientnet.objective import EfficientNetObjective\n"
        "with EfficientNetObjective().context():\n    import bo_objectives.efficientnet.training_run\n"
        f"print([name for name in {others!r} if name in sys.modules])"
    )
    environment = {**os.environ, "KERAS_BACKEND": BACKEND}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, env=environment)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]
