"""Moving averages of weights, mixup, RandAugment and XLA: off by default, exact when a trial resumes."""

import hashlib
import json

import bo_client
import numpy as np
import pytest
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.space import FALLBACKS, full_space
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.errors import SetupError

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import inspection, model, tasks  # noqa: E402
from bo_objectives.efficientnet.checkpoint import NAME  # noqa: E402
from bo_objectives.efficientnet.mixing import IMAGES, LABELS, LOGITS, MixedTraining  # noqa: E402
from bo_objectives.efficientnet.training import compiled  # noqa: E402
from bo_objectives.efficientnet.training_run import TrainingRun  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet"), pytest.mark.timeout(1200)]

ADDED = ("rand_augment", "mixup", "ema_momentum")
PLAIN = {"batch_size": 9, "norm": "layer", "lr_head": 1e-2, "dropout": 0.3}
AVERAGED = {**PLAIN, "ema_momentum": 0.8}


def curve(run) -> list[dict[str, float]]:
    return [dict(point) for _, point, _ in run.reports]


def check_resumes(make, make_run, parameters, cut: int, epochs: int, **options: str) -> None:
    """A trial that is cut off and taken up has the curve and the result of one that was not, bit for bit."""
    whole, first = make_run(), make_run(stop_at=cut)
    expected = make(epochs=str(epochs), **options).evaluate(parameters, whole)
    with pytest.raises(bo_client.StopTrial):
        make(epochs=str(epochs), **options).evaluate(parameters, first)
    second = make_run(attempt=2, checkpoint_uri=first.reports[-1][2])
    found = make(epochs=str(epochs), **options).evaluate(parameters, second)
    assert [step for step, _, _ in second.reports] == list(range(cut, epochs + 1))
    assert [*curve(first)[:-1], *curve(second)] == curve(whole)
    assert found == expected


# ── off by default


def test_they_are_off_by_default_and_no_part_of_a_full_study_unless_asked_for() -> None:
    assert [FALLBACKS[name] for name in ADDED] == [0.0] * 3
    definition = EfficientNetObjective(weights="random", space="full").define()
    assert definition.space == full_space()
    assert set(definition.whole.names) - set(definition.space.names) == set(ADDED)
    assert definition.whole.faults() == []


def test_a_checkpoint_is_that_of_earlier_versions_where_they_are_off(make_small, make_run) -> None:
    run = make_run()
    make_small(epochs="1").evaluate(PLAIN, run)
    trial = json.loads((run.directory / "trial.json").read_text())
    with np.load(run.directory / NAME) as content:
        found = json.loads(str(content["meta"]))["identity"]
    settings = trial["settings"]
    identity = {
        **{name: value for name, value in trial["parameters"].items() if name not in ADDED},
        **{name: settings[name] for name in ("backbone", "head_width", "epochs", "seed", "precision")},
        "is_cached": True,
        "weights": trial["weights"]["sha256"],
        "pixels": list(trial["pixels_sha256"].values()),
        "backend": trial["keras"]["backend"],
    }
    assert found == hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


# ── moving averages


def test_averages_are_what_is_validated_and_kept_and_training_goes_on_without_them(make_small, make_run) -> None:
    """The training losses are those of a trial without averages; the kept network has the reported loss."""
    plain, averaged = make_run(), make_run()
    make_small().evaluate(PLAIN, plain)
    with make_small().context() as context:
        run = TrainingRun(context, TrialConfig.of(AVERAGED), averaged)
        trained = run.train()
        images = context.labeled(run.config, context.split.validation)
    assert [p["train_loss"] for p in curve(averaged)] == [p["train_loss"] for p in curve(plain)]
    assert all(a["val_loss"] != b["val_loss"] for a, b in zip(curve(averaged), curve(plain), strict=True))
    logits = np.asarray(trained.network(images.inputs, training=False))
    loss = inspection.mean_loss(tasks.SingleLabel(), logits, images.targets)
    assert loss == pytest.approx(trained.metrics["val_loss"], rel=1e-5)


