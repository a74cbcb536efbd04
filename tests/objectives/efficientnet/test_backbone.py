"""The pretrained Lite0: it knows photographs, and is cut into two parts that are the whole."""

from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import weight_files
from bo_objectives.errors import SetupError
from PIL import Image

keras = pytest.importorskip("keras")
from bo_objectives.efficientnet import backbone, weights  # noqa: E402
from bo_objectives.efficientnet.data_sources import resized  # noqa: E402
from sklearn.datasets import load_sample_image  # noqa: E402

pytestmark = [pytest.mark.xdist_group("keras"), pytest.mark.keras]

# ImageNet classes
DAISY, TEMPLES_AND_PALACES = 985, {663, 698, 832}  # monastery, palace, stupa


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
    assert lite0.origin == weights.WeightsOrigin(weight_files.LITE0_FILE, weight_files.LITE0_SHA256)


def test_another_file_in_the_packages_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "LITE0_SHA256", "0" * 64)
    with pytest.raises(SetupError, match=r"has the SHA-256 57934424.*, not 0000.*install it anew"):
        backbone.load("efficientnet_lite0", "imagenet", 32)


def test_random_weights_are_taken_only_where_asked_for_and_say_so() -> None:
    loaded = backbone.load("efficientnet_lite0", "random", 32)
    assert loaded.origin.source == "random"
    assert loaded.origin.sha256 != backbone.load("efficientnet_lite0", "random", 32).origin.sha256


@pytest.fixture(scope="module")
def small() -> backbone.Backbone:
    return backbone.load("efficientnet_lite0", "imagenet", 32)


@pytest.mark.parametrize("k", [1, 4, 15])
def test_bottom_and_top_are_the_whole(small: backbone.Backbone, k: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    whole = np.asarray(small.bottom(0)(pixels))
    top = small.top(k)
    assert top is not None
    assert np.asarray(top(small.bottom(k)(pixels), training=False)) == pytest.approx(whole, abs=1e-4)
    assert small.top(0) is None
    assert len(small.blocks) == 16


def test_a_file_that_is_no_state_dictionary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(SetupError, match=r"a\.h5 is no PyTorch state dictionary"):
        backbone.load("efficientnet_lite0", str(tmp_path / "a.h5"), 32)
