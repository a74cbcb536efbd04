"""Every mode that a file can have, against 8-bit RGB that is worked out by hand, and files that are damaged."""

import io
import logging
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import data_sources, rgb
from bo_objectives.efficientnet.decoding import Decoder
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

SIDE = 32
RAMP = np.arange(SIDE * SIDE, dtype=np.int64).reshape(SIDE, SIDE)
BYTES = (RAMP % 256).astype(np.uint8)
SIXTEEN = (RAMP * 64).astype(np.uint16)
COLORS = np.stack([BYTES, BYTES[::-1], BYTES.T], -1)
ALPHA = np.ascontiguousarray(BYTES.T)
TURNED = {
    1: COLORS,
    2: COLORS[:, ::-1],
    3: COLORS[::-1, ::-1],
    4: COLORS[::-1],
    5: COLORS.transpose(1, 0, 2),
    6: COLORS.transpose(1, 0, 2)[::-1],
    7: COLORS.transpose(1, 0, 2)[::-1, ::-1],
    8: COLORS.transpose(1, 0, 2)[:, ::-1],
}
"""What is stored where EXIF says that orientation, so that COLORS is upright."""

Write = Callable[[Path], None]


def gray(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, -1)


def over_white(colors: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(colors * share + 255 * (1 - share))


def png(kind: int, depth: int, rows: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by its specification, for what Pillow doesn't write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, kind, 0, 0, 0)
    raw = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in rows)
    more = b"".join(chunk(*c) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def written(content: bytes) -> Write:
    return lambda path: path.write_bytes(content) and None


def saved(picture: Image.Image, **options: object) -> Write:
    return lambda path: picture.save(path, **options)


PALETTE = np.stack([BYTES, 255 - BYTES, np.full_like(BYTES, 7)], -1)


def indexed() -> Image.Image:
    picture = Image.fromarray(BYTES).convert("P")
    picture.putpalette([v for i in range(256) for v in (i, 255 - i, 7)])
    return picture


def palette(**options: object) -> Write:
    return saved(indexed(), **options)


def pa() -> Image.Image:
    picture = indexed().convert("PA")
    picture.putalpha(Image.fromarray(ALPHA))
    return picture


def merged(mode: str, *bands: np.ndarray | int) -> Image.Image:
    return Image.merge(mode, [Image.fromarray(np.full((SIDE, SIDE), 0, np.uint8) + np.uint8(b)) for b in bands])


def animated(**options: object) -> Write:
    frames = [Image.fromarray(np.full_like(COLORS, shade)) for shade in (200, 10, 90)]
    return saved(frames[0], save_all=True, append_images=frames[1:], **options)


def oriented(turn: int, **options: object) -> Write:
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(Image.fromarray(np.ascontiguousarray(TURNED[turn])), exif=exif, **options)


FLAT = np.full_like(COLORS, 200)
MODES: dict[str, tuple[str, Write, np.ndarray]] = {
    "1": (".png", saved(Image.fromarray(BYTES > 99)), gray((BYTES > 99) * 255)),
    "1 tiff": (".tif", saved(Image.fromarray(BYTES > 99)), gray((BYTES > 99) * 255)),
    "L": (".png", saved(Image.fromarray(BYTES)), gray(BYTES)),
    "L with one transparent": (
        ".png", saved(Image.fromarray(BYTES), transparency=3), gray(np.where(BYTES == 3, 255, BYTES))
    ),
    "LA": (".png", saved(merged("LA", BYTES, ALPHA)), over_white(gray(BYTES), ALPHA)),
    "LA tiff": (".tif", saved(merged("LA", BYTES, ALPHA)), over_white(gray(BYTES), ALPHA)),
    "P": (".png", palette(), PALETTE),
    "P gif": (".gif", palette(), PALETTE),
    "P with one transparent": (".png", palette(transparency=9), np.where((BYTES == 9)[..., None], 255, PALETTE)),
    "P gif with one transparent": (".gif", palette(transparency=9), np.where((BYTES == 9)[..., None], 255, PALETTE)),
    "P with alpha": (".png", palette(transparency=bytes(range(256))), over_white(PALETTE, BYTES)),
    "PA": (".tif", saved(pa()), over_white(PALETTE, ALPHA)),
    "RGB": (".png", saved(Image.fromarray(COLORS)), COLORS),
    "RGB tiff": (".tiff", saved(Image.fromarray(COLORS)), COLORS),
    "RGB tiff lzw": (".tiff", saved(Image.fromarray(COLORS), compression="tiff_lzw"), COLORS),
    "RGB bmp": (".bmp", saved(Image.fromarray(COLORS)), COLORS),
    "RGB ppm": (".ppm", saved(Image.fromarray(COLORS)), COLORS),
    "RGB webp": (".webp", saved(Image.fromarray(COLORS), lossless=True), COLORS),
    "RGB jp2": (".jp2", saved(Image.fromarray(COLORS)), COLORS),
    "RGB with one transparent": (
        ".png", saved(Image.fromarray(COLORS), transparency=tuple(map(int, COLORS[3, 4]))),
        np.where((COLORS[3, 4] == COLORS).all(-1, keepdims=True), 255, COLORS),
    ),
    "RGBA": (".png", saved(Image.fromarray(np.dstack([COLORS, ALPHA]))), over_white(COLORS, ALPHA)),
    "RGBA webp": (
        ".webp", saved(Image.fromarray(np.dstack([COLORS, ALPHA])), lossless=True, exact=True),
        over_white(COLORS, ALPHA),
    ),
    "RGBA tiff": (".tif", saved(Image.fromarray(np.dstack([COLORS, ALPHA]))), over_white(COLORS, ALPHA)),
    "CMYK tiff": (".tif", saved(merged("CMYK", *COLORS.transpose(2, 0, 1), 0)), 255 - COLORS),
    "YCbCr tiff": (".tif", saved(merged("YCbCr", BYTES, 128, 128)), gray(BYTES)),
    "LAB of grays": (".tif", saved(merged("LAB", 136, 128, 128)), gray(np.full_like(BYTES, 127))),
    "I;16": (".png", saved(Image.fromarray(SIXTEEN)), gray(SIXTEEN >> 8)),
    "I;16 tiff": (".tif", saved(Image.fromarray(SIXTEEN)), gray(SIXTEEN >> 8)),
    "I;16B tiff": (".tif", saved(Image.fromarray(SIXTEEN.astype(">u2"))), gray(SIXTEEN >> 8)),
    "I;16 with one transparent": (
        ".png", written(png(0, 16, SIXTEEN, (b"tRNS", struct.pack(">H", 64 * 700)))),
        gray(np.where(SIXTEEN == 64 * 700, 255, SIXTEEN >> 8)),
    ),
    "I;16 jp2": (".jp2", saved(Image.fromarray(SIXTEEN)), gray(SIXTEEN >> 8)),
    "gray of 16 bits with alpha": (
        ".png", written(png(4, 16, np.stack([SIXTEEN, ALPHA.astype(np.uint16) * 257], -1))),
        over_white(gray(SIXTEEN >> 8), ALPHA),
    ),
    "RGB of 16 bits": (".png", written(png(2, 16, COLORS.astype(np.uint16) * 257)), COLORS),
    "I": (".tif", saved(Image.fromarray(SIXTEEN.astype(np.int32))), gray(SIXTEEN >> 8)),
    "I pgm": (".pgm", saved(Image.fromarray(SIXTEEN.astype(np.int32))), gray(SIXTEEN >> 8)),
    "F": (".tif", saved(Image.fromarray((BYTES / 255).astype(np.float32))), gray(BYTES)),
    "F pfm": (".pfm", saved(Image.fromarray((BYTES / 255).astype(np.float32))), gray(BYTES)),
    "the first frame of a GIF": (".gif", animated(), FLAT),
    "the first frame of a WebP": (".webp", animated(lossless=True), FLAT),
    "the first frame of an APNG": (".png", animated(), FLAT),
    "the first page of a TIFF": (".tif", animated(), FLAT),
    **{f"orientation {n}": (".png", oriented(n), COLORS) for n in TURNED},
    **{f"orientation {n} of a TIFF": (".tif", oriented(n), COLORS) for n in TURNED},
    **{f"orientation {n} of a WebP": (".webp", oriented(n, lossless=True), COLORS) for n in TURNED},
}  # fmt: skip


def folder_of(tmp_path: Path, write: Write, suffix: str) -> Path:
    """Two classes; the first has that picture five times."""
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
    write(tmp_path / "a" / f"0{suffix}")
    for i in range(1, 5):
        shutil.copy(tmp_path / "a" / f"0{suffix}", tmp_path / "a" / f"{i}{suffix}")
    for i in range(5):
        Image.new("RGB", (SIDE, SIDE), (i, 0, 0)).save(tmp_path / "b" / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_every_mode_becomes_the_right_rgb(tmp_path: Path, mode: str) -> None:
    suffix, write, expected = MODES[mode]
    images = data_sources.load(str(folder_of(tmp_path, write, suffix)), SIDE)
    found = images.pixels[images.labels == 0]
    assert np.abs(found.astype(int) - expected).max() <= 1  # rounding, where transparent parts are mixed with white
    assert found.dtype == np.uint8


@pytest.mark.parametrize("color", [(180, 100, 60), (90, 90, 160), (250, 250, 250), (70, 140, 20)])
def test_lab_becomes_srgb(tmp_path: Path, color: tuple[int, int, int]) -> None:
    """By the formulas of CIE 15:2004, white D50."""
    share = np.array(color) / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    xyz = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    x, y, z = np.cbrt(np.array(xyz) @ linear / (0.96422, 1, 0.82521))
    lab = (np.rint((116 * y - 16) * 2.55), 128 + np.rint(500 * (x - y)), 128 + np.rint(200 * (y - z)))
    images = data_sources.load(str(folder_of(tmp_path, saved(merged("LAB", *map(int, lab))), ".tif")), SIDE)
    assert np.abs(images.pixels[0].astype(int) - color).max() <= 4  # LAB has whole numbers


@pytest.mark.parametrize("turn", TURNED)
def test_a_jpeg_is_upright(tmp_path: Path, turn: int) -> None:
    images = data_sources.load(str(folder_of(tmp_path, oriented(turn, quality=100, subsampling=0), ".jpg")), SIDE)
    assert np.abs(images.pixels[0].astype(int) - COLORS).mean() < 6  # the wrong way round it is above 60


def test_a_jpeg_of_cmyk_and_of_gray(tmp_path: Path) -> None:
    flat = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    images = data_sources.load(str(folder_of(tmp_path, saved(flat, quality=100), ".jpg")), SIDE)
    assert np.abs(images.pixels[0].astype(int) - (255, 0, 0)).max() <= 3


def test_sixteen_bits_are_not_white(tmp_path: Path) -> None:
    """keras-team/keras#4486: half of the scale is half of it, for every picture alike."""
    half = Image.fromarray(np.full((SIDE, SIDE), 32768, np.uint16))
    images = data_sources.load(str(folder_of(tmp_path, saved(half), ".png")), SIDE)
    assert set(images.pixels[images.labels == 0].reshape(-1)) == {128}


TWELVE = (RAMP * 4 + 3).astype(np.uint16)
"""12 bits in 16: up to 4095."""
DEEP: dict[str, tuple[str, Callable[[np.ndarray], Write]]] = {
    "I;16": (".png", lambda values: saved(Image.fromarray(values))),
    "I;16 tiff": (".tif", lambda values: saved(Image.fromarray(values))),
    "I;16B tiff": (".tif", lambda values: saved(Image.fromarray(values.astype(">u2")))),
    "I tiff": (".tif", lambda values: saved(Image.fromarray(values.astype(np.int32)))),
    "I pgm": (".pgm", lambda values: saved(Image.fromarray(values.astype(np.int32)))),
}
"""Modes with more than 8 bits, and how their files are written."""


def deep_folder(root: Path, pictures: dict[str, list[np.ndarray]], mode: str) -> Path:
    """Pictures by folder, each different from the others."""
    suffix, write = DEEP[mode]
    for name, values in pictures.items():
        (root / name).mkdir(parents=True)
        for i, picture in enumerate(values):
            write(picture)(root / name / f"{i}{suffix}")
    return root


def darker(values: np.ndarray, count: int = 5) -> list[np.ndarray]:
    """The picture, and others of which the brightest place differs from each."""
    return [np.minimum(values, values.max() - i).astype(values.dtype) for i in range(count)]


@pytest.mark.parametrize("pipeline", ["memory", "disk"])
@pytest.mark.parametrize("mode", DEEP)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_depth_of_the_data_set_decides_how_all_its_pictures_are_scaled(
    tmp_path: Path, mode: str, bits: int, pipeline: str
) -> None:
    top = ((RAMP.max() - RAMP.T) * (2**bits - 1) // RAMP.max()).astype(np.uint16)
    half = (top // 2).astype(np.uint16)
    root = deep_folder(tmp_path / "data", {"a": darker(top), "b": darker(half)}, mode)
    decoder = Decoder(directory=tmp_path / "pixels" if pipeline == "disk" else None)
    for _ in range(2):  # the second time from the files, where there are any
        images = data_sources.load(str(root), SIDE, decoder)
        for name, values in (("a", top), ("b", half)):
            first = images.pixels[images.labels == images.classes.index(name)][0]
            assert np.array_equal(first, gray(values >> (bits - 8)))
        assert images.bits == bits
        if bits > 8:
            (text,) = [text for _, text in images.remarks if "16 bits" in text]
            assert f"up to {2**bits - 1}: {bits} bits, divided by {2 ** (bits - 8)}" in text


def test_the_training_images_decide_on_the_depth_and_brighter_ones_elsewhere_become_white(tmp_path: Path) -> None:
    parts = {
        f"{part}/{name}": darker(np.full((SIDE, SIDE), value, np.uint16))
        for part, value in (("train", 4000), ("val", 2000), ("test", 40000))
        for name in ("a", "b")
    }
    for i, name in enumerate(parts):  # classes differ, so that there are no copies
        parts[name] = [(values - 50 * (i % 2)).astype(np.uint16) for values in parts[name]]
    images = data_sources.load(str(deep_folder(tmp_path / "data", parts, "I;16")), SIDE)
    levels = {
        part: {int(level) for p, picture in zip(images.given_parts, images.pixels, strict=True) if p == part
               for level in picture.reshape(-1)}
        for part in ("train", "validation", "test")
    }  # fmt: skip
    assert levels["train"] <= set(range(246, 251))
    assert levels["validation"] <= set(range(121, 126))
    assert levels["test"] == {255}
    assert images.bits == 12
    (told,) = [text for level, text in images.remarks if level == logging.WARNING]
    assert "10 images of validation or test have larger values (up to 40000), which become white" in told


@pytest.mark.parametrize("dtype", [np.uint16, ">u2", np.int16, np.int32, np.uint32, np.int64])
def test_arrays_of_sixteen_bits_are_scaled_by_their_depth(tmp_path: Path, dtype: object) -> None:
    images = np.stack([np.minimum(TWELVE, 4095 - i) for i in range(10)]).astype(dtype)
    np.savez(tmp_path / "a.npz", images=images, labels=np.repeat([0, 1], 5))
    found = data_sources.load(str(tmp_path / "a.npz"), SIDE)
    assert np.array_equal(found.pixels[0], gray(TWELVE >> 4))
    assert found.bits == 12
    (told,) = [text for _, text in found.remarks]
    assert told == (
        f"images is {images.dtype}, and the training images go up to 4095: 12 bits, divided by 16 for all images alike"
    )


def test_the_training_part_of_an_npz_decides(tmp_path: Path) -> None:
    def part(value: int) -> np.ndarray:
        return np.stack([np.full((SIDE, SIDE), value - i, np.uint16) for i in range(10)])

    labels = np.repeat([0, 1], 5)
    np.savez(tmp_path / "a.npz", x_train=part(1000), y_train=labels, x_test=part(5000), y_test=labels)
    found = data_sources.load(str(tmp_path / "a.npz"), SIDE)
    assert found.bits == 10
    assert found.pixels.min() == 991 >> 2
    assert found.pixels.max() == 255


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_broken_exif_leaves_the_picture(tmp_path: Path) -> None:
    picture = Image.fromarray(FLAT)
    broken = saved(picture, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f", quality=100)
    images = data_sources.load(str(folder_of(tmp_path, broken, ".jpg")), SIDE)
    assert np.abs(images.pixels[0].astype(int) - 200).max() <= 2


# ── files that are refused by name


def good_png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLORS).save(file, "PNG")
    return file.getvalue()


def huge_png() -> bytes:
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + good_png()[33:]


def tiff(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.parametrize(
    ("suffix", "content", "words"),
    [
        (".png", b"", "cannot identify"),
        (".jpg", b"a text", "cannot identify"),
        (".png", good_png()[:-40], "truncated|broken"),
        (".png", good_png()[:30], "."),
        (".png", huge_png(), "exceeds limit"),
        (".png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify"),
        (".tif", tiff(np.full((8, 8), 70000, np.int32)), "integers from 70000 to 70000; only 0 to 65535 is read"),
        (".tif", tiff(np.full((8, 8), -3, np.int32)), "integers from -3 to -3"),
        (".tif", tiff(np.full((8, 8), 255, np.float32)), "floats from 255 to 255; only 0 to 1 is read"),
        (".tif", tiff(np.full((8, 8), np.nan, np.float32)), "floats from nan to nan"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, suffix: str, content: bytes, words: str) -> None:
    folder = folder_of(tmp_path, written(good_png()), ".png")
    (folder / "a" / f"9{suffix}").write_bytes(content)
    with pytest.raises(
        SetupError, match=rf"a/9\{suffix} can't be read as an image \(.*({words}).*; repair or remove it"
    ):
        EfficientNetObjective(data=str(folder), weights="random").define()


@given(data=st.data())
def test_damage_of_any_kind_is_read_or_refused_and_never_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [n for n, (_, write, _) in MODES.items() if "orientation" not in n or "6" in n]
    name = data.draw(st.sampled_from(names))
    suffix, write, _ = MODES[name]
    path = tmp_path_factory.mktemp("damaged") / f"0{suffix}"
    write(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 400)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with suppress(SetupError):
        pixels, digest, peak = data_sources._decoded(path, "picture", SIDE, 16)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert digest > 0
        assert 0 <= peak < 2**16


def test_formats_that_run_programs_are_never_tried() -> None:
    assert not {"EPS", "WMF", "PSD"} & set(rgb.FORMATS)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (5000, 20)])
def test_pictures_of_any_proportions(tmp_path: Path, size: tuple[int, int]) -> None:
    images = data_sources.load(str(folder_of(tmp_path, saved(Image.new("RGB", size, (9, 9, 9))), ".png")), SIDE)
    assert set(images.pixels[images.labels == 0].reshape(-1)) == {9}
