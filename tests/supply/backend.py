"""A build backend that needs nothing: an editable wheel of a project called `it`."""

import zipfile
from pathlib import Path


def get_requires_for_build_editable(*settings: object) -> list[str]:
    return []


def build_editable(wheel_directory: str, *settings: object) -> str:
    name = "it-1-py3-none-any.whl"
    extra = "Provides-Extra: tiny\nRequires-Dist: small-thing; extra == 'tiny'\n"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as archive:
        archive.writestr("it-1.dist-info/METADATA", f"Metadata-Version: 2.1\nName: it\nVersion: 1\n{extra}")
        archive.writestr("it-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("it-1.dist-info/RECORD", "")
    return name
