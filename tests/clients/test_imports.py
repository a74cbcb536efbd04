"""The client is light: what it doesn't need isn't loaded."""

import subprocess
import sys

import pytest

HEAVY = (
    "sklearn",
    "scipy",
    "numpy",
    "keras",
    "tensorflow",
    "matplotlib",
    "plotly",
    "jinja2",
    "pandas",
    "bo_service",
    "bo_objectives",
)
TOOLS = ("optuna", "keras_tuner", "ray", "mlflow", "tensorboard")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after the statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import bo_client",
        "import bo_client.cli.main",
        "import bo_client.testing, bo_client.specfile",
        "import bo_client; bo_client.connect('127.0.0.1:1').close()",
        "import bo_client; bo_client.local; bo_client.LocalClient",
        "from bo_client.cli import live, tables; from bo_client.figures import matplotlib_renderer",
    ],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    assert loaded_by(statement).isdisjoint((*HEAVY, *TOOLS))


def test_a_program_that_only_tests_opens_no_channel() -> None:
    assert "grpc" not in loaded_by("from bo_client.testing import CannedTransport; CannedTransport().client()")


def test_the_logs_of_a_study_need_neither_of_their_tools_until_one_is_chosen() -> None:
    assert loaded_by("from bo_client.integrations import domains, exporters, external_trial").isdisjoint(
        (*HEAVY, *TOOLS)
    )
