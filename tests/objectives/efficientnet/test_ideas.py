"""The ideas of transfer learning as parameters: each does what the textbooks say."""

import logging
import math

import bo_client
import numpy as np
import pytest
from bo_objectives.efficientnet.trial_config import TrialConfig
from bo_objectives.errors import SetupError

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import model, optimizer, training  # noqa: E402
from bo_objectives.efficientnet.batches import Batches  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402
from bo_objectives.efficientnet.training_run import TrainingRun  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("efficientnet")]


@pytest.fixture(scope="module")
def bench(make_objective) -> TrainingContext:
    return TrainingContext(make_objective().settings)


def built(bench: TrainingContext, **parameters):
    choice = TrialConfig.of(parameters)
    part = bench.labeled(choice, bench.data_and_backbone(choice.image_size).split.train)
    return choice, part, bench.network(choice, part.inputs.shape[1:])


# ── learning rates over time


def rate(schedule, step: int) -> float:
    return float(np.asarray(schedule(step)))


def test_rates_warm_up_evenly_and_then_fall_along_a_cosine() -> None:
    rates = optimizer.Rates(0.1, None, steps=100, schedule="cosine", warmup=0.2)
    found = optimizer.schedule(0.1, rates)
    assert [rate(found, s) for s in (0, 10, 20)] == pytest.approx([0.0, 0.05, 0.1])
    assert rate(found, 60) == pytest.approx(0.1 * (1 + math.cos(math.pi / 2)) / 2, abs=1e-6)
    assert rate(found, 100) == pytest.approx(0.0, abs=1e-7)


def test_a_constant_rate_may_warm_up_too() -> None:
    assert optimizer.schedule(0.1, optimizer.Rates(0.1, None, 100)) == 0.1
    found = optimizer.schedule(0.1, optimizer.Rates(0.1, None, 100, warmup=0.1))
    assert [rate(found, s) for s in (0, 5, 10, 99)] == pytest.approx([0.0, 0.05, 0.1, 0.1])


# ── what the optimizer does to gradients and weights


def variables() -> list:
    kernel = keras.Variable(np.full((2, 2), 3.0, np.float32), name="kernel")
    return [kernel, keras.Variable(np.full((2,), 3.0, np.float32), name="bias")]


def test_decay_pulls_kernels_and_no_biases() -> None:
    kernel, bias = variables()
    made = optimizer.make(optimizer.Rates(0.01, None, 10, weight_decay=0.5))
    made.build([kernel, bias])
    made.apply([keras.ops.zeros((2, 2)), keras.ops.zeros((2,))], [kernel, bias])
    assert np.asarray(kernel.numpy()) == pytest.approx(np.full((2, 2), 3 * (1 - 0.01 * 0.5)))
    assert np.asarray(bias.numpy()) == pytest.approx(np.full(2, 3.0))


class Plain(keras.optimizers.SGD):
    """Moves by the gradient itself, so that what it was given shows."""


def test_gradients_are_clipped_together_and_measured_before() -> None:
    kernel, bias = variables()
    made = optimizer.GradientRecordingOptimizer(keras.optimizers.OptimizerMap(Plain(1.0)), clip_norm=1.0)
    made.build([kernel, bias])
    gradients = [np.full((2, 2), 3.0, np.float32), np.array([0.0, 8.0], np.float32)]  # ‖·‖ = √(36 + 64) = 10
    made.apply([keras.ops.convert_to_tensor(g) for g in gradients], [kernel, bias])
    moved = [3 - np.asarray(v.numpy()) for v in (kernel, bias)]
    assert math.sqrt(sum(float((m**2).sum()) for m in moved)) == pytest.approx(1.0, rel=1e-5)
    assert moved[0] == pytest.approx(gradients[0] / 10)
    steps, squares = made.measured()
    assert (steps, list(squares)) == (1, pytest.approx([36.0, 64.0]))


