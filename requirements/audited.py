"""Write what `scripts/audit` asks about: every installed and every locked version, as lists of NAME==VERSION.

The names come from the interpreter, since `pip-audit --path` looks into one folder and calls an empty one sound.
"""

import sys
from collections import defaultdict
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from requirements.locks import pins, wanted


def versions() -> dict[str, set[str]]:
    """Return the versions of each package, but for this project itself."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in distributions():
        found[canonicalize_name(package.name)].add(package.version)
    for pin in (pin for name in wanted() for pin in pins(name)):
        found[pin.name].add(pin.version)
    found.pop("bo-service", None)
    return found


def write(folder: Path) -> None:
    """Write as many lists as the package with the most versions needs: a list names each package once."""
    rows = {name: sorted(known) for name, known in versions().items()}
    for row in range(max(map(len, rows.values()))):
        lines = [f"{name}=={known[row]}\n" for name, known in sorted(rows.items()) if row < len(known)]
        (folder / f"{row}.txt").write_text("".join(lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
