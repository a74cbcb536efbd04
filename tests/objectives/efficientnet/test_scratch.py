"""Networks from scratch and copies: initial weights by their formulas, preprocessing, and which blocks are trained."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from bo_objectives.efficientnet.names import BIAS_INITIALIZERS, INITIALIZERS
from bo_objectives.efficientnet.trial_config import TrialConfig

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import backbone, model  # noqa: E402
from bo_objectives.efficientnet.network_surgery import InitializerFactory, Norms  # noqa: E402
from bo_objectives.efficientnet.training_context import TrainingContext  # noqa: E402

pytestmark = [pytest.mark.keras, pytest.mark.xdist_group("keras")]

DEVIATIONS = 5
"""Of a sample's mean and standard deviation, in standard errors."""


# ── fans, by what they mean


def fans(layer) -> tuple[int, int]:
    """Inputs of one output, and outputs of one input, of a built layer."""
    shape = tuple(layer.kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return shape
    height, width, inputs, outputs = shape
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return height * width, height * width * outputs
    return height * width * inputs, height * width * outputs


def variance(name: str, fan_in: int, fan_out: int) -> float:
    if name.startswith("normal_"):
        return float(name.removeprefix("normal_")) ** 2
    if name == "zeros":
        return 0.0
    return 2 / (fan_in + fan_out) if name.startswith("glorot") else 2 / fan_in


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.DepthwiseConv2D(5, padding="same", use_bias=False),
        keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, depth_multiplier=2),
        keras.layers.Conv2D(7, 3, padding="same", use_bias=False),
        keras.layers.Conv2D(7, 1, use_bias=False),
    ],
    ids=["depthwise", "multiplier", "convolution", "pointwise"],
)
def test_fans_are_counts_of_connections(layer) -> None:
    """With a kernel of ones an output is its number of inputs, and an impulse reaches as many outputs as there are."""
    side, channels = 13, 6
    layer.build((None, side, side, channels))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    middle = side // 2
    whole = np.asarray(layer(np.ones((1, side, side, channels), np.float32)))
    impulse = np.zeros((1, side, side, channels), np.float32)
    impulse[0, middle, middle, 0] = 1
    reached = np.count_nonzero(np.asarray(layer(impulse)))
    assert fans(layer) == (whole[0, middle, middle, 0], reached)


def check(name: str, kernel: np.ndarray, fan_in: int, fan_out: int, where: str) -> None:
    """Mean, spread and range, within what a sample of this size may differ by."""
    spread = math.sqrt(variance(name, fan_in, fan_out))
    n = kernel.size
    assert abs(kernel.mean()) <= DEVIATIONS * spread / math.sqrt(n), where
    assert kernel.std() == pytest.approx(spread, rel=DEVIATIONS / math.sqrt(2 * n), abs=1e-12), where
    most = {"uniform": math.sqrt(3), "zeros": 0.0}.get(name.split("_")[-1])
    if name.endswith("_normal"):
        most = 2 / 0.8796256610342398  # cut at two standard deviations of the normal that is cut
    if most is not None:
        assert np.abs(kernel).max() <= most * spread * 1.0001, where


KINDS = {
    "dense": keras.layers.Dense(300),
    "convolution": keras.layers.Conv2D(40, 3),
    "pointwise": keras.layers.Conv2D(200, 1),
    "depthwise": keras.layers.DepthwiseConv2D(5),
}


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_initializer_has_its_formulas_variance_on_every_kind_of_kernel(name: str, kind: str) -> None:
    layer = type(KINDS[kind]).from_config(KINDS[kind].get_config())
    layer.build((None, 480) if kind == "dense" else (None, 9, 9, 480))
    kernel = np.asarray(model.initializer(name, 7, is_depthwise=kind == "depthwise")(layer.kernel.shape))
    check(name, kernel, *fans(layer), f"{name} on {kind}")


def layers(network) -> Iterator:
    for layer in network.layers:
        yield from layers(layer) if isinstance(layer, keras.Model) else [layer]


