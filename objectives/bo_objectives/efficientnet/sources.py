"""Where images come from: the bundled set, a folder with a subfolder for each class, an .npz, or `tfds:NAME`."""

import hashlib
import importlib.util
import io
import logging
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np

from bo_objectives.efficientnet import arrays, layout
from bo_objectives.efficientnet.data import TRAIN, Images, Remark, check_classes, printable
from bo_objectives.efficientnet.decoding import Decoded, Decoder, Picture, digest
from bo_objectives.efficientnet.rgb import read, resized
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

EMOJI = "emoji"
TFDS = "tfds:"
SAID_FROM = 5000
"""So many images take long enough to be said before they are read."""


def load(data: str, image_size: int, decoder: Decoder | None = None) -> Images:
    """All images of the source at image_size × image_size pixels, in an order that doesn't depend on the machine.

    Raises:
        SetupError: the source is missing, or is laid out in a way that isn't supported.
    """
    check(data)
    decoder = decoder or Decoder()
    if data == EMOJI:
        with (resources.files("bo_objectives.efficientnet") / "data_files" / "emoji.zip").open("rb") as archive:
            return _from_archive(archive, image_size, decoder)
    if data.startswith(TFDS):
        return _from_tfds(data.removeprefix(TFDS), image_size)
    path = Path(data).expanduser()
    return _from_folder(path, image_size, decoder) if path.is_dir() else arrays.load(path, image_size)


def check(data: str) -> None:
    """Raises SetupError where the source is surely missing; reads no image."""
    if data == EMOJI:
        return
    if data.startswith(TFDS):
        if importlib.util.find_spec("tensorflow_datasets") is None:
            raise SetupError(f"data is {data!r}, which needs TensorFlow Datasets: pip install tensorflow-datasets")
        return
    path = Path(data).expanduser()
    if path.is_dir():
        found = layout.find(path)
        images = found.images()
        labels = np.array([found.classes.index(name) for _, name, _ in images])
        try:
            check_classes(labels, found.classes, given=() if "" in found.parts else [part for part, _, _ in images])
        except SetupError as error:
            raise SetupError(f"{printable(str(found.root))}: {error}") from error
    elif not path.is_file():
        raise SetupError(f"data is {data!r}, which doesn't exist; give emoji, a folder, an .npz file, or tfds:NAME")
    elif path.suffix.lower() != ".npz":
        raise SetupError(f"data is {data!r}; of files, only .npz is read; or {layout.LAYOUTS}")


def is_downloaded(data: str) -> bool:
    """Whether loading the source may download it, and needs TensorFlow."""
    return data.startswith(TFDS)


def contents(data: str) -> str | None:
    """Return what tells a folder or file of images from another one; None for a source that its name tells.

    A folder is told by its classes and by the names of its images, an .npz by the checksums of its arrays: the same
    data may lie elsewhere on another machine.

    Raises:
        SetupError: as `check`.
    """
    check(data)
    if data == EMOJI or data.startswith(TFDS):
        return None
    path = Path(data).expanduser()
    if path.is_dir():
        found = layout.find(path)
        names = [file.relative_to(found.root).as_posix() for _, _, file in found.images()]
        return f"{len(found.classes)} classes, {len(names)} images, {_digest(names)}"
    try:
        with zipfile.ZipFile(path) as archive:
            return f".npz, {_digest([f'{entry.filename} {entry.CRC}' for entry in archive.infolist()])}"
    except (OSError, zipfile.BadZipFile) as error:
        raise SetupError(f"{path} can't be read as an .npz of plain arrays ({error})") from error


def _digest(names: list[str]) -> str:
    return f"sha256 {hashlib.sha256(chr(10).join(sorted(names)).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _from_folder(folder: Path, image_size: int, decoder: Decoder) -> Images:
    found = layout.find(folder)
    images = found.images()
    pictures = [Picture(str(p), _stamp(p), partial(_decoded, p, str(p), image_size)) for _, _, p in images]
    given = () if "" in found.parts else tuple(part for part, _, _ in images)
    return _images([name for _, name, _ in images], found.classes, pictures, image_size, decoder, given, found.remarks)


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _from_archive(archive: IO[bytes], image_size: int, decoder: Decoder) -> Images:
    with zipfile.ZipFile(archive) as content:
        names = sorted(content.namelist())
        files = {name: content.read(name) for name in names}
    pictures = [
        Picture(name, str(zlib.crc32(file)), partial(_decoded, io.BytesIO(file), name, image_size))
        for name, file in files.items()
    ]
    labels = [name.split("/")[0] for name in names]
    return _images(labels, tuple(sorted(set(labels))), pictures, image_size, decoder)


