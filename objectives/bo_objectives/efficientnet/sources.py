"""Where images come from: the bundled set, a folder with a subfolder for each class, an .npz, or `tfds:NAME`."""

import hashlib
import importlib.util
import io
import logging
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bo_objectives.efficientnet.data import Images, Pixels, check_classes
from bo_objectives.efficientnet.decoding import Decoder, Picture
from bo_objectives.errors import SetupError

logger = logging.getLogger("bo_objectives")

EMOJI = "emoji"
TFDS = "tfds:"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
LAYOUT = "give a folder that has one subfolder of images for each class"
NPZ_NAMES = (("images", "labels"), ("x", "y"))


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
    return _from_folder(path, image_size, decoder) if path.is_dir() else _from_npz(path, image_size)


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
        _class_folders(path)
    elif not path.is_file():
        raise SetupError(f"data is {data!r}, which doesn't exist; give emoji, a folder, an .npz file, or tfds:NAME")
    elif path.suffix != ".npz":
        raise SetupError(f"data is {data!r}; of files, only .npz is read; or {LAYOUT}")


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
        found = _class_folders(path)
        names = [file.relative_to(path).as_posix() for files in found.values() for file in files]
        return f"{len(found)} classes, {len(names)} images, {_digest(names)}"
    try:
        with zipfile.ZipFile(path) as archive:
            return f".npz, {_digest([f'{entry.filename} {entry.CRC}' for entry in archive.infolist()])}"
    except (OSError, zipfile.BadZipFile) as error:
        raise SetupError(f"{path} can't be read as an .npz of plain arrays ({error})") from error


def _digest(names: list[str]) -> str:
    return f"sha256 {hashlib.sha256(chr(10).join(sorted(names)).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _class_folders(folder: Path) -> dict[str, list[Path]]:
    """Class → its images, both sorted. Raises SetupError where the layout is another, or a class is too small."""
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not found:
        loose = " (there are images right in it)" if any(p.suffix.lower() in SUFFIXES for p in folder.iterdir()) else ""
        raise SetupError(f"{folder} has no subfolders{loose}: {LAYOUT}")
    if len(found) < 2:
        raise SetupError(
            f"{folder} has one subfolder, {found[0].name}; a classifier needs at least 2 classes: {LAYOUT}"
        )
    images = {p.name: _image_files(p) for p in found}
    empty = [name for name, files in images.items() if not files]
    if empty:
        raise SetupError(f"no images in {', '.join(empty)} of {folder}; images end in {', '.join(sorted(SUFFIXES))}")
    check_classes(np.repeat(np.arange(len(images)), [len(files) for files in images.values()]), tuple(images))
    return images


def _image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _from_folder(folder: Path, image_size: int, decoder: Decoder) -> Images:
    paths = [(label, path) for label, paths in _class_folders(folder).items() for path in paths]
    pictures = [Picture(str(path), _stamp(path), partial(_decoded, path, str(path), image_size)) for _, path in paths]
    return _images([label for label, _ in paths], pictures, image_size, decoder)


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
    return _images([name.split("/")[0] for name in names], pictures, image_size, decoder)


def _images(labels: list[str], pictures: list[Picture], image_size: int, decoder: Decoder) -> Images:
    pixels, read = decoder(pictures, image_size)
    skipped = tuple(picture.name for picture, is_read in zip(pictures, read, strict=True) if not is_read)
    if skipped:
        logger.warning("%d pictures can't be read and are left out, the first: %s", len(skipped), skipped[0])
    kept = [label for label, is_read in zip(labels, read, strict=True) if is_read]
    return _labeled(pixels, kept, skipped)


def _labeled(pixels: Pixels, names: list[str], skipped: tuple[str, ...] = ()) -> Images:
    classes = tuple(sorted(set(names)))
    return Images(pixels, np.array([classes.index(name) for name in names], np.int64), classes, skipped)


def _decoded(file: Path | IO[bytes], name: str, image_size: int) -> Pixels:
    try:
        with Image.open(file) as picture:
            return resized(on_white(ImageOps.exif_transpose(picture)), image_size)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise SetupError(f"{name} can't be read as an image ({error}); repair or remove it") from error


def on_white(picture: Image.Image) -> Image.Image:
    """The picture in RGB, transparent parts white."""
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def resized(picture: Image.Image, image_size: int) -> Pixels:
    """(image_size, image_size, 3): scaled with its proportions kept, cropped at the center."""
    return np.asarray(ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BICUBIC), np.uint8)


def _from_npz(path: Path, image_size: int) -> Images:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:  # TypeError: a single array
        raise SetupError(f"{path} can't be read as an .npz of plain arrays ({error})") from error
    for images, labels in NPZ_NAMES:
        if images in arrays and labels in arrays:
            return from_arrays(arrays[images], arrays[labels], image_size, arrays.get("classes"))
    raise SetupError(f"{path} holds {', '.join(arrays) or 'nothing'}; it needs images and labels (or x and y)")


def from_arrays(
    images: NDArray[Any], labels: NDArray[Any], image_size: int, classes: NDArray[Any] | None = None
) -> Images:
    """Images (n, h, w), (n, h, w, 1) or (n, h, w, 3) of uint8, or of floats in [0, 1]; labels (n,) or (n, 1).

    Raises:
        SetupError: other shapes or types, or as many labels as images are not there.
    """
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3)):
        raise SetupError(f"images have the shape {images.shape}; give (n, height, width), with 1 or 3 channels last")
    if np.issubdtype(images.dtype, np.floating) and images.size and 0 <= images.min() <= images.max() <= 1:
        images = np.rint(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise SetupError(f"images are {images.dtype}; give uint8 from 0 to 255, or floats from 0 to 1")
    labels = labels.reshape(-1)
    if len(labels) != len(images):
        raise SetupError(f"there are {len(images)} images and {len(labels)} labels; give one label for each image")
    values, indices = np.unique(labels, return_inverse=True)
    names = tuple(str(v if classes is None else classes[int(v)]) for v in values)
    check_classes(indices, names)
    pictures = (Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image) for image in images)
    return Images(np.stack([resized(p.convert("RGB"), image_size) for p in pictures]), indices.astype(np.int64), names)


def _from_tfds(name: str, image_size: int) -> Images:
    import tensorflow_datasets as tfds

    builder = tfds.builder(name)
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise SetupError(f"data is 'tfds:{name}', which has {', '.join(features)}; it needs image and label")
    builder.download_and_prepare()
    labels = features["label"].names
    examples = tfds.as_numpy(builder.as_dataset(split="all", as_supervised=True))
    names, pixels = zip(*_examples(examples, labels, image_size), strict=True)
    return _labeled(np.stack(pixels), list(names))


def _examples(
    examples: Iterable[tuple[NDArray[Any], Any]], names: list[str], image_size: int
) -> Iterator[tuple[str, Pixels]]:
    for image, label in examples:
        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        yield names[int(label)], resized(picture.convert("RGB"), image_size)