def made(name: str, size: int, kernels: str, norm: str = "batch", biases: str = "zeros"):
    drawing = InitializerFactory(
        lambda i, is_depthwise: model.initializer(kernels, 1000 + i, is_depthwise),
        lambda i: model.initializer(biases, 3000 + i),
    )
    return backbone.untrained(name, size, Norms(norm, 8), drawing)


def check_network(network, kernels: str) -> dict[str, int]:
    """Every kernel of the network against the formula; how many there are of each kind of layer."""
    seen: dict[str, int] = {}
    for layer in layers(network):
        if hasattr(layer, "kernel"):
            kind = "se" if "_se_" in layer.name else type(layer).__name__
            seen[kind] = seen.get(kind, 0) + 1
            check(kernels, np.asarray(layer.kernel.numpy()), *fans(layer), f"{kernels} on {layer.name}")
    return seen


def test_every_kernel_and_bias_of_a_network_from_scratch_is_drawn_by_its_formula() -> None:
    """B0 has every kind: full, depthwise and pointwise convolutions, and those of squeeze-and-excitation."""
    network = made("efficientnet_b0", 32, "he_normal", biases="normal_0.01")
    assert check_network(network, "he_normal") == {"Conv2D": 1 + 15 + 16 + 1, "DepthwiseConv2D": 16, "se": 32}
    biases = [np.asarray(x.bias.numpy()) for x in layers(network) if getattr(x, "bias", None) is not None]
    assert len(biases) == 32
    check("normal_0.01", np.concatenate(biases), 0, 0, "biases")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kernels", INITIALIZERS)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0", "efficientnet_v2_b0"])
def test_every_initializer_draws_every_backbone_by_its_formula(name: str, kernels: str) -> None:
    assert sum(check_network(made(name, 32, kernels, norm="layer"), kernels).values()) > 30


@pytest.mark.parametrize("name", BIAS_INITIALIZERS)
def test_a_bias_initializer_has_its_formula_below_the_classifier(name: str) -> None:
    bias = np.asarray(model.initializer(name, 5)((4000,)))
    assert bias.mean() == pytest.approx({"ones": 1.0}.get(name, 0.0), abs=1e-3)
    assert bias.std() == pytest.approx({"normal_0.01": 0.01}.get(name, 0.0), rel=0.06)


@pytest.mark.parametrize("mode", ["frozen", "fine_tune", "two_stage"])
def test_the_heads_kernels_have_their_formula_in_every_mode(bench: TrainingContext, mode: str) -> None:
    choice = TrialConfig.of({"mode": mode, "kernel_initializer": "he_uniform", "unfreeze_top": 1, "norm": "none"})
    network = bench.network(choice, bench.data_and_backbone().bottom(choice.unfreeze_top).output_shape[1:])
    for name in ("head_conv", "head_dense"):
        layer = network.get_layer(name)
        check("he_uniform", np.asarray(layer.kernel.numpy()), *fans(layer), name)


# ── what a signal becomes


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, size, size, 3)).astype(np.float32)


def rms(array) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(array, np.float64)))))


@pytest.mark.parametrize("kernels", ["he_normal", pytest.param("he_uniform", marks=pytest.mark.slow)])
def test_without_norms_hes_weights_keep_a_signal_at_order_1_at_every_depth(kernels: str) -> None:
    """He's factor is for rectifiers, which Lite0 has."""
    network = made("efficientnet_lite0", 96, kernels, norm="none")
    inner = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    names = [x.name for x in inner.layers if x.name.endswith(("project_conv", "add", "_activation"))]
    prepared = backbone.lite0_rescaling()(pixels(96))
    outputs = keras.Model(inner.input, [inner.get_layer(name).output for name in names])(prepared, training=False)
    found = {name: rms(output) for name, output in zip(names, outputs, strict=True)}
    assert all(0.1 < value < 10 for value in found.values()), found