# ── batches


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    inputs, one_hot = np.arange(10), np.eye(10, dtype=np.float32)

    def orders(seed: int, epoch: int = 0, epochs: int = 3, threads: int = 1) -> list[list[int]]:
        batches = Batches(inputs, one_hot, 4, threads=threads)
        stream = batches.stream(seed, epoch)
        k = len(batches)
        return [[int(x) for i in range(k) for x in stream[e * k + i][0]] for e in range(epochs)]

    first = orders(1)
    assert first == orders(1, threads=3) != orders(2)
    assert len({tuple(order) for order in first}) == 3
    assert all(sorted(order) == list(range(10)) for order in first)
    assert orders(1, epoch=2, epochs=1) == first[2:]


def test_a_single_image_left_over_joins_the_batch_before_it_where_asked() -> None:
    for count, sizes in {9: [4, 5], 10: [4, 4, 2], 5: [5], 4: [4], 1: [1]}.items():
        one_hot = np.eye(count, dtype=np.float32)
        batches = Batches(np.arange(count), one_hot, 4, merges_single=True)
        order = [batches.shuffled(0, 0, i)[0] for i in range(len(batches))]
        assert [len(batch) for batch in order] == sizes
        assert sorted(np.concatenate(order).tolist()) == list(range(count))
        kept = Batches(np.arange(count), one_hot, 4)
        assert [len(kept[i][0]) for i in range(len(kept))] == [min(4, count - i) for i in range(0, count, 4)]
    assert len(Batches(np.arange(3), np.eye(3, dtype=np.float32), 1, merges_single=True)) == 3


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_that_is_begun_anew_is_the_same(threads: int) -> None:
    """On MirroredStrategy Keras reads ahead once to build the network, drops that, and begins at the first batch."""
    batches = Batches(np.arange(10), np.eye(10, dtype=np.float32), 4, threads=threads)
    stream, other = batches.stream(1, 0), batches.stream(1, 0)
    for i in range(5):
        other[i]
    assert [list(other[i][0]) for i in range(7)] == [list(stream[i][0]) for i in range(7)]


def test_balanced_weights_make_every_class_count_alike(bench: TrainingContext) -> None:
    counts = np.array([6, 3, 1])
    one_hot = np.eye(3, dtype=np.float32)[np.repeat(range(3), counts)]
    weights = 1 / (3 * counts / counts.sum())
    batch = Batches(np.zeros(10), one_hot, 10, weights=weights)[0]
    assert [float((batch[2] * one_hot[:, c]).sum()) for c in range(3)] == pytest.approx([10 / 3] * 3)
    assert bench.plan(TrialConfig.of({"class_weights": "balanced"})).class_weights == pytest.approx(np.ones(3))
    assert bench.plan(TrialConfig.of({})).class_weights is None


# ── initial weights


def test_biases_begin_as_asked_and_the_prior_with_how_often_each_class_occurs() -> None:
    shares = (0.7, 0.2, 0.1)
    for name, conv, dense in (("zeros", 0, 0), ("ones", 1, 1), ("prior", 0, np.log(shares))):
        head = model.Head("glorot_uniform", "none", 1, 0.0, 4, 3, name, shares)
        weights = model.network((1, 1, 5), [], head, seed=0).get_weights()
        assert weights[1] == pytest.approx(np.full(4, conv))
        assert weights[3] == pytest.approx(np.broadcast_to(dense, 3), abs=1e-6)


# ── from scratch


@pytest.fixture(scope="module")
def scratch(bench: TrainingContext):
    """He's weights under group norm in the whole network."""
    return built(bench, mode="scratch", kernel_initializer="he_normal", norm="group", groups=8, norm_scope="network")


def layers(network) -> list:
    inner = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return [found for part in inner for found in layers(part)] if inner else list(network.layers)


def test_from_scratch_everything_is_new_and_trained_and_the_norm_is_everywhere(bench: TrainingContext, scratch) -> None:
    choice, part, network = scratch
    assert part.inputs is bench.split.train.pixels
    made = layers(network)
    norms = [layer for layer in made if isinstance(layer, keras.layers.GroupNormalization)]
    assert len(norms) == len([x for x in bench.backbone.network.layers if "BatchNorm" in type(x).__name__])
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in made)
    assert all(layer.gamma.shape[0] % layer.groups == 0 for layer in norms)
    counts = bench.counts(choice, network)
    assert counts["non_trainable_parameters"] == 0
    assert counts["trainable_parameters"] > 3e6
    kernel = next(layer for layer in made if layer.name == "top_conv").kernel.numpy()
    assert kernel.std() == pytest.approx(math.sqrt(2 / 320), rel=0.05)


