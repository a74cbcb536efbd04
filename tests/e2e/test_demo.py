"""The main job, shortened: two trials of the demo as a person would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.keras
@pytest.mark.timeout(600)
def test_the_demo_ends_with_the_best_configuration_and_pictures(tmp_path: Path) -> None:
    shortened = ["--trials", "2", "--option", "epochs=2", "--option", "image_size=32"]
    command = ["scripts/demo", *shortened, "--output", str(tmp_path)]
    environment = {**os.environ, "BO_VENV": os.environ.get("BO_VENV", sys.prefix)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)
    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"

    assert "epochs of 2 whole trials" in done.stdout

    pictures = re.findall(r"\S+\.png", done.stdout)
    assert len(set(pictures)) == 2
    for picture in pictures:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert "test" in done.stdout
    assert "textbook" in done.stdout

    again = re.search(r"scripts/demo --show (\S+)", done.stdout)
    assert again is not None
    shown = subprocess.run(
        ["scripts/demo", "--show", again[1], "--output", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "succeeded" in shown.stdout.lower()
