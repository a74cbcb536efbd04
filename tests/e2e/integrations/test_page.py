"""The snippets of docs/integrations.md, beside a real server."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import bo_client
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "integrations.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SNIPPETS = [text for language, text in BLOCKS if language == "python" and not text.startswith("# ")]
NAMES = [(re.findall(r"bo_client\.integrations\.(\w+)", text) or ["a loop"])[0] for text in SNIPPETS]
LARGE = ("torch", "lightning", "transformers", "wandb")
"""Packages that the extra dev leaves out."""


RUN_BY_ITSELF = ("ray_tune",)
"""Ray's processes are given the environment that they need."""


def cases(*names: str) -> list[Any]:
    """The snippets of these tools."""
    chosen = [(i, name, text) for i, (name, text) in enumerate(zip(NAMES, SNIPPETS, strict=True)) if name in names]
    groups = {"keras": "keras", "keras_tuner": "keras", "ray_tune": "ray"}
    marks = {name: [pytest.mark.xdist_group(group)] for name, group in groups.items()}
    return [pytest.param(text, id=f"{name}-{i}", marks=marks.get(name, [])) for i, name, text in chosen]


def require_packages(snippet: str) -> None:
    """Skip the test if a large package is missing."""
    for package in LARGE:
        if re.search(rf"import {package}\b", snippet) or f"integrations.{package} import" in snippet:
            pytest.importorskip(package, reason="too large for the extra dev")


@pytest.mark.filterwarnings("ignore")  # of the tools' own
@pytest.mark.parametrize("snippet", cases(*(name for name in NAMES if name not in RUN_BY_ITSELF)))
def test_the_snippet_runs(
    snippet: str, address: str, client: bo_client.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_packages(snippet)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet.replace("127.0.0.1:50051", address), "integrations.md", "exec"), {"__name__": "snippet"})
    check_studies(snippet, client)


def test_the_program_of_hydra_is_searched(address: str, client: bo_client.Client, tmp_path: Path) -> None:
    (program,) = (text for language, text in BLOCKS if text.startswith("# train.py\n"))
    (commands,) = (text for language, text in BLOCKS if language == "bash")
    (tmp_path / "train.py").write_text(program)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env={**os.environ, "BO_SERVER": address, "PATH": path},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert most_results("train", client) == 4
    assert "act=" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("snippet", cases(*NAMES))
def test_the_snippet_runs_as_a_program(snippet: str, address: str, client: bo_client.Client, tmp_path: Path) -> None:
    require_packages(snippet)
    home = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    own = re.sub(r"with-|logged", lambda name: f"program-{name[0]}", snippet)
    done = subprocess.run(
        [sys.executable, "-c", own.replace("127.0.0.1:50051", address)],
        cwd=tmp_path,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check_studies(own, client)


def check_studies(snippet: str, client: bo_client.Client) -> None:
    for study_id in re.findall(r'study_id="([\w-]+)"|create_study\("([\w-]+)"', snippet):
        assert most_results("".join(study_id), client) >= 3


def most_results(study_id: str, client: bo_client.Client) -> int:
    """Of the study, or of one that followed it as its space changed."""
    studies = [s for s in client.studies() if re.fullmatch(rf"{study_id}(\.\d+)?", s.id)]
    return max(sum(s.counts.get(state, 0) for state in ("SUCCEEDED", "STOPPED", "PAUSED")) for s in studies)


def test_each_integration_has_a_snippet_and_is_in_the_table() -> None:
    tools = {
        "optuna",
        "keras_tuner",
        "ray_tune",
        "keras",
        "lightning",
        "transformers",
        "xgboost",
        "lightgbm",
        "scikit_learn",
        "exporters",
    }
    assert tools <= set(NAMES)
    files = {p.stem for p in (Path(bo_client.__file__).parent / "integrations").glob("*.py")}
    shared = {
        "__init__",
        "boosting",
        "callers",
        "distributions",
        "domains",
        "embedded",
        "external_trial",
        "hydra",
        "hyperparameters",
        "optuna_study",
        "ray_space",
        "scikit_space",
        "studies",
        "training",
    }
    told = set(re.findall(r"^\|.*\| `(\w+)`: `", PAGE, re.MULTILINE))
    assert files - shared == told | {"exporters"}


def test_links_of_the_page_lead_somewhere() -> None:
    links = [link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    headings = {
        re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    }
    for file, _, anchor in links:
        assert (Path(__file__).parents[3] / "docs" / file).exists() if file else anchor in headings, (file, anchor)
