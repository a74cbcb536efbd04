"""What a look at a network measures: predictions by class, moving averages, and how far kernels move."""

import json
import math

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import inspection  # noqa: E402
from bo_objectives.efficientnet.history import TrainingHistory  # noqa: E402
from bo_objectives.efficientnet.model import Part  # noqa: E402
from bo_objectives.efficientnet.space import BASELINE  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402
from bo_objectives.efficientnet.training_run import TrainingRun  # noqa: E402
from bo_objectives.efficientnet.trial_config import TrialConfig  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet")]


def test_an_outcome_weighs_classes_by_their_share() -> None:
    """Three images of each class are predicted, though the first one has nine tenths of the images."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    logits = np.log(np.array([[0.9, 0.1]] * 3 + [[0.8, 0.2], [0.8, 0.2], [0.3, 0.7]]))
    found = inspection.outcome(logits, labels, np.array([0.9, 0.1]))
    assert found.recalls == [1.0, pytest.approx(1 / 3)]
    assert found.counts == [3, 3]
    assert found.accuracy == pytest.approx(0.9 + 0.1 / 3)
    assert found.commonest == pytest.approx(0.9 + 0.1 * 2 / 3)
    assert found.loss == pytest.approx(-0.9 * math.log(0.9) - 0.1 * (2 * math.log(0.2) + math.log(0.7)) / 3)


def test_a_class_without_images_has_no_recall() -> None:
    found = inspection.outcome(np.eye(3)[[0, 1]] * 5, np.array([0, 1]), np.array([0.5, 0.5, 0.0]))
    assert found.recalls == [1.0, 1.0, None]


def test_logits_that_are_not_finite_are_judged_all_the_same() -> None:
    found = inspection.outcome(np.array([[np.inf, 0.0], [np.nan, 1.0]]), np.array([0, 1]), np.array([0.5, 0.5]))
    assert found.accuracy == 1.0


def test_rows_are_drawn_by_class() -> None:
    labels = np.array([0] * 100 + [1] * 3)
    rows = inspection.stratified(labels, 5)
    assert np.bincount(labels[rows]).tolist() == [5, 3]
    assert np.array_equal(rows, inspection.stratified(labels, 5))


def test_a_trial_records_how_far_kernels_moved(make_small, make_run) -> None:
    records = {}
    for rate in (1e-5, 1e-3):
        run = make_run()
        make_small().evaluate({**BASELINE, "lr_head": rate, "batch_size": 26}, run)
        records[rate] = json.loads((run.directory / "trial.json").read_text("utf-8"))["record"]
    moved = {rate: found["updates"][0]["head_conv/kernel"] for rate, found in records.items()}
    assert moved[1e-3] == pytest.approx(100 * moved[1e-5], rel=0.2)
    found = records[1e-3]
    assert found["steps"] == [1, 1]  # 27 images in batches of 26: the single one joins the others
    assert found["first_gradient_norm"] == pytest.approx(found["gradient_norms"][0])
    assert sum(found["after"]["validation"]["counts"]) == 9
    assert found["after"]["train"]["images"] == 27


@pytest.mark.slow
def test_pretrained_batch_norms_that_run_in_training_mode_are_found(make_objective, make_run, monkeypatch) -> None:
    """As where the pretrained network is called without training=False and everything is made trainable."""
    parameters = {"mode": "fine_tune", "unfreeze_top": 1, "lr_backbone_ratio": 0.1, "batch_size": 8}
    sound = make_run()
    make_objective().evaluate(parameters, sound)
    assert "batch_norm_in_training_mode" not in sound.labels["diagnosis"]
    pretrained = TrainingContext._pretrained

    def training(bench: TrainingContext, choice, source) -> list[Part]:
        parts = pretrained(bench, choice, source)
        for layer in (layer for part in parts for layer in part.model.layers):
            layer.trainable = True
        return [Part(part.model, is_inference=False) for part in parts]

    monkeypatch.setattr(TrainingContext, "_pretrained", training)
    faulty = make_run()
    make_objective().evaluate(parameters, faulty)
    assert "batch_norm_in_training_mode" in faulty.labels["diagnosis"]
    assert "ran in training mode" in faulty.labels["diagnosis.batch_norm_in_training_mode"]


@pytest.mark.parametrize("fault", [pytest.param("input_scale", marks=pytest.mark.slow), "leakage"])
def test_faults_of_the_images_are_found(make_objective, run, colored_npz, tmp_path, fault: str) -> None:
    with np.load(colored_npz) as content:
        images, labels, classes = content["images"], content["labels"], content["classes"]
    if fault == "input_scale":
        images = images // 16
    else:
        copies = np.clip(images.astype(int) + 2, 0, 255).astype(np.uint8)
        images, labels = np.concatenate([images, copies]), np.concatenate([labels, labels])
    path = tmp_path / "images.npz"
    np.savez(path, images=images, labels=labels, classes=classes)
    make_objective(data=str(path)).evaluate(BASELINE, run)
    assert run.labels["diagnosis"].split(", ")[0] == fault


def test_copies_left_out_of_a_given_split_are_told_with_the_trial(make_objective, run, colored_npz, tmp_path) -> None:
    with np.load(colored_npz) as content:
        images, labels = content["images"], content["labels"]
    held = np.arange(0, 45, 3)
    rest = np.setdiff1d(np.arange(45), held[4:])  # four of them are in both parts
    path = tmp_path / "images.npz"
    np.savez(path, x_train=images[rest], y_train=labels[rest], x_val=images[held], y_val=labels[held])
    with make_objective(data=str(path)).context() as bench:
        trial = TrainingRun(bench, TrialConfig.of(BASELINE), run)
        assert trial.setting().left_out == 4
        assert [finding.kind for finding in trial._diagnose(TrainingHistory())] == ["leakage"]
    assert "4 images of the given split are in two of its parts" in run.labels["diagnosis.leakage"]
