"""Near copies between two parts of the images, and the range of the pixels."""

import io

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.data import Images
from bo_objectives.efficientnet.duplicates import copies, pixel_range
from PIL import Image


@pytest.fixture(scope="module")
def split() -> data.Split:
    return data.split(data_sources.load("emoji", 64))


def images(pixels: np.ndarray) -> Images:
    return Images(pixels, np.zeros(len(pixels), np.int64), ("a",))


def compressed(pixels: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def noisy(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels * 1.03 + np.random.default_rng(0).normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def test_different_pictures_are_no_copies(split) -> None:
    assert copies(split.train, split.validation) == 0.0


@pytest.mark.parametrize("change", [lambda p: p, compressed, noisy], ids=["identical", "compressed", "brighter"])
def test_copies_are_counted(split, change) -> None:
    other = split.validation.pixels[:40]
    copied = np.stack([change(p) for p in split.train.pixels[:20]])
    held = images(np.concatenate([other, copied]))
    assert copies(images(split.train.pixels), held) == pytest.approx(20 / 60, abs=0.06)


def test_images_of_one_color_are_like_nothing() -> None:
    """They have no features that could be compared."""
    flat = images(np.full((4, 32, 32, 3), 200, np.uint8))
    assert copies(flat, flat) == 0.0


def test_a_side_that_is_no_multiple_of_the_thumbnails(split) -> None:
    odd = images(np.random.default_rng(0).integers(0, 256, (5, 37, 37, 3), np.uint8))
    assert copies(odd, odd) == 1.0
    assert copies(odd, images(np.random.default_rng(1).integers(0, 256, (5, 37, 37, 3), np.uint8))) == 0.0


def test_the_range_of_the_pixels(split) -> None:
    low, high = pixel_range(split.train)
    assert low < 20
    assert high > 235
    assert pixel_range(images((split.train.pixels // 16).astype(np.uint8)))[1] <= 16


def test_mapped_images_are_compared_too(split, tmp_path) -> None:
    path = tmp_path / "pixels.npy"
    np.save(path, split.train.pixels)
    mapped = images(np.load(path, mmap_mode="r"))
    part = mapped.take(np.arange(10))
    assert copies(mapped.take(np.arange(50)), part) == 1.0
