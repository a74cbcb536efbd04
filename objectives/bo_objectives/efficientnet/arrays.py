"""Images and labels in arrays: .npz files, and what TensorFlow Datasets gives.

n images; a field is an array of the file, called by its name in every error.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bo_objectives.efficientnet.data import PARTS, TEST, TRAIN, VALIDATION, Images, Remark, check_classes, printable
from bo_objectives.efficientnet.decoding import digest
from bo_objectives.efficientnet.rgb import on_white, resized
from bo_objectives.errors import SetupError

Array = NDArray[Any]

FIELDS = (("images", "labels"), ("x", "y"))
CLASSES = "classes"
PART_NAMES = {TRAIN: ("train",), VALIDATION: ("val", "valid", "validation"), TEST: ("test",)}
NEEDED = "it needs images and labels (or x and y), or these for each part of a split: x_train, y_train, x_test, y_test"
DTYPES = "give uint8, integers from 0 to 255, uint16, floats from 0 to 1 or from 0 to 255, or booleans"
LABELS = "give integers, texts, or a one-hot matrix (n, classes)"
MISSING = ("nan", "none", "nat", "<na>", "null")
"""Texts, in lower case, that stand where a label was missing when it was made a text."""


def load(path: Path, image_size: int) -> Images:
    """Read an .npz. Nothing in it is ever unpickled.

    Raises:
        SetupError: it can't be read, or a field isn't what it should be; the message names the field.
    """
    fields = _read(path)
    found = _parts(list(fields))
    if not found:
        raise SetupError(f"{printable(str(path))} holds {', '.join(map(printable, fields)) or 'nothing'}; {NEEDED}")
    images = _joined([(x, fields[x]) for x, _ in found.values()], is_exact=True)
    labels = _joined([(y, fields[y]) for _, y in found.values()], is_exact=False)
    counts = [(part, len(fields[y])) for part, (_, y) in found.items() if part]
    given = tuple(part for part, count in counts for _ in range(count))
    x, y = next(iter(found.values()))
    return from_arrays(images, labels, image_size, fields.get(CLASSES), given, (x, y))


def from_arrays(
    images: Array, labels: Array, image_size: int, classes: Array | None = None, given: tuple[str, ...] = (),
    fields: tuple[str, str] = FIELDS[0],
) -> Images:  # fmt: skip
    """Convert arrays to images of one size.

    Args:
        images: (n, h, w), with 1, 3 or 4 channels last, or 1 or 3 first; of the types in `DTYPES`.
        labels: (n,) or (n, 1) integers or texts, or a one-hot matrix (n, classes).
        image_size: Side in pixels.
        classes: Names of the classes, which integer labels count from 0.
        given: As `Images.given`.
        fields: What images and labels are called in errors.

    Raises:
        SetupError: something else was given; or a class is too small.
    """
    pixels, told = _pixels(images, fields[0])
    if classes is None and labels.ndim == 2 and labels.shape[1] > 1:
        classes = np.arange(labels.shape[1])
    labels = _flat(labels, fields[1])
    if len(labels) != len(pixels):
        raise SetupError(
            f"there are {len(pixels)} images and {len(labels)} labels (in {fields[0]} and {fields[1]}); give one label "
            "for each image"
        )
    if classes is None and labels.dtype.kind == "i" and labels.min(initial=0) < 0 and len(np.unique(labels)) > 2:
        lost = f"{int((labels < 0).sum())} labels in {fields[1]} are below 0, and are taken for classes of their own"
        told.append((logging.WARNING, f"{lost}; if they mean that a label is missing, remove these images"))
    found, names = indices(labels, fields[1], classes)
    check_classes(found, names, given=given)
    made = [_decoded(picture, image_size) for picture in pixels]
    return Images(
        np.stack([one for one, _ in made]), found, names, digests=np.array([d for _, d in made], np.uint64),
        given=given, names=tuple(f"{fields[0]}[{i}]" for i in range(len(pixels))), remarks=tuple(told),
    )  # fmt: skip


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return {name: _field(content, name) for name in content.files}
    except SetupError as error:
        raise SetupError(f"{printable(str(path))} can't be read as an .npz of plain arrays: {error}") from error
    except Exception as error:  # TypeError for a single array; of many types for damaged files
        raise SetupError(f"{printable(str(path))} can't be read as an .npz of plain arrays ({error})") from error


def _field(content: Any, name: str) -> Array:
    try:
        return np.asarray(content[name])
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise SetupError(f"its field {printable(name)} can't be read ({error})") from error


def _parts(fields: list[str]) -> dict[str, tuple[str, str]]:
    """Part → names of its images and labels; a single part, "", where no split is given."""
    for x, y in FIELDS:
        if x in fields and y in fields:
            return {"": (x, y)}
    found = {}
    for part in PARTS:
        for name in PART_NAMES[part]:
            for x, y in FIELDS:
                for form in ("{0}_{1}", "{1}_{0}"):
                    pair = (form.format(x, name), form.format(y, name))
                    if set(pair) <= set(fields):
                        found[part] = pair
    return found if TRAIN in found else {}


def _joined(parts: list[tuple[str, Array]], is_exact: bool) -> Array:
    """Concatenate arrays of one shape and one type, or one kind of type where that is enough."""
    first, array = parts[0]
    for name, other in parts[1:]:
        is_alike = other.dtype == array.dtype if is_exact else other.dtype.kind == array.dtype.kind
        if other.shape[1:] != array.shape[1:] or not is_alike:
            raise SetupError(
                f"{first} is {array.dtype} {array.shape} and {name} is {other.dtype} {other.shape}; give the same type "
                "and shape in every part"
            )
    return array if len(parts) == 1 else np.concatenate([other for _, other in parts])


def _pixels(images: Array, field: str) -> tuple[Array, list[Remark]]:
    """Convert to uint8 (n, h, w) or (n, h, w, 3 or 4), and say what was assumed."""
    remarks: list[Remark] = []
    if images.ndim == 4 and images.shape[-1] not in (1, 3, 4) and images.shape[1] in (1, 3):
        remarks.append((logging.INFO, f"{field} has its channels first: {images.shape}"))
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (3, 4)) or 0 in images.shape[1:]:
        raise SetupError(
            f"{field} has the shape {images.shape}; give images (n, height, width), with 1 or 3 channels last, or "
            "4 with transparency"
        )
    if not len(images):
        raise SetupError(f"{field} has no images; its shape is {images.shape}")
    values, told = _eight_bits(images, field)
    return values, remarks + told


def _eight_bits(images: Array, field: str) -> tuple[Array, list[Remark]]:
    """Convert to uint8, with one scale for all images of the field."""
    if images.dtype == np.uint8:
        return images, []
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * 255, []
    if images.dtype.kind not in "iuf":
        raise SetupError(f"{field} is {images.dtype}; {DTYPES}")
    low, high = images.min(), images.max()
    told = f"{field} is {images.dtype} from {low:g} to {high:g}"
    if not 0 <= low <= high:  # also where there is a NaN
        raise SetupError(f"{told}; {DTYPES}")
    if images.dtype.kind == "f" and high <= 1:
        return np.rint(images * 255).astype(np.uint8), [(logging.INFO, f"{told}: multiplied by 255")]
    if high <= 255:
        return np.rint(images).astype(np.uint8), [(logging.INFO, f"{told}: taken for 8 bits")]
    if images.dtype.kind == "u" and images.dtype.itemsize == 2:  # of either byte order
        dark = f", which leaves them dark: at most {int(high) >> 8} of 255" if high < 2**14 else ""
        level = logging.WARNING if dark else logging.INFO
        return (images >> 8).astype(np.uint8), [(level, f"{told}: divided by 256{dark}")]
    raise SetupError(f"{told}; {DTYPES}")


def decoded(image: Array, field: str, image_size: int) -> tuple[NDArray[np.uint8], int]:
    """Resize one image (1, h, w) or with channels, of the types in `DTYPES`; return it with its digest."""
    return _decoded(_pixels(image, field)[0][0], image_size)


def _decoded(image: Array, image_size: int) -> tuple[NDArray[np.uint8], int]:
    picture = on_white(Image.fromarray(image))
    return resized(picture, image_size), digest(np.asarray(picture))


def _flat(labels: Array, field: str) -> Array:
    """Convert to (n,) of integers or texts."""
    if labels.dtype.kind not in "biufUS":
        raise SetupError(f"{field} is {labels.dtype}; {LABELS}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = _from_one_hot(labels, field)
    elif labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise SetupError(f"{field} has the shape {labels.shape}; {LABELS}")
    if labels.dtype.kind == "f":
        wrong = ~np.isfinite(labels) | (labels != np.floor(np.where(np.isfinite(labels), labels, 0)))
        _refuse(labels, wrong, field, "whole numbers")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U":
        _refuse(labels, np.char.strip(labels) == "", field, "no empty texts")
    return labels


def _from_one_hot(labels: Array, field: str) -> Array:
    if labels.dtype.kind in "US":
        raise SetupError(f"{field} has the shape {labels.shape} of texts; {LABELS}")
    wrong = ~(np.isin(labels, (0, 1)).all(1) & (labels.sum(1) == 1))
    if wrong.any():
        raise SetupError(
            f"{field} has the shape {labels.shape} and isn't one-hot: row {wrong.argmax()} is "
            f"{np.array2string(labels[wrong.argmax()], threshold=10)}; give a single 1 in each row, or labels (n,)"
        )
    return labels.argmax(1)


def indices(labels: Array, field: str, classes: Array | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Convert labels (n,) to indices into the names of classes, and return both."""
    if classes is None:
        if labels.dtype.kind == "U":
            is_missing = np.isin(np.char.lower(np.char.strip(labels)), MISSING)
            _refuse(labels, is_missing, field, f"names of classes; if this is one, list it in {CLASSES}")
        values, found = np.unique(labels, return_inverse=True)
        return found.astype(np.int64), tuple(map(str, values))
    names = _names(classes)
    if labels.dtype.kind == "U":
        _refuse(labels, ~np.isin(labels, names), field, f"names in {CLASSES}: {', '.join(map(printable, names[:10]))}")
        places = {name: i for i, name in enumerate(names)}
        return np.array([places[label] for label in labels], np.int64), names
    numbers = labels.astype(np.int64)
    allowed = f"0 to {len(names) - 1}, as there are {len(names)} classes"
    _refuse(numbers, (numbers < 0) | (numbers >= len(names)), field, allowed)
    return numbers, names


def _names(classes: Array) -> tuple[str, ...]:
    if classes.ndim != 1 or classes.dtype.kind not in "iuUS":
        raise SetupError(f"{CLASSES} is {classes.dtype} {classes.shape}; give names (k,), which labels count from 0")
    texts = np.char.decode(classes, "utf-8", "replace") if classes.dtype.kind == "S" else classes
    names = tuple(map(str, texts))
    twice = sorted({name for name in names if names.count(name) > 1 or not name.strip()})
    if twice:
        raise SetupError(f"{CLASSES} holds {', '.join(map(repr, twice))}, empty or more than once; give each name once")
    return names


def _refuse(labels: Array, wrong: NDArray[np.bool_], field: str, allowed: str) -> None:
    """Refuse labels of which one is wrong, with the first one."""
    if wrong.any():
        at, count = int(wrong.argmax()), int(wrong.sum())
        more = f", and {count - 1} more are wrong" if count > 1 else ""
        raise SetupError(f"{field}[{at}] is {labels[at].item()!r}{more}; allowed are {allowed}")