def test_from_scratch_version_1_normalizes_pixels_by_imagenets_statistics() -> None:
    """Its Normalization has its statistics as weights, which a copy computes with only when it is told so."""
    network = made("efficientnet_b0", 32, "he_normal")
    inner = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    normalization = next(x for x in inner.layers if isinstance(x, keras.layers.Normalization))
    prepared = keras.Model(inner.input, normalization.output)(pixels(32))
    expected = (pixels(32) / 255 - backbone.IMAGENET_MEAN) / backbone.IMAGENET_STD
    assert np.asarray(prepared) == pytest.approx(expected, abs=1e-4)


# ── copies


@pytest.fixture(scope="module")
def bench(make_objective) -> TrainingContext:
    return TrainingContext(make_objective().settings)


@pytest.fixture(scope="module")
def b0() -> backbone.Backbone:
    return backbone.load("efficientnet_b0", "random", 32)


@pytest.mark.parametrize("k", [0, 3])
def test_without_cached_features_a_step_of_training_computes_them(b0: backbone.Backbone, k: int) -> None:
    """The part below the cut is a copy there. B0 has stochastic depth, which must be off in what is frozen."""
    expected = np.asarray(b0.bottom(k)(pixels(32), training=False))
    copy = b0.bottom_copy(k)
    assert copy.trainable_variables == []
    assert not {id(v) for v in copy.variables} & {id(v) for v in b0.network.variables}
    whole = keras.Model(copy.input, keras.layers.Identity()(copy.output))
    found = np.asarray(whole(pixels(32), training=True))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4 * float(np.abs(expected).max()))
    top = b0.top(k)
    last = np.asarray(found if top is None else top(found, training=False))
    wanted = np.asarray(b0.network(pixels(32), training=False))
    assert last == pytest.approx(wanted, rel=1e-4, abs=1e-4 * float(np.abs(wanted).max()))


def check_blocks(loaded: backbone.Backbone, k: int) -> int:
    """Exactly the top k blocks and the last convolution are trained, all but their norms; how many numbers that is."""
    top = loaded.top(k)
    assert top is not None
    blocks = {v.path.split("_")[0] for v in top.trainable_variables}
    assert blocks == {"top", *loaded.blocks[-k:]}
    trained = {v.path for v in top.trainable_variables}
    ours = [x for x in loaded.network.layers if x.name.split("_")[0] in blocks]
    assert trained == {v.path for x in ours if not isinstance(x, keras.layers.BatchNormalization) for v in x.weights}
    return model.count(top.trainable_variables)


def test_unfreezing_counts_blocks_exactly_and_trains_more_with_each(
    bench: TrainingContext, b0: backbone.Backbone
) -> None:
    for loaded in (bench.backbone, b0):
        counts = [check_blocks(loaded, k) for k in (1, 3)]
        assert counts == sorted(set(counts))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0", "efficientnet_v2_b0", "efficientnet_v2_s"])
def test_each_number_of_blocks_is_exact(name: str) -> None:
    loaded = backbone.load(name, "random", 32)
    counts = [check_blocks(loaded, k) for k in range(1, len(loaded.blocks))]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("which", ["lite0", "b0"])
def test_fine_tuned_blocks_compute_in_training_as_in_inference(
    bench: TrainingContext, b0: backbone.Backbone, which: str
) -> None:
    """Batch norms use their stored statistics and keep them. B0's last block has no stochastic depth."""
    loaded, k = (bench.backbone, 3) if which == "lite0" else (b0, 1)
    top = loaded.top(k)
    assert top is not None
    head = model.Head("glorot_uniform", "none", 1, 0.0, 8, 3)
    network = model.network(loaded.bottom(k).output_shape[1:], [model.Part(top)], head, seed=0)
    x = np.random.default_rng(0).normal(0, 1, (4, *network.input_shape[1:])).astype(np.float32)
    before = [v.numpy() for v in network.variables]
    found = {training: np.asarray(network(x, training=training)) for training in (True, False)}
    assert np.array_equal(found[True], found[False])
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, network.variables, strict=True))
    assert not any("_bn/" in v.path for v in network.trainable_variables)
