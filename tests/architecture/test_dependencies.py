"""No package comes in unnoticed, and none with a license that we can't live with. Works without the internet.

Weaknesses that are known of packages are another matter: `scripts/audit`.
"""

import json
import os
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements import locks
from requirements.licenses import SPELLINGS

ROOT = Path(__file__).parents[2]
LISTED = tomllib.loads((Path(__file__).parent / "dependencies.toml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def direct() -> set[str]:
    """What pyproject.toml asks for, but for itself."""
    asked = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    return {canonicalize_name(Requirement(text).name) for text in asked} - {PROJECT["name"]}


def closure() -> Iterator[Distribution]:
    """All that is installed for us, however indirectly."""
    waiting, seen = [(PROJECT["name"], frozenset(PROJECT["optional-dependencies"]))], set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra, or a platform, that isn't installed here
        yield found
        for text in found.requires or ():
            needed = Requirement(text)
            applies = [e for e in ("", *extras) if needed.marker is None or needed.marker.evaluate({"extra": e})]
            if applies:
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))


def licenses(package: Distribution) -> set[str]:
    """As its publisher says them; several of `A AND B`, the allowed ones of `A OR B`."""
    said = package.metadata.get("License-Expression")
    if said is None:
        classifiers = package.metadata.get_all("Classifier", [])
        told = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
        told = told or [text for text in [package.metadata.get("License")] if text and text != "UNKNOWN"]
        return {one for text in told for one in SPELLINGS.get(text, text).split(" AND ")}
    found: set[str] = set()
    for term in re.split(r"\s+AND\s+", said):
        choices = {choice.strip("() ") for choice in re.split(r"\s+OR\s+", term)}
        found |= choices & set(LISTED["allowed"]) or choices
    return found


def test_the_list_names_what_is_asked_for_and_nothing_else() -> None:
    assert set(LISTED["direct"]) == direct()


def test_every_package_that_is_installed_has_a_license_that_is_allowed() -> None:
    packages = {canonicalize_name(p.name): p for p in closure()}
    assert len(packages) > 40
    undeclared = {name for name, package in packages.items() if not licenses(package)}
    assert undeclared <= set(LISTED["undeclared"])
    wrong = {name: licenses(p) - set(LISTED["allowed"]) for name, p in packages.items()}
    assert {name: found for name, found in wrong.items() if found and name not in LISTED["apart"]} == {}


def test_programs_with_other_licenses_are_for_the_checks_alone_and_nothing_of_ours_loads_them() -> None:
    users = {
        extra: texts for extra, texts in PROJECT["optional-dependencies"].items() if extra not in ("deploy", "dev")
    }
    asked = {canonicalize_name(Requirement(text).name) for texts in users.values() for text in texts}
    assert not set(LISTED["apart"]) & asked
    for name in LISTED["apart"]:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        assert not [file for file in files if file.suffix == ".py"]


class Advisories(BaseHTTPRequestHandler):
    """OSV, which knows of a weakness in each package that the test names."""

    weak: frozenset[str] = frozenset()
    asked: set[tuple[str, str | None]]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.add((asked["package"]["name"], asked.get("version")))
        is_weak = asked["package"]["name"] in self.weak
        found = {"id": "PYSEC-0000-1", "details": "made up", "affected": [], "modified": "2026-01-01T00:00:00Z"}
        body = json.dumps({"vulns": [found]} if is_weak else {}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def audit(url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [ROOT / "scripts" / "audit", *options],
        capture_output=True,
        text=True,
        timeout=280,
        env={**environment, "OSV_URL": url},
    )


def test_an_audit_that_can_not_be_made_is_told_aloud() -> None:
    done = audit("http://127.0.0.1:9/v1/query")
    assert done.returncode == 0
    assert "WERE NOT AUDITED" in done.stderr
    assert audit("http://127.0.0.1:9/v1/query", "--required").returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weak", "status"), [(frozenset(), 0), (frozenset({"click"}), 1), (frozenset({"nvidia-nccl-cu12"}), 1)]
)
def test_an_audit_asks_about_all_and_fails_on_a_known_weakness(weak: frozenset[str], status: int) -> None:
    """The last is in a lock alone: it isn't installed here."""
    told = type("Told", (Advisories,), {"weak": weak, "asked": set()})
    server = HTTPServer(("127.0.0.1", 0), told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = audit(f"http://127.0.0.1:{server.server_port}/v1/query")
    server.shutdown()
    server.server_close()
    assert done.returncode == status, done.stdout + done.stderr
    assert ("PYSEC-0000-1" in done.stdout) == bool(status)
    installed = {(canonicalize_name(p.name), p.version) for p in closure()} - {
        ("bo-service", distribution("bo-service").version)
    }
    locked = {(pin.name, pin.version) for lock in locks.wanted() for pin in locks.pins(lock)}
    assert installed | locked <= told.asked
