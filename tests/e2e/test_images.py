"""A folder of real image files, a real server, and `bo-worker run` as a person starts it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("keras")
pytestmark = [pytest.mark.keras]

Work = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def work(server: str, tmp_path: Path) -> Work:
    """Runs a worker on a folder until its study is done."""

    def run(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
        given = [
            f"data={data}",
            "epochs=1",
            "image_size=32",
            "head_width=8",
            f"cache_dir={tmp_path / 'cache'}",
            *options,
        ]
        words = ["run", "--server", server, "--study", "pets", "--objective", "efficientnet", "--max-trials", "1"]
        command = [sys.executable, "-m", "bo_worker.cli", *words, "--directory", str(tmp_path / "work")]
        for option in given:
            command += ["--option", option]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)

    return run


def fill(folder: Path, counts: dict[str, int]) -> Path:
    """Pictures that all differ, of classes that differ in color."""
    rng = np.random.default_rng(0)
    for place, count in counts.items():
        (folder / place).mkdir(parents=True)
        shade = (200, 40, 40) if place.endswith("cat") else (40, 40, 200)
        for i in range(count):
            pixels = np.clip(rng.normal(shade, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / place / f"{i}.png")
    return folder


def test_a_worker_says_what_there_is_and_trains_on_the_given_split(work: Work, tmp_path: Path) -> None:
    """keras-team/keras#14042, with all that is found in such folders."""
    counts = {"train/cat": 9, "train/dog": 8, "val/cat": 3, "val/dog": 3, "test/cat": 4, "test/dog": 5}
    folder = fill(tmp_path / "data", counts)
    leak = (folder / "test" / "cat" / "0.png").read_bytes()
    (folder / "train" / "cat" / "again.png").write_bytes(leak)
    (folder / "train" / "cat" / ".ipynb_checkpoints").mkdir()
    (folder / "train" / "cat" / ".ipynb_checkpoints" / "0.png").write_bytes(leak)
    (folder / "train" / "dog" / "._x.jpg").write_bytes(b"no picture")
    (folder / "train" / "dog" / "notes.txt").write_text("woof")
    (folder / "train" / "dog" / "7.png").unlink()
    gray = Image.fromarray((np.arange(1024).reshape(32, 32) * 64).astype(np.uint16))
    gray.save(folder / "train" / "dog" / "gray.tif")
    done = work(folder)
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 2)[2] for line in done.stderr.splitlines() if line.count(" ") > 1]
    begun = next(i for i, line in enumerate(lines) if "created studies/pets" in line)
    told = lines[:begun]
    assert f"INFO data {folder}: 33 images of 2 classes: cat, dog" in told
    assert "INFO train (given): 17 images: cat 9, dog 8" in told
    assert "INFO validation (given): 6 images: cat 3, dog 3" in told
    assert "INFO test (given): 9 images: cat 4, dog 5" in told
    assert "INFO ignored 2 hidden files and folders" in told
    assert "WARNING ignored 1 files that are no images by their ending: 1 .txt" in told
    assert any(line.startswith("WARNING LEAKAGE in the given split: 1 images of train are in") for line in told)
    (record,) = (tmp_path / "work").rglob("trial.json")
    content = json.loads(record.read_text())
    assert content["classes"] == ["cat", "dog"]
    assert content["images"] == {"train": 17, "validation": 6, "test": 9}


def test_a_worker_refuses_before_there_is_a_study(work: Work, tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", {"train/cat": 9, "train/dog": 8, "test": 3})
    done = work(folder)
    assert done.returncode == 1
    assert "created" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert f"Error: {folder}/test is named like a part of a split and has no class folders with images" in done.stderr
