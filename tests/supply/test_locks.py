"""The locks: made of what pyproject.toml asks for, with hashes, and checked without the network."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements import locks

ROOT = Path(__file__).parents[2]
NAMES = sorted(locks.wanted())


def test_the_locks_are_made_of_what_is_asked_for() -> None:
    assert locks.stale() == [], "run scripts/lock"
    assert {path.stem for path in locks.HERE.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_the_hashes_of_its_files(name: str) -> None:
    for pin in locks.pins(name):
        assert pin.hashes
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pin.hashes)


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_names_no_index_and_no_folder(name: str) -> None:
    text = (locks.HERE / f"{name}.txt").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links|^-|@ ?file|/(tmp|home|root)/", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_locked_versions_are_allowed_by_what_was_asked_for(name: str) -> None:
    """So that a lock that somebody edited, or merged, is found out."""
    locked = locks.pins(name)
    for text in locks.wanted()[name]:
        requirement = Requirement(text)
        versions = {pin.version for pin in locked if pin.name == canonicalize_name(requirement.name)}
        assert versions
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


@pytest.mark.parametrize("name", ["server", "tensorflow-cpu", "tensorflow-cuda", "build"])
def test_an_image_holds_the_versions_that_the_tests_run_with(name: str) -> None:
    tested: dict[str, set[str]] = {}
    for pin in locks.pins("dev"):
        tested.setdefault(pin.name, set()).add(pin.version)
    assert {p.name: p.version for p in locks.pins(name) if p.name in tested and p.version not in tested[p.name]} == {}


def test_the_nodejs_lock_has_a_hash_of_every_package_and_is_of_its_package_json() -> None:
    """`npm ci` refuses another file than the one with this hash."""
    folder = ROOT / "clients" / "node"
    lock = json.loads((folder / "package-lock.json").read_text())
    package = json.loads((folder / "package.json").read_text())
    itself = lock["packages"].pop("")
    assert itself == {key: package[key] for key in itself}
    assert lock["packages"]
    assert all(re.match("sha512-", found["integrity"]) for found in lock["packages"].values())
    assert not [found for found in lock["packages"].values() if "resolved" in found]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts read, with an environment that is this one's."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lock_check(checkout: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "requirements.locks", "--check"], cwd=checkout, capture_output=True, text=True
    )


def test_the_check_names_the_locks_that_another_requirement_has_made_stale(checkout: Path) -> None:
    assert lock_check(checkout).returncode == 0
    project = checkout / "pyproject.toml"
    project.write_text(project.read_text().replace('"psycopg[binary]>=3.2,<4"', '"psycopg[binary]>=3.3,<4"'))
    done = lock_check(checkout)
    assert done.returncode == 1
    assert "dev, server; run scripts/lock" in done.stderr
    (checkout / "requirements" / "build.txt").unlink()
    assert "build" in lock_check(checkout).stderr


def test_a_line_without_a_hash_is_no_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locks, "HERE", tmp_path)
    for line in ("click==8.1.0", "click>=8 --hash=sha256:00", "click @ file:///x.whl --hash=sha256:00"):
        (tmp_path / "a.txt").write_text(f"# head\n{line}\n")
        with pytest.raises(ValueError, match="click"):
            locks.pins("a")


@pytest.fixture
def small(checkout: Path) -> Path:
    """The checkout again, of a project that needs one package, of an index that is a folder."""
    from tests.supply.wheels import wheel

    index = checkout / "index"
    index.mkdir()
    digest = hashlib.sha256(wheel(index, "small-thing", "1.0").read_bytes()).hexdigest()
    wheel(index, "small-thing", "1.1")
    (checkout / "requirements" / "tiny.txt").write_text(f"small-thing==1.0 --hash=sha256:{digest}\n")
    (checkout / "backend.py").write_text((Path(__file__).parent / "backend.py").read_text())
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "it"\nversion = "1"\n[project.optional-dependencies]\ntiny = ["small-thing"]\n'
    )
    return checkout


def environment(checkout: Path) -> "subprocess.CompletedProcess[str]":
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "BO_"))}
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(checkout / "index"), "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [checkout / "scripts" / "environment", "tiny"],
        capture_output=True,
        text=True,
        env={**given, **index, "BO_LOCKED": "1", "PYTHON": sys.executable},
        timeout=280,
    )


def installed(checkout: Path) -> set[str]:
    return {path.name.split("-")[1] for path in (checkout / ".venv").glob("lib/*/site-packages/small_thing-*")}


@pytest.mark.slow
def test_an_environment_has_the_locked_versions(small: Path) -> None:
    done = environment(small)
    assert (done.returncode, installed(small)) == (0, {"1.0.dist"}), done.stderr
    assert "WERE NOT INSTALLED" not in done.stderr
    assert environment(small).stderr == ""


@pytest.mark.slow
def test_an_index_without_the_locked_version_is_told_aloud(small: Path) -> None:
    next((small / "index").glob("small_thing-1.0-*")).unlink()
    done = environment(small)
    assert (done.returncode, installed(small)) == (0, {"1.1.dist"}), done.stderr
    assert "THE LOCKED VERSIONS WERE NOT INSTALLED" in done.stderr


@pytest.mark.slow
def test_another_file_than_the_locked_one_is_refused(small: Path) -> None:
    from tests.supply.wheels import wheel

    wheel(small / "index", "small-thing", "1.0", body="import os\n")
    done = environment(small)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert installed(small) == set()
