"""Images and labels in arrays: .npz files and TensorFlow Datasets.

n images; a field is an array of the file, and errors call it by its name.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bo_objectives.efficientnet import targets
from bo_objectives.efficientnet.data import (
    PARTS,
    TEST,
    TRAIN,
    VALIDATION,
    Images,
    Remark,
    check_classes,
    check_other_targets,
)
from bo_objectives.efficientnet.decoding import digest
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import printable
from bo_objectives.efficientnet.rgb import depth_of, eight_of, on_white, resized
from bo_objectives.errors import SetupError

Array = NDArray[Any]

FIELDS = (("images", "labels"), ("x", "y"))
CLASSES = "classes"
PART_NAMES = {TRAIN: ("train",), VALIDATION: ("val", "valid", "validation"), TEST: ("test",)}
NEEDED = "it needs images and labels (or x and y), or these for each part of a split: x_train, y_train, x_test, y_test"
DTYPES = "give uint8, integers from 0 to 65535, floats from 0 to 1 or from 0 to 255, or booleans"
LABELS = "give integers, texts, or a one-hot matrix (n, classes)"
MISSING = ("nan", "none", "nat", "<na>", "null")
"""Lower-case texts that result from converting a missing label to text."""


def load(path: Path, image_size: int, task: str = SINGLE_LABEL) -> Images:
    """Read an .npz without unpickling.

    Args:
        path: the file.
        image_size: side in pixels.
        task: one of `names.TASKS`.

    Raises:
        SetupError: the file cannot be read, or a field is invalid; the message names the field.
    """
    fields = _read(path)
    parts = _parts(list(fields))
    if not parts:
        raise SetupError(f"{printable(str(path))} holds {', '.join(map(printable, fields)) or 'nothing'}; {NEEDED}")
    images = _joined([(x, fields[x]) for x, _ in parts.values()], is_exact=True)
    labels = _joined([(y, fields[y]) for _, y in parts.values()], is_exact=False)
    counts = [(part, len(fields[y])) for part, (_, y) in parts.items() if part]
    part_of_image = tuple(part for part, count in counts for _ in range(count))
    x, y = next(iter(parts.values()))
    return from_arrays(images, labels, image_size, fields.get(CLASSES), part_of_image, (x, y), task)


def from_arrays(
    images: Array, labels: Array, image_size: int, classes: Array | None = None, given_parts: tuple[str, ...] = (),
    fields: tuple[str, str] = FIELDS[0], task: str = SINGLE_LABEL,
) -> Images:  # fmt: skip
    """Convert arrays to images of one size.

    Args:
        images: (n, h, w), with 1, 3 or 4 channels last, or 1 or 3 first; of the types in `DTYPES`.
        labels: (n,) or (n, 1) integers or texts, or a one-hot matrix (n, classes); (n, k) of 0 and 1 for several
            labels; (n,) or (n, k) numbers for regression.
        image_size: side in pixels.
        classes: names of the classes, which integer labels index from 0, or of the columns of other tasks.
        given_parts: as `Images.given_parts`.
        fields: names of images and labels in errors.
        task: one of `names.TASKS`.

    Raises:
        SetupError: an array is invalid, or a class is too small.
    """
    is_train = np.array([part == TRAIN for part in given_parts]) if given_parts else np.ones(len(images), np.bool_)
    pixels, bits, remarks = _pixels(images, fields[0], is_train)
    if labels.ndim and len(labels) != len(pixels):
        raise SetupError(
            f"there are {len(pixels)} images and {len(labels)} labels (in {fields[0]} and {fields[1]}); give one label "
            "for each image"
        )
    target_values = None
    if task == SINGLE_LABEL:
        class_indices, names = _classes(labels, fields[1], classes, given_parts, remarks)
    else:
        columns = () if classes is None else _names(classes)
        target_values, names = targets.of_array(labels, fields[1], columns, task)
        class_indices = np.zeros(len(target_values), np.int64)
        check_other_targets(task, target_values, names, given_parts=given_parts)
    decoded_images = [_decoded(picture, image_size) for picture in pixels]
    return Images(
        np.stack([one for one, _ in decoded_images]), class_indices, names,
        digests=np.array([d for _, d in decoded_images], np.uint64),
        given_parts=given_parts, names=tuple(f"{fields[0]}[{i}]" for i in range(len(pixels))), remarks=tuple(remarks),
        bits=bits, task=task, targets=target_values,
    )  # fmt: skip


def _classes(
    labels: Array, field: str, classes: Array | None, given_parts: tuple[str, ...], remarks: list[Remark]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the index of each image's class and the names of the classes, and add what is to be said of them."""
    if classes is None and labels.ndim == 2 and labels.shape[1] > 1:
        classes = np.arange(labels.shape[1])
    labels = _flat(labels, field)
    if classes is None and labels.dtype.kind == "i" and labels.min(initial=0) < 0 and len(np.unique(labels)) > 2:
        lost = f"{int((labels < 0).sum())} labels in {field} are below 0, and are taken for classes of their own"
        remarks.append((logging.WARNING, f"{lost}; if they mean that a label is missing, remove these images"))
    class_indices, names = indices(labels, field, classes)
    check_classes(class_indices, names, given_parts=given_parts)
    return class_indices, names


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
    """Return part → names of its images and labels; a single part, "", without a given split."""
    for x, y in FIELDS:
        if x in fields and y in fields:
            return {"": (x, y)}
    parts = {}
    for part in PARTS:
        for name in PART_NAMES[part]:
            for x, y in FIELDS:
                for form in ("{0}_{1}", "{1}_{0}"):
                    pair = (form.format(x, name), form.format(y, name))
                    if set(pair) <= set(fields):
                        parts[part] = pair
    return parts if TRAIN in parts else {}


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


