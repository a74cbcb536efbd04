"""The bases of the images are named by digest, and a script renews them where a registry can be reached."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEW = "sha256:" + "5" * 64


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("scripts/renew-images", "deploy/container/Dockerfile", "deploy/container/compose.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def renew(checkout: Path, *options: str, answer: str = "exit 1") -> "subprocess.CompletedProcess[str]":
    """Run the script with a skopeo that answers so."""
    program = checkout / "bin" / "skopeo"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    return subprocess.run(
        [checkout / "scripts" / "renew-images", *options],
        capture_output=True,
        text=True,
        env={"PATH": f"{program.parent}:{os.environ['PATH']}"},
    )


def files(checkout: Path) -> str:
    return "".join(path.read_text() for path in sorted((checkout / "deploy" / "container").iterdir()))


def test_all_bases_are_named_by_digest(checkout: Path) -> None:
    assert renew(checkout, "--check").returncode == 0


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml"])
def test_a_base_without_a_digest_fails_the_check_and_is_named(checkout: Path, name: str) -> None:
    path = checkout / "deploy" / "container" / name
    head, _, rest = path.read_text().partition("@sha256:")
    path.write_text(head + rest[64:])
    done = renew(checkout, "--check")
    assert done.returncode == 1
    assert ("python:3.12-slim-bookworm" if name == "Dockerfile" else "postgres:15-bookworm") in done.stderr


def test_the_registrys_digest_is_written_into_both_files(checkout: Path) -> None:
    done = renew(checkout, answer=f"echo {NEW}")
    assert done.returncode == 0, done.stderr
    assert f"python:3.12-slim-bookworm@{NEW}" in files(checkout)
    assert f"postgres:15-bookworm@{NEW}" in files(checkout)
    assert renew(checkout, "--check").returncode == 0


@pytest.mark.parametrize("answer", ["exit 1", "echo", "echo sha256:1"])
def test_a_registry_that_does_not_answer_changes_nothing_and_is_told(checkout: Path, answer: str) -> None:
    before = files(checkout)
    done = renew(checkout, answer=answer)
    assert done.returncode == 1
    assert "NOT RENEWED" in done.stderr
    assert files(checkout) == before


def test_a_container_that_can_not_be_checked_is_told_aloud(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "id"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    script = ROOT / "scripts" / "container-check"
    for options, status in (([], 0), (["--required"], 1)):
        done = subprocess.run([script, *options], capture_output=True, text=True, env={"PATH": str(tmp_path)})
        assert done.returncode == status
        assert "WAS NOT CHECKED" in done.stderr
