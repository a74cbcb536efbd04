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
    versions_by_name: defaultdict[str, set[str]] = defaultdict(set)
    for package in distributions():
        versions_by_name[canonicalize_name(package.name)].add(package.version)
    for pin in (pin for name in wanted() for pin in pins(name)):
        versions_by_name[pin.name].add(pin.version)
    versions_by_name.pop("bo-service", None)
    return versions_by_name


def write(folder: Path) -> None:
    """Write as many lists as the package with the most versions needs: a list names each package once."""
    rows = {name: sorted(numbers) for name, numbers in versions().items()}
    for row in range(max(map(len, rows.values()))):
        lines = [f"{name}=={numbers[row]}\n" for name, numbers in sorted(rows.items()) if row < len(numbers)]
        (folder / f"{row}.txt").write_text("".join(lines))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
