"""Arrays in .npz files: every type, shape and label that is right, or is refused by the name of its field."""

import logging
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from PIL import Image

SIDE = 32
N = 12
BYTES = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)
GRAY = BYTES[..., 0]
LABELS = np.repeat([0, 1], N // 2)
NAMES = np.array(["cat", "dog"])


def written(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "a.npz", **{"images": BYTES, "labels": LABELS, **arrays})
    return tmp_path / "a.npz"


def refused(path: Path) -> str:
    """The message, before a study is made."""
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(path), weights="random").define()
    return str(caught.value)


def repeated(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, -1)


IMAGES = {
    "uint8": (BYTES, BYTES),
    "grayscale": (GRAY, repeated(GRAY)),
    "a channel last": (GRAY[..., None], repeated(GRAY)),
    "channels first": (np.moveaxis(BYTES, -1, 1), BYTES),
    "a channel first": (GRAY[:, None], repeated(GRAY)),
    "floats to 1": ((BYTES / 255).astype(np.float32), BYTES),
    "doubles to 1": (BYTES / 255, BYTES),
    "floats to 255": (BYTES.astype(np.float32), BYTES),
    "half floats to 255": (BYTES.astype(np.float16), BYTES),
    "int64": (BYTES.astype(np.int64), BYTES),
    "uint16 of 8 bits": (BYTES.astype(np.uint16), BYTES),
    "uint16": (BYTES.astype(np.uint16) * 257, BYTES),
    "gray uint16": (GRAY.astype(np.uint16) * 257, repeated(GRAY)),
    "big-endian uint16": ((BYTES.astype(np.uint16) * 257).astype(">u2"), BYTES),
    "booleans": (GRAY > 99, repeated((GRAY > 99) * np.uint8(255))),
    "Fortran order": (np.asfortranarray(BYTES), BYTES),
    "transparency": (np.concatenate([BYTES, np.full((N, SIDE, SIDE, 1), 255, np.uint8)], -1), BYTES),
    "all transparent": (np.concatenate([BYTES, np.zeros((N, SIDE, SIDE, 1), np.uint8)], -1), np.full_like(BYTES, 255)),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_of_every_kind_become_the_right_bytes(tmp_path: Path, kind: str) -> None:
    given, expected = IMAGES[kind]
    images = data_sources.load(str(written(tmp_path, images=given)), SIDE)
    assert images.pixels.dtype == np.uint8
    assert np.abs(images.pixels.astype(int) - expected).max() == 0


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (BYTES[0], r"images has the shape \(32, 32, 3\)|12 labels"),
        (BYTES[..., :2], r"images has the shape \(12, 32, 32, 2\); give .*with 1 or 3 channels last"),
        (BYTES.reshape(N, -1), r"images has the shape \(12, 3072\)"),
        (BYTES[:, :0], r"images has the shape \(12, 0, 32, 3\)"),
        (BYTES[:0], r"images has no images"),
        (BYTES[:5], r"5 images and 12 labels"),
        (BYTES - 100.0, r"images is float64 from -100 to 155; give uint8.*floats from 0 to 1 or from 0 to 255"),
        (BYTES * 2.0, r"images is float64 from 0 to 510"),
        (np.where(BYTES == 7, np.nan, BYTES), r"images is float64 from nan to nan"),
        (np.where(BYTES == 7, np.inf, BYTES), r"images is float64 from 0 to inf"),
        (BYTES.astype(np.int16) - 1, r"images is int16 from -1 to 254"),
        (BYTES.astype(np.int32) * 900, r"images is int32 from 0 to 229500"),
        (BYTES.astype(complex), r"images is complex128; give uint8"),
        (np.full((N, 4, 4), "a"), r"images is <U1; give uint8"),
        (np.array([None] * N), r"its field images can't be read \(Object arrays cannot be loaded"),
    ],
)
def test_images_of_other_kinds_are_refused_by_name(tmp_path: Path, images: np.ndarray, words: str) -> None:
    assert re.search(words, refused(written(tmp_path, images=images)))


ONE_HOT = np.eye(2, dtype=np.uint8)[LABELS]
GOOD_LABELS = {
    "integers": (LABELS, ("0", "1")),
    "a column": (LABELS[:, None], ("0", "1")),
    "unsigned": (LABELS.astype(np.uint8), ("0", "1")),
    "any integers": (LABELS * 9 - 1, ("-1", "8")),
    "whole floats": (LABELS.astype(np.float32), ("0", "1")),
    "booleans": (LABELS.astype(bool), ("False", "True")),
    "texts": (NAMES[LABELS], ("cat", "dog")),
    "bytes": (NAMES[LABELS].astype("S"), ("cat", "dog")),
    "one-hot": (ONE_HOT, ("0", "1")),
    "one-hot floats": (ONE_HOT.astype(float), ("0", "1")),
    "one-hot booleans": (ONE_HOT.astype(bool), ("0", "1")),
}