def test_from_scratch_batch_norms_learn_from_batches_and_pretrained_ones_do_not(make_small) -> None:
    bench = TrainingContext(make_small().settings)
    for mode, is_trained in (("scratch", True), ("fine_tune", False)):
        _, part, network = built(bench, mode=mode)
        found = next(v for v in network.variables if "top_bn/moving_mean" in v.path)
        before = found.numpy()
        network(np.asarray(part.inputs[:4]), training=True)
        assert (not np.allclose(found.numpy(), before)) == is_trained


def test_a_choice_that_discards_pretrained_statistics_is_warned_of_and_made(make_small, run, caplog) -> None:
    bench = TrainingContext(make_small().settings)
    parameters = {"mode": "fine_tune", "norm": "group", "groups": 4, "norm_scope": "network", "unfreeze_top": 1}
    _, _, network = built(bench, **parameters)
    assert any(isinstance(layer, keras.layers.GroupNormalization) for layer in layers(network))
    with caplog.at_level(logging.WARNING):
        TrainingRun(bench, TrialConfig.of(parameters), run).train()
    assert "discards their pretrained statistics; set norm_scope=head" in caplog.text.replace("\n", " ")
    assert "discards their pretrained statistics" in run.labels["warning.1"]
    assert TrialConfig.of({**parameters, "norm_scope": "head"}).warnings() == []
    assert TrialConfig.of({**parameters, "mode": "scratch"}).warnings() == []
    assert "changes nothing here" in TrialConfig.of({**parameters, "mode": "frozen"}).warnings()[0]


# ── two stages


def test_first_the_head_and_then_the_top_blocks_at_a_smaller_rate(make_objective) -> None:
    bench = TrainingContext(make_objective(epochs="10").settings)
    choice, _, network = built(bench, mode="two_stage", unfreeze_top=1, head_share=0.4, lr_head=1e-2)
    first, second = bench.stages(choice, network)
    assert (first.first_epoch, first.last_epoch, second.first_epoch, second.last_epoch) == (0, 4, 4, 10)
    alone = first.begin()
    assert {v.path.split("/")[0] for v in network.trainable_variables} <= {"head_conv", "head_norm", "head_dense"}
    both = second.begin()
    assert {v.path.split("_")[0] for v in network.trainable_variables} == {"head", "block7a", "top"}
    assert not any("_bn" in v.path for v in network.trainable_variables)
    assert [float(o.optimizers[0].learning_rate.numpy()) for o in (alone, both)] == pytest.approx([1e-2, 1e-3])


def test_both_stages_are_trained_and_the_counts_are_of_the_second(make_small, run) -> None:
    objective, top = make_small(epochs="3"), {"unfreeze_top": 1}
    metrics = objective.evaluate({"mode": "two_stage", "head_share": 0.3, **top}, run)
    assert [step for step, _, _ in run.reports] == [1, 2, 3]
    counts = {}
    for mode in ("frozen", "fine_tune"):
        choice, _, network = built(TrainingContext(objective.settings), mode=mode, **top)
        counts[mode] = TrainingContext(objective.settings).counts(choice, network)["trainable_parameters"]
    assert metrics["trainable_parameters"] == counts["fine_tune"] > counts["frozen"]


# ── augmentation, image sizes, early stopping


def test_augmentation_changes_images_in_training_alone_and_is_never_cached(bench: TrainingContext) -> None:
    _, part, network = built(bench, augmentation=1.0)
    assert part.inputs is bench.split.train.pixels
    augmented = keras.Model(network.input, network.get_layer("augment_contrast").output)
    x = np.asarray(part.inputs[:4], np.float32)
    assert np.asarray(augmented(x, training=False)) == pytest.approx(x)
    first, second = (np.asarray(augmented(x, training=True)) for _ in range(2))
    assert not np.allclose(first, x)
    assert not np.allclose(first, second)
    assert first.min() >= 0
    assert first.max() <= 255


