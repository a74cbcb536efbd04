"""Environments for peers whose libraries can't live together."""

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.catalog import REQUIREMENTS


def install(environment: str, folder: Path, requirements: Path = REQUIREMENTS) -> None:
    """Makes the environment anew from its requirements, with pip as it is configured.

    What `<environment>-alone.txt` lists is installed without what it asks for.

    Raises:
        subprocess.CalledProcessError: pip could not.
    """
    target = folder / environment
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(target)], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(requirements / f"{environment}.txt")], check=True)
    alone = requirements / f"{environment}-alone.txt"
    if alone.exists():
        subprocess.run([*pip, "--no-deps", "-r", str(alone)], check=True)
