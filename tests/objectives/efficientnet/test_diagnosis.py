"""The diagnosis: each planted fault is told by its name, and the healthy trainings beside them have none."""

import math
from dataclasses import replace

import pytest
from bo_client import FailureReason
from bo_objectives.base import TrialFailed
from bo_objectives.efficientnet import findings
from bo_objectives.efficientnet.diagnosis import diagnose, labels, notes
from bo_objectives.efficientnet.findings import Setting
from bo_objectives.efficientnet.history import LayerStats, NetworkInspection, Outcome, TrainingHistory

SEVEN = (1 / 7,) * 7  # H = ln 7 = 1.95
SETTING = Setting(SEVEN, batch_size=32, norm="batch", mode="frozen")

HEALTHY = [(1.57, 1.23), (0.76, 1.10), (0.49, 1.07), (0.36, 1.05), (0.29, 1.06)]
"""Training and validation loss by epoch, as of the textbook configuration on the bundled images."""


def probe(
    loss: float = 2.5, *layers: LayerStats, commonest: float = 0.2, noise: float | None = 0.18
) -> NetworkInspection:
    return NetworkInspection(loss, layers or (LayerStats("head_relu", 1.0, 0.05, False),), commonest, noise)


def record(
    losses: list[tuple[float, float]],
    before: NetworkInspection | None = None,
    after: NetworkInspection | None = None,
    accuracy: float = 0.5,
    train_accuracy: float | None = None,
    **given,
) -> TrainingHistory:
    accuracies = {"train_accuracy": accuracy if train_accuracy is None else train_accuracy, "val_accuracy": accuracy}
    curve = [{"train_loss": t, "val_loss": v, **accuracies} for t, v in losses]
    sound = [{"head_conv/kernel": 0.01, "head_dense/kernel": 0.02}] * len(losses)
    made = {"gradients": sound, "gradient_norms": [2.0] * len(losses), **given}
    return TrainingHistory(
        curve, before=before or probe(), after=after or probe(0.4), seconds=[1.0] * len(losses), **made
    )


def outcome(loss: float = 0.5, accuracy: float = 0.8, recalls=(0.8,) * 7, counts=(20,) * 7, commonest=0.2) -> Outcome:
    return Outcome(sum(counts), loss, 0.5, accuracy, 0.5, commonest, list(recalls), list(counts))


def seen(train: Outcome, validation: Outcome | None = None, **given) -> NetworkInspection:
    """A look after training, with predictions."""
    return replace(probe(train.loss), train=train, validation=validation or train, **given)


def kinds(found: TrainingHistory, setting: Setting = SETTING) -> list[str]:
    return [finding.kind for finding in diagnose(found, setting)]


def test_copies_that_were_left_out_of_a_given_split_are_told() -> None:
    setting = replace(SETTING, validation_images=200)
    assert kinds(record(HEALTHY), replace(setting, left_out=3)) == []
    (found,) = diagnose(record(HEALTHY), replace(setting, left_out=4))
    assert found.kind == "leakage"
    assert "4 images of the given split are in two of its parts; they were left out" in found.evidence


def test_leakage_is_no_cause_of_a_bad_result() -> None:
    guessing = record([(1.95, 1.95), (1.94, 1.95), (1.94, 1.95)], accuracy=0.14, steps=[100] * 3)
    alone = {f.kind: f.remedy for f in diagnose(guessing, replace(SETTING, validation_images=200))}
    found = {f.kind: f.remedy for f in diagnose(guessing, replace(SETTING, validation_images=200, copies=0.5))}
    assert list(found) == ["leakage", *alone]
    assert "at_chance" in alone
    assert found["at_chance"] == alone["at_chance"]


def test_a_healthy_training_has_no_finding() -> None:
    assert kinds(record(HEALTHY)) == []
    assert labels((), ()) == {"diagnosis": "healthy"}


