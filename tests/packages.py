"""Packages: installed in a folder, as far as an interpreter with the folder on its path can tell, or loaded late."""

import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


class Deferred:
    """A module that is loaded when a test first uses it: each process that runs tests collects all of them.

    Where its package is not installed, the tests of the file that makes this are skipped.
    """

    def __init__(self, name: str, reason: str = "") -> None:
        if find_spec(name.partition(".")[0]) is None:
            pytest.skip(reason, allow_module_level=True)
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # asked for by pytest, which looks for tests
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


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
