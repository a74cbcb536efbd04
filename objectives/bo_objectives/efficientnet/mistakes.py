"""What a trained network confuses: its confusion matrix and its worst mistakes, as files for the trial's artifacts.

n validation images; logits (n, classes); labels (n,) true classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[Any]

CONFUSION, MISTAKES = "validation_confusion.png", "worst_mistakes.png"
MAX_IMAGES = 2000
"""Validation images that are evaluated at most."""
MAX_CLASSES = 100
"""Classes up to which the matrix is drawn."""
COLUMNS, ROWS, TILE, CAPTION = 4, 4, 128, 28
"""The grid of mistakes; sides of an image and height of its caption, in pixels."""
MAX_NAME = 18
"""Characters of a class name in a caption."""
SIDE = 512
"""Smallest side of the drawn matrix in pixels."""


def confusion(logits: Array, labels: Array) -> NDArray[np.int64]:
    """Return the images by (true class, predicted class)."""
    counts = np.zeros((logits.shape[-1],) * 2, np.int64)
    np.add.at(counts, (labels, logits.argmax(-1)), 1)
    return counts


def worst(logits: Array, labels: Array, count: int) -> NDArray[np.int64]:
    """Return up to `count` rows whose prediction is wrong, the most confident first."""
    shifted = logits - logits.max(-1, keepdims=True)
    probability = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    wrong = np.flatnonzero(logits.argmax(-1) != labels)
    order = np.argsort(-probability.max(-1)[wrong], kind="stable")
    return np.asarray(wrong[order][:count], np.int64)


def draw_matrix(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Draw the confusion matrix: a row for each true class; shades are shares of it."""
    cell = max(4, SIDE // len(classes))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shades = np.stack([255 - 244 * shares, 255 - 156 * shares, 255 - 90 * shares], -1).astype(np.uint8)
    margin = 150 if cell >= CAPTION // 2 else 0
    picture = Image.new("RGB", (margin + cell * len(classes), 20 + cell * len(classes) + 20), "white")
    picture.paste(Image.fromarray(shades).resize((cell * len(classes),) * 2, Image.Resampling.NEAREST), (margin, 20))
    draw = ImageDraw.Draw(picture)
    draw.text((2, 4), "rows: true class; columns: predicted class, in the same order", fill="black")
    for i, name in enumerate(classes):
        y = 20 + cell * i + cell // 2 - 5
        if margin:
            draw.text((2, y), short(name), fill="black")
        for j, share in enumerate(shares[i]):
            if cell >= CAPTION:
                fill = "white" if share > 0.5 else "black"
                draw.text((margin + cell * j + cell // 2 - 6, y), str(counts[i, j]), fill=fill)
    picture.save(path)


def draw_mistakes(path: Path, pixels: Array, captions: Sequence[str]) -> None:
    """Draw images (n, side, side, 3) of uint8 in a grid, each above its caption."""
    columns = min(COLUMNS, len(pixels))
    rows = -(-len(pixels) // columns)
    picture = Image.new("RGB", (columns * (TILE + 8), rows * (TILE + CAPTION + 8)), "white")
    draw = ImageDraw.Draw(picture)
    for i, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        x, y = i % columns * (TILE + 8) + 4, i // columns * (TILE + CAPTION + 8) + 4
        picture.paste(Image.fromarray(image).resize((TILE, TILE)), (x, y))
        draw.multiline_text((x, y + TILE + 2), caption, fill="black", spacing=2)
    picture.save(path)


def leave(folder: Path, pixels: Any, logits: Array, labels: Array, classes: Sequence[str]) -> None:
    """Write the confusion matrix and the worst mistakes into a folder.

    Args:
        folder: where the files are written.
        pixels: (n, side, side, 3) of uint8, of which only the mistakes are read.
        logits: the network's outputs.
        labels: the true classes.
        classes: names of the classes.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if len(classes) <= MAX_CLASSES:
        draw_matrix(folder / CONFUSION, confusion(logits, labels), classes)
    rows, predicted = worst(logits, labels, COLUMNS * ROWS), logits.argmax(-1)
    captions = [f"{short(classes[labels[i]])}\ntaken for {short(classes[predicted[i]])}" for i in rows]
    leave_grid(folder, pixels, rows, captions)


def leave_grid(folder: Path, pixels: Any, rows: NDArray[np.int64], captions: Sequence[str]) -> None:
    """Write the grid of the images at some rows, or remove that of an earlier attempt if there are none."""
    if len(rows):
        draw_mistakes(folder / MISTAKES, np.asarray(pixels[rows], np.uint8), captions)
    else:
        (folder / MISTAKES).unlink(missing_ok=True)


def short(name: str) -> str:
    """Return a class name as the drawing font can show it."""
    plain = name.encode("ascii", "replace").decode()
    return plain if len(plain) <= MAX_NAME else f"{plain[: MAX_NAME - 1]}~"