FALLING = [(1.94 - 0.01 * e, 1.94 - 0.01 * e) for e in range(6)]
PLANTED = {
    "underfitting": record([(1.9, 1.9), (1.65, 1.66), (1.62, 1.64), (1.61, 1.63), (1.61, 1.63)]),
    "overfitting": record([(1.5, 1.3), (0.9, 1.1), (0.5, 1.0), (0.2, 1.2), (0.05, 1.5)]),
    "learning_rate_too_low": record(FALLING),
    "vanishing_gradients": record(HEALTHY, gradients=[{"stem": 1e-9, "block": 1e-5, "head": 0.02}]),
    "exploding_gradients": record([(366.0, 291.0), (261.0, 235.0)], probe(435.0), gradient_norms=[155.0, 137.0]),
    "dead_units": record(HEALTHY, after=probe(0.4, LayerStats("head_relu", 0.1, 0.8, False))),
    "symmetric_units": record(FALLING, probe(1.95, LayerStats("head_conv", 0.0, 0.0, True))),
    "collapsed_to_a_class": record([(1.0, 1.1), (0.9, 1.0)], after=probe(0.9, commonest=1.0), accuracy=0.15),
    "batch_too_small_for_batch_norm": record(HEALTHY, probe(noise=0.7)),
    "input_scale": record(HEALTHY),
    "leakage": record(HEALTHY),
    "batch_norm_in_training_mode": record(
        HEALTHY, replace(probe(), statistics={"top_bn": 10.0}), replace(probe(0.4), statistics={"top_bn": 10.2})
    ),
    "label_noise": record(
        [(2.0, 2.0), (1.6, 2.1), (1.1, 2.3), (0.6, 2.8)], accuracy=0.16, train_accuracy=0.9
    ),
    "class_imbalance": record(
        [(0.3, 0.2), (0.11, 0.13), (0.08, 0.11)],
        after=seen(outcome(0.08, 0.974, (1.0, 0.1), (100, 10), 0.97)), accuracy=0.974,
    ),
    "stale_batch_norm_statistics": record(
        [(1.5, 1.9), (0.7, 1.8)], after=seen(outcome(1.8, 0.3, (0.3,) * 7)), accuracy=0.35
    ),
    "too_much_regularization": record(
        [(2.3, 1.9), (2.0, 1.8), (1.9, 1.7)], after=seen(outcome(1.6, 0.4, (0.4,) * 7)), accuracy=0.4
    ),
    "too_few_steps": record(
        [(2.3, 1.9), (1.9, 1.8)], after=seen(outcome(1.7, 0.4, (0.4,) * 7)), accuracy=0.4, steps=[6, 6],
        updates=[{"head_conv/kernel": 0.05}] * 2,
    ),
    "at_chance": record([(2.3, 1.97), (1.95, 1.96), (1.94, 1.96)], accuracy=0.18, train_accuracy=0.2, steps=[40] * 3),
}  # fmt: skip
SETTINGS = {
    "batch_too_small_for_batch_norm": Setting(SEVEN, 2, "batch", "frozen"),
    "input_scale": replace(SETTING, pixel_range=(0.0, 16.0)),
    "leakage": replace(SETTING, validation_images=180, copies=0.3),
    "class_imbalance": replace(SETTING, shares=(0.974, 0.026), validation_images=380),
    "too_much_regularization": replace(SETTING, dropout=0.95),
    "at_chance": replace(SETTING, validation_images=180, norm="none"),
}
HARMLESS = {"input_scale", "leakage", "class_imbalance"}
"""Faults of the images, which are there whatever the curve."""
ALSO = {"at_chance": {"underfitting"}, "label_noise": {"at_chance"}, "class_imbalance": {"at_chance"}}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_told_and_nothing_else(kind: str) -> None:
    setting = SETTINGS.get(kind, SETTING)
    found = {f.kind: f for f in diagnose(PLANTED[kind], setting)}
    assert set(found) == {kind} | ALSO.get(kind, set())
    finding = found[kind]
    assert finding.evidence
    assert finding.remedy
    assert any(character.isdigit() for character in finding.evidence) or "same" in finding.evidence
    if kind not in HARMLESS:
        assert kinds(record(HEALTHY), setting) == []


@pytest.mark.parametrize(
    "losses",
    [[(2.1, 1.9), (4.0, 3.0), (3.1, 2.5)], [(1.5, 1.4), (0.9, 1.1), (1.4, 1.3), (0.8, 1.0), (1.3, 1.2)]],
    ids=["above where it began", "to and fro"],
)
def test_a_rate_that_is_too_high(losses) -> None:
    assert "learning_rate_too_high" in kinds(record(losses, probe(2.0)))


def test_a_diverged_training_had_too_high_a_rate() -> None:
    (finding,) = diagnose(TrainingHistory(before=probe(), diverged=2), SETTING)
    assert (finding.kind, finding.epoch) == ("learning_rate_too_high", 2)


