"""The bills of materials: valid, and of all that the images hold."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from requirements import locks
from requirements.licenses import IMAGES, held, read_licenses
from requirements.sbom import bill, image

pytestmark = pytest.mark.xdist_group("sbom")  # they are written once

ROOT = Path(__file__).parents[2]
ALLOWED = set(tomllib.loads((ROOT / "tests" / "architecture" / "dependencies.toml").read_text())["allowed"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sbom")
    subprocess.run([ROOT / "scripts" / "sbom", folder], check=True, timeout=280)
    return folder


def of(folder: Path, lock: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{image(lock)}.cdx.json").read_text())
    return found


@pytest.mark.parametrize("lock", IMAGES)
def test_every_package_that_an_image_holds_is_there_with_its_hashes_and_license(written: Path, lock: str) -> None:
    components = {c["name"]: c for c in of(written, lock)["components"]}
    assert components.keys() == {pin.name for pin in held(lock)} | {"bo-service"}
    assert len(components) > 35
    for pin in held(lock):
        found = components[pin.name]
        assert found["version"] == pin.version
        assert {h["content"] for h in found["hashes"]} == set(pin.hashes)
        assert found["licenses"]


@pytest.mark.parametrize("lock", IMAGES)
def test_only_packages_of_other_platforms_are_left_out(lock: str) -> None:
    left_out = {pin.name: pin.marker for pin in locks.pins(lock)}.keys() - {pin.name for pin in held(lock)}
    assert left_out <= {"tzdata"}  # Windows'


@pytest.mark.parametrize("lock", IMAGES)
def test_a_bill_is_valid(written: Path, lock: str) -> None:
    cyclonedx = pytest.importorskip("cyclonedx.validation.json", reason="needs the extra deploy")
    from cyclonedx.schema import SchemaVersion

    validator = cyclonedx.JsonStrictValidator(SchemaVersion.V1_6)
    text = json.dumps(of(written, lock))
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"SHA-256"', '"SHA-255"', 1)) is not None


def test_the_licenses_in_the_images_are_allowed_but_for_cudas_libraries() -> None:
    """NVIDIA's terms are its own: who hands on an image with CUDA in it has to read them."""
    other = {
        name
        for name, text in read_licenses().items()
        if not any(set(choice.split(" AND ")) <= ALLOWED for choice in text.split(" OR "))
    }
    cuda = {name for name in other if name.startswith("nvidia-")}
    assert cuda
    assert other == cuda
    assert not cuda & {f"{pin.name}=={pin.version}" for lock in ("server", "tensorflow-cpu") for pin in held(lock)}


def test_the_same_locks_give_the_same_bill(written: Path) -> None:
    assert of(written, "server") == bill("server")
