"""Folders that Hugging Face Datasets wrote with `save_to_disk`: one data set, or one for each split.

The package `datasets` is imported when images are read.
"""

import importlib.util
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bo_objectives.efficientnet import arrays
from bo_objectives.efficientnet.folder_layout import parts_of_splits
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.errors import SetupError

SPLITS_FILE, STATE_FILE = "dataset_dict.json", "state.json"
LABEL = "label"
NEEDED = "it needs one column of images and one column of class labels, or a column named label"


@dataclass(frozen=True)
class SavedImage:
    """An image in a saved data set."""

    name: str
    stamp: str
    """Changes with the data set's content."""
    part: str
    """The part of a given split; empty without one."""
    rows: Any
    index: int
    column: str

    def open(self) -> IO[bytes]:
        """Return the encoded image.

        Raises:
            SetupError: it is missing.
        """
        image = self.rows[self.index][self.column] or {}
        try:
            return Path(image["path"]).open("rb") if image.get("bytes") is None else io.BytesIO(image["bytes"])
        except (OSError, KeyError, TypeError) as error:
            raise SetupError(f"{printable(self.name)} has no image ({error}); remove this row") from error


def is_saved(path: Path) -> bool:
    """Return whether a folder is a saved data set."""
    return any(os.path.isfile(path / name) for name in (SPLITS_FILE, STATE_FILE))  # False where access is denied


def check(path: Path) -> None:
    """Raise SetupError if the package is not installed."""
    if importlib.util.find_spec("datasets") is None:
        raise SetupError(
            f"{printable(str(path))} is a data set of Hugging Face, which needs its package: pip install datasets"
        )


def fingerprints(path: Path) -> list[str]:
    """Return the names of the splits with the fingerprints that the package stored.

    Raises:
        SetupError: a file is missing or damaged.
    """
    return [f"{name} {fingerprint}" for name, (_, fingerprint) in _folders(path).items()]


def _folders(path: Path) -> dict[str, tuple[Path, str]]:
    """Return split → its folder and fingerprint; a single split, "", without splits."""
    try:
        if not (path / SPLITS_FILE).is_file():
            return {"": (path, _fingerprint(path))}
        splits = json.loads((path / SPLITS_FILE).read_text("utf-8"))["splits"]
        return {name: (path / name, _fingerprint(path / name)) for name in splits}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"{printable(str(path))} isn't a whole data set of Hugging Face ({error}); save it again with save_to_disk"
        ) from error


def _fingerprint(folder: Path) -> str:
    return str(json.loads((folder / STATE_FILE).read_text("utf-8"))["_fingerprint"])


def read(path: Path) -> tuple[list[SavedImage], list[str], tuple[str, ...]]:
    """Return the images, the name of each one's class, and the classes in their order.

    Raises:
        SetupError: the package is missing, or the data set has no usable columns or labels.
    """
    check(path)
    folders = _folders(path)
    parts = parts_of_splits(list(folders)) or dict.fromkeys(folders, "")
    images: list[SavedImage] = []
    labels: list[Any] = []
    names: Any = None
    for split, part in parts.items():
        folder, stamp = folders[split]
        rows, column, label = _opened(folder)
        names = getattr(rows.features[label], "names", None)
        where = f"{path / split}"
        images += [SavedImage(f"{where}[{i}]", stamp, part, rows, i, column) for i in range(len(rows))]
        labels += _labels(rows[label], f"{LABEL} of {where}")
    indices, classes = arrays.indices(np.array(labels), LABEL, None if names is None else np.array(names))
    return images, [classes[i] for i in indices], classes


def _opened(folder: Path) -> tuple[Any, str, str]:
    """Return the rows of a split, with encoded images, and the names of the columns of images and labels."""
    import datasets

    try:
        rows = datasets.load_from_disk(str(folder))
    except Exception as error:  # of many types for damaged files
        raise SetupError(
            f"{printable(str(folder))} can't be read ({error}); save it again with save_to_disk"
        ) from error
    features = rows.features
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    labels = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    label = LABEL if LABEL in features else labels[0] if len(labels) == 1 else ""
    if len(images) != 1 or not label:
        raise SetupError(f"{printable(str(folder))} has the columns {join_names(features)}; {NEEDED}")
    return rows.cast_column(images[0], datasets.Image(decode=False)), images[0], label


def _labels(values: Any, where: str) -> Iterator[Any]:
    for i, value in enumerate(values):
        if not isinstance(value, int | str):
            raise SetupError(f"{printable(where)}[{i}] is {value!r}; allowed are class labels; remove this row")
        yield value