def test_overfitting_tells_the_epoch_in_which_it_began() -> None:
    (finding,) = diagnose(PLANTED["overfitting"], SETTING)
    assert finding.epoch == 4
    assert finding.evidence.startswith("from epoch 4 the validation loss rose from 1 to 1.5")


def test_memorized_images_are_overfitting_though_the_validation_loss_never_rises() -> None:
    memorized = record([(1.4, 1.0), (0.2, 0.9), (0.05, 0.84), (0.007, 0.826)], accuracy=0.75, train_accuracy=1.0)
    (finding,) = diagnose(memorized, SETTING)
    assert finding.kind == "overfitting"
    assert "0.007 and the validation loss 0.826" in finding.evidence


def test_a_slow_rise_over_many_epochs_is_overfitting() -> None:
    ten = replace(SETTING, shares=(0.1,) * 10)
    rising = [(1.0 / (e + 1), 0.281 + (0.05 * (9 - e) if e < 9 else 0.104 * (e - 9) / 50)) for e in range(60)]
    (finding,) = diagnose(record(rising, accuracy=0.9, train_accuracy=0.97), ten)
    assert (finding.kind, finding.epoch) == ("overfitting", 11)


def test_symptoms_point_at_their_cause() -> None:
    """Advice that doesn't fit the cause would contradict it."""
    dark = replace(SETTING, pixel_range=(0.0, 1.0), validation_images=180, norm="none")
    cause, symptom = diagnose(PLANTED["at_chance"], dark)
    assert (cause.kind, symptom.kind) == ("input_scale", "at_chance")
    assert symptom.remedy == "it may follow from input_scale: fix that first"


def test_an_accuracy_that_is_told_from_chance_is_no_finding() -> None:
    many = replace(SETTING, validation_images=180)
    assert kinds(record(HEALTHY, accuracy=0.25), many) == []


def test_an_unbalanced_set_that_is_learned_has_no_finding() -> None:
    rare = replace(SETTING, shares=(0.974, 0.026), validation_images=380)
    good = seen(outcome(0.03, 0.99, (1.0, 0.8), (100, 10), 0.97))
    assert kinds(record([(0.1, 0.08), (0.09, 0.07), (0.08, 0.06)], after=good, accuracy=0.99), rare) == []


MEMORIZED = [(0.3, 0.25), (0.15, 0.24), (0.1, 0.25), (0.07, 0.26)]
"""Losses of a set with a class of 95 %, where H is 0.2."""


@pytest.mark.parametrize("shares", [(0.951, 0.049), (0.9, 0.05, 0.05), (0.8, *(0.02,) * 10)], ids=["2", "3", "11"])
def test_missed_rare_classes_are_imbalance_and_not_label_noise_though_training_images_are_memorized(shares) -> None:
    """Always predicting the common class has the same accuracy as predicting memorized labels at random."""
    setting = replace(SETTING, shares=shares, validation_images=81)
    counts = tuple(round(81 * share) for share in shares)
    found = outcome(0.25, 0.94, (0.98, *(0.25,) * (len(shares) - 1)), counts, 0.97)
    missed = record(MEMORIZED, after=seen(found), accuracy=shares[0], train_accuracy=0.99)
    assert kinds(missed, setting)[0] == "class_imbalance"
    assert "label_noise" not in kinds(missed, setting)


def test_a_stopped_training_with_a_dominating_class_is_not_called_noisy() -> None:
    """Without a final inspection nothing tells memorized noise from missed rare classes."""
    setting = replace(SETTING, shares=(0.951, 0.049), validation_images=81)
    stopped = record(MEMORIZED, accuracy=0.945, train_accuracy=0.99)
    stopped.after = None
    assert "label_noise" not in kinds(stopped, setting)


def test_noise_beside_a_dominating_class_is_told_by_an_accuracy_below_that_of_guessing() -> None:
    setting = replace(SETTING, shares=(0.8, 0.2), validation_images=200)
    learned = outcome(0.1, 0.99, (1.0, 0.97), (160, 40), 0.8)
    shuffled = outcome(0.9, 0.68, (0.8, 0.2), (160, 40), 0.8)
    noisy = record(
        [(0.6, 0.6), (0.3, 0.61), (0.1, 0.62)], after=seen(learned, shuffled), accuracy=0.68, train_accuracy=0.99
    )
    assert kinds(noisy, setting) == ["label_noise", "at_chance"]


