"""The layout: what imports what at run time, how long modules are, and where links lead."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_sqlite

ROOT = Path(__file__).parents[2]

HEAVY = [
    "starlette",
    "uvicorn",
    "connectrpc",
    "numpy",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "matplotlib",
    "plotly",
    "jinja2",
]


def modules_after(statement: str) -> set[str]:
    """The top-level packages loaded after `statement` in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=280)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import bo_client",
        "import bo_client.cli.main",
        "import bo_client.testing",
        "import bo_client.figures",
        "import bo_objectives",
        "import bo_worker.cli",
    ],
)
def test_clients_and_workers_load_nothing_heavy(statement: str) -> None:
    loaded = modules_after(statement)
    assert not loaded & {*HEAVY, "bo_service"}


def test_the_servers_main_process_loads_neither_scikit_learn_nor_scipy() -> None:
    """Not for quick suggestions either."""
    loaded = modules_after("import bo_service.cli.main, bo_service.bootstrap, bo_service.optimizer.initial_design")
    assert not loaded & {"sklearn", "scipy", "keras", "bo_client"}


def test_a_server_over_a_migrated_file_loads_what_others_need_only_where_they_do(tmp_path: Path) -> None:
    address = make_sqlite(tmp_path / "bo.db")
    opened = f"from bo_service.storage.factory import open_store; open_store({address!r}).close()"
    loaded = modules_after(f"import bo_service.bootstrap; {opened}")
    assert "sqlalchemy" in loaded
    assert not loaded & {"alembic", "prometheus_client", "psycopg", "katib_api"}


def test_the_cores_values_need_no_numerics() -> None:
    assert not modules_after("import bo_service.optimizer.inputs, bo_service.domain.trial") & set(HEAVY)


@pytest.mark.parametrize("path", sorted(p for p in (ROOT / "scripts").iterdir()), ids=lambda p: p.name)
def test_scripts_are_executable(path: Path) -> None:
    assert path.stat().st_mode & 0o100


def test_no_module_outgrows_a_head() -> None:
    """A module past 400 lines holds more than one idea."""
    packages = ["bo_service", "objectives/bo_objectives", "clients/python/bo_client", "clients/python/bo_dashboard"]
    sources = [p for package in packages for p in (ROOT / package).rglob("*.py")]
    assert len(sources) > 20
    assert {str(p.relative_to(ROOT)): n for p in sources if (n := len(p.read_text().splitlines())) > 400} == {}


def test_no_link_leads_out_of_the_tree() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("there is no repository to ask")
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [line.split("\t")[1] for line in listed.splitlines() if line.startswith("120000")]
    assert [name for name in names if not (ROOT / name).resolve().is_relative_to(ROOT)] == []
