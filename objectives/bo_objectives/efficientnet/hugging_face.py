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

from bo_objectives.efficientnet import arrays, targets
from bo_objectives.efficientnet.folder_layout import parts_of_splits
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from bo_objectives.efficientnet.printing import join_names, printable
from bo_objectives.efficientnet.targets import USUAL, SourceTargets, TargetSpec
from bo_objectives.errors import SetupError

SPLITS_FILE, STATE_FILE = "dataset_dict.json", "state.json"
LABEL, LABELS = "label", ("labels",)
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


def read(path: Path, spec: TargetSpec = USUAL) -> tuple[list[SavedImage], SourceTargets]:
    """Return the images and what is predicted.

    Args:
        path: the folder.
        spec: what is predicted, and from which columns.

    Raises:
        SetupError: the package is missing, or the data set has no usable columns or labels.
    """
    check(path)
    folders = _folders(path)
    parts = parts_of_splits(list(folders)) or dict.fromkeys(folders, "")
    images: list[SavedImage] = []
    values: list[Any] = []
    names: Any = None
    for split, part in parts.items():
        folder, stamp = folders[split]
        rows, column, columns = _opened(folder, spec)
        names = _class_names(rows.features[columns[0]])
        where = f"{path / split}"
        images += [SavedImage(f"{where}[{i}]", stamp, part, rows, i, column) for i in range(len(rows))]
        values += _values({name: rows[name] for name in columns}, where, spec, names)
    if spec.task == SINGLE_LABEL:
        indices, classes = arrays.indices(np.array(values), LABEL, None if names is None else np.array(names))
        return images, SourceTargets([classes[i] for i in indices], classes)
    if spec.task == REGRESSION or spec.has_flags:
        return images, SourceTargets([], columns, np.array(values, np.float64), spec.task)
    classes = tuple(names) if names is not None else tuple(sorted({name for row in values for name in row}))
    return images, SourceTargets([], classes, targets.indicator(values, classes), spec.task)


def _class_names(feature: Any) -> Any:
    """Return the names of the classes of a column, or of the lists in it; None if it has none."""
    inner = feature[0] if isinstance(feature, list) and feature else getattr(feature, "feature", feature)
    return getattr(inner, "names", None)


def _opened(folder: Path, spec: TargetSpec) -> tuple[Any, str, tuple[str, ...]]:
    """Return the rows of a split, with encoded images, and the names of the columns of images and targets."""
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
    usual = next((name for name in (LABEL, *LABELS * (spec.task == MULTI_LABEL)) if name in features), "")
    columns = spec.columns or (usual or (labels[0] if len(labels) == 1 else ""),)
    if len(images) != 1 or not set(columns) <= set(features):
        needed = f"one column of images, and {join_names(columns)}" if spec.columns else NEEDED
        raise SetupError(f"{printable(str(folder))} has the columns {join_names(features)}; {needed}")
    return rows.cast_column(images[0], datasets.Image(decode=False)), images[0], columns


def _values(columns: dict[str, Any], where: str, spec: TargetSpec, names: Any) -> Iterator[Any]:
    """Yield the class, the labels or the numbers of each row."""
    for i, row in enumerate(zip(*columns.values(), strict=True)):
        try:
            if spec.task == SINGLE_LABEL:
                if not isinstance(row[0], int | str):
                    raise SetupError(f"{row[0]!r}; allowed are class labels; remove this row")
                yield row[0]
            elif spec.task == REGRESSION:
                yield [targets.number(*pair) for pair in zip(columns, row, strict=True)]
            elif spec.has_flags:
                yield [targets.flag(*pair) for pair in zip(columns, row, strict=True)]
            else:
                yield _labels(next(iter(columns)), row[0], names)
        except SetupError as error:
            is_single = spec.task == SINGLE_LABEL
            prefix = f"{LABEL} of {printable(where)}[{i}] is " if is_single else f"{printable(where)}[{i}]: "
            raise SetupError(f"{prefix}{error}") from error


def _labels(column: str, value: Any, names: Any) -> list[str]:
    """Return the names of the labels in a row, which are numbers where `names` has their names."""
    labels = targets.label_texts(column, value)
    if names is None:
        return sorted({str(label) for label in labels})
    if not all(isinstance(label, int) and 0 <= label < len(names) for label in labels):
        raise targets.wrong(column, value, f"numbers from 0 to {len(names) - 1}, as there are {len(names)} labels")
    return sorted({names[label] for label in labels})
