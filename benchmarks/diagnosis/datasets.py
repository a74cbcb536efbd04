"""The images of the benchmark, made offline: emoji, scikit-learn's digits, drawn shapes and drawn textures.

Each half has images of its own: every second emoji, the first or the last digits, shapes or textures. A plant in the
data is a function of images (n, s, s, 3) uint8, labels (n,) and a generator that returns new ones.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bo_objectives.efficientnet import data_sources
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 64
DEVELOPMENT, TEST = HALVES = ("development", "test")
EMOJI, DIGITS, DRAWN = ("emoji", "digits", "drawn")
PER_DIGIT, PER_DRAWING = 40, 60

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
Change = Callable[[Pixels, Labels, np.random.Generator], tuple[Pixels, Labels]]


def write(path: Path, data: str, half: str, change: Change | None) -> None:
    """Write an .npz file that the objective reads."""
    rng = np.random.default_rng([HALVES.index(half), 7])
    pixels, labels = MAKERS[data](half, rng)
    if change is not None:
        pixels, labels = change(pixels, labels, rng)
    _, labels = np.unique(labels, return_inverse=True)
    np.savez(path, images=pixels, labels=labels)


def _emoji(half: str, _: np.random.Generator) -> tuple[Pixels, Labels]:
    emoji = data_sources.load(data_sources.EMOJI, SIDE)
    rows = np.arange(HALVES.index(half), len(emoji), 2)
    return np.asarray(emoji.pixels[rows]), emoji.labels[rows]


def _digits(half: str, _: np.random.Generator) -> tuple[Pixels, Labels]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows: list[int] = []
    for digit in range(10):
        of_digit = np.flatnonzero(digits.target == digit)
        rows += (of_digit[:PER_DIGIT] if half == DEVELOPMENT else of_digit[-PER_DIGIT:]).tolist()
    grey = (digits.images[rows] * 255 / 16).astype(np.uint8)
    pixels = [
        np.asarray(Image.fromarray(g).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")) for g in grey
    ]
    return np.stack(pixels), digits.target[rows].astype(np.int64)


def _drawn(half: str, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    draw = _shape if half == DEVELOPMENT else _texture
    labels = np.repeat(np.arange(5), PER_DRAWING)
    clean = np.stack([draw(int(label), rng) for label in labels]).astype(np.float64)
    return np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8), labels


def _shape(label: int, rng: np.random.Generator) -> Pixels:
    """Draw a filled circle, a ring, a square, a triangle or a cross, anywhere, in any color."""
    back, front = rng.integers(0, 110, 3), rng.integers(140, 256, 3)
    picture = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in back))
    pen, color = ImageDraw.Draw(picture), tuple(int(v) for v in front)
    r = int(rng.integers(9, 20))
    x, y = (int(v) for v in rng.integers(r + 2, SIDE - r - 2, 2))
    box = (x - r, y - r, x + r, y + r)
    match label:
        case 0:
            pen.ellipse(box, fill=color)
        case 1:
            pen.ellipse(box, outline=color, width=4)
        case 2:
            pen.rectangle(box, fill=color)
        case 3:
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=color)
        case _:
            pen.line((x - r, y, x + r, y), fill=color, width=5)
            pen.line((x, y - r, x, y + r), fill=color, width=5)
    return np.asarray(picture)


def _texture(label: int, rng: np.random.Generator) -> Pixels:
    """Stripes one way, the other way or aslant, checks, or dots, of any width, phase and color."""
    back, front = rng.integers(0, 110, 3), rng.integers(140, 256, 3)
    period = float(rng.uniform(7, 14))
    y, x = np.mgrid[:SIDE, :SIDE] + rng.uniform(0, period, 2)[:, None, None]
    wave_x, wave_y = np.sin(2 * np.pi * x / period), np.sin(2 * np.pi * y / period)
    aslant = np.sin(2 * np.pi * (x + y) / (1.4 * period))
    is_front = (wave_x > 0, wave_y > 0, aslant > 0, wave_x * wave_y > 0, (wave_x + wave_y) > 1.0)[label]
    return np.where(is_front[:, :, None], front, back).astype(np.uint8)


MAKERS: dict[str, Callable[[str, np.random.Generator], tuple[Pixels, Labels]]] = {
    EMOJI: _emoji, DIGITS: _digits, DRAWN: _drawn,
}  # fmt: skip


# ── plants in the data


def shuffled(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
    """Labels that have nothing to do with the images."""
    return pixels, rng.permutation(labels)


def darkened(factor: float) -> Change:
    """Pixels multiplied by a small factor, as where they were scaled for another program."""

    def change(pixels: Pixels, labels: Labels, _: np.random.Generator) -> tuple[Pixels, Labels]:
        return np.rint(pixels * factor).astype(np.uint8), labels

    return change


def copied(share: float, is_compressed: bool) -> Change:
    """Repeat a share of the images, compressed again or brighter and noisy: random parts share images."""

    def change(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        rows = rng.permutation(len(pixels))[: round(share * len(pixels))]
        copies = np.stack([_compressed(p) if is_compressed else _brighter(p, rng) for p in pixels[rows]])
        return np.concatenate([pixels, copies]), np.concatenate([labels, labels[rows]])

    return change


def _compressed(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def _brighter(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(pixels * 1.04 + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8)


def few(per_class: int) -> Change:
    """So many images of each class."""
    return unbalanced((per_class,) * 20)


def unbalanced(counts: tuple[int, ...]) -> Change:
    """So many images of the first classes, and none of the others."""

    def change(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        chosen = [rng.permutation(np.flatnonzero(labels == c))[:count] for c, count in enumerate(counts)]
        rows = np.sort(np.concatenate(chosen))
        return pixels[rows], labels[rows]

    return change


def against_the_rest(c: int, count: int) -> Change:
    """So many images of class c, and all of the others as one class."""

    def change(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        rare = rng.permutation(np.flatnonzero(labels == c))[:count]
        rows = np.sort(np.concatenate([rare, np.flatnonzero(labels != c)]))
        return pixels[rows], (labels[rows] == c).astype(np.int64)

    return change


def shuffled_rest(c: int, count: int) -> Change:
    """Do as `against_the_rest`, with labels that have nothing to do with the images."""

    def change(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        return shuffled(*against_the_rest(c, count)(pixels, labels, rng), rng)

    return change


def mislabeled(share: float) -> Change:
    """Draw a share of the labels anew."""

    def change(pixels: Pixels, labels: Labels, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        is_wrong = rng.random(len(labels)) < share
        return pixels, np.where(is_wrong, rng.permutation(labels), labels)

    return change
