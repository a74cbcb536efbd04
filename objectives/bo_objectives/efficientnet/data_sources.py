"""Image sources: the bundled set, a folder, a manifest, an .npz, TFRecord, Hugging Face or `tfds:NAME`."""

import hashlib
import importlib.util
import io
import logging
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bo_objectives.efficientnet import arrays, folder_layout, hugging_face, manifest, tables, tfrecord
from bo_objectives.efficientnet.data import TRAIN, Images, Remark, check_classes, check_other_targets
from bo_objectives.efficientnet.decoding import Decoded, Decoder, ImageSource, Peaks, digest
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import printable
from bo_objectives.efficientnet.rgb import depth_of, eight_of, read, resized
from bo_objectives.efficientnet.targets import USUAL, SourceTargets, TargetSpec
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

EMOJI = "emoji"
TFDS = "tfds:"
SOURCES = f"emoji, a folder, a manifest ({', '.join(tables.SUFFIXES)}), an .npz file, TFRecord files, or tfds:NAME"
KINDS = {SINGLE_LABEL: "classes", MULTI_LABEL: "labels", REGRESSION: "numbers"}
"""What the outputs of a task are called."""
MIN_COUNT_TO_LOG = 5000
"""Number of images from which the start of reading is logged."""


def load(data: str, image_size: int, decoder: Decoder | None = None, spec: TargetSpec = USUAL) -> Images:
    """Load all images of a source, in an order that does not depend on the machine.

    Args:
        data: the source.
        image_size: side in pixels.
        decoder: decodes the images; by default a new one.
        spec: what is predicted, and from which columns.

    Raises:
        SetupError: the source is missing, has an unsupported layout, or has no such targets.
    """
    check(data, spec)
    decoder = decoder or Decoder()
    if data == EMOJI:
        with (resources.files("bo_objectives.efficientnet") / "data_files" / "emoji.zip").open("rb") as archive:
            return _from_archive(archive, image_size, decoder)
    if data.startswith(TFDS):
        return _from_tfds(data.removeprefix(TFDS), image_size)
    path = Path(data).expanduser()
    if hugging_face.is_saved(path):
        return _from_encoded(*hugging_face.read(path, spec), image_size, decoder)
    if tfrecord.files(path):
        images = tfrecord.read(path)
        labels = [image.label for image in images]
        return _from_encoded(images, SourceTargets(labels, tfrecord.classes(labels)), image_size, decoder)
    if path.is_dir():
        return _from_folder(path, image_size, decoder)
    if manifest.is_manifest(path):
        return _from_manifest(path, image_size, decoder, spec)
    return arrays.load(path, image_size, spec.task)


def check(data: str, spec: TargetSpec = USUAL) -> None:
    """Check that a source exists and can have such targets, without reading images.

    Raises:
        SetupError: it is missing, has an unsupported layout, or has no such targets.
    """
    _check_spec(data, spec)
    if data == EMOJI:
        return
    if data.startswith(TFDS):
        if importlib.util.find_spec("tensorflow_datasets") is None:
            raise SetupError(f"data is {data!r}, which needs TensorFlow Datasets: pip install tensorflow-datasets")
        return
    path = Path(data).expanduser()
    if hugging_face.is_saved(path):
        hugging_face.check(path)
    elif tfrecord.files(path):
        tfrecord.read(path)
    elif path.is_dir():
        layout = folder_layout.find(path)
        images = layout.images()
        given_parts = () if "" in layout.parts else [part for part, _, _ in images]
        _check_classes(layout.root, [name for _, name, _ in images], layout.classes, given_parts)
    elif not path.is_file():
        raise SetupError(f"data is {data!r}, which doesn't exist; give {SOURCES}")
    elif manifest.is_manifest(path):
        table = manifest.read(path, spec)
        if table.targets is None:
            _check_classes(path, table.labels, table.classes, table.given_parts)
        else:
            _check_targets(path, table)
    elif path.suffix.lower() != ".npz":
        raise SetupError(f"data is {data!r}; give {SOURCES}; {folder_layout.LAYOUTS}")


