"""A first look at the data: classes, counts, sizes, modes, copies and groups, and a picture of examples."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bo_objectives.efficientnet import data, data_sources, data_summary, duplicates
from bo_objectives.efficientnet.data import PARTS, Images
from bo_objectives.efficientnet.printing import printable, shortened
from bo_objectives.efficientnet.rgb import opened
from bo_objectives.efficientnet.settings import TrainingSettings
from bo_objectives.errors import SetupError

MAX_SIZES = 5
MAX_NAME = 40
"""Characters of a class's name in the table."""
ROWS, COLUMNS = 20, 8
"""Number of classes, and of images of each, in the picture."""
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
    images = data_summary.loaded(settings.data, settings.fold, settings.image_size, settings.decoder)
    remarks = data_summary.remarks(settings.data, settings.fold, images)
    places = data.places_of(images, settings.fold)
    if pictures is not None:
        try:
            grid(images, places[data.TRAIN]).save(pictures, "PNG")
        except OSError as error:
            raise SetupError(f"{printable(str(pictures))} can't be written ({error}); give another file") from error
    lines = [text for _, text in remarks]
    return "\n".join([*lines, *_files(images, settings), *_near_copies(images, places), "", *_table(images, places)])


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
    """Yield a table of the images by class and part."""
    columns = [np.bincount(images.labels[places[part]], minlength=len(images.classes)) for part in PARTS]
    names = [shortened(name, MAX_NAME) for name in images.classes]
    width = max(map(len, ["class", *names]))
    yield f"{'class':{width}}" + "".join(f"{part:>12}" for part in PARTS)
    for name, *counts in zip(names, *columns, strict=True):
        yield f"{name:{width}}" + "".join(f"{count:>12}" for count in counts)


def grid(images: Images, rows: NDArray[np.int64]) -> Image.Image:
    """Return a picture with a row of examples for each of the first classes, the same at every call.

    Args:
        images: all images.
        rows: indices of those that may be shown.
    """
    classes = images.classes[:ROWS]
    side = CELL + GAP
    canvas = Image.new("RGB", (LEGEND + COLUMNS * side, len(classes) * side), "white")
    draw = ImageDraw.Draw(canvas)
    for i, name in enumerate(classes):
        members = rows[images.labels[rows] == i]
        text = shortened(name, 24).encode("latin-1", "backslashreplace").decode("latin-1")  # which the font has
        draw.text((GAP, i * side + CELL // 2 - 12), f"{shortened(text, 28)}\n{len(members)} images", "black")
        for j, index in enumerate(np.random.default_rng([0, i]).permutation(members)[:COLUMNS]):
            example = Image.fromarray(np.asarray(images.pixels[index])).resize((CELL, CELL))
            canvas.paste(example, (LEGEND + j * side, i * side))
    return canvas