@pytest.mark.parametrize(
    ("kind", "has_names"),
    [*((kind, False) for kind in GOOD_LABELS), *((kind, True) for kind in GOOD_LABELS if kind != "any integers")],
)
def test_labels_of_every_kind(tmp_path: Path, kind: str, has_names: bool) -> None:
    labels, classes = GOOD_LABELS[kind]
    path = written(tmp_path, labels=labels, **({"classes": NAMES} if has_names else {}))
    images = data_sources.load(str(path), SIDE)
    assert images.classes == (tuple(NAMES) if has_names else classes)
    assert list(images.labels) == list(LABELS)


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        (
            np.where(np.arange(N) == 3, -1, LABELS),
            NAMES,
            r"labels\[3\] is -1; allowed are 0 to 1, as there are 2",
        ),
        (LABELS * 5, NAMES, r"labels\[6\] is 5, and 5 more are wrong; allowed are 0 to 1"),
        (np.where(LABELS == 1, 2**63 + 5, 0).astype(np.uint64), NAMES, r"labels\[6\] is .*allowed are 0 to 1"),
        (np.where(LABELS == 1, "owl", "cat"), NAMES, r"labels\[6\] is 'owl', and 5 more .*names in classes: cat, dog"),
        (np.where(LABELS == 1, " ", "cat"), None, r"labels\[6\] is ' ', and 5 more are wrong; allowed are no empty"),
        (np.where(np.arange(N) == 3, np.nan, LABELS), None, r"labels\[3\] is nan; allowed are whole numbers"),
        (np.where(np.arange(N) == 3, np.inf, LABELS), None, r"labels\[3\] is inf; allowed are whole numbers"),
        (LABELS + 0.5, None, r"labels\[0\] is 0\.5, and 11 more are wrong; allowed are whole numbers"),
        (np.where(np.arange(N) == 3, "nan", "cat"), None, r"labels\[3\] is 'nan'; allowed are names of classes"),
        (np.where(LABELS == 1, "None", "cat"), None, r"labels\[6\] is 'None', and 5 .*list it in classes"),
        (np.where(LABELS == 1, b"<NA>", b"cat"), None, r"labels\[6\] is '<NA>', and 5 more"),
        (LABELS.astype(complex), None, r"labels is complex128; give integers, texts, or a one-hot matrix"),
        (LABELS.astype("datetime64[D]"), None, r"labels is datetime64\[D\]"),
        (ONE_HOT * 2, None, r"labels has the shape \(12, 2\) and isn't one-hot: row 0 is \[2 0\]"),
        (ONE_HOT * 0, None, r"isn't one-hot: row 0 is \[0 0\]"),
        (ONE_HOT * 0.5, None, r"isn't one-hot: row 0 is \[0\.5 0\. \]"),
        (np.pad(ONE_HOT, ((0, 0), (0, 1))), None, r"too few images in 2 \(0\)"),
        (np.pad(ONE_HOT, ((0, 0), (1, 0))), NAMES, r"labels\[6\] is 2, and 5 more are wrong; allowed are 0 to 1"),
        (np.zeros((N, 2, 2)), None, r"labels has the shape \(12, 2, 2\)"),
        (np.array(1), None, r"labels has the shape \(\)"),
        (np.tile(NAMES, (N, 1)), None, r"labels has the shape \(12, 2\) of texts"),
        (LABELS[:5], None, r"12 images and 5 labels"),
        (np.array([{}] * N), None, r"its field labels can't be read \(Object arrays cannot be loaded"),
        (LABELS, np.array(["cat"]), r"labels\[6\] is 1, .*allowed are 0 to 0|has 1 class"),
        (LABELS, np.array(["cat", "dog", "owl"]), r"too few images in owl \(0\): a class needs at least 5"),
        (LABELS, np.array(["cat", "cat"]), r"classes holds 'cat', empty or more than once"),
        (LABELS, np.array(["cat", ""]), r"classes holds '', empty or more than once"),
        (LABELS, np.array("cat"), r"classes is <U3 \(\); give names"),
        (LABELS, np.array([0.5, 1.5]), r"classes is float64 \(2,\); give names"),
        (LABELS, np.array([None, None]), r"its field classes can't be read"),
    ],
)
def test_labels_of_other_kinds_are_refused_by_name(
    tmp_path: Path, labels: np.ndarray, classes: np.ndarray | None, words: str
) -> None:
    told = refused(written(tmp_path, labels=labels, **({} if classes is None else {"classes": classes})))
    assert re.search(words, told), told


