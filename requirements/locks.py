"""Write and read the lock files beside this module: every version with the hashes of all its files."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
ROOT = HERE.parent
PYTHON = "3.11"
"""Oldest Python that the locks are for."""


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    """SHA-256 of each of its files, on every platform."""


def wanted() -> dict[str, list[str]]:
    """Return the requirements that each lock is made of, as pyproject.toml and locks.toml say them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = tomllib.loads((HERE / "locks.toml").read_text())

    def of(extras: Iterable[str]) -> Iterator[str]:
        for text in (text for extra in extras for text in project["optional-dependencies"][extra]):
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) == project["name"]:
                yield from of(requirement.extras)
            else:
                yield text

    own = project["dependencies"]
    return {
        name: sorted({*(own if "extras" in lock else ()), *of(lock.get("extras", ())), *lock.get("packages", ())})
        for name, lock in table.items()
    }


def head(name: str, requirements: list[str]) -> str:
    """Return the first lines of a lock, which hold the digest of what it was made of."""
    digest = hashlib.sha256(json.dumps([PYTHON, requirements]).encode()).hexdigest()
    return (
        f"# Made by scripts/lock: change pyproject.toml or locks.toml, and run it again.\n# {name}: made of {digest}\n"
    )


def pins(name: str) -> list[Pin]:
    """Read a lock.

    Raises:
        ValueError: A line is something else than a pinned version with hashes.
    """
    pins_of_file = []
    text = re.sub(r"^ *#.*\n", "", (HERE / f"{name}.txt").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        said, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
        requirement = Requirement(said)
        pin = next(iter(requirement.specifier), None)
        if pin is None or pin.operator != "==" or not hashes:
            raise ValueError(f"requirements/{name}.txt: {said!r} is not NAME==VERSION with hashes; run scripts/lock")
        marker = str(requirement.marker or "")
        pins_of_file.append(Pin(canonicalize_name(requirement.name), pin.version, marker, tuple(hashes)))
    return pins_of_file


def stale() -> list[str]:
    """Return the locks that are missing, or were made of other requirements. Needs no network."""
    return [
        name
        for name, requirements in wanted().items()
        if not (path := HERE / f"{name}.txt").exists() or not path.read_text().startswith(head(name, requirements))
    ]


def make(name: str, requirements: list[str], *, options: list[str]) -> None:
    """Resolve one lock with uv, keeping the versions it has unless `--upgrade` is among the options."""
    path = HERE / f"{name}.txt"
    own_versions = tomllib.loads((HERE / "locks.toml").read_text())[name].get("own_versions", False)
    constraint = [] if name == "dev" or own_versions else ["--constraint", "requirements/dev.txt"]
    tools = subprocess.run([ROOT / "scripts" / "tools", "tools"], check=True, stdout=subprocess.PIPE, text=True)
    command = [
        f"{tools.stdout.strip()}/bin/uv",
        "pip",
        "compile",
        "--quiet",
        "-",
        "--output-file",
        str(path),
        "--no-header",
    ]
    how = ["--universal", "--python-version", PYTHON, "--generate-hashes"]
    subprocess.run(
        [*command, *how, *constraint, *options],
        input="\n".join(requirements),
        text=True,
        cwd=ROOT,
        check=True,
    )
    text = re.sub(r"^ *#( via)? +-c requirements/dev.txt\n", "", path.read_text(), flags=re.MULTILINE)
    path.write_text(head(name, requirements) + text)


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        if stale():
            sys.exit(f"not made of what pyproject.toml and locks.toml ask for: {', '.join(stale())}; run scripts/lock")
    elif arguments in ([], ["--upgrade"]):
        for name, requirements in wanted().items():
            make(name, requirements, options=arguments)
    else:
        sys.exit(f"scripts/lock: unknown arguments {' '.join(arguments)}; there are --check and --upgrade")


if __name__ == "__main__":
    main(sys.argv[1:])