def _check_classes(source: Path, labels: list[str], classes: tuple[str, ...], given_parts: Sequence[str]) -> None:
    """Raise SetupError if a class is too small."""
    places = {name: i for i, name in enumerate(classes)}
    try:
        check_classes(np.array([places[name] for name in labels]), classes, given_parts=given_parts)
    except SetupError as error:
        raise SetupError(f"{printable(str(source))}: {error}") from error


def _check_targets(path: Path, table: manifest.Manifest) -> None:
    """Raise SetupError if a label has too few images, or numbers cannot be predicted."""
    assert table.targets is not None
    try:
        check_other_targets(table.spec.task, table.targets, table.classes, given_parts=table.given_parts)
    except SetupError as error:
        raise SetupError(f"{printable(str(path))}: {error}") from error


def _check_spec(data: str, spec: TargetSpec) -> None:
    """Raise SetupError if a source of this kind has no such targets or columns."""
    path = Path(data).expanduser()
    is_table = manifest.is_manifest(path) or hugging_face.is_saved(path)
    if spec.columns and not is_table:
        raise SetupError(
            f"option targets is {','.join(spec.columns)!r}, and data is {data!r}, which has no columns; give a "
            f"manifest ({', '.join(tables.SUFFIXES)}) or a folder of Hugging Face's save_to_disk"
        )
    if spec.task != SINGLE_LABEL and not is_table and (path.suffix.lower() != ".npz" or path.is_dir()):
        raise SetupError(
            f"option task is {spec.task!r}, and data is {data!r}, which has one class for each image; give a manifest "
            f"({', '.join(tables.SUFFIXES)}), an .npz file or a folder of Hugging Face's save_to_disk"
        )


def is_downloaded(data: str) -> bool:
    """Return whether loading the source may download it, and needs TensorFlow."""
    return data.startswith(TFDS)


def has_files(data: str) -> bool:
    """Return whether each image is a file, whose path is its name."""
    path = Path(data).expanduser()
    if data == EMOJI or is_downloaded(data) or hugging_face.is_saved(path) or tfrecord.files(path):
        return False
    return path.is_dir() or manifest.is_manifest(path)


def contents(data: str, spec: TargetSpec = USUAL) -> str | None:
    """Return a text that identifies the content of a folder or file; None for a source identified by its name.

    A folder is identified by its classes and the names of its images, a manifest also by what it says of each, an .npz
    by the checksums of its arrays, as the path may differ between machines.

    Raises:
        SetupError: as in `check`.
    """
    check(data, spec)
    if data == EMOJI or data.startswith(TFDS):
        return None
    path = Path(data).expanduser()
    if hugging_face.is_saved(path):
        return f"Hugging Face, {_digest(hugging_face.fingerprints(path))}"
    if tfrecord.files(path):
        return f"TFRecord, {_digest(tfrecord.entries(path))}"
    if path.is_dir():
        layout = folder_layout.find(path)
        names = [file.relative_to(layout.root).as_posix() for _, _, file in layout.images()]
        return f"{len(layout.classes)} classes, {len(names)} images, {_digest(names)}"
    if manifest.is_manifest(path):
        table = manifest.read(path, spec)
        kind = KINDS[spec.task]
        return f"manifest, {len(table.classes)} {kind}, {len(table.rows)} images, {_digest(table.entries())}"
    try:
        with zipfile.ZipFile(path) as archive:
            return f".npz, {_digest([f'{entry.filename} {entry.CRC}' for entry in archive.infolist()])}"
    except (OSError, zipfile.BadZipFile) as error:
        raise SetupError(f"{path} can't be read as an .npz of plain arrays ({error})") from error


def _digest(names: list[str]) -> str:
    return f"sha256 {hashlib.sha256(chr(10).join(sorted(names)).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _from_folder(folder: Path, image_size: int, decoder: Decoder) -> Images:
    layout = folder_layout.find(folder)
    images = layout.images()
    pictures = [_picture(path, image_size) for _, _, path in images]
    given_parts = () if "" in layout.parts else tuple(part for part, _, _ in images)
    said = SourceTargets([name for _, name, _ in images], layout.classes)
    return _images(said, pictures, image_size, decoder, given_parts, layout.remarks)