def test_averages_follow_their_formula(make_small) -> None:
    """a = w after the first step, then m·a + (1 − m)·w; checked by weights that are recorded after each step."""
    m = AVERAGED["ema_momentum"]
    with make_small().context() as context:
        config = TrialConfig.of(AVERAGED)
        network = context.network(config, context.labeled(config, context.split.train).inputs.shape[1:])
        recorder = context.stages(config, network)[0].begin()
        images = context.labeled(config, context.split.train)
        compiled(network, recorder, 0.0)
        expected = None
        for _ in range(3):
            network.train_on_batch(images.inputs[:9], images.targets[:9])
            weights = [v.numpy() for v in network.trainable_variables]
            kept = weights if expected is None else expected
            expected = [m * a + (1 - m) * w for a, w in zip(kept, weights, strict=True)]
    pairs = {id(variable): average for variable, average in recorder.averages()}
    for variable, value in zip(network.trainable_variables, expected, strict=True):
        assert pairs[id(variable)].numpy() == pytest.approx(value, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("cut", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_trial_with_averages_resumes_to_the_same_curve(make_small, make_run, cut: int) -> None:
    """Between the stages too: the second goes on from the weights, not from their averages."""
    stages = {**AVERAGED, "mode": "two_stage", "unfreeze_top": 1, "head_share": 0.4}
    check_resumes(make_small, make_run, stages, cut, epochs=2 if cut == 1 else 4)


# ── mixup


def mixed_training(alpha: float, class_weights=None, augment: float = 0.0) -> MixedTraining:
    head = model.Head("glorot_uniform", "none", 1, 0.0, 4, 3)
    network = model.network((8, 8, 3), [], head, seed=0, augment=augment)
    return MixedTraining(network, keras.layers.MixUp(alpha, seed=1, dtype="float32"), class_weights)


def test_mixup_makes_soft_labels_and_the_loss_is_that_of_them() -> None:
    rng, weights = np.random.default_rng(0), np.array([0.5, 1.0, 3.0], np.float32)
    images, labels = (
        rng.uniform(0, 255, (12, 8, 8, 3)).astype(np.float32),
        np.eye(3, dtype=np.float32)[np.arange(12) % 3],
    )
    mixed = compiled(mixed_training(1.0, weights), keras.optimizers.SGD(0.0), 0.0)
    outputs = mixed({IMAGES: images, LABELS: labels}, training=True)
    soft, logits = np.asarray(outputs[LABELS]), np.asarray(outputs[LOGITS], np.float64)
    assert soft.sum(-1) == pytest.approx(np.ones(12), abs=1e-6)
    assert ((soft > 0.01) & (soft < 0.99)).any()
    log_p = logits - logits.max(-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
    expected = float(np.mean((soft @ weights) * -(soft * log_p).sum(-1)))
    assert float(mixed.compute_loss(None, labels, outputs)) == pytest.approx(expected, rel=1e-4)


def test_mixup_changes_nothing_in_inference_and_comes_after_augmentation() -> None:
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    for augment in (0.0, 0.5):
        mixed = mixed_training(1.0, augment=augment)
        plain = np.asarray(mixed.network(images, training=False))
        assert np.array_equal(np.asarray(mixed(images, training=False)), plain)
        outputs = mixed({IMAGES: images, LABELS: labels}, training=False)
        assert np.asarray(outputs[LOGITS]) == pytest.approx(plain, rel=1e-5)
        assert np.array_equal(np.asarray(outputs[LABELS]), labels)
        assert [v.path for v in mixed.trainable_variables] == [v.path for v in mixed.network.trainable_variables]


@pytest.mark.slow
def test_a_trial_with_mixup_trains_otherwise_and_resumes_to_the_same_curve(make_small, make_run) -> None:
    """The generator of the mixing layer is in the checkpoint. Averages and class weights go with it."""
    mixup = {**AVERAGED, "mixup": 0.4, "class_weights": "balanced"}
    check_resumes(make_small, make_run, mixup, cut=1, epochs=2)


# ── RandAugment


def test_rand_augment_changes_training_images_alone() -> None:
    (layer,) = model.rand_augmentation(0.8, seed=0)
    images = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    drawn = [np.asarray(layer(images, training=True)) for _ in range(3)]
    assert any(not np.allclose(drawn[0], other) for other in drawn[1:])
    assert all(d.shape == images.shape and np.isfinite(d).all() for d in drawn)
    assert np.array_equal(np.asarray(layer(images, training=False)), images)
    assert model.rand_augmentation(0.0, seed=0) == []


@pytest.mark.slow
def test_a_trial_with_rand_augment_resumes_to_the_same_curve(make_small, make_run) -> None:
    check_resumes(make_small, make_run, {**PLAIN, "rand_augment": 0.5, "mixup": 0.2}, cut=1, epochs=2)


# ── XLA


@pytest.mark.slow
def test_xla_compiles_the_steps_where_it_is_on(make_small, make_run) -> None:
    """Without dropout, as XLA draws other random numbers."""
    runs, parameters = {}, {**PLAIN, "dropout": 0.0}
    for jit in ("on", "off"):
        runs[jit] = make_run()
        with make_small(epochs="1", jit_compile=jit).context() as context:
            trained = TrainingRun(context, TrialConfig.of(parameters), runs[jit]).train()
            assert trained.network.jit_compile == (jit == "on")
    assert curve(runs["on"])[0] == pytest.approx(curve(runs["off"])[0], rel=1e-3)


def test_xla_is_refused_where_it_cannot_be(make_small) -> None:
    with pytest.raises(SetupError, match=r"option jit_compile is 'yes'; it must be one of auto, on, off"):
        make_small(jit_compile="yes")
    with pytest.raises(SetupError, match=r"jit_compile is 'on', and XLA does not compile steps of the strategy 'mirr"):
        make_small(jit_compile="on", strategy="mirrored")
