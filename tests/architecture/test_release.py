"""What a release consists of: one version in all files, and a description that registries can show."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN_VERSION = re.compile(
    r"(?:bo-service|bo-worker|bo-service-katib-early-stopping):(\d+\.\d+\.\d+)"
    r'|(?:appVersion|newTag|image\.version=|^  "version"|^version): ?"?(\d+\.\d+\.\d+)',
    re.MULTILINE,
)
NAMING = ("deploy", "docs", "clients/node/package.json")
"""Where files name the version."""


def test_every_file_names_the_version_of_the_project() -> None:
    listed = subprocess.run(["git", "ls-files", *NAMING], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split() if Path(name).suffix not in (".png", ".svg")]
    found = {(f, "".join(v)) for f in files for v in OWN_VERSION.findall(f.read_text("utf-8"))}
    assert len({file for file, _ in found}) > 7
    assert [(file, version) for file, version in found if version != PROJECT["version"]] == []


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The function of hatch_build.py; the build's own environment alone has hatchling."""
    interface = ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    names: dict[str, object] = {}
    exec(compile((ROOT / "hatch_build.py").read_text(), "hatch_build.py", "exec"), names)
    function = names["described"]
    assert callable(function)
    return function


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_without_an_address_the_description_has_no_link_that_leads_nowhere(described: Callable[..., str]) -> None:
    text = described((ROOT / "README.md").read_text(), "1.2.3", None)
    assert [link for link in links(text) if "://" not in link] == []
    assert "mermaid" not in text
    assert "![" not in text
    assert "\n\n\n" not in text
    assert "With `--dashboard 127.0.0.1:8080` (and `bo-service[dashboard]`) it serves its studies to browsers" in text


def test_with_an_address_links_lead_to_the_files_of_the_release(described: Callable[..., str]) -> None:
    readme = "[a](docs/a.md#b) ![p](docs/p.png) [c](https://c.example) [d\ne](#d)\n\n```mermaid\nx\n```\n\nend\n"
    at = "https://code.example/bo"
    expected = f"[a]({at}/blob/v1.2.3/docs/a.md#b) ![p]({at}/raw/v1.2.3/docs/p.png) [c](https://c.example) [d\ne](#d)"
    assert described(readme, "1.2.3", f"{at}/") == f"{expected}\n\nend\n"
    whole = described((ROOT / "README.md").read_text(), "1.2.3", at)
    assert [link for link in links(whole) if "://" not in link] == []
