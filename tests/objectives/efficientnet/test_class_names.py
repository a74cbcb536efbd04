"""Names of classes with any characters: from a table through training to every file of the export."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bo_objectives.efficientnet import data
from bo_objectives.efficientnet.model_card import model_card
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.efficientnet.printing import shortened
from bo_objectives.errors import SetupError
from PIL import Image

from tests.objectives.efficientnet.test_model_card import provenance

NAMES = (
    "\tline\nbreak\r\n",
    '"quoted", with ; and |',
    "$x_{",
    "../a/b\\c",
    "01",
    "1",
    "=1+1",
    "`code`",
    "🦊 狐",
    "x" * 3000,
)


def write_table(folder: Path) -> Path:
    """Five pictures of one shade for each name."""
    path = folder / "table.jsonl"
    rows = []
    for shade, name in enumerate(NAMES):
        for i in range(5):
            file = f"{shade}-{i}.png"
            Image.new("RGB", (32, 32), (25 * shade, 50 * i, 0)).save(folder / file)
            rows.append(json.dumps({"path": file, "label": name}))
    path.write_text("\n".join(rows))
    return path


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.xdist_group("efficientnet")
def test_any_name_is_trained_exported_and_written_whole(make_small, run, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    from bo_objectives.efficientnet.export import CARD, CLASSES, CONFUSION, METRICS, PICTURE
    from bo_objectives.efficientnet.space import BASELINE

    objective = make_small(data=str(write_table(tmp_path)), epochs="1")
    objective.define()
    objective.export({**BASELINE, "norm": "layer"}, run, tmp_path / "best")
    expected = sorted(NAMES)
    for file in (run.directory / "trial.json", tmp_path / "best" / METRICS):
        assert json.loads(file.read_text("utf-8"))["classes"] == expected
    assert json.loads((tmp_path / "best" / CLASSES).read_text("utf-8")) == expected
    with (tmp_path / "best" / CONFUSION).open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    assert head[1:] == [row[0] for row in rows] == expected
    assert (tmp_path / "best" / PICTURE).read_bytes()[:4] == b"\x89PNG"
    assert len((tmp_path / "best" / CARD).read_text("utf-8").splitlines()[2]) < 1000


@pytest.mark.keras
@pytest.mark.xdist_group("efficientnet")
def test_a_confusion_matrix_of_any_names_is_written_and_drawn(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    from bo_objectives.efficientnet.export import draw_confusion, write_confusion

    confusion = np.eye(len(NAMES), dtype=np.int64)
    write_confusion(tmp_path / "c.csv", confusion, NAMES)
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.reader(file))[1:] == list(NAMES)
    draw_confusion(tmp_path / "c.png", confusion, NAMES)
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.width < 3 * picture.height


def test_a_card_names_the_first_classes_in_a_code_span_that_no_name_ends() -> None:
    card = model_card({**provenance(8), "classes": ["`a`", "b\nc", *map(str, range(200))]}, {"test_accuracy": 0.5}, "")
    line = next(line for line in card.splitlines() if "classes.json" in line)
    assert r'`"\u0060a\u0060", "b\\nc", "0", ' in line
    assert line.endswith('"97"` and 102 more.')


def test_a_long_or_unprintable_name_is_shortened() -> None:
    assert shortened("a\x1b[31m" + "b" * 9, 10) == r"a\x1b[31m" + "…"
    assert shortened("狐", 1) == "狐"


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    images = np.arange(12 * 64, dtype=np.uint16).astype(np.uint8).reshape(12, 8, 8)
    np.savez(path, images=images, labels=np.arange(12) % 2, classes=np.array(["a", "b\ud800"]))
    with pytest.raises(SetupError, match=r"the class 'b.*ud800' has half a character"):
        EfficientNetObjective(data=str(path), weights="random").define()
    with pytest.raises(SetupError, match="half a character"):
        data.check_classes(np.arange(12) % 2, ("a", "\udfff"))
