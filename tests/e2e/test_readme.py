"""The README's commands and snippets, run in its order in one folder.

Three things differ from what a reader does: the server gets a free port, installing is left out because the tests run
in an environment where all is installed, and the EfficientNet study is cut to two short trials. `scripts/demo` runs in
`test_demo.py`, and `scripts/check` is what runs this.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

RUN_ELSEWHERE = re.compile(r"^(pip install .*|scripts/(demo|check)\b.*|bo-service serve .*)$", re.MULTILINE)
FILE_NAME = re.compile(r"# (\S+\.\w+)\n")


def run(command: list[str] | str, folder: Path, timeout: float = 240) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["bash", "-euo", "pipefail", "-c", command] if isinstance(command, str) else command
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.keras
def test_every_block_runs(server: str, tmp_path: Path) -> None:
    ran = 0
    for language, text in BLOCKS:
        block = text.replace("127.0.0.1:50051", server)
        named = FILE_NAME.match(block)
        if named:
            (tmp_path / named[1]).write_text(block)
            continue
        if language == "bash":
            block = RUN_ELSEWHERE.sub("", block)
            block = block.replace("data=emoji --max-trials 30", "data=emoji --option epochs=1 --max-trials 2")
            run(block, tmp_path)
        elif language == "python":
            run([sys.executable, "-c", block], tmp_path)
        else:
            assert language == "mermaid", f"no way to run a {language} block"
        ran += 1
    assert ran >= 7
    assert (tmp_path / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "first.csv").read_text().splitlines()) > 10


def test_the_server_command_is_the_documented_one(tmp_path: Path) -> None:
    """The flags in the README exist and their defaults are as shown."""
    command = re.search(r"^bo-service serve (.*)$", README, re.MULTILINE)
    assert command is not None
    shown = subprocess.run(
        [sys.executable, "-m", "bo_service.cli", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for flag in re.findall(r"--[a-z-]+", command[1]):
        assert flag in shown.stdout
    for value in ("sqlite:///bo.db", "127.0.0.1:50051"):
        assert value in shown.stdout


def test_every_file_that_the_readme_links_to_exists() -> None:
    root = Path(__file__).parents[2]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (root / link).exists()] == []
