"""What a network that predicts numbers gets wrong: predictions beside true numbers, and the largest errors.

n images, k numbers; predicted and true ones (n, k) in the user's units.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bo_objectives.efficientnet import mistakes
from bo_objectives.efficientnet.targets import Targets

PREDICTIONS = "validation_predictions.png"
MAX_PANELS, PER_ROW = 9, 3
PANEL, MARGIN = 260, 24
"""Pixels of the side of a panel, and of the margin around its points."""


def worst(predicted: Targets, true: Targets, count: int) -> NDArray[np.int64]:
    """Return up to `count` rows, those with the largest error first, in standard deviations of the true numbers."""
    deviation = true.std(0)
    errors = np.abs(predicted - true) / np.where(deviation > 0, deviation, 1)
    return np.asarray(np.argsort(-errors.max(-1), kind="stable")[:count], np.int64)


def draw_predictions(path: Path, predicted: Targets, true: Targets, names: Sequence[str]) -> None:
    """Draw a panel for each of the first numbers: true ones to the right, predicted ones upwards, equal ones a line."""
    count = min(len(names), MAX_PANELS)
    columns = min(count, PER_ROW)
    picture = Image.new("RGB", (columns * PANEL, -(-count // columns) * PANEL), "white")
    draw = ImageDraw.Draw(picture)
    for i in range(count):
        left, top = i % columns * PANEL, i // columns * PANEL
        low = float(min(true[:, i].min(), predicted[:, i].min()))
        high = float(max(true[:, i].max(), predicted[:, i].max()))
        span = (high - low) or 1.0
        inner = PANEL - 2 * MARGIN
        draw.rectangle((left + MARGIN, top + MARGIN, left + PANEL - MARGIN, top + PANEL - MARGIN), outline="gray")
        draw.line((left + MARGIN, top + PANEL - MARGIN, left + PANEL - MARGIN, top + MARGIN), fill="gray")
        for t, p in zip(true[:, i], predicted[:, i], strict=True):
            x, y = left + MARGIN + (t - low) / span * inner, top + PANEL - MARGIN - (p - low) / span * inner
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(11, 99, 165))
        draw.text((left + MARGIN, top + 6), f"{mistakes.short(names[i])}: predicted over true", fill="black")
        draw.text((left + MARGIN, top + PANEL - 18), f"{low:.4g} to {high:.4g}", fill="black")
    picture.save(path, optimize=True)


def leave(folder: Path, pixels: Any, predicted: Targets, true: Targets, names: Sequence[str]) -> None:
    """Write the predictions and the images with the largest errors into a folder.

    Args:
        folder: where the files are written.
        pixels: (n, side, side, 3) of uint8, of which only some are read.
        predicted: the predicted numbers.
        true: the true numbers.
        names: names of the numbers.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw_predictions(folder / PREDICTIONS, predicted, true, names)
    rows = worst(predicted, true, mistakes.COLUMNS * mistakes.ROWS)
    captions = [f"is {_numbers(true[i])}\npredicted {_numbers(predicted[i])}" for i in rows]
    mistakes.leave_grid(folder, pixels, rows, captions)


def _numbers(values: Targets) -> str:
    return mistakes.short(", ".join(f"{value:.4g}" for value in values))
