"""The pretrained networks: Lite0 knows photographs, Keras's own are fed as they were trained, all are cut alike."""

import re
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import weight_files
from bo_objectives.efficientnet.names import BACKBONES, LITE0
from bo_objectives.errors import SetupError
from PIL import Image

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import backbone, weights  # noqa: E402
from bo_objectives.efficientnet.sources import resized  # noqa: E402
from sklearn.datasets import load_sample_image  # noqa: E402

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, writing an .h5
]

# ImageNet classes
DAISY, TEMPLES_AND_PALACES = 985, {663, 698, 832}  # monastery, palace, stupa
IMAGENET_MEAN, IMAGENET_VARIANCE = (0.485, 0.456, 0.406), (0.229**2, 0.224**2, 0.225**2)


@pytest.fixture(scope="module")
def lite0() -> backbone.Backbone:
    return backbone.load("efficientnet_lite0", "imagenet", 224)


def probabilities(lite0: backbone.Backbone, picture: np.ndarray) -> np.ndarray:
    path = weight_files.find("efficientnet_lite0", "imagenet")
    kernel, bias = weights.classifier(path)
    pixels = resized(Image.fromarray(picture), 224)[None]
    logits = np.asarray(lite0.bottom(0)(pixels)).mean(axis=(1, 2))[0] @ kernel + bias
    e = np.exp(logits - logits.max())
    return e / e.sum()


# ── EfficientNet-Lite0


def test_it_names_photographs(lite0: backbone.Backbone) -> None:
    """With the port's own classifier: every layer is where it belongs, and pixels are prepared as in training."""
    china = probabilities(lite0, load_sample_image("china.jpg"))
    flower = probabilities(lite0, load_sample_image("flower.jpg"))
    assert int(china.argmax()) in TEMPLES_AND_PALACES
    assert int(flower.argmax()) == DAISY
    assert flower[DAISY] > 100 * china[DAISY]


def test_its_source_and_hash_are_recorded(lite0: backbone.Backbone) -> None:
    assert lite0.origin == weights.Origin(weight_files.LITE0_FILE, weight_files.LITE0_SHA256)


def test_another_file_in_the_packages_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "LITE0_SHA256", "0" * 64)
    with pytest.raises(SetupError, match=r"has the SHA-256 57934424.*, not 0000.*install it anew"):
        backbone.load("efficientnet_lite0", "imagenet", 32)


def test_random_weights_are_taken_only_where_asked_for_and_say_so() -> None:
    loaded = backbone.load("efficientnet_lite0", "random", 32)
    assert loaded.origin.source == "random"
    assert loaded.origin.sha256 != backbone.load("efficientnet_lite0", "random", 32).origin.sha256


@pytest.mark.parametrize("k", [1, 4, 15])
def test_bottom_and_top_are_the_whole(lite0: backbone.Backbone, k: int) -> None:
    small = backbone.load("efficientnet_lite0", "imagenet", 32)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    whole = np.asarray(small.bottom(0)(pixels))
    top = small.top(k)
    assert top is not None
    assert np.asarray(top(small.bottom(k)(pixels), training=False)) == pytest.approx(whole, abs=1e-4)
    assert small.top(0) is None
    assert len(small.blocks) == 16


# ── Keras's own, without its downloads


@pytest.fixture(scope="module")
def b0_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the official file: B0 with ImageNet's mean and variance, which that file holds."""
    network = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    normalization = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    for weight, value in zip(normalization.weights, (IMAGENET_MEAN, IMAGENET_VARIANCE, 0), strict=True):
        weight.assign(value)
    path = tmp_path_factory.mktemp("weights") / "b0_notop.weights.h5"
    network.save_weights(path)
    return path


def served(monkeypatch: pytest.MonkeyPatch, give) -> None:
    """Keras's downloads are given by a function."""
    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", give)


def test_a_local_file_makes_the_features_that_keras_makes_of_its_download(
    b0_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras adds its last rescaling only to what it downloads itself; without it the inputs are 2.1 times too small."""
    served(monkeypatch, lambda *_, **__: str(b0_file))
    downloaded = backbone.load("efficientnet_b0", "imagenet", 32)
    local = backbone.load("efficientnet_b0", str(b0_file), 32)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    expected = np.asarray(downloaded.bottom(0)(pixels))
    largest = float(np.abs(expected).max())  # random weights make it tiny
    assert np.asarray(local.bottom(0)(pixels)) == pytest.approx(expected, abs=1e-3 * largest)
    bare = np.asarray(local.network(pixels.astype(np.float32), training=False))
    assert np.abs(bare - expected).max() > 0.1 * largest
    assert local.origin == weights.Origin("b0_notop.weights.h5", weight_files.file_sha256(b0_file))
    assert downloaded.origin.source.startswith("Keras applications")


def test_b0_is_cut_like_lite0(b0_file: Path) -> None:
    loaded = backbone.load("efficientnet_b0", str(b0_file), 32)
    assert loaded.blocks[0] == "block1a"
    assert loaded.blocks[-1] == "block7a"
    assert len(loaded.blocks) == 16
    pixels = np.full((1, 32, 32, 3), 200, np.uint8)
    top = loaded.top(2)
    assert top is not None
    whole = np.asarray(loaded.bottom(0)(pixels))
    halves = np.asarray(top(loaded.bottom(2)(pixels), training=False))
    assert halves == pytest.approx(whole, abs=1e-3 * float(np.abs(whole).max()))


def test_a_download_that_fails_says_what_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_, **__):
        raise Exception("URL fetch failure: no route to host")

    served(monkeypatch, refuse)
    words = r"weights of efficientnet_b0 .*download failed: give weights=PATH .*efficientnet_lite0.*\(URL fetch failure"
    with pytest.raises(SetupError, match=words):
        backbone.load("efficientnet_b0", "imagenet", 32)


def test_a_file_of_another_network_is_refused(b0_file: Path) -> None:
    with pytest.raises(SetupError, match=r"weights of efficientnet_b1 .*of this very network"):
        backbone.load("efficientnet_b1", str(b0_file), 32)
    with pytest.raises(SetupError, match=r"b0_notop\.weights\.h5 is no PyTorch state dictionary"):
        backbone.load("efficientnet_lite0", str(b0_file), 32)


def test_every_name_is_a_class_of_keras() -> None:
    for name in set(BACKBONES) - {LITE0}:
        assert re.fullmatch(r"EfficientNet(B[0-7]|V2(B[0-3]|S|M|L))", backbone.class_name(name))
        assert hasattr(keras.applications, backbone.class_name(name))
