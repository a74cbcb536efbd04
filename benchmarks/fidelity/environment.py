"""Environments of methods whose libraries can't be installed beside this project's packages."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fidelity.catalog import METHODS, missing_packages
from benchmarks.installing import install as install_environment
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import ONE_THREAD, QUIET, ROOT

NAMES = sorted({entry.environment for entry in METHODS.values()} - {""})
REQUIREMENTS = Path(__file__).with_name("requirements")
PROJECT = os.pathsep.join(str(ROOT / part) for part in (".", "objectives"))
"""What an environment has of this project on its path: the benchmarks and the server, and the objective's names."""


def folder() -> Path:
    """Return where the environments are."""
    return environments() / "fidelity"


def install(name: str) -> None:
    """Make an environment anew. Raises subprocess.CalledProcessError where pip could not."""
    install_environment(name, folder(), REQUIREMENTS)


def enter(methods: Sequence[str]) -> None:
    """Continue this program in the environment of methods that can't run here; return where there is no such one.

    It runs on one thread, and with a fixed seed of hashes, since SMAC iterates over sets.

    Args:
        methods: Names of methods, all of one environment.
    """
    entries = [METHODS[name] for name in methods if name in METHODS]
    names = {entry.environment for entry in entries}
    if len(names) != 1 or not any(map(missing_packages, entries)):
        return
    home = folder() / names.pop()
    python = home / "bin" / "python"
    if Path(sys.prefix) == home or not python.exists():
        return
    fixed = {**ONE_THREAD, **QUIET, "PYTHONPATH": PROJECT, "PYTHONHASHSEED": "0"}
    command = [str(python), "-W", "ignore", "-m", "benchmarks.fidelity", *sys.argv[1:]]
    os.execve(command[0], command, {**os.environ, **fixed})  # noqa: S606