def _images(
    labels: list[str], classes: tuple[str, ...], pictures: list[Picture], image_size: int, decoder: Decoder,
    given: tuple[str, ...] = (), remarks: tuple[Remark, ...] = (),
) -> Images:  # fmt: skip
    if len(pictures) > SAID_FROM:
        logger.info("reading %d images", len(pictures))
    pixels, digests = decoder(pictures, image_size)
    skipped = tuple(picture.name for picture, found in zip(pictures, digests, strict=True) if not found)
    if skipped:
        lost = [i for i, found in enumerate(digests) if not found]
        _warn_skipped(Counter(labels[i] for i in lost), Counter(labels), skipped)
        if given:
            _check_left(Counter(given[i] for i in lost), Counter(given))
        _check_left(Counter(labels[i] for i in lost), Counter(labels))
    places = {name: i for i, name in enumerate(classes)}
    kept = np.flatnonzero(digests)
    return Images(
        pixels, np.array([places[labels[i]] for i in kept], np.int64), classes, skipped, digests[kept],
        tuple(given[i] for i in kept) if given else (), tuple(pictures[i].name for i in kept), remarks,
    )  # fmt: skip


def _warn_skipped(skipped: Counter[str], counts: Counter[str], names: tuple[str, ...]) -> None:
    of = ", ".join(f"{printable(label)} {count} of {counts[label]}" for label, count in skipped.most_common(10))
    told = f"{len(names)} pictures can't be read and are left out ({of}), the first: {printable(names[0])}"
    logger.warning("%s", told)


def _check_left(skipped: Counter[str], counts: Counter[str]) -> None:
    """Refuse a class, or a part of a given split, of which nothing is left."""
    lost = [f"{printable(name)} ({count})" for name, count in skipped.items() if count == counts[name]]
    if lost:
        raise SetupError(f"no picture can be read of {', '.join(lost)}: repair the pictures, or remove the folder")


def _decoded(file: Path | IO[bytes], name: str, image_size: int) -> Decoded:
    try:
        picture = read(file)
        return resized(picture, image_size), digest(np.asarray(picture))
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
    used = _tfds_parts(list(builder.info.splits))
    examples = [
        (part, image, int(label))
        for split, part in used.items()
        for image, label in _resized(tfds.as_numpy(builder.as_dataset(split=split, as_supervised=True)), image_size)
    ]
    names = np.array(features["label"].names)
    labels, classes = arrays.indices(np.array([label for _, _, label in examples]), "label", names)
    pixels, digests = zip(*(decoded for _, decoded, _ in examples), strict=True)
    where = tuple(f"image {i}" for i in range(len(examples)))
    given = tuple(part for part, _, _ in examples if part)
    return Images(np.stack(pixels), labels, classes, digests=np.array(digests, np.uint64), given=given, names=where)


def _tfds_parts(splits: list[str]) -> dict[str, str]:
    """Split of TensorFlow Datasets → part of ours; all splits together, as "", where none is given."""
    parts = {split: part for split in splits if (part := layout.part_named(split))}
    if TRAIN not in parts.values() or len(set(parts.values())) < 2 or len(set(parts.values())) < len(parts):
        return {"all": ""}
    rest = sorted(set(splits) - set(parts))
    if rest:
        logger.warning("ignored the splits %s, which are neither train nor validation nor test", ", ".join(rest))
    return parts


def _resized(examples: Iterable[tuple[Any, Any]], image_size: int) -> Iterator[tuple[Decoded, Any]]:
    """One at a time, as they may be of different sizes."""
    for image, label in examples:
        yield arrays.decoded(_shifted(image)[None], "image", image_size), label


def _shifted(image: Any) -> Any:
    """Of 16 bits, the upper 8; so for every image, whatever the largest value in it."""
    return (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image
