"""TFRecord files of `tf.train.Example`s with encoded images, read without TensorFlow.

A file is a sequence of records: 8 bytes with the length, 4 with its checksum, the content, 4 with its checksum. Images
are the feature `image/encoded` or `image`; labels are `image/class/text`, `image/class/label` or `label`. Checksums are
not compared: a damaged length, message or image is refused by itself.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bo_objectives.efficientnet.folder_layout import part_named, parts_of_splits
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.errors import SetupError

NAME = re.compile(r".*\.(tfrecords?|tfrec)(-\d+-of-\d+)?", re.IGNORECASE)
SHARD = re.compile(r"\.(tfrecords?|tfrec)|[-_.]\d+-of-\d+", re.IGNORECASE)
HEADER, FOOTER = 12, 4
IMAGES = ("image/encoded", "image")
LABELS = ("image/class/text", "image/class/label", "label")
"""Names of features; the first that a file's first record has is used in the whole file."""


@dataclass(frozen=True)
class RecordedImage:
    """An image in a file. `part` is empty without a given split."""

    name: str
    file: Path
    start: int
    length: int
    feature: str
    label: str
    part: str

    @property
    def stamp(self) -> str:
        """A text that changes with the file's content."""
        status = self.file.stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def open(self) -> IO[bytes]:
        """Return the encoded image.

        Raises:
            SetupError: the record has none.
        """
        with self.file.open("rb") as file:
            file.seek(self.start)
            encoded = _bytes(_example(file.read(self.length)), self.feature)
        if not encoded:
            raise SetupError(f"{printable(self.name)} has no image in {self.feature}; remove this record")
        return io.BytesIO(encoded)


def files(path: Path) -> list[Path]:
    """Return the TFRecord files that a path means: itself, or those in a folder without subfolders; [] for others."""
    try:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:  # which the reading of folders tells
        return []
    if any(file.is_dir() for file in inside):
        return []
    return [file for file in inside if file.is_file() and NAME.fullmatch(file.name)]


def classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels: numbers by their value, then texts."""
    return tuple(sorted(set(labels), key=lambda text: (not text.isdecimal(), len(text) * text.isdecimal(), text)))


def entries(path: Path) -> list[str]:
    """Return a text for each image with its place and label, wherever the files are.

    Raises:
        SetupError: as in `read`.
    """
    return [f"{image.file.name} {image.start} {image.length} {image.label!r}" for image in read(path)]


def read(path: Path) -> list[RecordedImage]:
    """Return the images of all files, without decoding them.

    Raises:
        SetupError: a file is damaged, or a record lacks the image or the label; the message has the record's number.
    """
    splits = {file: _split(file) for file in files(path)}
    parts = parts_of_splits(sorted(set(splits.values())))
    if parts:
        splits = {file: split for file, split in splits.items() if split in parts}
    images = [image for file, split in splits.items() for image in _images(file, parts.get(split, ""))]
    if not images:
        raise SetupError(f"{printable(str(path))} has no records; give other data")
    return images


def _split(file: Path) -> str:
    """Return the word of a file's name that is a part of a split, or the whole name without its shard's number."""
    stem = SHARD.sub("", file.name)
    return next((word for word in re.split(r"[-_. ]", stem) if part_named(word)), stem)


def _images(file: Path, part: str) -> Iterator[RecordedImage]:
    image, label = "", ""
    for number, (start, content) in enumerate(_records(file)):
        where = f"{file}[{number}]"
        try:
            example = _example(content)
        except DecodeError as error:
            raise SetupError(f"{printable(where)} is no tf.train.Example ({error}); repair or remove it") from error
        if not number:
            image, label = (next((name for name in names if name in example), "") for names in (IMAGES, LABELS))
        if not image or not label:
            raise SetupError(
                f"{printable(where)} has the features {join_names(example)}; it needs {' or '.join(IMAGES)}, and one "
                f"of {', '.join(LABELS)}"
            )
        yield RecordedImage(where, file, start, len(content), image, _label(example, label, where), part)


def _records(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record's content starts, and the content."""
    with file.open("rb") as stream:
        size, start = file.stat().st_size, HEADER
        while start - HEADER < size:
            length = int.from_bytes(stream.read(HEADER)[:8], "little")
            if start + length + FOOTER > size:
                raise SetupError(f"{printable(str(file))} is damaged or compressed at byte {start - HEADER}; repair it")
            yield start, stream.read(length)
            stream.seek(FOOTER, io.SEEK_CUR)
            start += length + FOOTER + HEADER


def _label(example: Mapping[str, Any], name: str, where: str) -> str:
    text, numbers = _bytes(example, name), example[name].numbers.value if name in example else []
    try:
        label = text.decode() if text else ""
    except UnicodeDecodeError:
        label = ""
    if not label and len(numbers) == 1 and numbers[0] >= 0:
        label = str(numbers[0])
    if not label.strip():
        content = repr(text) if text is not None else list(numbers)
        raise SetupError(f"{name} of {printable(where)} is {content}; allowed is one text, or one number from 0")
    return label


def _bytes(example: Mapping[str, Any], name: str) -> bytes | None:
    values = example[name].texts.value if name in example else []
    return values[0] if len(values) == 1 else None


def _example(content: bytes) -> dict[str, Any]:
    """Return feature by name."""
    example = _message()()
    example.ParseFromString(content)
    return {entry.key: entry.value for entry in example.features.feature}


@cache
def _message() -> Any:
    """Return the class of `tf.train.Example`; a map is a list of entries on the wire."""
    fields: dict[str, dict[str, tuple[int, str]]] = {
        "Texts": {"value": (1, "*bytes")},
        "Numbers": {"value": (1, "*int64")},
        "Feature": {"texts": (1, "Texts"), "numbers": (3, "Numbers")},
        "Entry": {"key": (1, "string"), "value": (2, "Feature")},
        "Features": {"feature": (1, "*Entry")},
        "Example": {"features": (1, "Features")},
    }
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {"bytes": kinds.TYPE_BYTES, "int64": kinds.TYPE_INT64, "string": kinds.TYPE_STRING}
    file = descriptor_pb2.FileDescriptorProto(name="bo_objectives/example.proto", package="bo_example", syntax="proto3")
    for message, content in fields.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in content.items():
            label = kinds.LABEL_REPEATED if kind.startswith("*") else kinds.LABEL_OPTIONAL
            kind = kind.removeprefix("*")
            field = described.field.add(name=name, number=number, label=label)
            if kind in scalars:
                field.type = scalars[kind]
            else:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".bo_example.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bo_example.Example"))
