"""Packages that are installed in a folder, as far as an interpreter with the folder on its path can tell."""

import tomllib
from pathlib import Path


def install(folder: Path, files: dict[str, str], pyproject: str) -> None:
    """Write the files, and beside them what an installer makes of a pyproject.toml: its name and its entry points."""
    project = tomllib.loads(pyproject)["project"]
    for name, text in files.items():
        (folder / name).write_text(text)
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
