"""The head's parts: initializers, normalizations, the two learning rates, and which weights are trained."""

import math

import numpy as np
import pytest
from bo_objectives.efficientnet.names import INITIALIZERS
from bo_objectives.efficientnet.trial_config import TrialConfig

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import model, training  # noqa: E402
from bo_objectives.efficientnet.norms import EPSILON, norm_layer  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402
from bo_objectives.efficientnet.training_run import TrainingRun  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]

FAN_IN, FAN_OUT = 400, 200


# ── initializers

SPREADS = {
    "normal_1": 1.0,
    "normal_0.01": 0.01,
    "glorot_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "glorot_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(2 / FAN_IN),
    "he_normal": math.sqrt(2 / FAN_IN),
    "zeros": 0.0,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_has_the_spread_of_its_formula(name: str) -> None:
    kernel = np.asarray(model.initializer(name, seed=3)((1, 1, FAN_IN, FAN_OUT)))
    assert kernel.mean() == pytest.approx(0, abs=0.01 * SPREADS[name] + 1e-12)
    assert kernel.std() == pytest.approx(SPREADS[name], rel=0.02)
    if name.endswith("uniform"):
        assert np.abs(kernel).max() == pytest.approx(SPREADS[name] * math.sqrt(3), rel=0.01)


def test_kernels_of_a_network_are_the_initializers_and_repeat_with_the_seed() -> None:
    head = model.Head("he_normal", "none", 1, 0.0, width=200, classes=5)
    first, again, other = (model.network((1, 1, 400), [], head, seed).get_weights() for seed in (1, 1, 2))
    assert [w.shape for w in first] == [(1, 1, 400, 200), (200,), (200, 5), (5,)]
    assert first[0].std() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert first[2].std() == pytest.approx(math.sqrt(2 / 200), rel=0.1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not first[1].any()


# ── normalizations, of maps (B, h, w, C)

AXES = {"layer": ((1, 2, 3), 1), "instance": ((1, 2), 12), "group": ((1, 2, 3), 4), "batch": ((0, 1, 2), 12)}


@pytest.fixture
def maps() -> np.ndarray:
    scale = np.linspace(0.5, 4, 12)
    return np.random.default_rng(0).normal(3, scale, (6, 5, 5, 12)).astype(np.float32)


@pytest.mark.parametrize("norm", AXES)
def test_a_norm_makes_mean_0_and_variance_1_of_what_it_pools(norm: str, maps: np.ndarray) -> None:
    """Against numpy: the same formula, over the axes that the norm's definition names."""
    axes, shares = AXES[norm]
    grouped = maps.reshape(6, 5, 5, shares, -1) if norm in ("group", "instance") else maps
    over = (1, 2, 4) if norm in ("group", "instance") else axes
    mean, variance = grouped.mean(over, keepdims=True), grouped.var(over, keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + EPSILON)).reshape(maps.shape)
    layer = norm_layer(norm, groups=4, width=12, name="head_norm")
    found = np.asarray(layer(maps, training=True))
    assert found == pytest.approx(expected, abs=2e-4)
    assert sum(w.shape[0] for w in layer.trainable_weights) == 2 * 12


def test_no_norm_is_no_layer() -> None:
    assert norm_layer("none", groups=4, width=12, name="head_norm") is None


def test_batch_norm_alone_depends_on_the_batch_and_keeps_statistics_for_inference(maps: np.ndarray) -> None:
    for norm in AXES:
        layer = norm_layer(norm, groups=4, width=12, name="head_norm")
        whole, one = (np.asarray(layer(x, training=True))[0] for x in (maps, maps[:1]))
        assert np.allclose(whole, one, atol=1e-4) == (norm != "batch")
    layer = norm_layer("batch", groups=4, width=12, name="head_norm")
    for _ in range(100):
        layer(maps, training=True)
    assert np.asarray(layer(maps, training=False)) == pytest.approx(np.asarray(layer(maps, training=True)), abs=1e-2)


# ── dropout


def test_dropout_drops_its_fraction_in_training_alone() -> None:
    head = model.Head("glorot_uniform", "none", 1, 0.3, width=4000, classes=2)
    network = model.network((1, 1, 3), [], head, seed=0)
    dropped = keras.Model(network.input, network.get_layer("head_dropout").output)
    network.get_layer("head_conv").bias.assign(np.full(4000, 10.0))
    x = np.zeros((1, 1, 1, 3), np.float32)
    assert np.mean(np.asarray(dropped(x, training=True)) == 0) == pytest.approx(0.3, abs=0.03)
    assert np.asarray(dropped(x, training=False)).min() == 10


# ── the two learning rates, and what is trained


@pytest.fixture(scope="module")
def bench(make_objective) -> TrainingContext:
    return TrainingContext(make_objective().settings)


def one_step(bench: TrainingContext, stage: int = 0, **parameters) -> dict[str, np.ndarray]:
    """How far each weight moves in one step of training on one batch, by its path."""
    choice = TrialConfig.of({"norm": "none", **parameters})
    part = bench.labeled(choice, bench.split.train)
    network = bench.network(choice, part.inputs.shape[1:])
    before = network.get_weights()
    training.compiled(network, bench.stages(choice, network)[stage].begin(), 0.0)
    network.train_on_batch(part.inputs[:16], part.targets[:16])
    moves = (after - b for after, b in zip(network.get_weights(), before, strict=True))
    return {w.path: move for w, move in zip(network.weights, moves, strict=True)}


def largest(moves: dict[str, np.ndarray], head: bool) -> float:
    return max(float(np.abs(m).max()) for path, m in moves.items() if path.startswith(model.HEAD) == head)


def test_the_backbones_learning_rate_is_the_heads_times_the_ratio(make_small) -> None:
    """Adam's first step is the learning rate itself, whatever the gradient's size."""
    bench = TrainingContext(make_small().settings)
    for ratio in (1.0, 0.01):
        moves = one_step(bench, mode="fine_tune", unfreeze_top=1, lr_head=1e-3, lr_backbone_ratio=ratio)
        assert largest(moves, head=True) == pytest.approx(1e-3, rel=0.02)
        assert largest(moves, head=False) == pytest.approx(1e-3 * ratio, rel=0.02)


@pytest.mark.parametrize("blocks", [1, 2])
def test_fine_tuning_moves_the_top_blocks_convolutions_and_no_batch_norm(make_small, blocks: int) -> None:
    bench = TrainingContext(make_small().settings)
    moves = one_step(bench, mode="fine_tune", unfreeze_top=blocks)
    moved = {path for path, move in moves.items() if move.any() and not path.startswith(model.HEAD)}
    assert {path.split("_")[0] for path in moved} == {"top", *bench.backbone.blocks[-blocks:]}
    assert all(path.endswith("kernel") for path in moved)
    assert len(moved) == 1 + 3 * blocks


@pytest.mark.slow
def test_a_fine_tuned_trial_trains_copies_and_the_next_begins_from_imagenets_weights_again(
    bench: TrainingContext, run
) -> None:
    before = bench.backbone.network.get_weights()
    choice = TrialConfig.of({"mode": "fine_tune", "unfreeze_top": 2, "lr_backbone_ratio": 1.0})
    TrainingRun(bench, choice, run).train()
    after = bench.backbone.network.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_frozen_backbone_within_the_network_stays_bit_identical(make_small) -> None:
    bench = TrainingContext(make_small(cache="off").settings)
    moves = one_step(bench, mode="frozen")
    of_the_head = sum(path.startswith(model.HEAD) for path in moves)
    assert of_the_head == 4
    assert len(moves) - of_the_head == len(bench.backbone.network.weights) > 40
    assert not any(move.any() for path, move in moves.items() if not path.startswith(model.HEAD))
    assert largest(moves, head=True) > 0


@pytest.mark.slow
def test_batch_norms_of_a_fine_tuned_backbone_keep_their_statistics(bench: TrainingContext) -> None:
    moves = one_step(bench, mode="fine_tune", unfreeze_top=3)
    statistics = [move for path, move in moves.items() if "moving" in path]
    assert len(statistics) == 2 * (1 + 3 * 3)
    assert not any(move.any() for move in statistics)
