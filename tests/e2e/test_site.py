"""The documentation as a site: it builds without a warning, loads nothing from elsewhere, and its first page runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="?(https?://[^"\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text())


def test_every_page_is_there_and_tells_what_it_is_made_of(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert len(pages) > 15
    assert [name for name in pages if not (site / name / "index.html").exists()] == []
    assert "create_study" in text_of(site / "reference" / "python" / "index.html")
    assert "rpc SuggestTrials" in text_of(site / "reference" / "contract" / "index.html")
    assert "every rpc has a response of its own" in text_of(site / "reference" / "decisions" / "index.html")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    found = {(str(page.relative_to(site)), address) for page in pages for address in LOADED.findall(page.read_text())}
    assert found == set()


def test_the_first_study_runs(server: str, tmp_path: Path) -> None:
    """Installing and starting are left out: the tests have a server."""
    page = (ROOT / "docs" / "index.md").read_text().replace("127.0.0.1:50051", server)
    blocks = re.findall(r"^```(python|bash)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "python", "bash"]
    assert all(line.startswith(("pip install", "bo-service serve")) for line in blocks[0][1].splitlines())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = ""
    for language, block in blocks[1:]:
        program = [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]
        done = subprocess.run(
            [*program, block],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told += done.stdout
    assert told.count("lr") >= 2
    assert "layers" in told