def test_epochs_before_the_images_are_learned_say_nothing_about_labels() -> None:
    """The first epochs of a fine-tuning predict the common class less often than it occurs."""
    setting = replace(SETTING, shares=(0.951, 0.049), validation_images=81)
    found = record(MEMORIZED, after=seen(outcome(0.25, 0.95, (1.0, 0.0), (77, 4), 1.0)))
    accuracies = [(0.64, 0.80), (0.82, 0.86), (0.98, 0.95), (0.996, 0.95)]
    found.curve = [
        {**point, "train_accuracy": train, "val_accuracy": val}
        for point, (train, val) in zip(found.curve, accuracies, strict=True)
    ]
    assert kinds(found, setting)[0] == "class_imbalance"
    assert "label_noise" not in kinds(found, setting)


def test_recognized_rare_classes_are_not_at_chance_though_the_accuracy_is() -> None:
    setting = replace(SETTING, shares=(0.9, 0.1), validation_images=100)
    train = outcome(0.15, 0.97, (0.99, 0.8), (90, 10), 0.9)
    found = outcome(0.33, 0.94, (0.98, 0.6), (90, 10), 0.93)
    curve = [(0.3, 0.34), (0.2, 0.33), (0.18, 0.33)]
    learned = record(curve, after=seen(train, found), accuracy=0.94, train_accuracy=0.97)
    assert kinds(learned, setting) == []


def test_kernels_that_hardly_move_had_too_low_a_rate_though_the_loss_wavers() -> None:
    """With dropout a loss that stands still rises in some epochs."""
    wavering = record(
        [(2.1, 1.95), (2.11, 1.95), (2.09, 1.949)], accuracy=0.3, steps=[20] * 3,
        updates=[{"head_conv/kernel": 4e-4, "head_dense/kernel": 3e-4}] * 3,
    )  # fmt: skip
    assert kinds(wavering) == ["learning_rate_too_low"]


def test_kernels_that_are_thrown_away_had_too_high_a_rate() -> None:
    lost = record(
        [(2.5, 1.95), (1.96, 1.95), (1.95, 1.95)], accuracy=0.3, steps=[20] * 3,
        after=probe(1.95, LayerStats("head_relu", 0.0, 1.0, False)), updates=[{"head_conv/kernel": 20.0}] * 3,
    )  # fmt: skip
    assert kinds(lost) == ["learning_rate_too_high"]


def test_a_large_gradient_that_a_large_rate_made_is_not_the_start_s_fault() -> None:
    late = record([(9.0, 5.0), (3.0, 3.0)], gradient_norms=[900.0, 50.0], first_gradient_norm=1.5)
    assert kinds(late) == ["learning_rate_too_high"]


def test_notes_are_no_findings() -> None:
    falling = record([(1.5, 1.4), (0.9, 1.1), (0.7, 0.9)])
    few = replace(SETTING, validation_images=12)
    assert kinds(falling, few) == []
    assert set(notes(falling, few)) == {"still_improving", "small_validation"}
    told = labels((), (), notes(falling, few))
    assert told["diagnosis"] == "healthy"
    assert told["note.small_validation"].startswith("there are 12 validation images")


def test_a_record_of_before_these_measurements_is_read() -> None:
    """A checkpoint that an older version wrote."""
    content = record(HEALTHY).as_json()
    for name in ("first_gradients", "first_gradient_norm", "updates", "steps"):
        del content[name]
    for look in ("before", "after"):
        for name in ("statistics", "train", "validation"):
            del content[look][name]
    assert diagnose(TrainingHistory.of(content), SETTING) == ()


def test_a_rise_within_the_noise_is_no_overfitting() -> None:
    assert kinds(record([(1.5, 1.3), (0.9, 1.0), (0.5, 1.02), (0.4, 1.03)])) == []


def test_one_class_is_no_collapse_where_nearly_all_images_are_of_it() -> None:
    rare = Setting((0.95, 0.05), 32, "batch", "frozen")
    assert "collapsed_to_a_class" not in kinds(record([(0.1, 0.1)] * 2, probe(0.7), probe(0.1, commonest=1.0)), rare)