def _from_manifest(path: Path, image_size: int, decoder: Decoder, spec: TargetSpec) -> Images:
    table = manifest.read(path, spec)
    pictures = [_picture(row.file, image_size) for row in table.rows]
    said = SourceTargets(table.labels, table.classes, table.targets, spec.task)
    return _images(said, pictures, image_size, decoder, table.given_parts, table.remarks, table.groups)


def _from_encoded(
    images: Sequence[hugging_face.SavedImage | tfrecord.RecordedImage], said: SourceTargets, image_size: int,
    decoder: Decoder,
) -> Images:  # fmt: skip
    pictures = [ImageSource(each.name, each.stamp, partial(_decoded_from, each, image_size)) for each in images]
    given_parts = tuple(each.part for each in images if each.part)
    return _images(said, pictures, image_size, decoder, given_parts)


def _decoded_from(
    image: hugging_face.SavedImage | tfrecord.RecordedImage, image_size: int, bits: int
) -> Decoded:  # fmt: skip
    with image.open() as file:
        return _decoded(file, image.name, image_size, bits)


def _picture(path: Path, image_size: int) -> ImageSource:
    return ImageSource(str(path), _stamp(path), partial(_decoded, path, str(path), image_size))


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _from_archive(archive: IO[bytes], image_size: int, decoder: Decoder) -> Images:
    with zipfile.ZipFile(archive) as content:
        names = sorted(content.namelist())
        files = {name: content.read(name) for name in names}
    pictures = [
        ImageSource(name, str(zlib.crc32(file)), partial(_decoded, io.BytesIO(file), name, image_size))
        for name, file in files.items()
    ]
    labels = [name.split("/")[0] for name in names]
    return _images(SourceTargets(labels, tuple(sorted(set(labels)))), pictures, image_size, decoder)


def _images(
    said: SourceTargets, pictures: list[ImageSource], image_size: int, decoder: Decoder,
    given_parts: tuple[str, ...] = (), remarks: tuple[Remark, ...] = (), groups: tuple[str, ...] = (),
) -> Images:  # fmt: skip
    if len(pictures) > MIN_COUNT_TO_LOG:
        logger.info("reading %d images", len(pictures))
    pixels, digests, peaks = decoder(pictures, image_size)
    bits, more_remarks = _depth(peaks, given_parts)
    if 8 <= bits < 16 and peaks.any():
        pixels, digests, _ = decoder(pictures, image_size, bits)
    skipped = tuple(picture.name for picture, digest in zip(pictures, digests, strict=True) if not digest)
    labels = said.labels if said.targets is None else ["images"] * len(pictures)
    if skipped:
        unreadable = [i for i, digest in enumerate(digests) if not digest]
        _warn_skipped(Counter(labels[i] for i in unreadable), Counter(labels), skipped)
        if given_parts:
            _check_left(Counter(given_parts[i] for i in unreadable), Counter(given_parts))
        _check_left(Counter(labels[i] for i in unreadable), Counter(labels))
    places = {name: i for i, name in enumerate(said.classes)} if said.targets is None else {"images": 0}
    readable = np.flatnonzero(digests)
    return Images(
        pixels, np.array([places[labels[i]] for i in readable], np.int64), said.classes, skipped, digests[readable],
        tuple(given_parts[i] for i in readable) if given_parts else (),
        tuple(groups[i] for i in readable) if groups else (),
        tuple(pictures[i].name for i in readable), (*remarks, *more_remarks), bits,
        said.task, None if said.targets is None else said.targets[readable],
    )  # fmt: skip


