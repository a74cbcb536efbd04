"""What the README says beside its snippets, which `test_snippets.py` runs."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_server_command_is_the_documented_one(tmp_path: Path) -> None:
    """The flags in the README exist and their defaults are as shown."""
    command = re.search(r"^bo-service serve (.*)$", README, re.MULTILINE)
    assert command is not None
    shown = subprocess.run(
        [sys.executable, "-m", "bo_service.cli.main", "serve", "--help"],
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
