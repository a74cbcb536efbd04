"""Which version of a peer a run is of, so that runs of different ones are never taken for the same."""

import hashlib
from pathlib import Path

from benchmarks.peers.catalog import HERE, REQUIREMENTS, entry_of
from benchmarks.peers.process import ROOT


def version_of(peer: str) -> str:
    """Return the pinned version of the peer's library, or a digest of the code of a peer that needs none.

    Raises:
        KeyError: there is no such peer.
    """
    entry = entry_of(peer)
    if entry.environment is not None:
        return _first_pin(entry.environment)
    files = [HERE / f"{entry.module}.py"]
    if entry.module == "ours":
        folders = (ROOT / "bo_service" / "domain", ROOT / "bo_service" / "optimizer")
        files += [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    if entry.variant:
        files.append(ROOT / "benchmarks" / "ablations.py")
    return f"code-{_digest(files)}"


def _first_pin(environment: str) -> str:
    """Return the first requirement; that of a package that is installed alone comes before all others."""
    files = [REQUIREMENTS / f"{environment}-alone.txt", REQUIREMENTS / f"{environment}.txt"]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return next(line for line in lines if line and not line.startswith("#"))


def _digest(files: list[Path]) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return content.hexdigest()[:10]