def _pixels(images: Array, field: str, is_train: NDArray[np.bool_] | None = None) -> tuple[Array, int, list[Remark]]:
    """Convert to uint8 (n, h, w) or (n, h, w, 3 or 4), and return them, their bits before, and what was assumed."""
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
    values, bits, more_remarks = _eight_bits(images, field, is_train)
    return values, bits, remarks + more_remarks


def _eight_bits(images: Array, field: str, is_train: NDArray[np.bool_] | None) -> tuple[Array, int, list[Remark]]:
    """Convert to uint8 with one scale for all images of the field; `is_train` (n,) are those that decide on it."""
    if images.dtype == np.uint8:
        return images, 8, []
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * 255, 8, []
    if images.dtype.kind not in "iuf":
        raise SetupError(f"{field} is {images.dtype}; {DTYPES}")
    low, high = images.min(), images.max()
    description = f"{field} is {images.dtype} from {low:g} to {high:g}"
    if not 0 <= low <= high:  # also where there is a NaN
        raise SetupError(f"{description}; {DTYPES}")
    if images.dtype.kind == "f" and high <= 1:
        return np.rint(images * 255).astype(np.uint8), 8, [(logging.INFO, f"{description}: multiplied by 255")]
    if high <= 255:
        return np.rint(images).astype(np.uint8), 8, [(logging.INFO, f"{description}: taken for 8 bits")]
    if images.dtype.kind in "iu" and high < 1 << 16:
        deciding = images if is_train is None else images[is_train]
        highest = int(deciding.max(initial=0))
        bits = depth_of(highest)
        return eight_of(images, bits), bits, [(logging.INFO, depth_words(f"{field} is {images.dtype}", highest, bits))]
    raise SetupError(f"{description}; {DTYPES}")


def depth_words(what: str, highest: int, bits: int) -> str:
    """Return how values of 16 bits were taken, for the log."""
    by = f"divided by {1 << (bits - 8)}" if bits > 8 else "taken as they are"
    return f"{what}, and the training images go up to {highest}: {bits} bits, {by} for all images alike"


def decoded(image: Array, field: str, image_size: int) -> tuple[NDArray[np.uint8], int]:
    """Resize an image.

    Args:
        image: (1, h, w), or with channels, of the types in `DTYPES`.
        field: its name in errors.
        image_size: side in pixels.

    Returns:
        The pixels, (image_size, image_size, 3) uint8, and the digest of the original.
    """
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
        _refuse(labels, wrong, field, f"whole numbers; to predict numbers, set the option task={REGRESSION}")
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
            f"{np.array2string(labels[wrong.argmax()], threshold=10)}; give a single 1 in each row, or labels (n,); if "
            f"images have several labels, set the option task={MULTI_LABEL}"
        )
    return labels.argmax(1)


def indices(labels: Array, field: str, classes: Array | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Convert labels (n,) to indices into the names of classes, and return both."""
    if classes is None:
        if labels.dtype.kind == "U":
            is_missing = np.isin(np.char.lower(np.char.strip(labels)), MISSING)
            _refuse(labels, is_missing, field, f"names of classes; if this is one, list it in {CLASSES}")
        values, indices = np.unique(labels, return_inverse=True)
        return indices.astype(np.int64), tuple(map(str, values))
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
    invalid = sorted({name for name in names if names.count(name) > 1 or not name.strip()})
    if invalid:
        raise SetupError(
            f"{CLASSES} holds {', '.join(map(repr, invalid))}, empty or more than once; give each name once"
        )
    return names


def _refuse(labels: Array, wrong: NDArray[np.bool_], field: str, allowed: str) -> None:
    """Raise SetupError with the first wrong label, if there is one."""
    if wrong.any():
        at, count = int(wrong.argmax()), int(wrong.sum())
        more = f", and {count - 1} more are wrong" if count > 1 else ""
        raise SetupError(f"{field}[{at}] is {labels[at].item()!r}{more}; allowed are {allowed}")
