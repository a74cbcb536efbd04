"""The snippets of docs/integrations.md, each a program of its own, beside a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "integrations.md").read_text()
SNIPPETS: list[str] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAMES = [re.findall(r"bo_client\.integrations\.(\w+)", snippet)[0] for snippet in SNIPPETS]


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name in ("keras", "keras_tuner"):
        return [pytest.mark.keras, pytest.mark.xdist_group("keras")]
    return [pytest.mark.slow, pytest.mark.xdist_group("ray")] if name == "ray_tune" else []


CASES = [
    pytest.param(snippet, id=f"{name}-{i}", marks=marks(name))
    for i, (name, snippet) in enumerate(zip(NAMES, SNIPPETS, strict=True))
]


@pytest.mark.parametrize("snippet", CASES)
def test_the_snippet_runs(snippet: str, address: str, client: bo_client.Client, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace("127.0.0.1:50051", address)],
        cwd=tmp_path,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for study_id in re.findall(r'study_id="([\w-]+)"|create_study\("([\w-]+)"', snippet):
        assert most_results("".join(study_id), client) >= 3


def most_results(study_id: str, client: bo_client.Client) -> int:
    """Of the study, or of one that followed it as its space changed."""
    studies = [s for s in client.studies() if re.fullmatch(rf"{study_id}(\.\d+)?", s.id)]
    return max(sum(s.counts.get(state, 0) for state in ("SUCCEEDED", "STOPPED")) for s in studies)


def test_each_integration_has_a_snippet_and_is_in_the_table() -> None:
    tools = {"optuna", "keras_tuner", "ray_tune", "keras", "scikit_learn", "following"}
    assert tools <= set(NAMES)
    files = {p.stem for p in (Path(bo_client.__file__).parent / "integrations").glob("*.py")}
    shared = {"__init__", "domains", "embedded", "held", "hyperparameters", "studies"}
    told = set(re.findall(r"^\|.*\| `(\w+)`: `", PAGE, re.MULTILINE))
    assert files - shared == told | {"following"}


def test_links_of_the_page_lead_somewhere() -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    headings = {
        re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    }
    for file, _, anchor in links:
        assert (Path(__file__).parents[3] / "docs" / file).exists() if file else anchor in headings, (file, anchor)