def _depth(peaks: Peaks, given_parts: Sequence[str]) -> tuple[int, tuple[Remark, ...]]:
    """Return how many bits the images have, as the training images show, and what is to be said of it.

    Args:
        peaks: (n,) the largest value of each image with 16 bits, 0 for others.
        given_parts: (n,) the part of each image; empty without a given split.
    """
    if not peaks.any():
        return 8, ()
    is_train = np.array([part == TRAIN for part in given_parts]) if given_parts else np.ones(len(peaks), np.bool_)
    highest = int(peaks[is_train].max(initial=0)) or int(peaks.max())
    bits = depth_of(highest)
    remarks = [(logging.INFO, arrays.depth_words(f"{int((peaks > 0).sum())} images have 16 bits", highest, bits))]
    beyond = int((peaks >= 1 << bits).sum())
    if beyond:
        remarks.append((
            logging.WARNING,
            f"{beyond} images of validation or test have larger values (up to {int(peaks.max())}), which become white",
        ))  # fmt: skip
    return bits, tuple(remarks)


def _warn_skipped(skipped: Counter[str], counts: Counter[str], names: tuple[str, ...]) -> None:
    of = ", ".join(f"{printable(label)} {count} of {counts[label]}" for label, count in skipped.most_common(10))
    message = f"{len(names)} pictures can't be read and are left out ({of}), the first: {printable(names[0])}"
    logger.warning("%s", message)


def _check_left(skipped: Counter[str], counts: Counter[str]) -> None:
    """Raise SetupError if no image of a class or of a given part could be read."""
    empty = [f"{printable(name)} ({count})" for name, count in skipped.items() if count == counts[name]]
    if empty:
        raise SetupError(f"no picture can be read of {', '.join(empty)}: repair the pictures, or remove them all")


def _decoded(file: Path | IO[bytes], name: str, image_size: int, bits: int) -> Decoded:
    try:
        picture, peak = read(file, bits)
        return resized(picture, image_size), digest(np.asarray(picture)), peak
    except Exception as error:  # Pillow raises errors of many types for damaged files
        why = str(error) or type(error).__name__
        raise SetupError(f"{printable(name)} can't be read as an image ({why}); repair or remove it") from error


def _from_tfds(name: str, image_size: int) -> Images:
    import tensorflow_datasets as tfds

    builder = tfds.builder(name)
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise SetupError(f"data is 'tfds:{name}', which has {', '.join(features)}; it needs image and label")
    builder.download_and_prepare()
    used = folder_layout.parts_of_splits(list(builder.info.splits)) or {"all": ""}

    def read_split(split: str) -> Iterable[tuple[Any, Any]]:
        return tfds.as_numpy(builder.as_dataset(split=split, as_supervised=True))

    bits = _tfds_bits(image for split, part in used.items() if part in ("", TRAIN) for image, _ in read_split(split))
    examples = [
        (part, image, int(label))
        for split, part in used.items()
        for image, label in _resized(read_split(split), image_size, bits)
    ]
    names = np.array(features["label"].names)
    labels, classes = arrays.indices(np.array([label for _, _, label in examples]), "label", names)
    pixels, digests = zip(*(decoded for _, decoded, _ in examples), strict=True)
    where = tuple(f"image {i}" for i in range(len(examples)))
    given_parts = tuple(part for part, _, _ in examples if part)
    return Images(
        np.stack(pixels), labels, classes, digests=np.array(digests, np.uint64), given_parts=given_parts, names=where,
        bits=bits,
    )  # fmt: skip


def _tfds_bits(images: Iterable[Any]) -> int:
    """Return how many bits images of 16 have, as the training images show; 8 for others, which end the reading."""
    highest = 0
    for image in images:
        if image.dtype != np.uint16:
            return 8
        highest = max(highest, int(image.max(initial=0)))
    return depth_of(highest)


def _resized(
    examples: Iterable[tuple[Any, Any]], image_size: int, bits: int
) -> Iterator[tuple[tuple[NDArray[np.uint8], int], Any]]:
    """Yield decoded images one at a time, as their sizes may differ."""
    for image, label in examples:
        eight = eight_of(image, bits) if image.dtype == np.uint16 else image
        yield arrays.decoded(eight[None], "image", image_size), label
