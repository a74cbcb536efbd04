"""A trial from parameters to metrics: what it reports, records and repeats, and how it fails."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import bo_client
import numpy as np
import pytest
from bo_client import FailureReason
from bo_objectives.base import ARTIFACTS, TrialFailed
from bo_objectives.efficientnet import runtime
from bo_objectives.efficientnet.mistakes import CONFUSION
from bo_objectives.efficientnet.space import BASELINE, METRICS
from bo_objectives.efficientnet.weight_files import LITE0_FILE, LITE0_SHA256
from bo_objectives.errors import SetupError
from PIL import Image

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import features  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet")]

BACKBONE_PARAMETERS = 4_652_008 - 1000 * 1281 + 42_016  # without its classifier, with its norms' statistics
FINE_TUNE = {"mode": "fine_tune", "unfreeze_top": 1, "lr_backbone_ratio": 0.1, "lr_head": 1e-3}


# ── what comes out


def test_each_epoch_is_reported_and_the_best_is_the_result(objective, run) -> None:
    metrics = objective.evaluate({**BASELINE, "lr_head": 1e-2}, run)
    assert [step for step, _, _ in run.reports] == [1, 2]
    curve = [point for _, point, _ in run.reports]
    assert all(set(point) == {"val_loss", "val_accuracy", "train_loss", "train_accuracy"} for point in curve)
    assert metrics["val_loss"] == min(point["val_loss"] for point in curve)
    assert curve[int(metrics["best_epoch"]) - 1]["val_loss"] == metrics["val_loss"]
    assert set(metrics) == {metric.name for metric in METRICS}
    assert all(math.isfinite(value) for value in metrics.values())


def test_mistakes_that_cannot_be_drawn_fail_no_trial(make_objective, run, caplog) -> None:
    (run.directory / ARTIFACTS).write_text("a file where the folder should be")
    assert "val_loss" in make_objective(epochs="1").evaluate(BASELINE, run)
    assert "trial 7: its mistakes could not be drawn" in caplog.text


def test_something_is_learned(make_objective, run) -> None:
    metrics = make_objective(epochs="12").evaluate({**BASELINE, "norm": "layer", "lr_head": 1e-2}, run)
    assert metrics["val_loss"] < 0.7 * math.log(3)
    assert metrics["val_accuracy"] > 0.6


def test_zeros_learn_no_more_than_how_often_a_class_occurs(objective, run) -> None:
    """All neurons alike and dead: their gradients are zero, and only the last bias moves."""
    metrics = objective.evaluate({**BASELINE, "kernel_initializer": "zeros", "lr_head": 1e-4}, run)
    assert metrics["val_loss"] == pytest.approx(math.log(3), abs=0.01)


def test_a_seed_repeats_a_trial_exactly(make_small, make_run) -> None:
    """So the one that is examined is the one that was tuned, though it is trained once more."""
    objective, parameters = make_small(), {**FINE_TUNE, "dropout": 0.5}
    first = objective.evaluate(parameters, make_run())
    assert objective.evaluate_test(parameters, make_run()).items() >= first.items()
    assert make_small(seed="1").evaluate(parameters, make_run())["val_loss"] != first["val_loss"]


def test_what_was_trained_on_what_is_recorded(objective, run) -> None:
    metrics = objective.evaluate(BASELINE, run)
    record = json.loads((run.directory / "trial.json").read_text("utf-8"))
    assert record["weights"] == {"source": LITE0_FILE, "sha256": LITE0_SHA256}
    assert record["metrics"] == metrics
    assert record["parameters"].items() >= BASELINE.items()
    assert record["images"] == {"train": 27, "validation": 9, "test": 9}
    with Image.open(run.directory / ARTIFACTS / CONFUSION) as picture:
        assert picture.format == "PNG"
    assert record["classes"] == ["blue", "green", "red"]
    assert len({*record["pixels_sha256"].values()}) == 3
    assert record["settings"]["epochs"] == 2


# ── the test images


@pytest.mark.slow
def test_a_repeat_has_other_images_for_validation_and_the_same_for_the_test(make_objective, make_run) -> None:
    objective = make_objective(epochs="1")
    made = [
        objective.evaluate({}, make_run()),
        objective.repeat({}, make_run(), 1),
        objective.repeat({}, make_run(), 2),
    ]
    assert len({metrics["val_loss"] for metrics in made}) == 3
    assert made[1] == pytest.approx(make_objective(epochs="1", fold="1", seed="1").evaluate({}, make_run()), rel=1e-4)


def test_test_images_are_looked_at_by_examine_alone(objective, make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    labeled = TrainingContext.labeled

    def spy(bench: TrainingContext, choice, images):
        asked.extend(part for part in ("train", "validation", "test") if images is getattr(bench.split, part))
        return labeled(bench, choice, images)

    monkeypatch.setattr(TrainingContext, "labeled", spy)
    assert "test_loss" not in objective.evaluate(BASELINE, make_run())
    assert asked == ["train", "validation"]
    asked.clear()
    examined = objective.evaluate_test(BASELINE, make_run())
    assert asked == ["train", "validation", "test"]
    assert 0 <= examined["test_accuracy"] <= 1
    assert math.isfinite(examined["test_loss"])


# ── cached features


def test_cached_features_make_the_loss_that_a_small_network_makes(make_small, make_run) -> None:
    on, off = make_run(), make_run()
    cached = make_small(cache="on").evaluate(FINE_TUNE, on)
    whole = make_small(cache="off").evaluate(FINE_TUNE, off)
    for (_, with_cache, _), (_, without, _) in zip(on.reports, off.reports, strict=True):
        assert with_cache == pytest.approx(without, rel=0.01)
    for name in ("trainable_parameters", "non_trainable_parameters"):
        assert cached[name] == whole[name] > 0


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [BASELINE, FINE_TUNE], ids=["frozen", "fine_tune"])
def test_cached_features_make_the_loss_and_counts_that_the_whole_network_makes(
    make_objective, make_run, parameters
) -> None:
    on, off = make_run(), make_run()
    cached = make_objective(cache="on").evaluate(parameters, on)
    whole = make_objective(cache="off").evaluate(parameters, off)
    for (_, with_cache, _), (_, without, _) in zip(on.reports, off.reports, strict=True):
        assert with_cache == pytest.approx(without, rel=0.01)
    head = (1280 * 8 + 8) + 2 * 8 + (8 * 3 + 3)
    block7a = 192 * 1152 + 9 * 1152 + 1152 * 320
    tuned = block7a + 320 * 1280 if parameters is FINE_TUNE else 0
    for metrics in (cached, whole):
        assert metrics["trainable_parameters"] == head + tuned
        assert (
            metrics["trainable_parameters"] + metrics["non_trainable_parameters"] == BACKBONE_PARAMETERS + 2 * 8 + head
        )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backbone", ["efficientnet_b0", "efficientnet_v2_b0"])
@pytest.mark.parametrize("parameters", [BASELINE, FINE_TUNE], ids=["frozen", "fine_tune"])
def test_cached_features_make_the_curve_of_a_backbone_with_stochastic_depth(
    make_objective, make_run, backbone: str, parameters
) -> None:
    on, off = make_run(), make_run()
    for run, cache in ((on, "on"), (off, "off")):
        make_objective(cache=cache, backbone=backbone, weights="random").evaluate({**parameters, "norm": "layer"}, run)
    for (_, with_cache, _), (_, without, _) in zip(on.reports, off.reports, strict=True):
        assert with_cache == pytest.approx(without, rel=1e-3)


def test_features_are_kept_for_the_next_process_and_made_anew_where_damaged(make_small, tmp_path: Path) -> None:
    settings = make_small(cache_dir=str(tmp_path)).settings
    bench = TrainingContext(settings)
    images = bench.split.validation
    made = features.FeatureCache(settings.features_directory).get(bench.backbone, 0, images)
    (file,) = settings.features_directory.iterdir()
    np.save(file, made + 1)
    loaded = features.FeatureCache(settings.features_directory).get(bench.backbone, 0, images)
    assert np.array_equal(loaded, made + 1)
    file.write_bytes(b"cut short")
    assert np.array_equal(features.FeatureCache(settings.features_directory).get(bench.backbone, 0, images), made)
    assert np.array_equal(np.load(file), made)


@pytest.mark.slow
def test_other_images_other_cuts_and_other_weights_have_features_of_their_own(make_objective, tmp_path: Path) -> None:
    settings = make_objective(cache_dir=str(tmp_path)).settings
    bench, other = TrainingContext(settings), TrainingContext(make_objective(weights="random").settings)
    cache = features.FeatureCache(settings.features_directory, most_bytes=0)
    for part in (bench.split.validation, bench.split.test):
        cache.get(bench.backbone, 0, part)
    cache.get(bench.backbone, 1, bench.split.test)
    cache.get(other.backbone, 0, bench.split.test)
    assert len(list(settings.features_directory.iterdir())) == 4


# ── how a trial ends early


def test_being_told_to_stop_passes_through(objective, make_run) -> None:
    run = make_run(stop_at=1)
    with pytest.raises(bo_client.StopTrial):
        objective.evaluate(BASELINE, run)
    assert [step for step, _, _ in run.reports] == [1]
    assert run.labels["diagnosis"] == "healthy"


def failure(objective, run, **parameters) -> TrialFailed:
    with pytest.raises(TrialFailed) as caught:
        objective.evaluate({**BASELINE, **parameters}, run)
    return caught.value


def test_a_huge_learning_rate_diverges(objective, run) -> None:
    failed = failure(objective, run, norm="none", lr_head=1e30)
    assert failed.reason is FailureReason.DIVERGED
    assert "in epoch 1; a lower learning rate may help" in failed.message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"norm": "group", "groups": 3}, "groups is 3, which doesn't divide the head's 8 channels"),
        ({"mode": "fine_tune", "unfreeze_top": 16}, "unfreeze_top is 16; efficientnet_lite0 allows 1 to 15"),
        ({"norm": "spectral"}, "norm is 'spectral'; it must be one of none"),
    ],
)
def test_parameters_that_do_not_fit_are_an_invalid_configuration(objective, run, parameters, words: str) -> None:
    failed = failure(objective, run, **parameters)
    assert failed.reason is FailureReason.INVALID_CONFIGURATION
    assert words in failed.message
    assert run.reports == []


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


@pytest.mark.parametrize(
    "error",
    [ResourceExhaustedError("OOM when allocating\nlong"), MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: 3 GB")],
    ids=["tensorflow", "host", "jax"],
)
def test_running_out_of_memory_is_told_as_such(objective, run, monkeypatch: pytest.MonkeyPatch, error) -> None:
    def fail(*_) -> None:
        raise error

    monkeypatch.setattr(TrainingContext, "network", fail)
    failed = failure(objective, run)
    assert failed.reason is FailureReason.OUT_OF_MEMORY
    assert "\n" not in failed.message


def test_another_error_passes_through(objective, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingContext, "network", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        objective.evaluate(BASELINE, run)


# ── the backend


def test_a_backend_that_keras_does_not_run_on_is_refused() -> None:
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    refusal = pytest.raises(SetupError, match=rf"backend is '{other}', but this process already runs Keras on")
    with refusal, runtime.started(other):
        pass


def test_the_option_chooses_the_backend_before_keras_is_loaded(colored_npz: Path, tmp_path: Path) -> None:
    """NumPy's backend can't train; that its refusal comes shows that the environment's choice did not hold."""
    code = (
        "import sys\n"
        "from bo_objectives.efficientnet.objective import EfficientNetObjective as E\n"
        f"o = E(data={str(colored_npz)!r}, image_size='32', backend='tensorflow', cache_dir={str(tmp_path)!r})\n"
        "with o.context():\n"
        "    import keras\n"
        "    print(keras.backend.backend())"
    )
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, env=environment)
    assert done.stdout.split()[-1:] == ["tensorflow"], done.stderr[-2000:]
