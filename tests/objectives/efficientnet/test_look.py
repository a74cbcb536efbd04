"""The first look at data: what is printed, and the picture of examples."""

import json
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import look
from bo_worker.cli import main
from click.testing import CliRunner
from PIL import Image

COLORS = {"red": (200, 0, 0), "blue": (0, 0, 200)}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten pictures of each of two colors, in groups of two; one is a copy, and one is nearly."""
    rows = ["path,label,group"]
    rng = np.random.default_rng(0)
    for i in range(20):
        label = list(COLORS)[i % 2]
        pixels = np.clip(rng.normal(COLORS[label], 60, (32 + i, 48, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{label},g{i // 2}")
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes())
    Image.open(tmp_path / "4.png").convert("L").save(tmp_path / "4.png", "JPEG")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows))
    return path


def looked(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["look", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_classes_parts_sizes_modes_groups_and_copies_are_printed(table: Path) -> None:
    told = looked("--data", str(table))
    assert f"data {table}: 20 images of 2 classes: blue, red" in told
    assert "validation (split by group and class, fold 0): 4 images: blue 2, red 2" in told
    assert "10 groups, each in one part of the split" in told
    assert "1 images are copies of others, equal in every pixel" in told
    assert "1 of these are in different groups" in told
    assert "sizes: 48 × 32 (2), " in told
    assert "width 48 to 48, height 32 to 51" in told
    assert "formats and modes: PNG RGB (19), JPEG L (1)" in told
    assert "20 images are smaller than the option image_size, 96" in told
    assert told.splitlines()[-3:] == [
        "class       train  validation        test",
        "blue            6           2           2",
        "red             6           2           2",
    ]


def test_a_leak_that_nearly_equals_is_printed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, each in (("train", 6), ("val", 4), ("test", 4)):
        for label, color in COLORS.items():
            (tmp_path / "data" / part / label).mkdir(parents=True)
            for i in range(each):
                pixels = np.clip(rng.normal(color, 60, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / part / label / f"{i}.png")
    whole = np.asarray(Image.open(tmp_path / "data" / "train" / "red" / "0.png"))
    brighter = np.clip(whole.astype(np.int64) + 3, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(tmp_path / "data" / "test" / "red" / "0.png")
    assert "12.5% of test nearly equal an image of train" in looked("--data", str(tmp_path / "data"))


def test_examples_are_drawn_in_a_row_for_each_class(table: Path, tmp_path: Path) -> None:
    file = tmp_path / "examples.png"
    assert f"examples of each class are in {file}" in looked("--data", str(table), "--pictures", str(file))
    picture = np.asarray(Image.open(file).convert("RGB")).astype(np.int64)
    side = look.CELL + look.GAP
    assert picture.shape == (2 * side, look.LEGEND + look.COLUMNS * side, 3)
    blue, red = (picture[i * side : i * side + look.CELL, look.LEGEND : look.LEGEND + look.CELL] for i in range(2))
    assert blue[..., 2].mean() > 2 * blue[..., 0].mean()
    assert red[..., 0].mean() > 2 * red[..., 2].mean()
    assert (picture[:, : look.LEGEND] < 128).any()


def test_names_are_printed_without_control_characters(table: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"path": f"{i}.png", "label": ("\x1b[31ma\n", "\u202eb")[i % 2]}) for i in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    told = looked("--data", str(path), "--pictures", str(tmp_path / "examples.png"))
    assert r"\x1b[31ma\n " in told
    assert all(character.isprintable() or character == "\n" for character in told)


def test_names_that_the_font_lacks_are_drawn_as_escapes(tmp_path: Path) -> None:
    images = look.Images(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]), ("狐🦊", "é" * 99))
    assert look.grid(images, np.arange(2)).height == 2 * (look.CELL + look.GAP)


def test_arrays_are_printed_with_their_shapes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(20) % 2)
    told = looked("--data", str(tmp_path / "a.npz"))
    assert "array images: uint8 (20, 8, 8)\narray labels: int64 (20,)" in told
    assert "20 images of 2 classes: 0, 1" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "absent"], "data is 'absent', which doesn't exist"),
        (["--option", "data=absent"], "data is 'absent', which doesn't exist"),
        (["--objective", "branin"], "the objective branin can't describe its data"),
        (["--pictures", "no/such/folder.png"], "no/such/folder.png can't be written"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(main, ["look", *arguments])
    assert result.exit_code == 1
    assert told in result.output
