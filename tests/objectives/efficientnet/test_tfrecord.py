"""TFRecord files, as TensorFlow writes them."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from PIL import Image

Features = dict[str, bytes | int]
Write = Callable[..., Path]


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 90)).save(file, "PNG")
    return file.getvalue()


def example(features: Features) -> bytes:
    """An encoded `tf.train.Example`, by the rules of protocol buffers."""

    def field(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    entries = b""
    for name, value in features.items():
        feature = field(1, field(1, value)) if isinstance(value, bytes) else field(3, field(1, varint(value)))
        entries += field(1, field(1, name.encode()) + field(2, feature))
    return field(1, entries)


def varint(value: int) -> bytes:
    value, encoded = value % 2**64, b""
    while value > 127:
        encoded, value = encoded + bytes([value % 128 | 128]), value // 128
    return encoded + bytes([value])


def record(content: bytes) -> bytes:
    """Without true checksums, which are not compared."""
    return struct.pack("<QI", len(content), 0) + content + struct.pack("<I", 0)


def rows(count: int, first: int = 0, **more: Any) -> list[Features]:
    return [{"image": png(first + i), "label": i % 2, **more} for i in range(count)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(examples: list[Features], name: str = "data.tfrecord") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(record(example(features)) for features in examples))
        return path

    return make


def refused(path: Path) -> str:
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(path), weights="random").define()
    return str(caught.value)


def test_a_file_is_split_by_class(write: Write) -> None:
    path = write(rows(12))
    images = data_sources.load(str(path), 32)
    assert images.classes == ("0", "1")
    assert list(images.pixels[:, 0, 0, 0]) == list(range(12))
    assert len(data.split(images).test) == 2
    definition = EfficientNetObjective(data=str(path), weights="random").define()
    assert definition.options["data.contents"].startswith("TFRecord, sha256 ")


@pytest.mark.parametrize(
    "names",
    [
        ("train.tfrecord", "test.tfrecord"),
        ("pets-train-00000-of-00001.tfrecord", "pets-test-00000-of-00001.tfrecord"),
        ("pets-train.tfrecord-00000-of-00001", "pets-test.tfrecord-00000-of-00001"),
        ("pets_train.tfrec", "pets_validation.tfrec"),
    ],
)
def test_files_of_parts_are_the_given_split(write: Write, names: tuple[str, str]) -> None:
    write(rows(12), names[0])
    folder = write(rows(2, 12), names[1]).parent
    given_parts = data_sources.load(str(folder), 32).given_parts
    assert sorted(given_parts) == sorted(("train",) * 12 + (("validation" if "valid" in names[1] else "test"),) * 2)


def test_shards_of_one_part_are_read_together(write: Write) -> None:
    write(rows(6), "pets-train-00000-of-00002.tfrecord")
    write(rows(6, 6), "pets-train-00001-of-00002.tfrecord")
    folder = write(rows(2, 12), "pets-test-00000-of-00001.tfrecord").parent
    assert data_sources.load(str(folder), 32).given_parts == ("test",) * 2 + ("train",) * 12


def test_labels_are_numbers_by_value_or_texts(write: Write) -> None:
    numbers = [{"image/encoded": png(i), "image/class/label": i % 2 * 8 + 2} for i in range(12)]
    assert data_sources.load(str(write(numbers)), 32).classes == ("2", "10")
    texts = [{**features, "image/class/text": "é狐"[i % 2].encode()} for i, features in enumerate(numbers)]
    assert data_sources.load(str(write(texts)), 32).classes == ("é", "狐")


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ({"label": 0}, "[12] has no image"),
        ({"image": png(1)}, "label of {path}[12] is []; allowed is one text"),
        ({"image": png(1), "label": -1}, "label of {path}[12] is [-1]"),
        ({"image": png(1), "label": b" "}, "label of {path}[12] is b' '"),
        ({"image": png(1), "label": b"\xff"}, r"label of {path}[12] is b'\xff'"),
        ({"image": b"no picture", "label": 0}, "[12] can't be read as an image"),
    ],
)
def test_a_wrong_record_is_told_with_its_number(write: Write, features: Features, told: str) -> None:
    path = write([*rows(12), features])
    assert told.format(path=path) in refused(path)


def test_files_that_cannot_be_used_are_told(write: Write) -> None:
    assert "has the features raw, label; it needs image/encoded or image" in refused(write([{"raw": b"x", "label": 0}]))
    path = write(rows(12))
    path.write_bytes(path.read_bytes()[:-9])
    assert "is damaged or compressed at byte" in refused(path)
    path.write_bytes(b"\x1f\x8b" + b"x" * 100)
    assert "is damaged or compressed at byte 0" in refused(path)
    path.write_bytes(record(b"\xff\xff\xff"))
    assert "[0] is no tf.train.Example" in refused(path)
    path.write_bytes(b"")
    assert "has no records" in refused(path)


def test_another_label_or_image_is_another_content(write: Write) -> None:
    before = data_sources.contents(str(write(rows(12))))
    assert data_sources.contents(str(write(rows(12)))) == before
    assert data_sources.contents(str(write(rows(12)[::-1]))) != before
