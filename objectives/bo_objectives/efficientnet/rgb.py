"""Conversion of images in any mode that Pillow opens to 8-bit RGB, and to the network's size."""

from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bo_objectives.efficientnet.data import Pixels

FORMATS = (
    "PNG", "JPEG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO", "TGA",
)  # fmt: skip
"""Supported formats. Others are not tried, as Pillow would run Ghostscript on PostScript."""
SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpx", ".avif", ".ico", ".tga",
}  # fmt: skip
"""Lower-case extensions of these formats."""


DEPTHS = (8, 10, 12, 14, 16)
"""Bits of cameras and scanners, which store more than 8 in files of 16."""


def depth_of(highest: int) -> int:
    """Return the smallest of the usual numbers of bits that holds a value."""
    return next(bits for bits in DEPTHS if highest < 1 << bits)


def read(file: Path | IO[bytes], bits: int = 16) -> tuple[Image.Image, int]:
    """Read the first frame of a file as 8-bit RGB, upright as its EXIF orientation says, on a white background.

    Args:
        file: the file.
        bits: as in `to_rgb`.

    Returns:
        The picture, and the largest value of a file with integers of 16 bits; 0 for all others.

    Raises:
        Exception: the file can't be read; Pillow raises errors of many types for damaged files.
    """
    with Image.open(file, formats=_formats()) as picture:
        picture.load()
        rgb = to_rgb(_upright(picture), bits)
        return rgb, int(np.asarray(picture).max()) if is_deep(picture) else 0


def opened(file: Path) -> tuple[tuple[int, int], str]:
    """Return the width and height of an image file, and its format with its mode, such as "PNG RGBA"."""
    with Image.open(file, formats=_formats()) as picture:
        return picture.size, f"{picture.format} {picture.mode}"


def is_deep(picture: Image.Image) -> bool:
    """Return whether the picture has integers of more than 8 bits."""
    return picture.mode.startswith("I")  # I, I;16, I;16B, …


def is_image(path: Path) -> bool:
    """Return whether the file's content is an image in one of the formats."""
    try:
        with Image.open(path, formats=_formats()):
            return True
    except Exception:  # Pillow raises errors of many types
        return False


def to_rgb(picture: Image.Image, bits: int = 16) -> Image.Image:
    """Convert to 8-bit RGB. Transparent parts become white.

    Integers of 16 bits are divided by 2^(bits - 8), and floats are multiplied by 255, for all pictures alike: no
    picture is stretched to its own minimum and maximum.

    Args:
        picture: the picture.
        bits: how many of 16 bits are used in the data set. Values beyond are white.

    Raises:
        ValueError: floats outside 0 to 1, or integers outside 0 to 65535.
    """
    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode == "F":
        return _gray(_from_floats(np.asarray(picture)))
    if is_deep(picture):
        values = np.asarray(picture)
        return on_white(_gray(_from_integers(values, bits), values == picture.info.get("transparency")))
    return on_white(picture)


def on_white(picture: Image.Image) -> Image.Image:
    """Convert an 8-bit picture to RGB, with a white background where it is transparent."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def resized(picture: Image.Image, image_size: int) -> Pixels:
    """Return (image_size, image_size, 3): scaled with its proportions kept, cropped at the center."""
    return np.asarray(ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BICUBIC), np.uint8)


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow supports."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF, which leaves the picture itself whole
        return picture


def _gray(values: Pixels, transparent: NDArray[np.bool_] | None = None) -> Image.Image:
    picture = Image.fromarray(values)
    if transparent is not None and transparent.any():
        picture.putalpha(Image.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
    return picture if picture.mode == "LA" else picture.convert("RGB")


def _from_integers(values: NDArray[np.integer], bits: int) -> Pixels:
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"it holds integers from {values.min()} to {values.max()}; only 0 to 65535 is read: save it as 8 bits"
        )
    return eight_of(values, bits)


def eight_of(values: NDArray[np.integer], bits: int) -> Pixels:
    """Return the upper 8 of so many bits; values beyond them become 255."""
    return np.minimum(values >> (bits - 8), 255).astype(np.uint8)


def _from_floats(values: NDArray[np.floating]) -> Pixels:
    if not (values.min() >= 0 and values.max() <= 1):  # also where there is a NaN
        raise ValueError(
            f"it holds floats from {values.min():g} to {values.max():g}; only 0 to 1 is read: save it as 8 bits"
        )
    return np.rint(values * 255).astype(np.uint8)


def _from_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.applyTransform(picture, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    assert converted is not None
    return converted