def test_a_class_may_be_named_like_a_missing_label_where_it_is_listed(tmp_path: Path) -> None:
    path = written(tmp_path, labels=np.where(LABELS == 1, "nan", "cat"), classes=np.array(["cat", "nan"]))
    assert data_sources.load(str(path), SIDE).classes == ("cat", "nan")


@pytest.mark.parametrize(("values", "is_said"), [((-1, 0, 1), True), ((-1, 1, 1), False)])
def test_labels_below_0_are_said_where_they_may_mean_that_there_is_none(tmp_path, caplog, values, is_said) -> None:
    path = written(tmp_path, images=np.concatenate([BYTES, 255 - BYTES]), labels=np.repeat(values, 8))
    EfficientNetObjective(data=str(path), weights="random").define()
    assert ("8 labels in labels are below 0, and are taken for classes of their own" in caplog.text) is is_said


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (mark,))

    for field in ("images", "labels", "classes", "unused"):
        trap = np.empty(N, object)
        trap[:] = [Trap() for _ in range(N)]
        path = tmp_path / f"{field}.npz"
        np.savez(path, allow_pickle=True, **{"images": BYTES, "labels": LABELS, field: trap})
        assert f"its field {field} can't be read" in refused(path)
    path.write_bytes(pickle.dumps(Trap()))
    assert "can't be read as an .npz" in refused(path)
    assert not mark.exists()


def test_what_was_assumed_is_logged(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(
            data=str(written(tmp_path, images=np.moveaxis(BYTES, -1, 1) / 255)), weights="random"
        ).define()
    assert "12 images of 2 classes: 0, 1" in caplog.text
    assert "images has its channels first: (12, 3, 32, 32)" in caplog.text
    assert "images is float64 from 0 to 1: multiplied by 255" in caplog.text


def test_twelve_bits_in_sixteen_are_scaled_by_twelve_and_said(tmp_path: Path, caplog) -> None:
    path = written(tmp_path, images=BYTES.astype(np.uint16) * 16)
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(path), weights="random").define()
    assert "uint16, and the training images go up to 4080: 12 bits, divided by 16 for all images alike" in caplog.text


@pytest.mark.parametrize("form", ["x_{0} y_{0}", "{0}_images {0}_labels", "images_{0} labels_{0}"])  # Keras, MedMNIST
def test_a_given_split_is_used(tmp_path: Path, caplog, form: str) -> None:
    arrays = {}
    for part, rows in {"train": slice(0, 8), "val": slice(8, 10), "test": slice(10, 12)}.items():
        x, y = form.format(part).split()
        arrays[x], arrays[y] = BYTES[rows], np.arange(N)[rows, None] % 2
    np.savez(tmp_path / "a.npz", **arrays)
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(tmp_path / "a.npz"), weights="random").define()
    assert "validation (given): 2 images: 0 1, 1 1" in caplog.text
    found = data.split(data_sources.load(str(tmp_path / "a.npz"), SIDE))
    for part, expected in ((found.train, BYTES[:8]), (found.validation, BYTES[8:10]), (found.test, BYTES[10:])):
        assert np.array_equal(part.pixels, expected)


def test_parts_of_different_types_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=BYTES, y_train=LABELS, x_test=(BYTES / 255).astype(np.float32), y_test=LABELS)
    assert "x_train is uint8 (12, 32, 32, 3) and x_test is float32" in refused(tmp_path / "a.npz")


def test_copies_are_said_by_their_index(tmp_path: Path, caplog) -> None:
    images = BYTES.copy()
    images[11] = images[10]
    EfficientNetObjective(data=str(written(tmp_path, images=images)), weights="random").define()
    assert "1 images are copies of others, equal in every pixel (images[10] = images[11])" in caplog.text


def test_images_are_as_those_of_files(tmp_path: Path) -> None:
    """The same pixels, the same split and digests, from arrays and from a folder."""
    for i, picture in enumerate(BYTES):
        place = tmp_path / str(LABELS[i])
        place.mkdir(exist_ok=True)
        Image.fromarray(picture).save(place / f"{i:02}.png")
    ours, theirs = data_sources.load(str(written(tmp_path)), SIDE), data_sources.load(str(tmp_path), SIDE)
    assert np.array_equal(ours.pixels, theirs.pixels)
    assert list(ours.digests) == list(theirs.digests)
