"""Write a software bill of materials, CycloneDX 1.6, of each image: the packages of its lock, with hashes and licenses.

It tells nothing of the base: scan the image itself for Debian's packages and Python.
"""

import json
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any

from requirements.licenses import IMAGES, held, read_licenses, spdx
from requirements.locks import ROOT, Pin


def image(lock: str) -> str:
    """Return the name of the image that a lock is for."""
    return "bo-service" if lock == "server" else f"bo-worker-{lock}"


def license_of(text: str) -> list[dict[str, Any]]:
    """Return CycloneDX's `licenses`: an SPDX expression where it is one, or else the package's own words."""
    expression = spdx(text)
    return [{"expression": expression}] if expression else [{"license": {"name": text}}]


def component(pin: Pin, licenses: dict[str, str]) -> dict[str, Any]:
    """Return one package. Its hashes are those of all its files, of which an image holds one."""
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        "licenses": license_of(licenses[f"{pin.name}=={pin.version}"]),
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in pin.hashes],
    }


def bill(lock: str) -> dict[str, Any]:
    """Return the bill of materials of the image that a lock is for; the same locks give the same bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    licenses = read_licenses()
    packages = [component(pin, licenses) for pin in held(lock)]
    ours = f"pkg:pypi/{project['name']}@{project['version']}"
    itself = {
        "type": "container",
        "bom-ref": image(lock),
        "name": image(lock),
        "version": project["version"],
        "licenses": license_of(project["license"]),
    }
    service = {
        "type": "application",
        "bom-ref": ours,
        "name": project["name"],
        "version": project["version"],
        "purl": ours,
        "licenses": license_of(project["license"]),
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([itself, packages]))}",
        "version": 1,
        "metadata": {"component": itself},
        "components": [service, *packages],
        "dependencies": [
            {"ref": image(lock), "dependsOn": [ours]},
            {"ref": ours, "dependsOn": [package["bom-ref"] for package in packages]},
        ],
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for lock in IMAGES:
        path = folder / f"{image(lock)}.cdx.json"
        path.write_text(json.dumps(bill(lock), indent=2) + "\n")
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
