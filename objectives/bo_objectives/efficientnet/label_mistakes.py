"""What a network with several labels for an image confuses: counts by label, and the worst mistakes.

n images, k labels; logits and targets (n, k).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bo_objectives.efficientnet import mistakes
from bo_objectives.efficientnet.targets import Targets, binary_losses, counts_by_label

COLUMNS = ("found", "missed", "false alarm", "rightly not")
"""True positives, false negatives, false positives and true negatives at a probability of 0.5."""
WRONG = {"missed", "false alarm"}
NAME_WIDTH, WIDTH, HEIGHT = 150, 90, 24
"""Pixels of a label's name, and of a cell."""


def worst(logits: Targets, targets: Targets, count: int) -> NDArray[np.int64]:
    """Return up to `count` rows with a wrong label, the largest loss first."""
    wrong = np.flatnonzero(((logits > 0) != (targets > 0.5)).any(-1))
    order = np.argsort(-binary_losses(logits, targets)[wrong], kind="stable")
    return np.asarray(wrong[order][:count], np.int64)


def draw_counts(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Draw a row for each label with its counts (k, 4); shades are shares of the images that have it, or lack it."""
    size = (NAME_WIDTH + len(COLUMNS) * WIDTH, (len(labels) + 1) * HEIGHT)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for j, title in enumerate(COLUMNS):
        draw.text((NAME_WIDTH + j * WIDTH + 4, 6), title, fill="black")
    for i, name in enumerate(labels):
        y = (i + 1) * HEIGHT
        draw.text((4, y + 6), mistakes.short(name), fill="black")
        whole = [counts[i, :2].sum()] * 2 + [counts[i, 2:].sum()] * 2
        for j, title in enumerate(COLUMNS):
            x, share = NAME_WIDTH + j * WIDTH, float(counts[i, j] / max(1, whole[j]))
            full = (244, 109, 67) if title in WRONG else (11, 99, 165)
            shade = tuple(round(255 - share * (255 - channel)) for channel in full)
            draw.rectangle((x, y, x + WIDTH - 2, y + HEIGHT - 2), fill=shade)
            draw.text((x + 4, y + 6), f"{counts[i, j]} ({share:.0%})", fill="white" if share > 0.5 else "black")
    picture.save(path, optimize=True)


def leave(folder: Path, pixels: Any, logits: Targets, targets: Targets, labels: Sequence[str]) -> None:
    """Write the counts by label and the worst mistakes into a folder.

    Args:
        folder: where the files are written.
        pixels: (n, side, side, 3) of uint8, of which only the mistakes are read.
        logits: the network's outputs.
        targets: 1 where an image has a label.
        labels: names of the labels.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if len(labels) <= mistakes.MAX_CLASSES:
        draw_counts(folder / mistakes.CONFUSION, counts_by_label(logits, targets), labels)
    rows = worst(logits, targets, mistakes.COLUMNS * mistakes.ROWS)
    captions = [f"has {_named(targets[i] > 0.5, labels)}\nfound {_named(logits[i] > 0, labels)}" for i in rows]
    mistakes.leave_grid(folder, pixels, rows, captions)


def _named(has: NDArray[np.bool_], labels: Sequence[str]) -> str:
    return mistakes.short(", ".join(name for name, is_there in zip(labels, has, strict=True) if is_there) or "none")
