"""A first look at the data: classes, counts, sizes, modes, copies and groups, and a picture of examples."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bo_objectives.efficientnet import data, data_sources, data_summary, duplicates
from bo_objectives.efficientnet.data import PARTS, Images
from bo_objectives.efficientnet.names import MULTI_LABEL, REGRESSION
from bo_objectives.efficientnet.printing import printable, shortened
from bo_objectives.efficientnet.rgb import opened
from bo_objectives.efficientnet.settings import TrainingSettings
from bo_objectives.errors import SetupError

MAX_SIZES = 5
MAX_NAME = 40
"""Characters of a class's name in the table."""
ROWS, COLUMNS = 20, 8
"""Number of classes, and of images of each, in the picture."""
BINS, RANGES = 10, 8
"""Number of ranges of a number in its table, and in the picture."""
CELL, LEGEND, GAP = 96, 180, 4
"""Pixels of an image, of the names of classes, and between images."""


def look(settings: TrainingSettings, pictures: Path | None) -> str:
    """Read every image, and return a description of the data.

    Args:
        settings: the options.
        pictures: a PNG file that is written with examples of each class; None for none.

    Raises:
        SetupError: the data cannot be used, or the file cannot be written.
    """
    images = data_summary.loaded(
        settings.data, settings.fold, settings.image_size, settings.decoder, settings.target_spec
    )
    remarks = data_summary.remarks(settings.data, settings.fold, images)
    places = data.places_of(images, settings.fold)
    if pictures is not None:
        try:
            grid(images, places[data.TRAIN]).save(pictures, "PNG")
        except OSError as error:
            raise SetupError(f"{printable(str(pictures))} can't be written ({error}); give another file") from error
    lines = [text for _, text in remarks]
    table = _table if images.task != REGRESSION else _histograms
    return "\n".join([*lines, *_files(images, settings), *_near_copies(images, places), "", *table(images, places)])


def _files(images: Images, settings: TrainingSettings) -> Iterator[str]:
    """Yield the sizes and modes of image files, or the arrays of an .npz; nothing for other sources."""
    path = Path(settings.data).expanduser()
    if path.suffix.lower() == ".npz" and path.is_file():
        yield from _arrays(path)
    if not data_sources.has_files(settings.data):
        return
    sizes, kinds = Counter[tuple[int, int]](), Counter[str]()
    for name in images.names:
        size, kind = opened(Path(name))
        sizes[size] += 1
        kinds[kind] += 1
    common = ", ".join(f"{w} × {h} ({count})" for (w, h), count in sizes.most_common(MAX_SIZES))
    more = f" and {len(sizes) - MAX_SIZES} other sizes" if len(sizes) > MAX_SIZES else ""
    widths, heights = zip(*sizes, strict=True)
    yield f"sizes: {common}{more}; width {min(widths)} to {max(widths)}, height {min(heights)} to {max(heights)}"
    yield f"formats and modes: {', '.join(f'{kind} ({count})' for kind, count in kinds.most_common())}"
    small = sum(count for (w, h), count in sizes.items() if min(w, h) < settings.image_size)
    if small:
        yield f"{small} images are smaller than the option image_size, {settings.image_size}, and are enlarged"


def _arrays(path: Path) -> Iterator[str]:
    with np.load(path, allow_pickle=False) as content:
        for name in content.files:
            array = content[name]
            yield f"array {printable(name)}: {array.dtype} {array.shape}"


def _near_copies(images: Images, places: Mapping[str, NDArray[np.int64]]) -> Iterator[str]:
    """Yield the shares of validation and test that resemble training images."""
    train = images.take(places[data.TRAIN])
    for part in (data.VALIDATION, data.TEST):
        share = duplicates.copies(train, images.take(places[part]))
        if share:
            yield f"{share:.1%} of {part} nearly equal an image of train, such as a brighter or recompressed one"


def _table(images: Images, places: Mapping[str, NDArray[np.int64]]) -> Iterator[str]:
    """Yield a table of the images by class or label and part."""
    names = [shortened(name, MAX_NAME) for name in images.classes]
    title = "label" if images.task == MULTI_LABEL else "class"
    yield from _rows(title, names, [images.counts(places[part]) for part in PARTS])


def _rows(title: str, names: Sequence[str], columns: Sequence[NDArray[Any]]) -> Iterator[str]:
    """Yield a table with a column for each part."""
    width = max(map(len, [title, *names]))
    yield f"{title:{width}}" + "".join(f"{part:>12}" for part in PARTS)
    for name, *counts in zip(names, *columns, strict=True):
        yield f"{name:{width}}" + "".join(f"{count:>12}" for count in counts)


def _histograms(images: Images, places: Mapping[str, NDArray[np.int64]]) -> Iterator[str]:
    """Yield a table of the images by range and part for each number."""
    assert images.targets is not None
    for name, column in zip(images.classes, images.targets.T, strict=True):
        edges = np.histogram_bin_edges(column, BINS)
        ranges = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        counts = [np.histogram(column[places[part]], edges)[0] for part in PARTS]
        yield from _rows(shortened(name, MAX_NAME), ranges, counts)


def grid(images: Images, rows: NDArray[np.int64]) -> Image.Image:
    """Return a picture with a row of examples for each of the first classes, labels or ranges of the first number.

    It is the same at every call.

    Args:
        images: all images.
        rows: indices of those that may be shown.
    """
    classes = list(_members(images, rows))[:ROWS]
    side = CELL + GAP
    canvas = Image.new("RGB", (LEGEND + COLUMNS * side, len(classes) * side), "white")
    draw = ImageDraw.Draw(canvas)
    for i, (name, members) in enumerate(classes):
        text = shortened(name, 24).encode("latin-1", "backslashreplace").decode("latin-1")  # which the font has
        draw.text((GAP, i * side + CELL // 2 - 12), f"{shortened(text, 28)}\n{len(members)} images", "black")
        for j, index in enumerate(np.random.default_rng([0, i]).permutation(members)[:COLUMNS]):
            example = Image.fromarray(np.asarray(images.pixels[index])).resize((CELL, CELL))
            canvas.paste(example, (LEGEND + j * side, i * side))
    return canvas


def _members(images: Images, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each class, label or range of the first number with those of the rows that belong to it."""
    if images.targets is None:
        for i, name in enumerate(images.classes):
            yield name, rows[images.labels[rows] == i]
    elif images.task == MULTI_LABEL:
        for i, name in enumerate(images.classes):
            yield name, rows[images.targets[rows, i] > 0.5]
        yield "no label", rows[images.targets[rows].sum(1) == 0]
    else:
        column = images.targets[rows, 0]
        edges = np.unique(np.quantile(column, np.arange(1, RANGES) / RANGES))
        place = np.searchsorted(edges, column, side="right")
        for i in range(len(edges) + 1):
            if (place == i).any():
                chosen = column[place == i]
                yield f"{images.classes[0]} {chosen.min():.4g} to {chosen.max():.4g}", rows[place == i]
