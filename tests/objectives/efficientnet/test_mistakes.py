"""The drawn confusion matrix and the worst mistakes: which images they are, and that the files stay small."""

from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import mistakes
from PIL import Image

CLASSES = ("cat", "dog", "fox")
LABELS = np.array([0, 0, 1, 1, 2])
LOGITS = np.array([[3.0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 0, 9], [0, 0, 1]])


def test_the_matrix_counts_and_the_worst_are_the_surest_mistakes() -> None:
    assert mistakes.confusion(LOGITS, LABELS).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert mistakes.worst(LOGITS, LABELS, 9).tolist() == [3, 1]
    assert mistakes.worst(LOGITS, LABELS, 1).tolist() == [3]
    assert mistakes.worst(LOGITS[:1], LABELS[:1], 9).tolist() == []


def test_the_grid_shows_the_images_that_were_mistaken(tmp_path: Path) -> None:
    pixels = np.zeros((5, 8, 8, 3), np.uint8) + np.array([10, 60, 110, 160, 210], np.uint8)[:, None, None, None]
    mistakes.leave(tmp_path / "new", pixels, LOGITS, LABELS, CLASSES)
    with Image.open(tmp_path / "new" / mistakes.MISTAKES) as picture:
        middle = mistakes.TILE // 2
        shown = [picture.getpixel((4 + middle + i * (mistakes.TILE + 8), 4 + middle)) for i in (0, 1)]
    assert shown == [(160,) * 3, (60,) * 3]
    mistakes.leave(tmp_path / "new", pixels[:1], LOGITS[:1], LABELS[:1], CLASSES)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [mistakes.CONFUSION]


@pytest.mark.parametrize("classes", [2, 37, 100, 101])
def test_files_are_small_however_many_classes_there_are(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(classes, size=400), rng.normal(size=(400, classes))
    pixels = rng.integers(256, size=(400, 32, 32, 3)).astype(np.uint8)
    mistakes.leave(tmp_path, pixels, logits, labels, [f"class \N{SNOWMAN} of a long name {i}" for i in range(classes)])
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert max(sizes.values()) < 2**20
    assert (mistakes.CONFUSION in sizes) is (classes <= mistakes.MAX_CLASSES)