def test_pretrained_features_that_are_sparse_from_the_start_are_not_dead() -> None:
    sparse = LayerStats("top_activation", 0.3, 0.97, False)
    tuned = Setting(SEVEN, 32, "batch", "fine_tune")
    assert kinds(record(HEALTHY, probe(2.5, sparse), probe(0.4, sparse)), tuned) == []
    assert kinds(
        record(HEALTHY, probe(2.5, LayerStats("top_activation", 0.3, 0.1, False)), probe(0.4, sparse)), tuned
    ) == ["dead_units"]
    new = Setting(SEVEN, 32, "batch", "scratch")
    assert kinds(record(HEALTHY, probe(2.5, sparse), probe(0.4, sparse)), new) == ["dead_units"]


def test_every_kind_is_planted_somewhere() -> None:
    assert {*PLANTED, "learning_rate_too_high"} == set(findings.KINDS)


def test_labels_fit_what_the_server_takes() -> None:
    long = findings.Finding(findings.SMALL_BATCH, "evidence " * 60, "remedy")
    told = labels([long], ["a warning " * 60])
    assert told["diagnosis"] == findings.SMALL_BATCH
    assert all(len(name) <= 63 and len(text) <= 256 for name, text in told.items())
    everything = [findings.Finding(kind, "e", "r") for kind in findings.KINDS]
    assert len(labels(everything, ["w"], {"still_improving": "t", "small_validation": "t"})) <= 64
    assert len(labels(everything, [])["diagnosis"]) <= 256


def test_a_record_survives_json() -> None:
    import json

    found = PLANTED["symmetric_units"]
    assert TrainingHistory.of(json.loads(json.dumps(found.as_json()))) == TrainingHistory.of(found.as_json())
    assert diagnose(TrainingHistory.of(json.loads(json.dumps(found.as_json()))), SETTING) == diagnose(found, SETTING)


# ── planted in real trainings, on cached features


pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet")]
REAL = {
    "healthy": ({"lr_head": 1e-2, "norm": "layer"}, {"epochs": "8"}, set()),
    "symmetric_units": ({"kernel_initializer": "zeros"}, {}, {"symmetric_units", "collapsed_to_a_class"}),
    "exploding_gradients": (
        {"kernel_initializer": "normal_1", "norm": "none"},
        {"head_width": "64"},
        {"exploding_gradients"},
    ),
    "learning_rate_too_low": ({"lr_head": 1e-4, "norm": "none"}, {"epochs": "5"}, {"learning_rate_too_low"}),
    "learning_rate_too_high": ({"lr_head": 3.0, "norm": "none"}, {"epochs": "4"}, {"learning_rate_too_high"}),
    "batch_too_small_for_batch_norm": ({"batch_size": 2}, {}, {"batch_too_small_for_batch_norm"}),
}


QUICK = ("healthy", "exploding_gradients", "batch_too_small_for_batch_norm")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow]) for kind in REAL]
)
def test_a_fault_planted_in_a_real_training_is_told_with_the_trial(make_objective, run, kind: str) -> None:
    pytest.importorskip("keras")
    parameters, options, expected = REAL[kind]
    make_objective(**options).evaluate(parameters, run)
    told = {name.removeprefix("diagnosis.") for name in run.labels if name.startswith("diagnosis.")}
    assert expected <= told
    assert told or run.labels["diagnosis"] == "healthy"
    if kind == "healthy":
        assert told == set()


def test_a_divergence_says_what_was_found(make_objective, run) -> None:
    with pytest.raises(TrialFailed) as caught:
        make_objective().evaluate({"norm": "none", "lr_head": 1e30}, run)
    assert caught.value.reason is FailureReason.DIVERGED
    assert "[learning_rate_too_high: the loss became infinite or no number in epoch 1; divide" in caught.value.message
    assert run.labels["diagnosis"] == "learning_rate_too_high"


@pytest.mark.slow
def test_gradients_vanish_in_a_deep_network_of_narrow_normals_without_norms_and_not_with_them(
    make_objective, make_run
) -> None:
    objective = make_objective(epochs="1")
    deep = {"mode": "scratch", "norm_scope": "network", "batch_size": 16}
    bad, good = make_run(), make_run()
    objective.evaluate({**deep, "norm": "none", "kernel_initializer": "normal_0.01"}, bad)
    objective.evaluate({**deep, "norm": "layer", "kernel_initializer": "he_normal"}, good)
    assert "vanishing_gradients" in bad.labels["diagnosis"]
    assert "vanishing_gradients" not in good.labels["diagnosis"]


def test_the_scale_of_losses_is_that_of_guessing() -> None:
    assert SETTING.chance == pytest.approx(math.log(7))