def test_the_image_size_is_a_parameter(bench: TrainingContext) -> None:
    _, part, network = built(bench, image_size=64)
    assert bench.data_and_backbone(64).split.train.pixels.shape[1:3] == (64, 64)
    assert part.inputs.shape[1:] == (2, 2, 1280)
    assert network.output.shape == (None, 3)


def check_precision(network, precision: str) -> None:
    """The network computes in it, and keeps its weights and logits in float32."""
    conv, logits = network.get_layer("head_conv"), network.get_layer("head_dense")
    assert (conv.compute_dtype, conv.kernel.dtype) == (precision, "float32")
    assert (logits.compute_dtype, network.output.dtype) == ("float32", "float32")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_computes_in_it_and_keeps_weights_and_logits_whole(make_objective, run, precision: str) -> None:
    objective = make_objective(precision=precision)
    with objective.context() as bench:
        network = TrainingRun(bench, TrialConfig.of({"norm": "layer"}), run).train().network
    check_precision(network, precision)
    with make_objective().context():
        assert keras.config.dtype_policy().name == "float32"


def test_in_float16_the_loss_is_scaled_and_steps_that_overflow_are_left_out(
    make_small, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a scale that takes gradients beyond 65504."""
    first = 2.0**20
    monkeypatch.setattr(optimizer, "INITIAL_LOSS_SCALE", first)
    with make_small(precision="float16").context() as bench:
        choice = TrialConfig.of({"norm": "layer", "batch_size": 3})
        network = TrainingRun(bench, choice, run).train().network
        check_precision(network, "float16")
        scaler = network.optimizer
        left_out = math.log2(first / float(scaler.dynamic_scale.numpy()))
        assert left_out >= 1
        assert int(scaler.iterations.numpy()) + left_out == 2 * 27 / 3


@pytest.mark.slow
def test_float16_reaches_what_float32_does_and_its_scale_is_in_the_checkpoint(make_objective, make_run) -> None:
    parameters = {"norm": "layer", "lr_head": 1e-2, "batch_size": 9}
    whole, half, first = make_run(), make_run(), make_run(stop_at=1)
    make_objective().evaluate(parameters, whole)
    make_objective(precision="float16").evaluate(parameters, half)
    with pytest.raises(bo_client.StopTrial):
        make_objective(precision="float16").evaluate(parameters, first)
    second = make_run(attempt=2, checkpoint_uri=first.reports[-1][2])
    make_objective(precision="float16").evaluate(parameters, second)
    assert half.reports[-1][1]["train_loss"] == pytest.approx(whole.reports[-1][1]["train_loss"], rel=0.02)
    assert second.reports[-1][1] == pytest.approx(half.reports[-1][1], rel=1e-4)


@pytest.mark.slow
def test_several_steps_an_execution_train_alike(make_objective, make_run) -> None:
    one, four = make_run(), make_run()
    if keras.backend.backend() == "torch":
        with pytest.raises(SetupError, match="1 step at a time"):
            make_objective(steps_per_execution="4").evaluate({}, four)
        return
    for run, steps in ((one, "1"), (four, "4")):
        make_objective(steps_per_execution=steps).evaluate({"norm": "layer", "batch_size": 5}, run)
    assert [training.steps_together(4, steps) for steps in (6, 7, 8, 3)] == [3, 1, 4, 3]
    for ours, theirs in zip(one.reports, four.reports, strict=True):
        assert ours[1] == pytest.approx(theirs[1], rel=1e-4)


def test_patience_ends_a_trial_that_stands_still(make_small, run) -> None:
    objective = make_small(epochs="9", patience="2")
    metrics = objective.evaluate({"kernel_initializer": "zeros", "lr_head": 1e-12, "norm": "none"}, run)
    assert len(run.reports) == metrics["best_epoch"] + 2 < 9
